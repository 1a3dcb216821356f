"""Fits end to end, at toy size: photographs that were rendered with known ranges, which the fit finds again."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest
from rich.console import Console

from assets.progress import Reporter
from pipeline.target.correct import distance
from pipeline.target.fit import RecipeFit, RecipeFitter, StatisticDistance, open_detector, range_changes
from pipeline.target.knobs import COUNT_KNOB, LENS_KNOB, SENSOR_KNOBS, size_knob
from pipeline.target.measure import LENS
from pipeline.target.page import write_page
from pipeline.target.photos import Photo
from pipeline.target.scenes import STATISTICS, Measurements, RenderedPictures, expose_scenes, render_pictures
from pipeline.target.settings import FitSettings
from render.backends.protocol import Backend
from render.recipes import recipe_from_yaml
from render.recipes.parts import SceneRecipe
from support.sets.painter import LIBRARY, Painter, find_red

SIZE = (64, 48)
# Nothing that hides or tints what is fitted.
START = """
recipe: scatter
products: {count: [4, 6], size: [0.2, 0.3]}
distractors: {count: 0}
background: {environment: 0, texture: 1}
sensor: {shaken: 0, vignette: 0, crosstalk: 0, sharpen: 0, jpeg_quality: 92}
"""
TARGET = """
recipe: scatter
products: {count: [2, 3], size: [0.4, 0.55]}
distractors: {count: 0}
camera: {lens_mm: [40, 50]}
sensor: {exposure_ev: [-1.1, -0.5], white_balance_kelvin: [4000, 4600], saturation: [0.6, 0.75],
  shot_noise: [0.04, 0.06], shaken: 0, vignette: 0, crosstalk: 0, sharpen: 0, jpeg_quality: 92}
"""


def recipe_of(text: str) -> SceneRecipe:
    made = recipe_from_yaml(text, where="test")
    assert isinstance(made, SceneRecipe)
    return made


def shown(made: SceneRecipe, *, seed: int, count: int) -> RenderedPictures:
    scenes = list(expose_scenes(made, LIBRARY, cast(Backend, Painter()), seed=seed, count=count, size=SIZE))
    return render_pictures(scenes, made, LIBRARY, find_red)


def fitter_of(target: Measurements, *, scenes: int, rounds: int) -> RecipeFitter:
    settings = FitSettings("", Path(), Path(), Path("my.yaml"), scenes=scenes, rounds=rounds)
    reporter = Reporter(Console(quiet=True))
    return RecipeFitter(LIBRARY, cast(Backend, Painter()), target, SIZE, settings, reporter, find_red)


@pytest.fixture(scope="module")
def fitted() -> RecipeFit:
    target = shown(recipe_of(TARGET), seed=9, count=24)
    start = recipe_of(START)
    made, before, after = fitter_of(target.measured, scenes=10, rounds=2).fit(start)
    changes = range_changes(start, made, target.measured, detected=True)
    photos = [Photo("<b>", image, None, None, whole=True) for image in target.images]
    distances = [StatisticDistance(one.name, 1.0, 0.5) for one in STATISTICS]
    return RecipeFit(made, SIZE, photos, target.measured, before, after, changes, distances, ["<i>bad</i>"], ["note"])


def ends(fitted: RecipeFit, key: str) -> tuple[float, float]:
    return next(change.after for change in fitted.changes if change.key == key)


def test_the_fit_finds_the_ranges_of_the_target(fitted: RecipeFit) -> None:
    assert ends(fitted, LENS_KNOB.key) == pytest.approx((40, 50), abs=2)
    size = size_knob(fitted.recipe, detected=True)
    assert size is not None
    assert size.on_scale(fitted.recipe)[0] == pytest.approx(size.on_scale(recipe_of(TARGET))[0], abs=0.35)
    assert sum(ends(fitted, COUNT_KNOB.key)) / 2 == pytest.approx(2.5, abs=1.6)
    for key, width in (("exposure_ev", 0.3), ("white_balance_kelvin", 25), ("saturation", 0.15), ("shot_noise", 6e-4)):
        knob = next(one for one in SENSOR_KNOBS if one.key == f"sensor.{key}")
        assert knob.on_scale(fitted.recipe)[0] == pytest.approx(knob.on_scale(recipe_of(TARGET))[0], abs=width), key


def test_distributions_come_closer(fitted: RecipeFit) -> None:
    for statistic in STATISTICS:
        if statistic.name in ("brightness", "warmth", "noise in light", "object size", "focal length"):
            before, after = (distance(statistic, fitted.target, one.measured) for one in (fitted.before, fitted.after))
            assert after < 0.5 * before, statistic.name
    assert len(fitted.target.of(LENS)) == 24


def test_the_page_shows_pictures_and_charts_and_no_markup_of_others(fitted: RecipeFit, tmp_path: Path) -> None:
    write_page(replace(fitted, notes=["<script>"]), tmp_path / "fit.html")
    page = (tmp_path / "fit.html").read_text()
    assert page.count("data:image/jpeg;base64") == 12 + 10 + 10
    assert "<i>bad" not in page and "<script>" not in page and "&lt;script&gt;" in page
    assert page.count("<polyline") == 2 * sum(len(fitted.target.of(one)) > 0 for one in STATISTICS)


def test_without_rounds_a_recipe_is_only_compared(fitted: RecipeFit) -> None:
    start = recipe_of(START)
    made, before, after = fitter_of(fitted.target, scenes=4, rounds=0).fit(start)
    assert made == start and before is after and len(before.images) == 4


def test_a_detector_counts_what_it_shows(monkeypatch: pytest.MonkeyPatch) -> None:
    boxes = np.array([[0, 0, 8, 6], [1, 1, 5, 5], [2, 2, 4, 4]], np.float32)
    found = SimpleNamespace(boxes=boxes, scores=np.array([0.9, 0.4, 0.2], np.float32))
    detector = SimpleNamespace(threshold=0.4, detect=lambda images: [found for _ in images])
    monkeypatch.setattr("detectors.predict.detector.load_detector", lambda run, device: detector)
    (kept,) = open_detector(Path(), "cpu")([np.zeros((6, 8, 3), np.uint8)])
    assert kept.tolist() == boxes[:2].tolist()
