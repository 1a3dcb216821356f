"""Options that follow from the training data: computed once, kept with the network, the same after an interruption."""

from __future__ import annotations

import os
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from detectors.checkpoints.detector import LAST, load_checkpoint
from detectors.data.prepare import prepare_training
from detectors.data.settings import DataSettings
from detectors.models import detector_module
from detectors.models.darknet.anchors import parse_anchors
from detectors.training.data_options import complete_options, input_boxes
from detectors.training.setup import make_spec
from support.by_heart import BACKBONE
from support.same_run import assert_same_run, at_step
from support.sets.shapes import tiny_settings, tiny_training

QUICK = ("width=0.05", "random_shapes=true")


def training(out: Path, shapes: Path, **fields: Any) -> Any:
    """24 steps of two images, with a state of its own: images seen, and the size of images of ten batches."""
    settings = {"detector": "yolov2", "backbone": None, "detector_options": QUICK, "epochs": 1, "epoch_images": 48}
    return tiny_training(out, DataSettings(synthetic=(("synthetic", shapes / "synthetic"),)), **{**settings, **fields})


def anchors_of(run: Path) -> str:
    return str(dict(load_checkpoint(run / LAST).spec.options)["anchors"])


@pytest.fixture(scope="module")
def undisturbed(shapes: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "whole"
    assert training(out, shapes).finished
    return out


def test_boxes_are_those_of_the_network_input(shapes: Path) -> None:
    """Images of 96 x 64 in an input of 144 x 128 are scaled by 1.5; ignored regions are left out."""
    data = prepare_training(DataSettings(real=shapes / "real", hold_out=0), seed=0, print_line=lambda line: None)
    images = data.sources[0].columns
    assert images is not None
    boxes, labels = input_boxes(data.sources, (144, 128))
    np.testing.assert_allclose(boxes, images.boxes * 1.5, rtol=1e-6)
    assert labels.tolist() == images.labels.tolist()
    some = replace(images, labels=np.where(np.arange(len(images.labels)) % 2, images.labels, -1).astype(np.int32))
    both = input_boxes([images, some], (96, 64))[0]
    np.testing.assert_allclose(both, np.concatenate([images.boxes, images.boxes[1::2]]))


def test_anchors_come_from_the_data_and_stay_with_the_network(undisturbed: Path, shapes: Path) -> None:
    """Sides of the boxes are 18 to 29 pixels."""
    found = parse_anchors(anchors_of(undisturbed))
    assert len(found) == 5 and all(17 < side < 30 for shape in found for side in shape)
    checkpoint = load_checkpoint(undisturbed / LAST)
    assert int(checkpoint.weights["seen"]) == 48 and int(checkpoint.weights["shapes.batches"]) == 24


def test_chosen_options_are_left_alone(shapes: Path, tmp_path: Path) -> None:
    data = prepare_training(DataSettings(real=shapes / "real", hold_out=0), seed=0, print_line=lambda line: None)
    settings = tiny_settings(tmp_path, DataSettings(real=shapes / "real"), detector="yolov2")
    for chosen in ("published", "1x2 3x4 5x6 7x8 9x9"):
        spec = make_spec(replace(settings, detector_options=(f"anchors={chosen}",)), data)
        assert dict(spec.options)["anchors"] == chosen
    assert dict(make_spec(settings, data).options)["anchors"] not in ("clustered", "published")
    # Of no boxes nothing follows.
    options = complete_options(
        detector_module("yolov3"), {}, "yolov3", [data.sources[0].columns.take(np.array([], int))], (96, 64), None
    )  # type: ignore[union-attr]
    assert dict(options)["anchors"] == "clustered"


@pytest.mark.parametrize("step", [6, 13])
def test_a_resumed_training_goes_on_with_them(
    step: int, shapes: Path, undisturbed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the first and the second ten batches of a size. What the data says is not computed again."""
    at_step(monkeypatch, step, lambda: os.kill(os.getpid(), signal.SIGINT))
    stopped = training(tmp_path / "run", shapes)
    assert not stopped.finished and stopped.steps == step
    assert int(load_checkpoint(tmp_path / "run" / LAST).training["weights"]["seen"]) == 2 * step

    def refuse(*arguments: Any) -> Any:
        raise AssertionError("computed again")

    monkeypatch.setattr("detectors.training.data_options.input_boxes", refuse)
    assert training(tmp_path / "run", shapes).finished
    assert_same_run(undisturbed, tmp_path / "run")


def test_batch_changes_are_the_same_after_an_interruption(
    shapes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Mosaic, CutMix, DropBlock and self-adversarial steps follow from the seed and the step."""
    names = ("mosaic=0.5", "cutmix=0.5", "drop_block=0.1", "adversarial=0.5", "mini_batches=2", "width=0.05")
    fields = {"detector": "yolov4", "backbone": BACKBONE, "detector_options": names, "epoch_images": 20}
    assert training(tmp_path / "whole", shapes, **fields).finished
    at_step(monkeypatch, 4, lambda: os.kill(os.getpid(), signal.SIGINT))
    assert not training(tmp_path / "run", shapes, **fields).finished
    assert training(tmp_path / "run", shapes, **fields).finished
    assert_same_run(tmp_path / "whole", tmp_path / "run")
