"""The page of the gap meter: distances, the keys to change, distributions, nearest pictures, what it is worth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from assets.files.atomic import write_atomic
from assets.pages.templates import open_templates
from pipeline.gap.advice import KeyAdvice
from pipeline.gap.calibration import Calibration
from pipeline.gap.distance import FactorDistance
from pipeline.gap.run import GapReport, Neighbours
from pipeline.target.charts import (
    CHART_HEIGHT,
    CHART_WIDTH,
    bin_shares,
    data_url,
    shown_distance,
    shown_value,
    svg_bars,
    svg_steps,
)
from pipeline.target.measure import Statistic
from render.recipes import load_recipe, recipe_names
from render.recipes.mix import RecipeMix
from render.recipes.parts import SceneRecipe

# Pairs of each strip: the farthest, and as many of the nearest.
PAIRS = 4
NO_CLAIM = (
    "No claim about AP: gaps were not compared with APs. "
    "A table of several recipes with their APs (--calibration, --run) says what they are worth."
)


@dataclass(frozen=True)
class FactorLine:
    """One factor as text. chart: bars of photographs, the line of renders, both ends of the axis."""

    statistic: Statistic
    real: str
    rendered: str
    distance: str
    interval: str
    among: str
    ratio: float
    rough: bool
    advice: Sequence[KeyAdvice]
    bars: Sequence[tuple[float, float, float, float]]
    line: str
    ends: tuple[str, str]


def write_page(report: GapReport, path: Path) -> None:
    """Write the page of a comparison as one HTML file."""
    page = open_templates(__package__).get_template("page.html.j2")
    content = page.render(
        report=report,
        lines=[factor_line(report, one) for one in report.factors],
        strips=_strips(report),
        commands=commands_for(report),
        mixed=isinstance(report.rendered.recipe, RecipeMix),
        claim=report.calibration.claim if report.calibration else NO_CLAIM,
        width=CHART_WIDTH,
        height=CHART_HEIGHT,
    )
    write_atomic(path, content.encode())


def write_calibration(calibration: Calibration, path: Path) -> None:
    """Write the page of a calibration alone."""
    page = open_templates(__package__).get_template("calibration.html.j2")
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path, page.render(calibration=calibration, claim=calibration.claim).encode())


def factor_line(report: GapReport, one: FactorDistance) -> FactorLine:
    """Return a factor as it is shown."""
    statistic = one.factor.statistic
    (real, _), (rendered, _) = (values.of(one.factor) for values in report.values)
    edges, (bars, line) = bin_shares([real, rendered])
    return FactorLine(
        statistic,
        shown_value(statistic, one.real),
        shown_value(statistic, one.rendered),
        shown_distance(statistic, one.distance.value),
        f"{shown_distance(statistic, one.distance.low)} to {shown_distance(statistic, one.distance.high)}",
        shown_distance(statistic, one.among),
        one.ratio,
        one.distance.note is not None,
        [advice for advice in report.advice if advice.factor == one.factor.name],
        svg_bars(bars),
        svg_steps(line),
        (shown_value(statistic, edges[0]), shown_value(statistic, edges[-1])),
    )


def commands_for(report: GapReport) -> list[str]:
    """Return the commands that change the ranges for the user."""
    recipe = report.rendered.recipe
    usual = isinstance(recipe, SceneRecipe) and recipe.recipe in recipe_names() and recipe == load_recipe(recipe.recipe)
    name = recipe.recipe if isinstance(recipe, SceneRecipe) and usual else "RECIPE.yaml"
    detector = f" --detector {report.settings.detector}" if report.settings.detector else ""
    return [
        f"synth recipe fit {name} --target {report.settings.real} --sku-list LIST --out fitted.yaml{detector}",
        f"synth tune --recipe {name} --real {report.settings.real} --sku-list LIST --out better.yaml{detector}",
    ]


def _strips(report: GapReport) -> list[tuple[str, list[tuple[str, str, str]]]]:
    """Return titles with pairs of pictures as URLs, and how near they are."""
    renders = [one.pixels for one in report.rendered.pictures]
    photos = [one.pixels for one in report.real.pictures]
    kinds = (
        (
            "Photographs that no render resembles, each with the nearest render",
            report.of_photos,
            photos,
            renders,
            False,
        ),
        (
            "Renders that resemble no photograph, each with the nearest photograph",
            report.of_renders,
            renders,
            photos,
            False,
        ),
        ("Renders nearest to a photograph", report.of_renders, renders, photos, True),
    )
    return [
        (
            title,
            [(data_url(first[i]), data_url(second[j]), f"{cosine:.2f}") for i, j, cosine in _some(pairs, last=last)],
        )
        for title, pairs, first, second, last in kinds
        if pairs is not None
    ]


def _some(neighbours: Neighbours, *, last: bool) -> list[tuple[int, int, float]]:
    """Return the farthest pairs, or the nearest, of different pictures on both sides."""
    found: list[tuple[int, int, float]] = []
    ordered = reversed(neighbours.pairs) if last else iter(neighbours.pairs)
    for pair in ordered:
        if len(found) < PAIRS and not any(pair[1] == other[1] for other in found):
            found.append(pair)
    return found if len(found) >= min(2, len(neighbours.pairs)) else list(neighbours.pairs)[:PAIRS]


def shown_number(value: float, decimals: int = 2) -> str:
    """Return a number as text, a dash where there is none."""
    return f"{value:.{decimals}f}".replace("-", "−") if np.isfinite(value) else "–"
