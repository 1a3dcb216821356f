"""The search: its space, its journal, and that it goes on as if it had never stopped."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from assets.errors import SynthError
from assets.progress import StepProgress
from detectors.evaluate.metrics.bootstrap import Interval
from pipeline.gap.advice import advise
from pipeline.gap.distance import FactorDistance
from pipeline.gap.factors import FACTORS
from pipeline.tune.journal import Journal, open_journal, start_journal
from pipeline.tune.objective import IsHopeless
from pipeline.tune.search import best_trial, importances, search
from pipeline.tune.space import KNOBS, MAX_STEPS, MOST_KEYS, WIDTH, SearchSpace, choose_space, tunable_knobs
from render.recipes import load_recipe, recipe_from_yaml
from render.recipes.parts import SceneRecipe
from support.errors import raises

KEYS = ("camera.distance", "sensor.exposure_ev", "products.touch")


def recipe_of(text: str) -> SceneRecipe:
    made = recipe_from_yaml(text, where="test")
    assert isinstance(made, SceneRecipe)
    return made


TABLETOP = recipe_of("recipe: tabletop")
SPACE = choose_space(TABLETOP, KEYS, ())


class Bowl:
    """A value that is least at an exposure of 1.5 stops and a distance of 0.7; touch has no say."""

    def __init__(self, *, fail_at: float = np.inf) -> None:
        self.seen: list[SceneRecipe] = []
        self._fail_at = fail_at

    def evaluate(self, recipe: SceneRecipe, is_hopeless: IsHopeless) -> tuple[list[float], bool]:
        self.seen.append(recipe)
        exposure, distance = np.mean(recipe.sensor.exposure_ev), np.mean(recipe.camera.distance)  # type: ignore[attr-defined]
        if exposure > self._fail_at:
            raise SynthError("no such scene", code="camera-invalid")
        value = float((exposure - 1.5) ** 2 + 4 * np.log2(distance / 0.7) ** 2)
        values: list[float] = []
        for part in range(3):
            values.append(value + 0.1 * (2 - part))
            if part < 2 and is_hopeless(part, values[-1]):
                return values, True
        return values, False


def run(folder: Path, budget: int, *, seed: int = 0, objective: Bowl | None = None, until: int = 10**9) -> Journal:
    journal = open_journal(folder, {"seed": "0"}) or start_journal(
        folder, {"seed": "0"}, KEYS, {"camera.distance": -1.0}
    )
    before = len(journal.trials)
    with StepProgress(Console(file=io.StringIO()), "", total=budget) as progress:
        search(
            SPACE,
            objective or Bowl(),
            journal,
            budget=budget,
            seed=seed,
            until=lambda: len(journal.trials) - before >= until,
            progress=progress,
        )
    return journal


def apart(name: str, real: float, rendered: float) -> FactorDistance:
    factor = next(one for one in FACTORS if one.name == name)
    return FactorDistance(factor, Interval(abs(rendered - real), 0.1, 3.0), 0.1, real, rendered, (1.0, 1.0), (9, 9))


def test_the_search_finds_the_bottom_and_what_matters(tmp_path: Path) -> None:
    journal = run(tmp_path, 50)
    best = best_trial(journal)
    assert best is not None and best.value is not None and journal.trials[0].value is not None
    assert best.value < 0.3 * journal.trials[0].value
    assert {row.state for row in journal.trials} == {"complete", "pruned"}
    assert all(len(row.steps) < 3 for row in journal.trials if row.state == "pruned")
    found = importances(SPACE, journal)
    assert found["products.touch"] < max(found["camera.distance"], found["sensor.exposure_ev"])


def test_the_first_trials_are_the_recipe_as_it_is_and_the_guess(tmp_path: Path) -> None:
    objective = Bowl()
    journal = run(tmp_path, 2, objective=objective)
    assert objective.seen[0] == TABLETOP and set(journal.trials[0].params.values()) == {0.0}
    assert objective.seen[1] == SPACE.recipe_at({"camera.distance": -1.0}) != TABLETOP


def test_a_search_that_was_stopped_goes_on_as_if_it_had_not_been(tmp_path: Path) -> None:
    whole = run(tmp_path / "whole", 16)
    for _ in range(3):
        run(tmp_path / "parts", 16, until=6)
    files = [(tmp_path / name / "trials.json").read_bytes() for name in ("whole", "parts")]
    assert files[0] == files[1] and len(whole.trials) == 16
    other = run(tmp_path / "other", 16, seed=1)
    assert [row.params for row in other.trials[2:]] != [row.params for row in whole.trials[2:]]


def test_scenes_that_cannot_be_made_end_their_trial_alone(tmp_path: Path) -> None:
    journal = run(tmp_path, 14, objective=Bowl(fail_at=0.6))
    states = [row.state for row in journal.trials]
    assert "failed" in states and "complete" in states and len(states) == 14
    with raises("camera-invalid"):
        run(tmp_path / "never", 3, objective=Bowl(fail_at=-9))


def test_trials_of_another_search_are_refused(tmp_path: Path) -> None:
    run(tmp_path, 2)
    with raises("settings-differ", problems="seed: was 0, now 1"):
        open_journal(tmp_path, {"seed": "1"})
    assert open_journal(tmp_path / "none", {}) is None
    content = json.loads((tmp_path / "trials.json").read_text())
    content["trials"][0]["value"] = "low"
    (tmp_path / "trials.json").write_text(json.dumps(content))
    with raises("content-invalid", problems="trials.0.value"):
        open_journal(tmp_path, {"seed": "0"})


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"number": 7}, "trial 1: has the number 7"),
        ({"params": {}}, "trial 1: no camera.distance"),
        ({"params": {"camera.distance": 99.0}}, "trial 1: camera.distance is 99"),
        ({"params": {"../up": 0.0}}, "trial 1: unknown key ../up"),
        ({"value": None}, "trials.1"),
        ({"state": "failed"}, "trials.1"),
    ],
)
def test_trials_that_no_search_makes_are_told(change: dict[str, object], problem: str, tmp_path: Path) -> None:
    """Files of an earlier call, or of whoever gave one the folder."""
    run(tmp_path, 2)
    content = json.loads((tmp_path / "trials.json").read_text())
    content["trials"][1] |= change
    (tmp_path / "trials.json").write_text(json.dumps(content))
    with raises("content-invalid", problems=re.escape(problem)):
        run(tmp_path, 3)


def test_nothing_moved_changes_nothing_and_bounds_keep_inside_the_limits() -> None:
    assert SPACE.recipe_at(dict.fromkeys(SPACE.bounds(), 0.0)) is TABLETOP
    assert SPACE.recipe_at({}) is TABLETOP
    for name, (low, high) in SPACE.bounds().items():
        assert -MAX_STEPS <= low <= 0 <= high <= MAX_STEPS
        for value in (low, high):
            assert isinstance(SPACE.recipe_at({name: value}), SceneRecipe)
    wide = SPACE.recipe_at({"camera.distance" + WIDTH: 1.0}).camera  # type: ignore[attr-defined]
    low, high = np.log2(wide.distance)
    assert high - low == pytest.approx(2 * np.log2(1.12 / 0.9), abs=0.01)


def test_every_key_is_one_of_some_recipe_and_moves_it_as_far_as_the_bounds_say() -> None:
    recipes = [load_recipe(name) for name in ("tabletop", "scatter", "shelf", "fridge", "bin", "checkout", "endcap")]
    tunable = [(made, tunable_knobs(made)) for made in recipes if isinstance(made, SceneRecipe)]
    for key in {knob.key for knob in KNOBS}:
        having = [(made, knobs[key]) for made, knobs in tunable if key in knobs]
        assert having, key
        for made, knob in having:
            space = SearchSpace(made, [knob])
            low, high = space.bounds()[key]
            assert space.recipe_at({key: low}) != space.recipe_at({key: high}), (key, made.recipe)
    assert all("camera.height_deg" in tunable_knobs(made) for made, _ in tunable[:3])


def test_keys_that_cannot_be_tuned_are_named() -> None:
    with raises("unknown-name", text="camera.distance"):
        choose_space(TABLETOP, ["camera.distanse"], ())
    with raises("unknown-name"):
        choose_space(TABLETOP, ["products.size"], ())
    with raises("setting-invalid", hint="--key"):
        choose_space(TABLETOP, (), ())


def test_keys_follow_the_factors_that_differ_each_in_turn() -> None:
    distances = [apart("sharpness", 0.0, 1.0), apart("object size", 5.0, 4.0), apart("brightness", 0.0, 0.5)]
    space = choose_space(TABLETOP, (), advise(TABLETOP, distances))
    keys = [knob.key for knob in space.knobs]
    assert set(keys[:3]) == {"sensor.blur_px", "camera.distance", "sensor.exposure_ev"}
    assert len(keys) <= MOST_KEYS and len(set(keys)) == len(keys)


def test_the_guess_makes_up_for_medians() -> None:
    guess = SPACE.guess([apart("object size", 5.0, 4.0), apart("brightness", 0.0, 0.5), apart("overlap", 1.0, 9.0)])
    assert set(guess) == {"camera.distance", "sensor.exposure_ev"}
    moved = SPACE.recipe_at(guess)
    assert np.mean(moved.sensor.exposure_ev) == pytest.approx(0.35 - 0.5, abs=0.01)
    assert moved.camera.distance == pytest.approx((0.45, 0.56), abs=0.01)  # type: ignore[attr-defined]
