"""What every export format must keep: its file finds what the detector finds, also in images not traced."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from rich.console import Console

from detectors.checkpoints.detector import load_checkpoint, restore_model
from detectors.export import EXPORTERS, exporter_module
from detectors.export.run import export
from detectors.export.settings import ExportSettings
from detectors.models import detector_module
from support.random_runs import CLASSES, SIZE, SMALL, random_run

pytest.importorskip("onnxruntime", reason="export needs onnx and onnxruntime, which are optional")
pytest.importorskip("onnx", reason="export needs onnx and onnxruntime, which are optional")

QUIET = Console(quiet=True)


@pytest.mark.parametrize("kind", EXPORTERS)
@pytest.mark.parametrize(
    ("detector", "backbone", "size"),
    [
        ("fasterrcnn_mobilenet", SMALL, (48, 64)),  # a pyramid of five, upright
        ("classify_locate", SMALL, (100, 70)),
        ("centernet", SMALL, SIZE),
        ("detr", SMALL, (100, 70)),
        ("dfine", SMALL, (100, 70)),
        ("efficientdet_d0", SMALL, (100, 70)),
        ("fcos", SMALL, (100, 70)),  # no multiple of 32: torchvision pads it
        ("retinanet", SMALL, SIZE),
        ("ssd300", SMALL, (300, 300)),
        ("ssdlite", None, SIZE),
        ("ssdlite", SMALL, SIZE),
        ("maskrcnn", SMALL, (32, 32)),
        ("yolo", SMALL, SIZE),
        ("yolov1", SMALL, SIZE),
        ("yolov2", None, (100, 70)),  # two rows of the finer map do not make all of the coarser one's
        ("yolov3", SMALL, SIZE),
        ("yolov4", SMALL, SIZE),
    ],
)
def test_the_file_finds_what_torch_finds(
    tmp_path: Path, kind: str, detector: str, backbone: str | None, size: tuple[int, int]
) -> None:
    """Within a twentieth of a pixel, over images that were not traced."""
    run = random_run(tmp_path, detector, backbone, size=size, background=3.0)
    made = export(ExportSettings(run, tmp_path, kind), QUIET)
    assert made.model == tmp_path / f"model{exporter_module(kind).SUFFIX}" and made.size == made.model.stat().st_size
    assert json.loads(made.description.read_text())["file"] == made.model.name
    assert made.agreement.wrong <= 0.005 * made.agreement.compared
    # Counted on both sides; of each of four images at most one detection, or many.
    assert made.agreement.compared >= (6 if getattr(detector_module(detector), "ONE_PER_IMAGE", False) else 11)
    assert made.agreement.ties <= 0.01 * made.agreement.compared
    assert made.agreement.pixels < 0.05 and made.agreement.mask < 1e-3


@pytest.mark.parametrize("kind", EXPORTERS)
@pytest.mark.parametrize("detector", ["fasterrcnn_mobilenet", "ssdlite"])
def test_an_image_in_which_nothing_is_found(tmp_path: Path, kind: str, detector: str) -> None:
    """Traced branches for "no boxes" must not decide for all images, in either direction."""
    checkpoint = load_checkpoint(random_run(tmp_path, detector, SMALL, size=(64, 64)))
    silent = restore_model(checkpoint)
    with torch.no_grad():
        for name, parameter in silent.named_parameters():
            if "cls_score.bias" in name or ("classification_head" in name and name.endswith("1.bias")):
                # Class 0 of each anchor is background.
                parameter.view(-1, len(CLASSES) + 1)[:, 0] = 50.0
    exporter, file = exporter_module(kind), tmp_path / "model"
    exporter.export(silent, checkpoint.spec, file)
    boxes, labels, scores = exporter.load(file)(np.full((64, 64, 3), 90, np.uint8))
    assert boxes.shape == (0, 4) and labels.shape == scores.shape == (0,)
