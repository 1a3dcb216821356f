"""Every adaptation method through one contract: it refuses missing data, its runs resume exactly and can be used."""

from __future__ import annotations

import json
import os
import shutil
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from detectors.adapt import METHODS, AdaptSettings, adabn, adapt_run, method_module, self_training
from detectors.adapt.self_training import LABELS
from detectors.checkpoints.detector import BEST, LAST, load_checkpoint
from detectors.data.settings import DataSettings
from detectors.models import detector_module
from detectors.models.interface import DetectorOptions
from detectors.training import setup
from support.errors import raises
from support.same_run import assert_same_run, at_step
from support.sets.shapes import COLORS, QUIET, tiny_training, write_shapes

methods = pytest.mark.parametrize("name", METHODS)


@pytest.fixture(scope="module")
def trained(shapes: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "trained"
    data = DataSettings(synthetic=(("synthetic", shapes / "synthetic"),), hold_out=0)
    tiny_training(out, data, epochs=1, epoch_images=20, size=(64, 64))
    return out


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Photos without labels, but the file that would have them."""
    write_shapes(tmp_path / "photos", 8, seed=5, groups=4)
    return tmp_path / "photos" / "train.json"


@pytest.fixture
def settings(
    name: str, trained: Path, shapes: Path, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AdaptSettings:
    """Two steps of a method. Two steps teach no detector: what it says of the photos is given."""
    monkeypatch.setattr(setup, "MIN_EPOCH_STEPS", 2)
    monkeypatch.setattr(self_training, "forward", coloured_boxes)
    labelled = shapes / "real" / "train.json" if name == "finetune" else None
    data = DataSettings(synthetic=(("synthetic", shapes / "synthetic"),), real=labelled, hold_out=0)
    few: dict[str, Any] = {"epochs": 1, "epoch_images": 4, "batch": 2, "workers": 0}
    return AdaptSettings(trained, data, tmp_path / "whole", method=name, unlabelled=photos, **few)


def coloured_boxes(model: nn.Module, images: Tensor) -> list[dict[str, Tensor]]:
    """A detector that knows the colours of the shapes."""
    found = []
    for image in images.numpy():
        rows = []
        for label, color in enumerate(COLORS.values()):
            near = (np.abs(image.astype(int) - color).max(axis=2) < 40).astype(np.uint8)
            _, _, stats, _ = cv2.connectedComponentsWithStats(near)
            rows += [(label, *row[:4]) for row in stats[1:] if row[4] > 12]
        table = torch.tensor(rows, dtype=torch.float32).reshape(-1, 5)
        boxes = torch.cat([table[:, 1:3], table[:, 1:3] + table[:, 3:]], 1)
        found.append({"boxes": boxes, "labels": table[:, 0].long(), "scores": torch.full((len(table),), 0.9)})
    return found


def stop_early(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Ask the method to stop after its first step, once."""
    if name != "adabn":
        at_step(monkeypatch, 1, lambda: os.kill(os.getpid(), signal.SIGINT))
        return
    asked, plain = [], adabn.network_input

    def watched(images: Tensor) -> Tensor:
        if not asked:
            asked.append(True)
            os.kill(os.getpid(), signal.SIGINT)
        return plain(images)

    monkeypatch.setattr(adabn, "network_input", watched)


@methods
def test_stopped_and_resumed_is_as_if_never_stopped(
    name: str, settings: AdaptSettings, trained: Path, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run is one of the same detector, and belongs to its method, its options and its photos."""
    assert adapt_run(settings, QUIET).finished
    last, start = load_checkpoint(tmp_path / "whole" / LAST), load_checkpoint(trained)
    assert (last.spec, last.classes) == (start.spec, start.classes)
    moved = [key for key, value in last.weights.items() if not torch.equal(value, start.weights[key])]
    assert moved and all(torch.isfinite(value).all() for value in last.weights.values())
    stop_early(monkeypatch, name)
    stopped = replace(settings, out=tmp_path / "stopped")
    assert not adapt_run(stopped, QUIET).finished
    assert adapt_run(stopped, QUIET).finished
    assert_same_run(tmp_path / "whole", tmp_path / "stopped")
    others = [other for other in METHODS if other not in (name, "finetune", "self-training")]
    with raises("settings-differ"):
        adapt_run(replace(stopped, method=others[0]), QUIET)
    if name != "finetune":
        for file in (photos.parent / "images").iterdir():
            Image.new("RGB", (96, 64)).save(file)
        with raises("data-changed"):
            adapt_run(stopped, QUIET)


@methods
def test_missing_data_is_refused(name: str, trained: Path, tmp_path: Path) -> None:
    with raises("option-missing", hint="--"):
        AdaptSettings(trained, DataSettings(), tmp_path / "out", method=name)


@methods
def test_options_are_described_and_checked(name: str, trained: Path, shapes: Path, tmp_path: Path) -> None:
    kind = getattr(method_module(name), "Options", DetectorOptions)
    assert all(
        (field.description or "").endswith(".") and not field.is_required() for field in kind.model_fields.values()
    )
    with raises("unknown-name"):
        AdaptSettings(trained, DataSettings(), tmp_path, method=name, method_options=("nonsense=1",))
    for option in kind.model_fields:
        with raises("content-invalid"):
            AdaptSettings(trained, DataSettings(), tmp_path, method=name, method_options=(f"{option}=-7x",))


@pytest.mark.parametrize("name", ["self-training"])
def test_pseudo_labels_are_those_of_the_photos(
    name: str, settings: AdaptSettings, photos: Path, tmp_path: Path
) -> None:
    """Made by a perfect detector they are the labels, in pixels of the photos, through all three views."""
    adapt_run(settings, QUIET)
    made, truth = json.loads((tmp_path / "whole" / LABELS).read_text()), json.loads(photos.read_text())
    boxes = {image["file_name"]: [] for image in truth["images"]}
    names = {image["id"]: image["file_name"] for image in truth["images"]}
    for row in truth["annotations"]:
        boxes[names[row["image_id"]]].append((row["category_id"], row["bbox"]))
    keys = {row["id"]: row["name"] for row in truth["categories"]}
    mine = {row["id"]: row["sku"] for row in made["categories"]}
    assert len(made["images"]) > 4
    for image in made["images"]:
        rows = [row for row in made["annotations"] if row["image_id"] == image["id"] and not row.get("ignore")]
        wanted = boxes[Path(image["file_name"]).name]
        found = sorted((mine[row["category_id"]], *row["bbox"]) for row in rows)
        expected = sorted((keys[category], *box) for category, box in wanted)
        assert [row[0] for row in found] == [row[0] for row in expected]
        np.testing.assert_allclose([row[1:] for row in found], [row[1:] for row in expected], atol=3)


@pytest.mark.parametrize("name", ["mean-teacher"])
def test_the_saved_weights_are_the_teachers(name: str, settings: AdaptSettings, trained: Path, tmp_path: Path) -> None:
    """Without photos to validate on the last average is taken, and it lies between the start and the student."""
    adapt_run(replace(settings, method_options=("decay=0.75",), epoch_images=40), QUIET)
    last, best = (load_checkpoint(tmp_path / "whole" / file) for file in (LAST, BEST))
    assert best.step == last.step and best.score == {}
    assert all(torch.equal(value, last.weights[key]) for key, value in best.weights.items())
    start = load_checkpoint(trained).weights
    learned = [key for key, value in start.items() if value.is_floating_point() and "running" not in key]
    to_teacher, to_student = (
        sum(float((weights[key] - start[key]).square().sum()) for key in learned)
        for weights in (last.weights, last.training["weights"])
    )
    assert 0 < to_teacher < to_student
    assert not [key for key in start if "running" in key and not torch.equal(start[key], last.weights[key])]


@pytest.mark.parametrize("name", ["mean-teacher"])
def test_a_detector_that_cannot_teach_is_refused(
    name: str, settings: AdaptSettings, shapes: Path, tmp_path: Path
) -> None:
    """Queries are not bound to places of the image: those of two networks do not correspond."""
    pytest.importorskip("transformers", reason="the extra `transformers` is not installed")
    small = tuple(f"{name}={value}" for name, value in detector_module("detr").SMALLEST.items())
    start, data = tmp_path / "detr", DataSettings(synthetic=(("synthetic", shapes / "synthetic"),), hold_out=0)
    tiny_training(start, data, detector="detr", detector_options=small, epochs=1, epoch_images=4, size=(64, 64))
    with raises("method-unsupported", hint="self-training"):
        adapt_run(replace(settings, run=start), QUIET)
    assert not (tmp_path / "whole" / LAST).exists()


@pytest.mark.parametrize("name", ["fda"])
def test_no_renderings_choose_the_weights(name: str, settings: AdaptSettings, shapes: Path, tmp_path: Path) -> None:
    """A validation split of the synthetic set would choose the least adapted weights, whoever rendered it."""
    folder = tmp_path / "rendered"
    shutil.copytree(shapes / "synthetic", folder)
    shutil.copy(shapes / "real" / "test.json", folder / "val.json")
    shutil.copytree(shapes / "real" / "images", folder / "images", dirs_exist_ok=True)
    data = replace(settings.data, synthetic=(("synthetic", folder),))
    adapt_run(replace(settings, data=data), QUIET)
    best = load_checkpoint(tmp_path / "whole" / BEST)
    assert best.score == {} and best.step == 2
