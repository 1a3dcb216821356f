"""A detector of one class, product: trained, judged, run and exported on data that tells SKUs apart."""

from __future__ import annotations

import json
from dataclasses import replace
from io import StringIO
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from detectors.adapt import AdaptSettings, adapt_run
from detectors.checkpoints.detector import BEST, load_checkpoint
from detectors.data.class_match import PRODUCT, is_agnostic, match_classes
from detectors.data.image_set import IGNORED
from detectors.data.settings import DataSettings
from detectors.evaluate.report import evaluate
from detectors.evaluate.run import evaluate_runs
from detectors.evaluate.settings import EvaluateSettings
from detectors.export.run import export
from detectors.export.settings import ExportSettings
from detectors.predict.run import predict
from detectors.predict.settings import PredictSettings
from support.evaluate_cases import classes_of, random_case
from support.sets.shapes import QUIET, tiny_training


@pytest.fixture(scope="module")
def agnostic(shapes: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "agnostic"
    source = (("synthetic", shapes / "synthetic"),)
    data = DataSettings(synthetic=source, val=shapes / "real" / "test.json", classes="product")
    tiny_training(out, data, epochs=1, epoch_images=300, batch=4, learning_rate=0.004, augment="none")
    return out


def test_every_class_becomes_one_and_ignored_boxes_stay_so() -> None:
    truth, _ = random_case(rng=np.random.default_rng(0), images=6, ignored=0.4)
    match = match_classes([truth], "product")
    assert match.classes == PRODUCT and "3 of cases" in match.notes[0]
    one = truth.relabelled(match.classes)
    assert (one.labels[truth.labels != IGNORED] == 0).all() and (truth.labels != IGNORED).any()
    assert (one.labels[truth.labels == IGNORED] == IGNORED).all() and (truth.labels == IGNORED).any()
    assert ((one.true_labels == IGNORED) == (truth.true_labels == IGNORED)).all()


def test_detections_of_products_are_judged_as_if_all_classes_were_one() -> None:
    truth, found = random_case(rng=np.random.default_rng(1), images=8)
    blind = replace(found, classes=PRODUCT, labels=np.zeros_like(found.labels))
    by_hand = truth.relabelled(PRODUCT)
    judged = evaluate(truth, blind, threshold=None, rng=np.random.default_rng(0))
    assert judged.coco == pytest.approx(
        evaluate(by_hand, blind, threshold=None, rng=np.random.default_rng(0)).coco, nan_ok=True
    )
    assert judged.coco["AP50"] > 0.1 and [row.key for row in judged.classes] == ["product"]


def test_one_sku_alone_is_no_agnostic_detector() -> None:
    assert is_agnostic(PRODUCT) and not is_agnostic(classes_of(1)) and not is_agnostic(classes_of(3))


def test_trained_judged_and_run(agnostic: Path, shapes: Path, tmp_path: Path) -> None:
    checkpoint = load_checkpoint(agnostic)
    assert checkpoint.classes == PRODUCT and checkpoint.spec.classes == 1 and checkpoint.score["AP50"] > 0.2
    told = StringIO()
    settings = EvaluateSettings((agnostic,), (shapes / "real" / "test.json",), out=tmp_path / "judged", workers=0)
    (report,) = evaluate_runs(settings, Console(file=told, width=200)).values()
    assert "without telling them apart: all 3 classes of test" in told.getvalue()
    assert report.coco["AP50"] == pytest.approx(checkpoint.score["AP50"], abs=1e-6)
    rows = json.loads((tmp_path / "judged" / "predictions.json").read_text())
    assert rows and {row["category_id"] for row in rows} == {1}
    image = sorted((shapes / "real" / "images").glob("*.png"))[0]
    summary = predict(PredictSettings(agnostic, (str(image),), tmp_path / "found"), QUIET)
    assert not summary.failed and summary.written
    categories = json.loads((tmp_path / "found" / "images.json").read_text())["categories"]
    assert [entry["name"] for entry in categories] == ["product"]


def test_adapted_and_exported_it_stays_one_class(agnostic: Path, shapes: Path, tmp_path: Path) -> None:
    data = DataSettings(real=shapes / "real" / "train.json", val=shapes / "real" / "test.json")
    settings = AdaptSettings(
        run=agnostic, data=data, out=tmp_path / "adapted", epochs=1, epoch_images=4, batch=2, workers=0
    )
    adapt_run(settings, QUIET)
    assert load_checkpoint(tmp_path / "adapted" / BEST).classes == PRODUCT
    export(ExportSettings(agnostic, tmp_path / "model.onnx"), QUIET)
    (described,) = json.loads((tmp_path / "model.json").read_text())["classes"]
    assert described["name"] == "product"
