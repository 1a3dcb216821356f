"""`synth evaluate` on shards: the numbers of an ordinary evaluation, resumable, with and without classes."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet
import pytest
from rich.console import Console

from dataset.shards.index import read_index
from dataset.storage.path import StoragePath
from detectors.data.settings import DataSettings
from detectors.evaluate import run_shards as evaluate_shards
from detectors.evaluate.run import evaluate_runs
from detectors.evaluate.settings import EvaluateSettings
from pipeline.shards.pack import pack_data
from pipeline.shards.settings import PackSettings
from support.errors import raises
from support.sets.shapes import tiny_training, write_shapes

QUIET = Console(quiet=True)


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("evaluated")
    write_shapes(folder / "plain", 30, seed=4, split="test")
    pack_data(folder / "plain", StoragePath(str(folder / "shards")), QUIET, PackSettings(shard_images=7))
    return folder


@pytest.fixture(scope="module", params=["all", "product"])
def run(request: pytest.FixtureRequest, shapes: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A detector that has seen a little."""
    out = tmp_path_factory.mktemp("runs") / request.param
    data = DataSettings(synthetic=(("synthetic", shapes / "synthetic"),), classes=request.param)
    tiny_training(out, data, epochs=1, epoch_images=20, batch=2)
    return out


def evaluated(run: Path, data: Path, out: Path, **options: Any) -> dict[str, Any]:
    settings = EvaluateSettings(runs=(run,), data=(data,), out=out, workers=0, device="cpu", threshold=0.05)
    evaluate_runs(replace(settings, **options), QUIET)
    return json.loads((out / "report.json").read_text())


def test_the_numbers_are_those_of_an_ordinary_evaluation(run: Path, plain: Path, tmp_path: Path) -> None:
    ordinary = evaluated(run, plain / "plain", tmp_path / "plain")
    sharded = evaluated(run, plain / "shards", tmp_path / "shards")
    assert sharded["detections"] == ordinary["detections"] > 0 and sharded["boxes"] == ordinary["boxes"]
    for name, value in ordinary["coco"].items():
        assert sharded["coco"][name] == (value if value is None else pytest.approx(value, abs=1e-8)), name
    for name in ("precision", "recall", "f1"):
        assert sharded["operating"][name] == pytest.approx(ordinary["operating"][name])
    rows = list(csv.DictReader((tmp_path / "shards" / "classes.csv").read_text().splitlines()))
    by_key = {row["key"]: row for row in ordinary["classes"]}
    assert {row["sku"] for row in rows} == set(by_key)
    for row in rows:
        assert float(row["AP50"]) == pytest.approx(by_key[row["sku"]]["ap50"], abs=1e-6)
        assert float(row["found"]) == pytest.approx(by_key[row["sku"]]["found"], abs=1e-6)
    table = pyarrow.parquet.read_table(tmp_path / "shards" / "classes.parquet").to_pydict()
    assert table["sku"] == [row["sku"] for row in rows]


def test_results_are_coco_and_can_be_judged_again(run: Path, plain: Path, tmp_path: Path) -> None:
    first = evaluated(run, plain / "shards", tmp_path / "a")
    results = tmp_path / "a" / "predictions"
    assert {path.stem for path in results.glob("*.json")} == {
        e.name for e in read_index(StoragePath(str(plain / "shards"))).shards
    }
    assert evaluated(run, plain / "shards", tmp_path / "b", predictions=results) == first
    with raises("folder-missing"):
        evaluated(run, plain / "shards", tmp_path / "c", predictions=results / "test-000000.json")


def test_going_on_looks_only_at_what_is_missing(
    run: Path, plain: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = evaluated(run, plain / "shards", tmp_path / "a")
    before = {path.name: path.read_bytes() for path in (tmp_path / "a" / "predictions").glob("*.json")}
    (tmp_path / "a" / "predictions" / "test-000002.json").unlink()
    seen: list[int] = []
    plain_find = evaluate_shards.find_in_fitted

    def watched(model: Any, images: Any, **options: Any) -> Any:
        seen.extend(images.images.tolist())
        return plain_find(model, images, **options)

    monkeypatch.setattr(evaluate_shards, "find_in_fitted", watched)
    assert evaluated(run, plain / "shards", tmp_path / "a") == first
    assert seen == list(range(14, 21))
    assert {path.name: path.read_bytes() for path in (tmp_path / "a" / "predictions").glob("*.json")} == before


def test_mistakes_are_told(run: Path, plain: Path, tmp_path: Path) -> None:
    evaluated(run, plain / "shards", tmp_path / "a")
    with raises("split-missing"):
        evaluated(run, plain / "shards", tmp_path / "b", split="val")
    (tmp_path / "a" / "predictions" / "test-000002.json").write_text('[{"image_id": 1, "score": 0}]')
    with raises("predictions-invalid", where="test-000002"):
        evaluated(run, plain / "shards", tmp_path / "a")
    other = tmp_path / "other"
    write_shapes(other / "plain", 5, seed=9, split="test")
    pack_data(other / "plain", StoragePath(str(other / "shards")), QUIET)
    with raises("settings-differ"):
        evaluated(run, other / "shards", tmp_path / "a")
    np.testing.assert_equal(sorted(path.name for path in (tmp_path / "b").glob("*.json")), [])


def test_listed_images_alone_are_judged_the_same_from_folders_and_shards(
    run: Path, plain: Path, tmp_path: Path
) -> None:
    names = sorted(image["file_name"] for image in json.loads(next(plain.glob("plain/*.json")).read_text())["images"])
    listed = tmp_path / "list.txt"
    listed.write_text("".join(f"test/{name}\n" for name in names[:9]))
    ordinary = evaluated(run, plain / "plain", tmp_path / "plain", only=listed)
    sharded = evaluated(run, plain / "shards", tmp_path / "shards", only=listed)
    assert ordinary["images"] == sharded["images"] == 9
    assert sharded["boxes"] == ordinary["boxes"] and sharded["detections"] == ordinary["detections"] > 0
    for name, value in ordinary["coco"].items():
        assert sharded["coco"][name] == (value if value is None else pytest.approx(value, abs=1e-8)), name
    # Results of all images serve for some of them.
    evaluated(run, plain / "shards", tmp_path / "all")
    again = evaluated(run, plain / "shards", tmp_path / "b", only=listed, predictions=tmp_path / "all" / "predictions")
    assert again == sharded
    evaluated(run, plain / "plain", tmp_path / "whole")
    found = tmp_path / "whole" / "predictions.json"
    assert evaluated(run, plain / "plain", tmp_path / "c", only=listed, predictions=found)["coco"] == ordinary["coco"]
    # Results of some images are not those of all.
    with raises("settings-differ"):
        evaluated(run, plain / "shards", tmp_path / "shards")
    listed.write_text("gone.jpg\n")
    for data in ("plain", "shards"):
        with raises("images-missing"):
            evaluated(run, plain / data, tmp_path / "d", only=listed)
