"""YOLOv1's targets, loss and decoding, worked out by hand."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from detectors.models import build_model
from detectors.models.darknet.yolov1 import CellOutputs, YoloV1
from detectors.models.spec import ModelSpec

# Two rows of four cells of 32 pixels.
WIDTH, HEIGHT = 128, 64
# Centre (48, 16), in the second cell; sides are 1/4 and 1/2 of the image.
BOX = (32.0, 0.0, 64.0, 32.0)
ROOTS = (0.5, math.sqrt(0.5))


def network(classes: int = 3) -> YoloV1:
    options = (("dropout", 0.0), ("hidden", 16), ("stride", 32), ("width", 0.02))
    spec = ModelSpec("yolov1", None, classes, WIDTH, HEIGHT, (0, 0, 0), (1, 1, 1), options)
    model = build_model(spec)
    assert isinstance(model, YoloV1)
    return model


def says(first: tuple[float, ...], second: tuple[float, ...], classes: tuple[float, ...]) -> CellOutputs:
    """What a network says that says nothing but of the second cell."""
    boxes = torch.zeros(1, 8, 2, 5)
    boxes[0, 1] = torch.tensor([first, second])
    probabilities = torch.zeros(1, 8, 3)
    probabilities[0, 1] = torch.tensor(classes)
    return CellOutputs(boxes, probabilities)


def target(
    *boxes: tuple[float, ...], labels: tuple[int, ...] = (1,), ignored: tuple[float, ...] = ()
) -> dict[str, Tensor]:
    return {
        "boxes": torch.tensor(boxes).view(-1, 4),
        "labels": torch.tensor(labels[: len(boxes)], dtype=torch.long),
        "ignored": torch.tensor(ignored).view(-1, 4),
    }


def losses(outputs: CellOutputs, said: dict[str, Tensor], monkeypatch: pytest.MonkeyPatch) -> dict[str, float]:
    model = network()
    monkeypatch.setattr(model, "outputs", lambda images: outputs)
    return {name: float(loss) for name, loss in model.losses(torch.zeros(1, 3, HEIGHT, WIDTH), [said]).items()}


def test_24_convolutions_and_two_layers() -> None:
    model = network()
    convolutions = [part for part in model.modules() if isinstance(part, nn.Conv2d)]
    assert len(convolutions) == 24 and all(part.bias is not None for part in convolutions)
    assert sum(isinstance(part, nn.Conv2d) for part in model.backbone.modules()) == 20
    published = (64, 192, 128, 256, 256, 512, *(256, 512) * 4, 512, 1024, *(512, 1024) * 2, *(1024,) * 4)
    whole = ModelSpec("yolov1", None, 20, 448, 448, (0, 0, 0), (1, 1, 1))
    with torch.device("meta"):
        model = build_model(whole)
    assert tuple(part.out_channels for part in model.modules() if isinstance(part, nn.Conv2d)) == published
    # 7 x 7 x (2 x 5 + 20) = 1470.
    assert model.boxes.out_features + model.cls_logits.out_features == 1470
    assert model.hidden[1].in_features == 7 * 7 * 1024 and model.hidden[1].out_features == 4096


def test_an_exact_box(monkeypatch: pytest.MonkeyPatch) -> None:
    """Box 0 is exact with confidence 0.6: (0.6 - 1)^2. Box 1, of a quarter of the width, is responsible for nothing:
    0.5 * 0.3^2. Classes 0.2 0.7 0.1 against 0 1 0: 0.04 + 0.09 + 0.01.
    """
    outputs = says((0.5, 0.5, *ROOTS, 0.6), (0.5, 0.5, 0.25, ROOTS[1], 0.3), (0.2, 0.7, 0.1))
    found = losses(outputs, target(BOX), monkeypatch)
    assert found == pytest.approx({"box": 0, "objectness": 0.16 + 0.045, "classification": 0.14}, abs=1e-6)


def test_a_shifted_box(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shifted by a quarter of a cell, 8 pixels: 24 of 40 in common, so 0.6 is the confidence to learn, and is said.

    5 * 0.25^2 for the coordinates.
    """
    outputs = says((0.75, 0.5, *ROOTS, 0.6), (0, 0, 0, 0, 0), (0, 1, 0))
    found = losses(outputs, target(BOX), monkeypatch)
    assert found == pytest.approx({"box": 0.3125, "objectness": 0, "classification": 0}, abs=1e-6)


def test_the_box_that_overlaps_more_is_responsible(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sides count as roots: the first box has a root of 0.25 instead of 0.5, the second one of 0.4 (w = 0.16 of 0.25).

    Box 1 is responsible with IoU 0.64: 5 * 0.1^2 and (0 - 0.64)^2.
    """
    outputs = says((0.5, 0.5, 0.25, ROOTS[1], 0), (0.5, 0.5, 0.4, ROOTS[1], 0), (0, 1, 0))
    found = losses(outputs, target(BOX), monkeypatch)
    assert found == pytest.approx({"box": 0.05, "objectness": 0.64**2, "classification": 0}, abs=1e-6)


def test_without_an_overlap_the_nearer_box_is_responsible(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both boxes are points, at 16 and 0 pixels right of the cell's corner: the second is nearer to the box."""
    outputs = says((-3, 0.5, 0, 0, 0), (0.5, 0.5, 0, 0, 0), (0, 1, 0))
    found = losses(outputs, target(BOX), monkeypatch)
    assert found["box"] == pytest.approx(5 * (0.25 + 0.5)) and found["objectness"] == pytest.approx(0)


def test_one_object_per_cell(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first listed one; the second has its centre in the same cell."""
    outputs = says((0.5, 0.5, *ROOTS, 1), (0, 0, 0, 0, 0), (0, 1, 0))
    both = target(BOX, (40, 8, 60, 30), labels=(1, 2))
    assert losses(outputs, both, monkeypatch) == pytest.approx(
        {"box": 0, "objectness": 0, "classification": 0}, abs=1e-6
    )


def test_background_and_ignored_regions(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without objects both boxes cost 0.5 c^2; in an ignored region nothing."""
    outputs = says((0.5, 0.5, *ROOTS, 0.6), (0.5, 0.5, 0.25, 0.25, 0.2), (0.2, 0.7, 0.1))
    found = losses(outputs, target(), monkeypatch)
    assert found == pytest.approx({"box": 0, "objectness": 0.5 * (0.36 + 0.04), "classification": 0}, abs=1e-6)
    assert losses(outputs, target(ignored=BOX), monkeypatch)["objectness"] == 0


def test_detection(monkeypatch: pytest.MonkeyPatch) -> None:
    """Score p(class) * confidence, 0.7 * 0.6 = 0.42; box 0 is the one above, box 1 too weak to be kept."""
    model = network().eval()
    outputs = says((0.5, 0.5, *ROOTS, 0.6), (0.5, 0.5, 0.25, ROOTS[1], 0.01), (0.005, 0.7, -0.1))
    monkeypatch.setattr(model, "outputs", lambda images: outputs)
    (found,) = model.detect(torch.zeros(1, 3, HEIGHT, WIDTH))
    assert found["scores"].tolist() == pytest.approx([0.42]) and found["labels"].tolist() == [1]
    assert found["boxes"][0].tolist() == pytest.approx(BOX, abs=1e-4)
    soft = model.soft_outputs(torch.zeros(1, 3, HEIGHT, WIDTH)).heads["places"]
    assert soft.logits[2].sigmoid().tolist() == pytest.approx([0.005, 0.7, 1e-4], abs=1e-5)
    assert soft.quality is not None and float(soft.quality[2].sigmoid()) == pytest.approx(0.6)
