"""The keys of a recipe to change, for each factor in which its renders differ from photographs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.gap.distance import FactorDistance
from pipeline.gap.factors import Effect
from pipeline.target.knobs import knob_of
from render.recipes.mix import Recipe, RecipeMix
from render.recipes.parts import SceneRecipe, Section

# A difference of medians below this share of the distance means that distributions differ in width.
SHIFTED = 0.4
MAX_KEYS = 4


@dataclass(frozen=True)
class KeyAdvice:
    """A key of the recipe that moves a factor. current: its value. change: raise, lower, widen or narrow.

    tried: a range to try, where the key changes the factor one to one, else "".
    """

    factor: str
    key: str
    current: str
    change: str
    tried: str = ""


def advise(recipe: Recipe, distances: Sequence[FactorDistance]) -> list[KeyAdvice]:
    """Return what to change, worst factor first; factors in which renders are as near as photographs have none.

    Of a mix of recipes, the keys of the part with the largest share.
    """
    whole = main_part(recipe)
    worst = sorted(distances, key=lambda one: -one.ratio)
    return [advice for one in worst if stands_out(one) for advice in _keys_for(whole, one)]


def main_part(recipe: Recipe) -> SceneRecipe:
    """Return the recipe, of a mix the part with the largest share."""
    return max(recipe.parts, key=lambda part: part.share).of if isinstance(recipe, RecipeMix) else recipe


def stands_out(one: FactorDistance) -> bool:
    """Return whether renders differ from photographs by more than these among themselves."""
    return one.ratio > 1 and one.distance.low > 0


def _keys_for(recipe: SceneRecipe, one: FactorDistance) -> list[KeyAdvice]:
    found = []
    for effect in one.factor.effects:
        current = value_text(recipe, effect.key)
        if current:
            tried = _guess(recipe, one, effect) if effect == _first(recipe, one) and one.factor.guess else ""
            found.append(KeyAdvice(one.factor.name, effect.key, current, change_of(one, effect), tried))
    return found[:MAX_KEYS]


def _first(recipe: SceneRecipe, one: FactorDistance) -> Effect:
    return next(effect for effect in one.factor.effects if value_text(recipe, effect.key))


def change_of(one: FactorDistance, effect: Effect) -> str:
    """Return the direction in which a key has to change."""
    if abs(one.shift) < SHIFTED * one.distance.value:
        return "widen" if one.spreads[0] > one.spreads[1] else "narrow"
    return "lower" if one.shift * effect.sign > 0 else "raise"


def value_text(recipe: SceneRecipe, key: str) -> str:
    """Return the value of a key as recipes write it; "" if the recipe has no such key."""
    section, _, field = key.partition(".")
    values = getattr(recipe, section, None)
    if not isinstance(values, Section) or field not in type(values).model_fields:
        return ""
    value = getattr(values, field)
    if isinstance(value, tuple):
        return f"[{', '.join(f'{end:g}' for end in value)}]"
    return "weights" if isinstance(value, Section) else f"{value:g}" if isinstance(value, float) else str(value)


def _guess(recipe: SceneRecipe, one: FactorDistance, effect: Effect) -> str:
    """Return a range that is moved by the difference of medians; "" where the key cannot make up for it."""
    knob = knob_of(effect.key)
    if knob is None or change_of(one, effect) in ("widen", "narrow"):
        return ""
    gap = one.real - one.rendered
    if knob.scale == "log" and not one.factor.statistic.log:
        gap = float(np.log2(max(one.real, 0.5) / max(one.rendered, 0.5)))
    low, high = knob.ends(knob.corrected(recipe, gap, effect.sign))
    return f"[{low:g}, {high:g}]"
