"""The sections of a recipe: what is randomized, and between which ends. Unknown keys are refused.

The text of each field is what `synth recipe show` prints beside it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_serializer
from pydantic_core.core_schema import SerializerFunctionWrapHandler

# Finite, and no surprise to arithmetic.
LARGEST = 1e300


def _ordered(ends: tuple[float, float]) -> tuple[float, float]:
    low, high = ends
    if not -LARGEST < low <= high < LARGEST:  # not isfinite, which fails for whole numbers of thousands of digits
        raise ValueError(f"a range is [lowest, highest] with finite ends, found [{low}, {high}]")
    return ends


def _both_ends(value: object) -> object:
    """A number in place of a range is a range that holds that number alone."""
    return (value, value) if isinstance(value, int | float) and not isinstance(value, bool) else value


def _within(low: float, high: float) -> AfterValidator:
    def check(ends: tuple[float, float]) -> tuple[float, float]:
        if ends[0] < low or ends[1] > high:
            raise ValueError(f"must lie within {low:g} and {high:g}, found [{ends[0]:g}, {ends[1]:g}]")
        return ends

    return AfterValidator(check)


Span = Annotated[tuple[float, float], BeforeValidator(_both_ends), AfterValidator(_ordered)]
Share = Annotated[float, Field(ge=0, le=1)]
ShareSpan = Annotated[Span, _within(0, 1)]
CountSpan = Annotated[tuple[int, int], BeforeValidator(_both_ends), AfterValidator(_ordered)]
Weight = Annotated[float, Field(ge=0, le=1000, allow_inf_nan=False)]


class Section(BaseModel):
    """Base of all sections: frozen, strict about names."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class RestingWeights(Section):
    """How products rest, as weights."""

    stand: Weight = Field(6.0, description="upright")
    lie: Weight = Field(3.0, description="in one of the other stable poses, by how often a throw ends in it")
    lean: Weight = Field(1.0, description="tilted against a neighbour")


class TableProducts(Section):
    """The products of a tabletop scene."""

    count: Annotated[CountSpan, _within(1, 500)] = Field((8, 16), description="products per scene")
    manner: RestingWeights = Field(default_factory=RestingWeights, description="weights of how products rest")
    lean_deg: Annotated[Span, _within(0, 45)] = Field((2.0, 14.0), description="tilt of leaning ones beyond balance")
    touch: Share = Field(0.35, description="chance that a product is pushed against a neighbour")
    occlude: Share = Field(0.4, description="chance that it is set before or behind a neighbour, as the camera sees it")
    density: Annotated[Span, _within(0.05, 0.9)] = Field((0.4, 0.6), description="share of the ground they cover")
    compact: Annotated[int, Field(ge=1, le=100)] = Field(
        6, description="of so many possible positions the one nearest to the middle is taken; 1 = loose rows"
    )
    repeat: ShareSpan = Field(
        (0.0, 0.25), description="share of a scene's products that are further copies of one it has already"
    )
    stack: ShareSpan = Field(
        (0.0, 0.6), description="chance of a copy to be set upon the first, where that is flat on top and wide enough"
    )


class FlyingProducts(Section):
    """The products of a scatter scene."""

    count: Annotated[CountSpan, _within(1, 500)] = Field((4, 12), description="products per scene")
    size: Annotated[Span, _within(0.02, 2)] = Field(
        (0.12, 0.5), description="longest side on the picture, as a share of its shorter side"
    )
    max_truncation: Share = Field(
        0.3, description="at most this share of a product's outline lies outside the picture, seen by the first view"
    )


class Distractors(Section):
    """Plain bodies that occlude and are never labelled."""

    count: Annotated[CountSpan, _within(0, 500)] = Field((0, 3), description="distractors per scene")
    size_m: Annotated[Span, _within(0.005, 2)] = Field((0.03, 0.16), description="sides of plain ones, metres")
    printed: Share = Field(
        0.6, description="share that are packs of invented brands, in sizes of their own; else plain"
    )


class FlyingDistractors(Distractors):
    """Distractors of a scatter scene, smaller on the picture than products so that they hide parts, not all."""

    count: Annotated[CountSpan, _within(0, 500)] = Field((2, 10), description="distractors per scene")
    size: Annotated[Span, _within(0.01, 2)] = Field(
        (0.05, 0.25), description="longest side on the picture, as a share of its shorter side"
    )


class Table(Section):
    """What products stand on."""

    margin: Annotated[Span, _within(0, 20)] = Field(
        (0.6, 3.0), description="table beyond the products, in their radius"
    )
    image: Share = Field(0.7, description="chance of a photographed surface, where surfaces are given; else procedural")
    repeat_m: Annotated[Span, _within(0.02, 10)] = Field(
        (0.15, 0.6), description="metres that one texture repeat covers"
    )
    roughness: ShareSpan = Field((0.25, 0.9), description="0 mirror, 1 chalk")
    gain: Annotated[Span, _within(0.05, 1.5)] = Field((0.35, 1.0), description="brightness against its texture")


class TableCamera(Section):
    """Where the picture is taken from."""

    lens_mm: Annotated[Span, _within(8, 400)] = Field((24.0, 30.0), description="focal length, 35 mm equivalent")
    height_deg: Annotated[Span, _within(3, 89)] = Field((18.0, 60.0), description="elevation above the table")
    distance: Annotated[Span, _within(0.2, 10)] = Field(
        (0.9, 1.12), description="1 = all products just fit into the frame; below, some are cut by the border"
    )
    roll_deg: Annotated[Span, _within(-180, 180)] = Field((-6.0, 6.0), description="turn about the optical axis")
    aim: ShareSpan = Field((0.0, 0.25), description="how far beside the middle it looks, in the products' radius")


class FlyingCamera(Section):
    """Where the picture is taken from."""

    lens_mm: Annotated[Span, _within(8, 400)] = Field((24.0, 70.0), description="focal length, 35 mm equivalent")
    height_deg: Annotated[Span, _within(-89, 89)] = Field((-30.0, 60.0), description="elevation of the view")
    roll_deg: Annotated[Span, _within(-180, 180)] = Field((-180.0, 180.0), description="turn about the optical axis")


class Lights(Section):
    """Where light comes from: an environment (HDRI) and area lights."""

    strength: Annotated[Span, _within(0, 100)] = Field((0.5, 1.5), description="of the environment, 1 = as normalised")
    environment_kelvin: Annotated[Span, _within(1500, 20000)] = Field(
        (5300.0, 7000.0), description="colour temperature laid over the environment, 6500 = neutral"
    )
    area_count: Annotated[CountSpan, _within(0, 16)] = Field((0, 3), description="area lights per scene")
    area_share: Annotated[Span, _within(0, 100)] = Field(
        (0.2, 4.0), description="light that one brings, as a multiple of the environment's"
    )
    area_size_m: Annotated[Span, _within(0.01, 10)] = Field((0.1, 1.2), description="sides of an area light, metres")
    area_distance_m: Annotated[Span, _within(0.2, 20)] = Field((0.6, 2.5), description="from the products, metres")
    area_kelvin: Annotated[Span, _within(1500, 20000)] = Field((3300.0, 6800.0), description="colour temperature")


class Finishes(Section):
    """How the surface of a product differs from its model."""

    roughness: ShareSpan = Field((0.3, 0.8), description="0 mirror, 1 chalk; parts of several materials keep theirs")
    tint: Annotated[Span, _within(0, 2)] = Field(
        (0.97, 1.03), description="factor on each colour channel (print batches)"
    )
    worn: Share = Field(0.25, description="chance that a product is worn")
    wear: ShareSpan = Field((0.25, 0.5), description="how worn those are, in steps of 0.25")


class Backgrounds(Section):
    """What is seen behind everything, as weights; kinds without material (no photographs given) are left out."""

    environment: Weight = Field(4.0, description="the HDRI that lights the scene")
    photo: Weight = Field(3.0, description="a photograph of the folder given by --photos")
    texture: Weight = Field(0.3, description="a procedural pattern")
    blur_px: Annotated[Span, _within(0, 100)] = Field((0.0, 4.0), description="out of focus, Gaussian sigma at 640 px")
    gain: Annotated[Span, _within(0.01, 100)] = Field((0.35, 1.2), description="brightness against the products'")


class SensorRanges(Section):
    """The camera's electronics. Colour, sharpness and contrast follow 20 photographs (benchmarks/photo_match.py)."""

    exposure_ev: Annotated[Span, _within(-6, 6)] = Field((-0.2, 0.9), description="stops off the metered exposure")
    white_balance_kelvin: Annotated[Span, _within(2000, 15000)] = Field(
        (5600.0, 7500.0), description="what the camera takes for white, 6500 = neutral"
    )
    blur_px: Annotated[Span, _within(0, 20)] = Field((0.0, 0.5), description="focus, Gaussian sigma at 640 px")
    shaken: Share = Field(0.08, description="chance of camera shake")
    motion_px: Annotated[Span, _within(0, 60)] = Field((1.0, 5.0), description="length of the shake at 640 px")
    vignette: ShareSpan = Field((0.0, 0.3), description="darkening of the corners")
    shot_noise: ShareSpan = Field((0.004, 0.02), description="photon noise at full scale, standard deviation")
    read_noise: ShareSpan = Field((0.001, 0.005), description="noise of the electronics, standard deviation")
    contrast: Annotated[Span, _within(0.1, 4)] = Field((0.9, 1.25), description="1 = neutral")
    saturation: Annotated[Span, _within(0, 4)] = Field((0.9, 1.25), description="1 = neutral")
    jpeg_quality: Annotated[CountSpan, _within(10, 100)] = Field((70, 95), description="of the stored picture")
    crosstalk: Annotated[float, Field(ge=0, le=0.5)] = Field(
        0.06, description="how far one colour leaks into another at most (filters differ), either way"
    )
    tone: Annotated[Span, _within(0.5, 3)] = Field((1.0, 1.5), description="slope of the tone curve's S, 1 = none")
    sharpen: Annotated[Span, _within(0, 3)] = Field((0.1, 0.8), description="share of fine detail added again")


class SceneRecipe(Section, ABC):
    """Base of the settings of a recipe: the sections that all recipes share; a recipe adds its own.

    recipe: the name that it was asked for by. In files and hashes its own sections come before the shared ones.
    """

    recipe: str = ""
    lights: Lights = Field(default_factory=Lights, description="where light comes from")
    finish: Finishes = Field(default_factory=Finishes, description="surface of the products")
    background: Backgrounds = Field(default_factory=Backgrounds, description="behind everything")
    sensor: SensorRanges = Field(default_factory=SensorRanges, description="the camera's electronics")

    @abstractmethod
    def product_count(self) -> tuple[int, int]:
        """How many different products a scene gets, fewest and most; further copies do not count."""

    @model_serializer(mode="wrap")
    def _own_sections_first(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
        content: dict[str, Any] = serialize(self)
        shared = {name: content.pop(name) for name in SHARED_SECTIONS if name in content}
        return {**content, **shared}


SHARED_SECTIONS = ("lights", "finish", "background", "sensor")
