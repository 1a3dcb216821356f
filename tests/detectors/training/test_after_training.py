"""What comes after a training: evaluation by class key, adaptation, comparison."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from detectors.adapt import AdaptSettings, adapt_run
from detectors.checkpoints.detector import BEST, load_checkpoint
from detectors.data.settings import DataSettings
from detectors.evaluate.run import evaluate_runs
from detectors.evaluate.settings import EvaluateSettings
from support.errors import raises
from support.sets.shapes import QUIET, tiny_training


@pytest.fixture(scope="module")
def trained(shapes: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Trained until it finds some of the coloured boxes."""
    out = tmp_path_factory.mktemp("runs") / "trained"
    data = DataSettings(synthetic=(("synthetic", shapes / "synthetic"),), val=shapes / "real" / "test.json")
    tiny_training(out, data, epochs=2, epoch_images=300, batch=4, learning_rate=0.004, augment="none", patience=20)
    assert load_checkpoint(out).score["AP50"] > 0.2
    return out


def in_other_order(content: dict[str, Any]) -> dict[str, Any]:
    """The same labels with other category ids, listed in another order."""
    new_ids = {1: 31, 2: 7, 3: 12}
    categories = [{**entry, "id": new_ids[entry["id"]]} for entry in content["categories"]]
    random.Random(0).shuffle(categories)
    annotations = [{**entry, "category_id": new_ids[entry["category_id"]]} for entry in content["annotations"]]
    return {**content, "categories": categories, "annotations": annotations}


def test_category_order_never_matters(trained: Path, shapes: Path, tmp_path: Path) -> None:
    """The same AP on a set whose categories have other ids in another order; results in that set's own ids."""
    content = json.loads((shapes / "real" / "test.json").read_text())
    (tmp_path / "other.json").write_text(json.dumps(in_other_order(content)))
    images = shapes / "real" / "images"
    one = evaluate_runs(
        EvaluateSettings((trained,), (shapes / "real" / "test.json",), out=tmp_path / "a", workers=0), QUIET
    )
    other = evaluate_runs(
        EvaluateSettings((trained,), (tmp_path / "other.json",), out=tmp_path / "b", images=images, workers=0), QUIET
    )
    (first,), (second,) = one.values(), other.values()
    assert first.coco["AP50"] > 0.2
    assert first.coco == pytest.approx(second.coco, nan_ok=True)
    # Up to the order of sums.
    by_key = {row.key: row.ap for row in second.classes}
    assert {row.key: row.ap for row in first.classes} == pytest.approx(by_key, nan_ok=True)
    rows = json.loads((tmp_path / "b" / "predictions.json").read_text())
    assert {row["category_id"] for row in rows} <= {31, 7, 12}


def test_equal_to_pycocotools_on_the_files_it_writes(trained: Path, shapes: Path, tmp_path: Path) -> None:
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    settings = EvaluateSettings((trained,), (shapes / "real" / "test.json",), out=tmp_path, workers=0)
    (report,) = evaluate_runs(settings, QUIET).values()
    coco = COCO(str(shapes / "real" / "test.json"))
    judge = COCOeval(coco, coco.loadRes(str(tmp_path / "predictions.json")), "bbox")
    judge.evaluate()
    judge.accumulate()
    judge.summarize()
    assert report.coco["AP"] == pytest.approx(judge.stats[0], abs=1e-6)
    assert report.coco["AP50"] == pytest.approx(judge.stats[1], abs=1e-6)
    assert (tmp_path / "index.html").stat().st_size > 5000
    assert json.loads((tmp_path / "report.json").read_text())["coco"]["AP"] == pytest.approx(judge.stats[0], abs=1e-6)


def test_predictions_of_others_are_judged_as_well(trained: Path, shapes: Path, tmp_path: Path) -> None:
    test = shapes / "real" / "test.json"
    first = evaluate_runs(EvaluateSettings((trained,), (test,), out=tmp_path / "a", workers=0), QUIET)
    again = evaluate_runs(
        EvaluateSettings((trained,), (test,), out=tmp_path / "b", predictions=tmp_path / "a" / "predictions.json"),
        QUIET,
    )
    assert next(iter(first.values())).coco == pytest.approx(next(iter(again.values())).coco, nan_ok=True)


def test_classes_that_the_detector_does_not_know_count_as_missed(trained: Path, shapes: Path, tmp_path: Path) -> None:
    content = json.loads((shapes / "real" / "test.json").read_text())
    content["categories"].append({"id": 9, "name": "violet"})
    content["annotations"][0]["category_id"] = 9
    (tmp_path / "more.json").write_text(json.dumps(content))
    settings = EvaluateSettings(
        (trained,), (tmp_path / "more.json",), out=tmp_path, images=shapes / "real" / "images", workers=0
    )
    (report,) = evaluate_runs(settings, QUIET).values()
    assert {row.key: row.ap for row in report.classes}["violet"] == 0
    for entry in content["categories"]:
        entry["name"] += " of others"
    (tmp_path / "foreign.json").write_text(json.dumps(content))
    foreign = EvaluateSettings(
        (trained,), (tmp_path / "foreign.json",), out=tmp_path, images=shapes / "real" / "images", workers=0
    )
    with raises("classes-disjoint"):
        evaluate_runs(foreign, QUIET)


def test_adapts_from_the_averaged_weights(trained: Path, shapes: Path, tmp_path: Path) -> None:
    """The classes and the network of the run; a tenth of the rate; a fifth synthetic. Then both runs side by side."""
    data = DataSettings(
        synthetic=(("synthetic", shapes / "synthetic"),), real=shapes / "real", val=shapes / "real" / "test.json"
    )
    settings = AdaptSettings(trained, data, tmp_path / "adapted", epochs=1, epoch_images=20, batch=2, workers=0)
    summary = adapt_run(settings, QUIET)
    adapted, before = load_checkpoint(tmp_path / "adapted"), load_checkpoint(trained)
    assert summary.drawn == {"synthetic": 4, "real": 16}
    assert (adapted.spec, adapted.classes) == (before.spec, before.classes)
    # Ten steps of AdamW at a tenth of 1e-3 * sqrt(2 / 16); statistics of batch norms move on their own.
    learned = [name for name in before.weights if name.endswith((".weight", ".bias"))]
    moved = max(float((adapted.weights[name] - before.weights[name]).abs().max()) for name in learned)
    assert 0 < moved < 10 * 3.6e-5
    pair = EvaluateSettings(
        (trained, tmp_path / "adapted"), (shapes / "real" / "test.json",), out=tmp_path / "page", workers=0
    )
    assert set(evaluate_runs(pair, QUIET)) == {"trained", "adapted"}
    assert "trained" in (tmp_path / "page" / "index.html").read_text()


def test_a_frozen_backbone_stays(trained: Path, shapes: Path, tmp_path: Path) -> None:
    data = DataSettings(real=shapes / "real", hold_out=0)
    settings = AdaptSettings(
        trained, data, tmp_path / "run", freeze="backbone", epochs=1, epoch_images=20, batch=2, workers=0
    )
    adapt_run(settings, QUIET)
    before, after = load_checkpoint(trained).weights, load_checkpoint(tmp_path / "run" / BEST).weights
    weights = [name for name in before if name.endswith(("weight", "bias"))]
    assert all(before[name].equal(after[name]) for name in weights if name.startswith("backbone.body"))
    assert any(not before[name].equal(after[name]) for name in weights if name.startswith("head"))


def test_adaptation_without_photos_or_by_an_unknown_method_is_told(trained: Path, tmp_path: Path) -> None:
    with raises("option-missing", what="no labelled photos"):
        AdaptSettings(trained, DataSettings(), tmp_path)
    with raises("unknown-name", what="unknown adaptation method"):
        AdaptSettings(trained, DataSettings(real=tmp_path), tmp_path, method="magic")
