"""Corrections of ranges, on statistics that are plain functions of the ranges: no picture is rendered."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.target.correct import RoundedKnob, correct_sensor, distance, follow_photographs
from pipeline.target.knobs import COUNT_KNOB, JPEG_KNOB, LENS_KNOB, SENSOR_KNOBS, SIZE_KNOBS, Knob, size_knob
from pipeline.target.measure import BRIGHTNESS, DETAIL, LENS, OBJECT_SIZE, OBJECTS, SHADOW_NOISE, Statistic
from pipeline.target.scenes import STATISTICS, Measurements
from render.recipes import load_recipe, recipe_names
from render.recipes.parts import SceneRecipe

BY_KEY = {knob.key: knob for knob in (*SENSOR_KNOBS, *SIZE_KNOBS, LENS_KNOB, JPEG_KNOB, COUNT_KNOB)}


def recipe(name: str = "scatter") -> SceneRecipe:
    loaded = load_recipe(name)
    assert isinstance(loaded, SceneRecipe)
    return loaded


def measured(columns: dict[Statistic, np.ndarray]) -> Measurements:
    """Pictures with values of a few statistics alone."""
    values = np.full((len(next(iter(columns.values()))), len(STATISTICS)), np.nan)
    for statistic, column in columns.items():
        values[:, STATISTICS.index(statistic)] = column
    return Measurements(values)


def simulate(made: SceneRecipe, count: int | None = None, *, seed: int = 0, pictures: int = 48) -> Measurements:
    """Pictures whose brightness and noise follow from the recipe, plus what their content adds."""
    rng = np.random.default_rng(seed)
    exposure = rng.uniform(*BY_KEY["sensor.exposure_ev"].ends(made), size=pictures)
    noise = rng.uniform(*BY_KEY["sensor.read_noise"].ends(made), size=pictures)
    content = rng.normal(0, 0.2, size=(2, pictures))
    # The tone curve makes brightness less than proportional.
    columns = {BRIGHTNESS: 2 * np.tanh(exposure / 2) + content[0], SHADOW_NOISE: 900 * noise * np.exp2(content[1])}
    return measured({name: values[:count] for name, values in columns.items()})


@pytest.mark.parametrize("ends", [(-2.0, -1.0), (0.5, 2.0), (-1.5, 1.5)])
def test_ranges_of_the_sensor_are_recovered(ends: tuple[float, float]) -> None:
    exposure, noise = BY_KEY["sensor.exposure_ev"], BY_KEY["sensor.read_noise"]
    truth = noise.with_ends(exposure.with_ends(recipe(), ends), (0.01, 0.02))
    target = simulate(truth, seed=1, pictures=200)
    fitted = correct_sensor(recipe(), SENSOR_KNOBS, target, simulate, rounds=3)
    assert exposure.ends(fitted) == pytest.approx(ends, abs=0.5)
    assert noise.ends(fitted) == pytest.approx((0.01, 0.02), abs=0.003)
    assert distance(BRIGHTNESS, target, simulate(fitted)) < 0.15
    # What no photograph says something of stays.
    assert fitted.sensor.saturation == recipe().sensor.saturation


def test_the_size_of_objects_is_recovered_whatever_a_statistic_makes_of_it() -> None:
    """Detail grows by the root of an object's size alone here, as packs with small print do."""
    knob = size_knob(recipe(), detected=False)
    assert knob is not None and knob.key == "products.size"

    def show(made: SceneRecipe, seed: int = 0) -> Measurements:
        rng = np.random.default_rng(seed)
        low, high = np.log2(knob.ends(made))
        return measured({DETAIL: 0.05 * np.exp2(0.5 * rng.uniform(low, high, 64) + rng.normal(0, 0.1, 64))})

    target = show(knob.with_ends(recipe(), (0.05, 0.2)), seed=1)
    rounded, current = RoundedKnob(knob, wide=False), recipe()
    found = show(current)
    for _ in range(4):
        tried = rounded.correct(current, target, found)
        seen = show(tried)
        rounded.learn((current, found), (tried, seen))
        current, found = tried, seen
    assert np.exp2(knob.on_scale(current)[0]) == pytest.approx(0.1, rel=0.15)


def test_counts_of_a_detector_set_the_number_of_products() -> None:
    target = measured({OBJECTS: np.random.default_rng(0).integers(20, 41, size=100)})
    now = measured({OBJECTS: np.random.default_rng(0).integers(10, 21, size=100)})
    tried = RoundedKnob(COUNT_KNOB, wide=False).correct(COUNT_KNOB.with_ends(recipe(), (10, 20)), target, now)
    assert COUNT_KNOB.ends(tried) == pytest.approx((20, 40), abs=2)


def test_lens_and_jpeg_follow_what_the_files_say() -> None:
    target = measured({LENS: np.linspace(24, 30, 101)})
    fitted = follow_photographs(recipe("shelf"), target)
    assert LENS_KNOB.ends(fitted) == pytest.approx((24.3, 29.7))
    assert JPEG_KNOB.ends(fitted) == JPEG_KNOB.ends(recipe("shelf"))
    assert follow_photographs(recipe("shelf"), measured({LENS: np.array([24.0])})) == recipe("shelf")


@pytest.mark.parametrize("name", recipe_names())
def test_every_recipe_has_lens_size_and_sensor(name: str) -> None:
    made = recipe(name)
    size = size_knob(made, detected=True)
    assert size is not None and size.statistic is OBJECT_SIZE
    for knob in (LENS_KNOB, JPEG_KNOB, size, *SENSOR_KNOBS):
        assert knob.exists_in(made)
        low, high = knob.ends(made)
        # Whatever is asked for, the result is a valid recipe inside the limits.
        for gap in (-1e6, 1e6):
            low, high = knob.ends(knob.corrected(made, gap, 1.0, 10.0))
            assert knob.limits[0] - 1e-9 <= low <= high <= knob.limits[1] + 1e-9
        assert knob.on_scale(knob.moved(made)) != knob.on_scale(made)


def test_a_recipe_without_a_range_is_left_alone() -> None:
    knob = Knob("camera.nothing", LENS, "log", (1, 2))
    assert not knob.exists_in(recipe()) and not Knob("nothing.at_all", LENS, "log", (1, 2)).exists_in(recipe())
