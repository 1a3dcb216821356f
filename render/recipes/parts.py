"""Sections of recipes: the randomized quantities and their ranges. Unknown keys are rejected.

`synth recipe show` prints the description of each field.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Annotated, Any, ClassVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_serializer, model_validator
from pydantic_core.core_schema import SerializerFunctionWrapHandler

from render.recipes.cameras import CAMERAS

# Far enough below the largest float that sums and products of a few values stay finite.
LARGEST = 1e300


def _ordered(ends: tuple[float, float]) -> tuple[float, float]:
    low, high = ends
    if not -LARGEST < low <= high < LARGEST:  # not isfinite, which fails for whole numbers of thousands of digits
        raise ValueError(f"a range is [lowest, highest] with finite ends, found [{low}, {high}]")
    return ends


def _both_ends(value: object) -> object:
    """Turn a single number into the range that contains only that number."""
    return (value, value) if isinstance(value, int | float) and not isinstance(value, bool) else value


def within(low: float, high: float) -> AfterValidator:
    def check(ends: tuple[float, float]) -> tuple[float, float]:
        if ends[0] < low or ends[1] > high:
            raise ValueError(f"must lie within {low:g} and {high:g}, found [{ends[0]:g}, {ends[1]:g}]")
        return ends

    return AfterValidator(check)


Span = Annotated[tuple[float, float], BeforeValidator(_both_ends), AfterValidator(_ordered)]
Share = Annotated[float, Field(ge=0, le=1)]
ShareSpan = Annotated[Span, within(0, 1)]
CountSpan = Annotated[tuple[int, int], BeforeValidator(_both_ends), AfterValidator(_ordered)]
Weight = Annotated[float, Field(ge=0, le=1000, allow_inf_nan=False)]


class Section(BaseModel):
    """Base of all sections: frozen, rejects unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class RestingWeights(Section):
    """Weights of the ways in which products rest."""

    stand: Weight = Field(6.0, description="upright")
    lie: Weight = Field(3.0, description="in one of the other stable poses, each as likely as after a drop")
    lean: Weight = Field(1.0, description="tilted against a neighbour")


class TableProducts(Section):
    """The products of a tabletop scene."""

    count: Annotated[CountSpan, within(1, 500)] = Field((8, 16), description="products per scene")
    manner: RestingWeights = Field(default_factory=RestingWeights, description="weights of the resting poses")
    lean_deg: Annotated[Span, within(0, 45)] = Field((2.0, 14.0), description="tilt beyond balance, if leaning")
    touch: Share = Field(0.35, description="chance that a product is pushed against a neighbour")
    occlude: Share = Field(0.4, description="chance that it is set in front of or behind a neighbour in the view")
    density: Annotated[Span, within(0.05, 0.9)] = Field((0.4, 0.6), description="share of the table area they cover")
    compact: Annotated[int, Field(ge=1, le=100)] = Field(
        6, description="candidate positions, of which the most central is taken; 1 = loose arrangement"
    )
    repeat: ShareSpan = Field(
        (0.0, 0.25), description="share of a scene's products that are copies of another one in it"
    )
    stack: ShareSpan = Field(
        (0.0, 0.6), description="chance that a copy is stacked on the first, if that has a flat and wide enough top"
    )


class FlyingProducts(Section):
    """The products of a scatter scene."""

    count: Annotated[CountSpan, within(1, 500)] = Field((4, 12), description="products per scene")
    size: Annotated[Span, within(0.02, 2)] = Field(
        (0.12, 0.5), description="longest side in the image, as a share of the image's shorter side"
    )
    max_truncation: Share = Field(
        0.3, description="largest share of a product's outline outside the image of the first view"
    )


class Distractors(Section):
    """Objects that occlude products and are never labelled."""

    count: Annotated[CountSpan, within(0, 500)] = Field((0, 3), description="distractors per scene")
    size_m: Annotated[Span, within(0.005, 2)] = Field((0.03, 0.16), description="sides of plain distractors, metres")
    printed: Share = Field(
        0.6, description="share that are packs of invented brands, with sizes of their own; the rest are plain"
    )


class FlyingDistractors(Distractors):
    """Distractors of a scatter scene, smaller in the image than products so that they hide parts of them, not all."""

    count: Annotated[CountSpan, within(0, 500)] = Field((2, 10), description="distractors per scene")
    size: Annotated[Span, within(0.01, 2)] = Field(
        (0.05, 0.25), description="longest side in the image, as a share of the image's shorter side"
    )


class Table(Section):
    """Ranges of the table."""

    margin: Annotated[Span, within(0, 20)] = Field(
        (0.6, 3.0), description="table beyond the products, in radii of the products"
    )
    image: Share = Field(0.7, description="chance of a photographed surface if surfaces are given; else procedural")
    repeat_m: Annotated[Span, within(0.02, 10)] = Field((0.15, 0.6), description="size of one texture repeat, metres")
    roughness: ShareSpan = Field((0.25, 0.9), description="0 mirror, 1 chalk")
    gain: Annotated[Span, within(0.05, 1.5)] = Field((0.35, 1.0), description="brightness relative to its texture")


class TableCamera(Section):
    """Ranges of the camera of a tabletop scene."""

    lens_mm: Annotated[Span, within(8, 400)] = Field((24.0, 30.0), description="focal length, 35 mm equivalent")
    height_deg: Annotated[Span, within(3, 89)] = Field((18.0, 60.0), description="elevation above the table")
    distance: Annotated[Span, within(0.2, 10)] = Field(
        (0.9, 1.12), description="1 = all products just fit into the image; below, some are cut by the border"
    )
    roll_deg: Annotated[Span, within(-180, 180)] = Field((-6.0, 6.0), description="turn about the optical axis")
    aim: ShareSpan = Field((0.0, 0.25), description="offset of the aim from the middle, in radii of the products")


class FlyingCamera(Section):
    """Ranges of the camera of a scatter scene."""

    lens_mm: Annotated[Span, within(8, 400)] = Field((24.0, 70.0), description="focal length, 35 mm equivalent")
    height_deg: Annotated[Span, within(-89, 89)] = Field((-30.0, 60.0), description="elevation of the view")
    roll_deg: Annotated[Span, within(-180, 180)] = Field((-180.0, 180.0), description="turn about the optical axis")


class Lights(Section):
    """Ranges of the light: an environment (HDRI) and area lights."""

    strength: Annotated[Span, within(0, 100)] = Field((0.5, 1.5), description="of the environment, 1 = normalised")
    environment_kelvin: Annotated[Span, within(1500, 20000)] = Field(
        (5300.0, 7000.0), description="colour temperature of the tint on the environment, 6500 = neutral"
    )
    area_count: Annotated[CountSpan, within(0, 16)] = Field((0, 3), description="area lights per scene")
    area_share: Annotated[Span, within(0, 100)] = Field(
        (0.2, 4.0), description="irradiance of one light, as a multiple of the environment's"
    )
    area_size_m: Annotated[Span, within(0.01, 10)] = Field((0.1, 1.2), description="sides of an area light, metres")
    area_distance_m: Annotated[Span, within(0.2, 20)] = Field((0.6, 2.5), description="from the products, metres")
    area_kelvin: Annotated[Span, within(1500, 20000)] = Field((3300.0, 6800.0), description="colour temperature")


class Finishes(Section):
    """Ranges of the surface finish of products, relative to their models."""

    roughness: ShareSpan = Field((0.3, 0.8), description="0 mirror, 1 chalk; models of several materials keep theirs")
    tint: Annotated[Span, within(0, 2)] = Field(
        (0.97, 1.03), description="factor on each colour channel (print batches)"
    )
    worn: Share = Field(0.25, description="chance that a product is worn")
    wear: ShareSpan = Field((0.25, 0.5), description="wear of worn products, in steps of 0.25")
    material: Share = Field(
        0.0, description="chance that a product is in glossy film, shrink wrap, foil, sheet metal or clear plastic"
    )
    dented: Share = Field(0.0, description="chance that a copy is dented")
    dents: ShareSpan = Field((0.25, 0.75), description="depth of dents, in steps of 0.25")
    sticker: Share = Field(0.0, description="chance that a copy carries a discount sticker")


def shop_finishes() -> Finishes:
    """Return the finishes of products in shops, where packs of unknown material, dents and stickers are usual."""
    return Finishes(material=0.15, dented=0.02, sticker=0.02)


class Backgrounds(Section):
    """Weights and ranges of the background; kinds without material (no photographs given) are left out."""

    environment: Weight = Field(4.0, description="the HDRI that lights the scene")
    photo: Weight = Field(3.0, description="a photograph of the folder given by --photos")
    texture: Weight = Field(0.3, description="a procedural pattern")
    blur_px: Annotated[Span, within(0, 100)] = Field((0.0, 4.0), description="defocus, Gaussian sigma at 640 px width")
    gain: Annotated[Span, within(0.01, 100)] = Field((0.35, 1.2), description="brightness relative to the products'")


class SensorRanges(Section):
    """Ranges of the camera sensor. Colour, sharpness and contrast follow 20 photographs (benchmarks/photo_match.py)."""

    exposure_ev: Annotated[Span, within(-6, 6)] = Field((-0.2, 0.9), description="stops from the metered exposure")
    white_balance_kelvin: Annotated[Span, within(2000, 15000)] = Field(
        (5600.0, 7500.0), description="colour temperature that the camera takes for white, 6500 = neutral"
    )
    blur_px: Annotated[Span, within(0, 20)] = Field((0.0, 0.5), description="defocus, Gaussian sigma at 640 px width")
    shaken: Share = Field(0.08, description="chance of camera shake")
    motion_px: Annotated[Span, within(0, 60)] = Field((1.0, 5.0), description="length of the shake at 640 px width")
    vignette: ShareSpan = Field((0.0, 0.3), description="darkening of the corners")
    shot_noise: ShareSpan = Field((0.004, 0.02), description="photon noise at full scale, standard deviation")
    read_noise: ShareSpan = Field((0.001, 0.005), description="electronic noise, standard deviation")
    contrast: Annotated[Span, within(0.1, 4)] = Field((0.9, 1.25), description="1 = neutral")
    saturation: Annotated[Span, within(0, 4)] = Field((0.9, 1.25), description="1 = neutral")
    jpeg_quality: Annotated[CountSpan, within(10, 100)] = Field((70, 95), description="of the stored image")
    crosstalk: Annotated[float, Field(ge=0, le=0.5)] = Field(
        0.06, description="largest leak of one colour channel into another, of either sign"
    )
    tone: Annotated[Span, within(0.5, 3)] = Field((1.0, 1.5), description="mid slope of the tone curve, 1 = linear")
    sharpen: Annotated[Span, within(0, 3)] = Field((0.1, 0.8), description="share of fine detail added (unsharp mask)")


class Optics(Section):
    """Ranges of lens, shutter and colour filters, all off by default. A name instead takes those of a preset.

    The presets are in render/recipes/cameras.py.
    """

    fisheye: Share = Field(0.0, description="chance of a fisheye (equidistant: the angle grows with the radius)")
    fisheye_k1: Annotated[Span, within(-0.3, 0.3)] = Field((0.0, 0.0), description="k1 of a fisheye, 0 = equidistant")
    distortion: Annotated[Span, within(-0.25, 0.5)] = Field(
        (0.0, 0.0), description="shift of the image's corners by an ordinary lens, as a share; below 0 = barrel"
    )
    tangential: Annotated[float, Field(ge=0, le=0.01)] = Field(
        0.0, description="largest p1 and p2 of an ordinary lens, of either sign"
    )
    rolling_deg: Annotated[Span, within(0, 5)] = Field(
        (0.0, 0.0), description="turn of the camera about any axis while the rows of an image are read"
    )
    chromatic: Annotated[float, Field(ge=0, le=0.01)] = Field(
        0.0, description="largest difference in size of the red and the blue image from the green one"
    )
    aperture_mm: Annotated[Span, within(0, 50)] = Field(
        (0.0, 0.0), description="diameter of the entrance pupil; 0 = sharp at any depth"
    )
    focus: Annotated[Span, within(0.2, 5)] = Field(
        (0.9, 1.1), description="distance in focus, as a multiple of the products' median distance"
    )
    mosaic: Share = Field(0.0, description="chance that each pixel measures one colour and the others are interpolated")

    @model_validator(mode="before")
    @classmethod
    def _of_preset(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        if value not in CAMERAS:
            raise ValueError(f"expected the ranges, or a preset: {', '.join(sorted(CAMERAS))}")
        return dict(CAMERAS[value].optics)


class SceneRecipe(Section, ABC):
    """Base of the settings of a recipe: the sections that all recipes share; a recipe adds its own.

    recipe: the name by which it was loaded. In files and hashes a recipe's own sections come before the shared ones.
    has_marks: whether its layouts have marks, such as price tags.
    """

    has_marks: ClassVar[bool] = False
    recipe: str = ""
    lights: Lights = Field(default_factory=Lights, description="environment and area lights")
    finish: Finishes = Field(default_factory=Finishes, description="surface of the products")
    background: Backgrounds = Field(default_factory=Backgrounds, description="background of the scene")
    sensor: SensorRanges = Field(default_factory=SensorRanges, description="camera sensor")
    optics: Optics = Field(
        default_factory=Optics, description=f"lens, shutter and colour filters; or one of {', '.join(sorted(CAMERAS))}"
    )

    @abstractmethod
    def product_count(self) -> tuple[int, int]:
        """Return the lowest and highest number of different products per scene, not counting copies."""

    def without_planograms(self) -> str:
        """Return the name of what cannot follow a planogram: the recipe, or a setting of it; empty if it can."""
        return self.recipe

    @model_serializer(mode="wrap")
    def _own_sections_first(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
        content: dict[str, Any] = serialize(self)
        shared = {name: content.pop(name) for name in SHARED_SECTIONS if name in content}
        # Recipes from before there were these sections and changed products keep their hashes.
        for part in (content, shared):
            for name in ADDED_SECTIONS & part.keys():
                default = self._default(name)
                if getattr(self, name) == type(default)() == default:
                    del part[name]
        usual = self._default("finish")
        for name in CHANGES if "finish" in shared else ():
            if getattr(self.finish, name) == getattr(Finishes(), name) == getattr(usual, name):
                shared["finish"].pop(name)
        return {**content, **shared}

    @classmethod
    def _default(cls, section: str) -> Any:
        return cls.model_fields[section].get_default(call_default_factory=True)


# Fields of Finishes about products that differ from their mesh by more than wear.
CHANGES = ("material", "dented", "dents", "sticker")
SHARED_SECTIONS = ("lights", "finish", "background", "sensor", "optics")
# Left out of files and hashes where they change nothing.
ADDED_SECTIONS = {"optics", "disturbance"}


def field_names(section: Section) -> list[str]:
    """Return the names of a section's fields in the order of files: a recipe's own sections before the shared ones."""
    names = list(type(section).model_fields)
    last = SHARED_SECTIONS if isinstance(section, SceneRecipe) else ()
    return [*(name for name in names if name not in last), *last]
