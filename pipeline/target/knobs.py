"""The ranges of a recipe that a fit corrects, each with the statistic of pictures that it moves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from pipeline.target.measure import (
    BRIGHTNESS,
    COLOR,
    CONTRAST,
    DETAIL,
    JPEG,
    LENS,
    LIGHT_NOISE,
    OBJECT_SIZE,
    OBJECTS,
    SHADOW_NOISE,
    SHARPNESS,
    WARMTH,
    Statistic,
)
from render.recipes.parts import SceneRecipe, Section
from render.recipes.shop import BOX_SHARES

Ends = tuple[float, float]
# The scale on which a range is moved and widened: mired are millions over kelvin, even steps to the eye; squares of
# noise add up.
Scale = Literal["linear", "log", "mired", "square"]
# A range becomes at most this much wider or narrower in one correction.
MAX_WIDENING = 3.0
# Standard deviation of a normal distribution by the distance of its quartiles.
NORMAL = 1.349


@dataclass(frozen=True)
class Knob:
    """A range of recipes. key: section and field. limits: beyond which no fit goes. step: a change that shows, scaled.

    sign: -1 where a larger value makes the statistic smaller. whole: of whole numbers.
    """

    key: str
    statistic: Statistic
    scale: Scale
    limits: Ends
    step: float = 0.5
    sign: int = 1
    whole: bool = False

    def exists_in(self, recipe: SceneRecipe) -> bool:
        """Return whether the recipe has this range."""
        section, _, field = self.key.partition(".")
        values = getattr(recipe, section, None)
        return isinstance(values, Section) and field in type(values).model_fields

    def ends(self, recipe: SceneRecipe) -> Ends:
        """Return the range in a recipe; of a public set of photographs its sizes, of a single number that number."""
        value = self._value(recipe)
        low, high = BOX_SHARES[value] if isinstance(value, str) else value if isinstance(value, tuple) else (value,) * 2
        return float(low), float(high)

    def _value(self, recipe: SceneRecipe) -> Any:
        section, _, field = self.key.partition(".")
        return getattr(getattr(recipe, section), field)

    def with_ends(self, recipe: SceneRecipe, ends: Ends) -> SceneRecipe:
        """Return the recipe with another range, or number, rounded to four digits and inside the limits."""
        section, _, field = self.key.partition(".")
        low, high = (float(f"{value:.4g}") for value in np.clip(sorted(ends), *self.limits))
        content = recipe.model_dump()
        content[section][field] = (round(low), round(high)) if self.whole else (low, high)
        if isinstance(self._value(recipe), float):
            content[section][field] = float(f"{(low + high) / 2:.4g}")
        return type(recipe).model_validate(content)

    def on_scale(self, recipe: SceneRecipe) -> tuple[float, float]:
        """Return the middle and the half-width of the range on its scale."""
        low, high = sorted(self._scaled(np.clip(self.ends(recipe), *self.limits)))
        return (low + high) / 2, (high - low) / 2

    def limits_on_scale(self) -> Ends:
        """Return the limits on the range's scale."""
        low, high = sorted(self._scaled(np.array(self.limits)))
        return low, high

    def with_scaled(self, recipe: SceneRecipe, middle: float, half: float) -> SceneRecipe:
        """Return the recipe with the range of that middle and half-width on its scale, cut off at the limits."""
        ends = np.clip((middle - half, middle + half), *self.limits_on_scale())
        return self.with_ends(recipe, self._unscaled(ends))

    def corrected(self, recipe: SceneRecipe, gap: float, slope: float, widening: float = 0.0) -> SceneRecipe:
        """Return the recipe with its range moved so that the statistic changes by `gap`, and widened.

        slope: change of the statistic by one unit of the scale. widening: by how much its variance should grow. A
        uniform range of half-width h has the variance h^2 / 3.
        """
        middle, half = self.on_scale(recipe)
        half = max(half, self.step / 20)
        wanted = half**2 + 3 * widening / slope**2
        new = float(np.sqrt(np.clip(wanted, (half / MAX_WIDENING) ** 2, (half * MAX_WIDENING) ** 2)))
        return self.with_scaled(recipe, middle + gap / slope, new)

    def moved(self, recipe: SceneRecipe) -> SceneRecipe:
        """Return the recipe with its range moved by one step, down where it would leave the limits."""
        middle, half = self.on_scale(recipe)
        down = middle + half + self.step > self.limits_on_scale()[1]
        return self.with_scaled(recipe, middle - self.step if down else middle + self.step, half)

    def _scaled(self, values: NDArray) -> NDArray[np.float64]:
        if self.scale == "log":
            return np.log2(values)
        if self.scale == "square":
            return np.asarray(values, dtype=np.float64) ** 2
        return np.asarray(1e6 / values if self.scale == "mired" else values, dtype=np.float64)

    def _unscaled(self, values: NDArray) -> Ends:
        if self.scale == "log":
            values = np.exp2(values)
        elif self.scale == "square":
            values = np.sqrt(values)
        low, high = sorted(1e6 / values if self.scale == "mired" else values)
        return float(low), float(high)


LENS_KNOB = Knob("camera.lens_mm", LENS, "log", (8.0, 400.0))
JPEG_KNOB = Knob("sensor.jpeg_quality", JPEG, "linear", (10.0, 100.0), whole=True)
# The first of these that a recipe has decides how large its objects are.
SIZE_KNOBS = (
    Knob("camera.like", DETAIL, "log", (0.01, 0.95)),
    Knob("products.size", DETAIL, "log", (0.02, 2.0)),
    Knob("camera.distance", DETAIL, "log", (0.2, 10.0), sign=-1),
)
COUNT_KNOB = Knob("products.count", OBJECTS, "log", (1.0, 500.0), whole=True)
# Corrected together, since they affect each other: contrast and blur change how much noise shows. Contrast, colour and
# detail are first of all those of what is shown: beyond these limits a camera would have to make up for other contents.
SENSOR_KNOBS = (
    Knob("sensor.exposure_ev", BRIGHTNESS, "linear", (-5.0, 5.0), 0.5),
    Knob("sensor.contrast", CONTRAST, "linear", (0.8, 1.35), 0.1),
    Knob("sensor.white_balance_kelvin", WARMTH, "mired", (3000.0, 14000.0), 30.0),
    Knob("sensor.saturation", COLOR, "linear", (0.6, 1.6), 0.2),
    Knob("sensor.blur_px", SHARPNESS, "linear", (0.0, 3.0), 0.4),
    Knob("sensor.read_noise", SHADOW_NOISE, "square", (0.0, 0.08), 0.01**2),
    Knob("sensor.shot_noise", LIGHT_NOISE, "square", (0.0, 0.25), 0.03**2),
)


def knob_of(key: str) -> Knob | None:
    """Return the range that a fit corrects of that key, None for other keys."""
    knobs = (LENS_KNOB, JPEG_KNOB, COUNT_KNOB, *SIZE_KNOBS, *SENSOR_KNOBS)
    return next((knob for knob in knobs if knob.key == key), None)


def spread(values: NDArray) -> float:
    """Return the variance of values by the distance of their quartiles, which outliers do not move."""
    low, high = np.percentile(values, (25, 75))
    return float(((high - low) / NORMAL) ** 2)


def size_knob(recipe: SceneRecipe, *, detected: bool) -> Knob | None:
    """Return the range that decides how large objects are. detected: a detector measures them."""
    found = next((knob for knob in SIZE_KNOBS if knob.exists_in(recipe)), None)
    if found is None or not detected:
        return found
    return Knob(found.key, OBJECT_SIZE, found.scale, found.limits, found.step, found.sign)
