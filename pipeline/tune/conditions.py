"""What a scene was sampled as, range by range: the values in which failures may concentrate."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.gap.measure import largest_cover
from pipeline.target.knobs import Knob
from pipeline.target.measure import BRIGHTNESS
from render.frame import Annotation
from render.framing import lens_of
from render.recipes.parts import SceneRecipe
from render.recipes.sampling import REFERENCE_WIDTH
from render.scene import SceneSpec

ValueOf = Callable[[SceneSpec, Sequence[Annotation]], float]
THIRDS = ("lower", "middle", "upper")
LIMIT = 1e6


@dataclass(frozen=True)
class Condition:
    """A range of recipes and its value in a scene. seen: value_of says what the range decides, not what was drawn.

    sign: -1 where a larger draw makes a seen value smaller.
    """

    key: str
    value_of: ValueOf
    seen: str = ""
    sign: int = 1

    def knob(self, recipe: SceneRecipe) -> Knob:
        """Return the range of a recipe as one that can be narrowed."""
        section, _, field = self.key.partition(".")
        value = getattr(getattr(recipe, section), field)
        whole = isinstance(value, tuple) and all(isinstance(end, int) for end in value)
        return Knob(self.key, BRIGHTNESS, "linear", (-LIMIT, LIMIT), whole=whole)

    def exists_in(self, recipe: SceneRecipe) -> bool:
        """Return whether the recipe has this range, and it is not a single value."""
        probe = Knob(self.key, BRIGHTNESS, "linear", (-LIMIT, LIMIT))
        if not probe.exists_in(recipe):
            return False
        low, high = probe.ends(recipe)
        return high > low

    def ends_of(self, recipe: SceneRecipe, third: int) -> tuple[float, float]:
        """Return the part of the range that gives values in a third, 0 the lowest."""
        low, high = self.knob(recipe).ends(recipe)
        place = 2 - third if self.seen and self.sign < 0 else third
        edges = np.linspace(low, high, 4)
        if self.knob(recipe).whole:
            edges = np.array([low, np.floor(edges[1]), np.ceil(edges[2]), high])
        return float(edges[place]), float(edges[place + 1])

    def narrowed(self, recipe: SceneRecipe, third: int) -> SceneRecipe:
        """Return the recipe with only the part of its range that gives values in a third."""
        return self.knob(recipe).with_ends(recipe, self.ends_of(recipe, third))

    def edges(self, recipe: SceneRecipe, values: np.ndarray) -> tuple[float, float]:
        """Return the two values between the thirds: of the range, or of what was seen."""
        if self.seen:
            low, high = np.nanpercentile(values, [100 / 3, 200 / 3])
            return float(low), float(high)
        low, high = self.knob(recipe).ends(recipe)
        return low + (high - low) / 3, low + 2 * (high - low) / 3


def _sensor(name: str) -> ValueOf:
    return lambda scene, annotations: float(getattr(scene.sensor, name))


def _count(prefix: str, kind: str) -> ValueOf:
    return lambda scene, annotations: float(
        sum(item.kind == kind and item.key.startswith(prefix) for item in scene.placements)
    )


def _elevation(scene: SceneSpec, annotations: Sequence[Annotation]) -> float:
    """Return how far the camera looks down, degrees."""
    return float(np.degrees(np.arcsin(np.clip(-scene.camera.world_from_camera[2, 2], -1, 1))))


def _side(scene: SceneSpec, annotations: Sequence[Annotation]) -> float:
    sides = [np.sqrt((x1 - x0) * (y1 - y0)) for x0, y0, x1, y1 in (item.box for item in annotations)]
    return float(np.median(sides)) if sides else float("nan")


def _overlap(scene: SceneSpec, annotations: Sequence[Annotation]) -> float:
    boxes = np.array([item.box for item in annotations], np.float64).reshape(-1, 4)
    return float(largest_cover(boxes).mean()) if len(boxes) else float("nan")


def _background_gain(scene: SceneSpec, annotations: Sequence[Annotation]) -> float:
    return float("nan") if scene.background.kind == "environment" else scene.background.gain


def _table_gain(scene: SceneSpec, annotations: Sequence[Annotation]) -> float:
    return next((float(item.finish.tint[0]) for item in scene.placements if item.key == "table"), float("nan"))


def _warmth(scene: SceneSpec, annotations: Sequence[Annotation]) -> float:
    red, _, blue = scene.sensor.white_balance
    return red / blue


SIZE, CROWDING = "object size", "overlap"
# The first condition of several with the same values that a recipe has is taken.
CONDITIONS = (
    Condition("camera.like", _side, SIZE),
    Condition("products.size", _side, SIZE),
    Condition("camera.distance", _side, SIZE, sign=-1),
    Condition("products.density", _overlap, CROWDING),
    Condition("products.count", _count("", "product"), "number of products"),
    Condition("distractors.count", _count("distractor", "prop")),
    Condition("camera.lens_mm", lambda scene, annotations: lens_of(scene.camera)),
    Condition("camera.height_deg", _elevation),
    Condition("table.gain", _table_gain),
    Condition("background.gain", _background_gain),
    Condition("lights.strength", lambda scene, annotations: scene.environment.strength),
    Condition("lights.area_count", lambda scene, annotations: float(len(scene.lights)), "number of lamps"),
    Condition("sensor.exposure_ev", _sensor("exposure_ev")),
    Condition("sensor.contrast", _sensor("contrast")),
    Condition("sensor.saturation", _sensor("saturation")),
    Condition("sensor.white_balance_kelvin", _warmth, "warmth"),
    Condition(
        "sensor.blur_px",
        lambda scene, annotations: scene.sensor.blur_px * REFERENCE_WIDTH / scene.camera.width,
    ),
    Condition("sensor.sharpen", _sensor("sharpen")),
    Condition("sensor.tone", _sensor("tone")),
    Condition("sensor.vignette", _sensor("vignette")),
    Condition("sensor.shot_noise", _sensor("shot_noise")),
    Condition("sensor.read_noise", _sensor("read_noise")),
    Condition("sensor.jpeg_quality", _sensor("jpeg_quality")),
)


def conditions_of(recipe: SceneRecipe) -> list[Condition]:
    """Return the conditions of a recipe's ranges; of several that show in the same values the first."""
    found: list[Condition] = []
    for one in CONDITIONS:
        if one.exists_in(recipe) and not any(one.seen and one.seen == other.seen for other in found):
            found.append(one)
    return found
