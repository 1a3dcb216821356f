"""Tuning end to end with a renderer of few lines: photographs of known ranges, which a search comes near to."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from detectors.evaluate.metrics.bootstrap import Interval
from pipeline.cli.main import main
from pipeline.gap.measure import FactorValues, collect
from pipeline.gap.pictures import PictureSet
from pipeline.tune.objective import (
    DistanceObjective,
    Reference,
    SceneMeasurer,
    compare_held_out,
    make_reference,
    mean_ratio,
)
from pipeline.tune.run import tune_recipe
from pipeline.tune.scores import write_labels
from pipeline.tune.settings import TuneSettings
from render.backends.protocol import Backend
from render.recipes import load_recipe, recipe_from_yaml
from render.recipes.parts import SceneRecipe
from support.console import quiet
from support.errors import raises
from support.sets.painter import LIBRARY, Painter, find_red
from support.sets.shapes import write_shapes

SIZE = (64, 48)
START = """
recipe: scatter
products: {count: [2, 3], size: [0.3, 0.4]}
distractors: {count: 0}
background: {environment: 0, texture: 1}
sensor: {exposure_ev: [-0.1, 0.1], shaken: 0, vignette: 0, crosstalk: 0, sharpen: 0, jpeg_quality: 92}
"""
TARGET = START.replace("[-0.1, 0.1]", "[-1.3, -1.1]").replace("[0.3, 0.4]", "[0.45, 0.55]")


def recipe_of(text: str) -> SceneRecipe:
    made = recipe_from_yaml(text, where="test")
    assert isinstance(made, SceneRecipe)
    return made


def measurer(*, labels: bool = True) -> SceneMeasurer:
    return SceneMeasurer(LIBRARY, cast(Backend, Painter()), SIZE, labels=labels)


def reference_of(text: str, seed: int, count: int) -> Reference:
    pictures = measurer().pictures(recipe_of(text), seed=seed, first=0, count=count)
    return make_reference(PictureSet("photos", pictures, True, None, None, ()), side=55.0, detail=False, seed=0)


def values_of(text: str, seed: int, count: int) -> FactorValues:
    one = measurer()
    return collect(one.rows(one.pictures(recipe_of(text), seed=seed, first=0, count=count)))


@pytest.fixture(scope="module")
def reference() -> Reference:
    return reference_of(TARGET, 5, 12)


def test_the_recipe_of_the_photographs_is_nearest(reference: Reference) -> None:
    objective = DistanceObjective(measurer(), reference, 6, 0)
    near, far = (objective.evaluate(recipe_of(text), lambda *_: False)[0] for text in (TARGET, START))
    assert len(near) == 3 and near[-1] < 0.6 * far[-1]
    assert objective.evaluate(recipe_of(START), lambda *_: False)[0] == far
    seen: list[tuple[int, float]] = []
    given_up = objective.evaluate(recipe_of(START), lambda *told: bool(seen.append(told) or True))  # type: ignore[func-returns-value, arg-type]
    assert given_up == (far[:1], True) and seen == [(0, far[0])]


def test_held_out_comparisons_say_better_only_beyond_doubt(reference: Reference) -> None:
    start, target = values_of(START, 3, 8), values_of(TARGET, 3, 8)
    better = compare_held_out(reference, start, target, 8, seed=0)
    assert better.better and better.high < 0 and better.share > 0.97 and better.after < better.before
    assert not compare_held_out(reference, target, start, 8, seed=0).better
    same = compare_held_out(reference, start, start, 8, seed=0)
    assert (same.low, same.high, same.better) == (0, 0, False)


def test_a_factor_that_is_lost_counts_most(reference: Reference) -> None:
    found = values_of(START, 3, 4)
    empty = FactorValues([value[:0] for value in found.values], [owner[:0] for owner in found.owners])
    assert mean_ratio(reference, empty)[0] == 20


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sixteen pictures of the target, without labels. Not to be changed."""
    folder = tmp_path_factory.mktemp("photos")
    for number, one in enumerate(measurer().pictures(recipe_of(TARGET), seed=11, first=0, count=16)):
        Image.fromarray(one.pixels).save(folder / f"{number:02d}.png")
    return folder


@pytest.fixture
def settings(photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TuneSettings:
    (tmp_path / "start.yaml").write_text(START)
    monkeypatch.setattr("pipeline.tune.run.open_library", lambda *_: LIBRARY)
    monkeypatch.setattr("pipeline.tune.run.open_backend", lambda *_: Painter())
    monkeypatch.setattr("pipeline.tune.run.open_detector", lambda *_: find_red)
    return TuneSettings(
        recipe=str(tmp_path / "start.yaml"),
        sku_list=cast(Any, Path("skus.csv")),
        out=tmp_path / "better.yaml",
        real=photos,
        detector=tmp_path,
        budget=5,
        scenes=6,
        width=SIZE[0],
        height=SIZE[1],
        keys=("products.size", "sensor.exposure_ev"),
    )


def stop_after(calls: int) -> Callable[[], bool]:
    left = iter(range(calls))
    return lambda: next(left, None) is None


def test_a_better_recipe_is_written_with_its_evidence_and_resumes(settings: TuneSettings) -> None:
    whole = tune_recipe(settings, quiet(), stop=lambda: False)
    assert whole.better and whole.evidence is not None and len(whole.trials) == 5
    written = load_recipe(str(settings.out))
    assert written == whole.recipe and isinstance(written, SceneRecipe)
    assert -1.8 < np.mean(written.sensor.exposure_ev) < -0.3
    assert written.products.size[0] > 0.32  # type: ignore[attr-defined]
    parts = replace(settings, out=settings.out.with_name("parts.yaml"))
    first = tune_recipe(parts, quiet(), stop=stop_after(2))
    assert first.interrupted and not parts.out.exists() and 0 < len(first.trials) < 5
    again = tune_recipe(parts, quiet(), stop=lambda: False)
    assert parts.out.read_bytes() == settings.out.read_bytes()
    assert again.evidence is not None and again.evidence.comparison == whole.evidence.comparison


def test_the_original_is_written_where_nothing_is_better(settings: TuneSettings, tmp_path: Path) -> None:
    (tmp_path / "start.yaml").write_text(TARGET)
    tuning = tune_recipe(replace(settings, budget=3), quiet(), stop=lambda: False)
    assert not tuning.better and load_recipe(str(settings.out)) == recipe_of(TARGET)
    assert "unchanged" in settings.out.read_text().splitlines()[0]
    assert any("unchanged" in note for note in tuning.notes)


def test_the_command_writes_a_page_and_numbers(settings: TuneSettings, tmp_path: Path) -> None:
    (tmp_path / "skus.csv").touch()
    words = ["tune", "--recipe", settings.recipe, "--real", settings.real, "--sku-list", tmp_path / "skus.csv"]
    words += ["--out", settings.out, "--detector", tmp_path, "--budget", 3, "--scenes", 4, "--size", "64x48", "--json"]
    done = CliRunner().invoke(main, [str(word) for word in words])
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert found["trials"] == 3 and found["held_out"]["before"] > 0 and found["factors"]
    page = settings.out.with_suffix(".html").read_text()
    assert page.count("data:image/jpeg") >= 16 and page.count("<polyline") > 10


def test_mistakes(settings: TuneSettings, tmp_path: Path) -> None:
    with raises("option-missing"):
        replace(settings, real=None)
    with raises("options-conflict"):
        replace(settings, hard_mining=tmp_path)
    few = tmp_path / "few"
    few.mkdir()
    for file in sorted(cast(Path, settings.real).iterdir())[:5]:
        shutil.copy(file, few)
    with raises("setting-invalid", found="5 photographs"):
        tune_recipe(replace(settings, real=few), quiet(), stop=lambda: False)
    (tmp_path / "mix.yaml").write_text("recipe: mix\nparts: [{of: tabletop}, {of: scatter}]")
    with raises("recipe-mix-invalid"):
        tune_recipe(replace(settings, recipe=str(tmp_path / "mix.yaml")), quiet(), stop=lambda: False)


def test_ap_takes_labels_and_enough_photographs_unless_forced(
    settings: TuneSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    by_ap = replace(settings, objective="ap", budget=3)
    with raises("option-missing", what="labelled"):
        tune_recipe(by_ap, quiet(), stop=lambda: False)
    labelled = replace(by_ap, real=write_shapes(tmp_path / "shapes", 12, seed=0, groups=6), detector=None)
    with raises("setting-invalid", found="6 labelled", hint="--force"):
        tune_recipe(labelled, quiet(), stop=lambda: False)

    def score(folder: Path, labels: Path, **_: Any) -> SimpleNamespace:
        exposure = np.mean(load_recipe(str(labels.parent / "recipe.yaml")).sensor.exposure_ev)  # type: ignore[union-attr]
        value = float(np.clip(0.5 - 0.2 * abs(exposure + 1), 0, 1))
        return SimpleNamespace(ap=Interval(value, value - 0.005, value + 0.005))

    monkeypatch.setattr("pipeline.tune.scores.proxy_score", score)
    monkeypatch.setattr("pipeline.tune.scores.run_render", lambda *_: None)
    tuning = tune_recipe(
        replace(labelled, force=True, budget=12, keys=("sensor.exposure_ev",)), quiet(), stop=lambda: False
    )
    assert tuning.evidence is not None and tuning.evidence.scores is not None
    assert tuning.better and tuning.evidence.scores[1] > tuning.evidence.scores[0]


def test_labels_of_half_the_photographs_keep_their_boxes(tmp_path: Path) -> None:
    file = write_shapes(tmp_path / "shapes", 6, seed=0)
    whole = json.loads(file.read_text())
    half = json.loads(
        write_labels(file, {"train_002.png", "train_005.png"}, tmp_path / "new" / "half.json").read_text()
    )
    assert [Path(image["file_name"]).name for image in half["images"]] == ["train_002.png", "train_005.png"]
    assert all(Path(image["file_name"]).is_file() for image in half["images"])
    boxes = [one["bbox"] for one in whole["annotations"] if one["image_id"] in (2, 5)]
    assert [one["bbox"] for one in half["annotations"]] == boxes
