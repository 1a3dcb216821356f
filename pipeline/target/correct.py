"""Corrections of a recipe until the statistics of its pictures are distributed like those of photographs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.target.knobs import JPEG_KNOB, LENS_KNOB, MAX_WIDENING, Knob, spread
from pipeline.target.measure import Statistic
from pipeline.target.scenes import Measurements
from render.recipes.parts import SceneRecipe

# Measures pictures of a recipe: of all scenes, or of the first so many.
MeasureRecipe = Callable[[SceneRecipe, int | None], Measurements]
# Pictures from which the effect of a range is judged, photographs without which a distribution is none.
PROBED, FEWEST = 8, 3
# A range moves by at most so many steps in a round; of several ways to close a gap, this weight takes the shortest.
MAX_STEPS, RIDGE = 4.0, 0.05
# Shares of a correction that are tried until one brings the distributions closer.
TRIES = (1.0, 0.5, 0.25)
# Ranges keep this share of their width: scenes of fewer kinds than the photographs' would teach less.
NARROWEST = 0.5
# Ends of a range that follows from photographs directly.
ENDS = (5, 95)
# Largest move in one round of what needs new renders, and the bounds of its effect, both per octave.
MAX_MOVE, SLOPES = 1.0, (0.25, 2.0)


def distance(statistic: Statistic, target: Measurements, found: Measurements) -> float:
    """Return the Wasserstein distance of two distributions on the statistic's scale; NaN if one is empty."""
    from scipy.stats import wasserstein_distance

    first, second = target.scaled(statistic), found.scaled(statistic)
    return float(wasserstein_distance(first, second)) if len(first) and len(second) else float("nan")


def says_enough(target: Measurements, statistic: Statistic) -> bool:
    """Return whether enough photographs have a value of the statistic."""
    return len(target.of(statistic)) >= FEWEST


def follow_photographs(recipe: SceneRecipe, target: Measurements) -> SceneRecipe:
    """Return the recipe with the focal lengths and the JPEG qualities of the photographs, if enough of them say any."""
    for knob in (LENS_KNOB, JPEG_KNOB):
        if knob.exists_in(recipe) and says_enough(target, knob.statistic):
            low, high = np.percentile(target.of(knob.statistic), ENDS)
            recipe = knob.with_ends(recipe, (float(low), float(high)))
    return recipe


def correct_sensor(
    recipe: SceneRecipe,
    knobs: Sequence[Knob],
    target: Measurements,
    measure: MeasureRecipe,
    *,
    rounds: int,
    done: Callable[[], None] = lambda: None,
) -> SceneRecipe:
    """Correct ranges together, in rounds since they affect each other; done: called after each round.

    A Gauss-Newton step: the effect of each range on each statistic is measured on the same scenes with the range moved,
    then all middles and all widths are solved for at once, inside the limits.
    """
    least = {knob: NARROWEST * knob.on_scale(recipe)[1] for knob in knobs}
    now = measure(recipe, None)
    knobs = [knob for knob in knobs if min(len(found.of(knob.statistic)) for found in (target, now)) >= FEWEST]
    for _ in range(rounds if knobs else 0):
        recipe, now = _correct_together(recipe, now, {knob: least[knob] for knob in knobs}, target, measure)
        done()
    return recipe


def _correct_together(
    recipe: SceneRecipe, now: Measurements, least: Mapping[Knob, float], target: Measurements, measure: MeasureRecipe
) -> tuple[SceneRecipe, Measurements]:
    """Return a corrected recipe and its pictures' values; both unchanged where distributions come no closer.

    least: the least half-width of each range.
    """
    knobs = list(least)
    statistics = [knob.statistic for knob in knobs]
    effects = np.array([_effect(recipe, now, knob, statistics, measure) for knob in knobs]).T
    (medians, spreads), (medians_now, spreads_now) = (_moments(group, statistics) for group in (target, now))
    # Photographs that are all alike must not outweigh the others.
    scale = np.sqrt(np.maximum(spreads, 0.1 * spreads_now + 1e-12))
    moves = _solve_middles(recipe, knobs, effects / scale[:, None], (medians - medians_now) / scale)
    halves = _solve_widths(recipe, least, effects / scale[:, None], (spreads - spreads_now) / scale**2)
    for share in TRIES:
        tried = recipe
        for knob, move, half in zip(knobs, moves, halves, strict=True):
            middle, before = knob.on_scale(recipe)
            tried = knob.with_scaled(tried, middle + share * move, before + share * (half - before))
        seen = measure(tried, None)
        if _apart(statistics, target, seen) < _apart(statistics, target, now):
            return tried, seen
    return recipe, now


def _moments(found: Measurements, statistics: Sequence[Statistic]) -> tuple[NDArray, NDArray]:
    """Return the median and the variance of each statistic."""
    columns = [_finite(found.additive(one)) for one in statistics]
    return np.array([np.median(column) for column in columns]), np.array([spread(column) for column in columns])


def _apart(statistics: Sequence[Statistic], target: Measurements, found: Measurements) -> float:
    """Return the sum of the distances, each in deviations of the photographs."""
    return sum(distance(one, target, found) / max(np.sqrt(spread(target.scaled(one))), 0.05) for one in statistics)


def _effect(
    recipe: SceneRecipe, now: Measurements, knob: Knob, statistics: Sequence[Statistic], measure: MeasureRecipe
) -> list[float]:
    """Return the change of each statistic by one unit of a range's scale, of the same scenes with the range moved."""
    moved = knob.moved(recipe)
    by, after = knob.on_scale(moved)[0] - knob.on_scale(recipe)[0], measure(moved, PROBED)
    changes = [_finite(after.additive(one) - now.additive(one)[: len(after.values)]) for one in statistics]
    return [float(np.median(change) / by) if len(change) and by else 0.0 for change in changes]


def _solve_middles(recipe: SceneRecipe, knobs: Sequence[Knob], effects: NDArray, gaps: NDArray) -> NDArray[np.float64]:
    """Return the moves of all middles that close the gaps best; small ones where several would."""
    from scipy.optimize import lsq_linear

    steps = np.array([knob.step for knob in knobs])
    middles = np.array([knob.on_scale(recipe)[0] for knob in knobs])
    low, high = (np.array(ends) for ends in zip(*(knob.limits_on_scale() for knob in knobs), strict=True))
    low, high = ((ends - middles) / steps for ends in (low, high))
    bounds = np.clip(low, -MAX_STEPS, -1e-6), np.clip(high, 1e-6, MAX_STEPS)
    ridge = RIDGE * np.eye(len(knobs))
    solved = lsq_linear(np.vstack([effects * steps, ridge]), np.concatenate([gaps, np.zeros(len(knobs))]), bounds)
    return np.asarray(solved.x) * steps


def _solve_widths(
    recipe: SceneRecipe, least: Mapping[Knob, float], effects: NDArray, widenings: NDArray
) -> NDArray[np.float64]:
    """Return the half-widths of all ranges with which the variances fit best.

    A uniform range of half-width h adds h^2 / 3 times the square of its effect.
    """
    from scipy.optimize import lsq_linear

    steps = np.array([knob.step for knob in least])
    squares = (np.array([knob.on_scale(recipe)[1] for knob in least]) / steps) ** 2
    low = np.maximum(squares / MAX_WIDENING**2, np.minimum((np.array(list(least.values())) / steps) ** 2, squares))
    high = squares * MAX_WIDENING**2 + 0.01
    matrix = np.vstack([(effects * steps) ** 2 / 3, RIDGE * np.eye(len(least))])
    solved = lsq_linear(
        matrix, np.concatenate([widenings, np.zeros(len(least))]), (low - squares - 1e-9, high - squares)
    )
    return np.sqrt(np.maximum(squares + solved.x, 0)) * steps


def _finite(values: NDArray) -> NDArray[np.float64]:
    return values[np.isfinite(values)]


@dataclass
class RoundedKnob:
    """A range whose correction needs new renders, with its effect as it was seen from round to round.

    slope: change of the statistic by an octave of the range. wide: whether its width is corrected as well.
    """

    knob: Knob
    wide: bool
    slope: float = 1.0

    def correct(self, recipe: SceneRecipe, target: Measurements, found: Measurements) -> SceneRecipe:
        """Return the recipe with the range corrected by what its pictures showed."""
        wanted, seen = target.scaled(self.knob.statistic), found.scaled(self.knob.statistic)
        if min(len(wanted), len(seen)) < FEWEST:
            return recipe
        slope = self.knob.sign * self.slope
        gap = float(np.clip((np.median(wanted) - np.median(seen)) / slope, -MAX_MOVE, MAX_MOVE)) * slope
        return self.knob.corrected(recipe, gap, slope, spread(wanted) - spread(seen) if self.wide else 0.0)

    def learn(self, before: tuple[SceneRecipe, Measurements], after: tuple[SceneRecipe, Measurements]) -> None:
        """Update the effect from two rounds: the same estimator on scenes whose size is known."""
        moved = self.knob.on_scale(after[0])[0] - self.knob.on_scale(before[0])[0]
        medians = [np.median(found.scaled(self.knob.statistic)) for _, found in (before, after)]
        if abs(moved) > 0.05 and np.isfinite(medians).all():
            self.slope = float(np.clip(self.knob.sign * (medians[1] - medians[0]) / moved, *SLOPES))
