"""The search space: ranges of recipes that are moved and widened, each on its own scale."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import zip_longest

import numpy as np
from pydantic import ValidationError

from assets.errors import SynthError, unknown_name
from pipeline.gap import factors
from pipeline.gap.advice import KeyAdvice
from pipeline.gap.distance import FactorDistance
from pipeline.target.knobs import COUNT_KNOB, LENS_KNOB, SENSOR_KNOBS, SIZE_KNOBS, Knob
from pipeline.target.measure import CONTRAST, SHARPNESS
from render.recipes.parts import SceneRecipe

# How far a range may move, in steps of its scale, and become wider or narrower, in octaves.
MAX_STEPS, MAX_WIDTH = 4.0, 1.0
# Ranges tuned at once where the user names none: more need more trials than a budget has.
MOST_KEYS = 10
WIDTH = " width"
KNOBS = (
    *SIZE_KNOBS,
    COUNT_KNOB,
    LENS_KNOB,
    # Cameras above a table, in an aisle, and around flying products: the first whose limits a recipe allows.
    Knob("camera.height_deg", factors.SHAPE, "linear", (-80.0, 85.0), 6.0),
    Knob("camera.height_deg", factors.SHAPE, "linear", (-50.0, 75.0), 6.0),
    Knob("camera.height_deg", factors.SHAPE, "linear", (5.0, 85.0), 6.0),
    Knob("camera.aim", factors.OFFSET, "linear", (0.0, 1.0), 0.1),
    Knob("products.density", factors.OVERLAP, "linear", (0.05, 0.9), 0.08),
    Knob("products.touch", factors.OVERLAP, "linear", (0.0, 1.0), 0.15),
    Knob("products.occlude", factors.OVERLAP, "linear", (0.0, 1.0), 0.15),
    Knob("products.facings", factors.OBJECTS, "log", (1.0, 40.0), whole=True),
    Knob("distractors.count", factors.OVERLAP, "linear", (0.0, 60.0), 1.5, whole=True),
    Knob("background.gain", factors.AGAINST, "log", (0.02, 50.0), sign=-1),
    Knob("table.gain", factors.AGAINST, "log", (0.05, 1.5), 0.3, sign=-1),
    Knob("lights.area_share", CONTRAST, "log", (0.05, 50.0)),
    *SENSOR_KNOBS,
    Knob("sensor.sharpen", SHARPNESS, "linear", (0.0, 3.0), 0.25),
    Knob("sensor.tone", CONTRAST, "linear", (0.6, 2.5), 0.15),
)
# Ranges whose width shows in pictures enough to be searched for.
WIDE = ("camera.like", "products.size", "camera.distance", "products.count", "sensor.exposure_ev", "sensor.blur_px")


@dataclass(frozen=True)
class SearchSpace:
    """What is searched: ranges of one recipe, by parameters of 0 for the range as it is."""

    start: SceneRecipe
    knobs: Sequence[Knob]

    def bounds(self) -> dict[str, tuple[float, float]]:
        """Return the lowest and highest value of each parameter by its name: steps, and octaves of width."""
        found = {}
        for knob in self.knobs:
            middle, _ = knob.on_scale(self.start)
            low, high = ((end - middle) / knob.step for end in knob.limits_on_scale())
            found[knob.key] = max(low, -MAX_STEPS), min(high, MAX_STEPS)
            if knob.key in WIDE:
                found[knob.key + WIDTH] = -MAX_WIDTH, MAX_WIDTH
        return {name: (min(low, 0.0), max(high, 0.0)) for name, (low, high) in found.items()}

    def recipe_at(self, params: Mapping[str, float]) -> SceneRecipe:
        """Return the recipe with its ranges moved and widened; a parameter that is missing changes nothing."""
        recipe = self.start
        for knob in self.knobs:
            steps, octaves = params.get(knob.key, 0.0), params.get(knob.key + WIDTH, 0.0)
            if steps or octaves:
                middle, half = knob.on_scale(self.start)
                recipe = knob.with_scaled(recipe, middle + steps * knob.step, half * 2**octaves)
        return recipe

    def moves_to(self, recipe: SceneRecipe) -> dict[str, float]:
        """Return the parameters with which the middles of ranges become those of another recipe, inside the bounds."""
        bounds, found = self.bounds(), {}
        for knob in self.knobs:
            by = (knob.on_scale(recipe)[0] - knob.on_scale(self.start)[0]) / knob.step
            if by:
                found[knob.key] = min(max(by, bounds[knob.key][0]), bounds[knob.key][1])
        return found

    def guess(self, distances: Sequence[FactorDistance]) -> dict[str, float]:
        """Return parameters that make up for the differences of medians where a range moves a factor one to one."""
        bounds, found = self.bounds(), {}
        for one in distances:
            keys = [effect for effect in one.factor.effects if any(knob.key == effect.key for knob in self.knobs)]
            if not (one.factor.guess and keys and one.ratio > 1):
                continue
            knob = next(knob for knob in self.knobs if knob.key == keys[0].key)
            gap = octaves_or_difference(one, knob) * keys[0].sign / knob.step
            low, high = bounds[knob.key]
            found[knob.key] = min(max(gap, low), high)
        return found


def octaves_or_difference(one: FactorDistance, knob: Knob) -> float:
    """Return by how much the median of photographs is above that of renders, on the scale of the range."""
    if knob.scale == "log" and not one.factor.statistic.log:
        return float(np.log2(max(one.real, 0.5) / max(one.rendered, 0.5)))
    return one.real - one.rendered


def choose_space(recipe: SceneRecipe, keys: Sequence[str], advice: Sequence[KeyAdvice]) -> SearchSpace:
    """Return the space of the user's keys, else of the keys of the factors that differ most.

    Raises SynthError for keys that cannot be tuned or that the recipe does not have.
    """
    known = tunable_knobs(recipe)
    for key in keys:
        if key not in known:
            raise unknown_name("key to tune", key, list(known), where=f"recipe {recipe.recipe}")
    wanted = list(dict.fromkeys(keys or _first_keys(advice, list(known))))
    if not wanted:
        raise SynthError(
            "there is nothing to tune: renders are as near as photographs are to each other",
            code="setting-invalid",
            hint="name the keys to tune with --key",
        )
    return SearchSpace(recipe, [known[key] for key in wanted])


def tunable_knobs(recipe: SceneRecipe) -> dict[str, Knob]:
    """Return the ranges of a recipe that can be tuned, by key: those whose limits it allows."""
    found: dict[str, Knob] = {}
    for knob in KNOBS:
        if knob.exists_in(recipe) and knob.key not in found:
            with suppress(ValidationError):
                knob.with_ends(recipe, knob.limits)
                found[knob.key] = knob
    return found


def _first_keys(advice: Sequence[KeyAdvice], known: Sequence[str]) -> list[str]:
    """Return the first key of every factor that differs, then the second ones, until there are enough."""
    of_factor: dict[str, list[str]] = {}
    for one in advice:
        of_factor.setdefault(one.factor, []).append(one.key)
    ranked = [key for keys in zip_longest(*of_factor.values()) for key in keys if key in known]
    return list(dict.fromkeys(ranked))[:MOST_KEYS]
