"""YOLOv3's loss terms, worked out by hand."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from detectors.models import build_model
from detectors.models.darknet.grid import GridOutputs, Level, best_anchor, make_places, match_objects
from detectors.models.darknet.yolov3 import coordinate_loss, entropy_of_classes, entropy_of_objectness
from detectors.models.spec import ModelSpec

LN2, LN3 = math.log(2), math.log(3)
# 16 x 16 in the middle of the first of two cells of 32 pixels: what its first anchor says with t = 0.
OBJECTS = [{"boxes": torch.tensor([[8.0, 8, 24, 24]]), "labels": torch.tensor([1])}]


@pytest.fixture
def said() -> GridOutputs:
    """Anchors 16 x 16 and 32 x 32; t = (ln 3, 0, ln 2, 0) at the first place, all else 0; classes 0 and ln 3."""
    places = make_places([Level((1, 2), torch.tensor([[16.0, 16], [32, 32]]))], 64, 32)
    raw = torch.zeros(1, 4, 4)
    raw[0, 0] = torch.tensor([LN3, 0, LN2, 0])
    return GridOutputs(places, raw, torch.zeros(1, 4), torch.tensor([0, LN3]).repeat(1, 4, 1))


def cross_entropy(said: float, wanted: float) -> float:
    return -(wanted * math.log(said) + (1 - wanted) * math.log(1 - said))


def test_published_layers() -> None:
    """52 convolutions of Darknet-53, 23 of the three heads, whose last ones are in two parts each."""
    with torch.device("meta"):
        model = build_model(ModelSpec("yolov3", None, 80, 416, 416, (0, 0, 0), (1, 1, 1)))
    assert sum(isinstance(part, nn.Conv2d) for part in model.backbone.modules()) == 52
    assert sum(isinstance(part, nn.Conv2d) for part in model.modules()) == 75 + 3
    assert [head.boxes.in_channels for head in model.heads] == [256, 512, 1024]
    # 3 x (5 + 80) = 255. The published network of 80 classes has 62 million weights.
    assert all(head.boxes.out_channels + head.cls_logits.out_channels == 255 for head in model.heads)
    assert sum(part.numel() for part in model.parameters()) == pytest.approx(61.9e6, rel=0.002)


def test_coordinates(said: GridOutputs) -> None:
    """0.75 and 0.5 against 0.5, ln 2 against 0, times 2 - 16 * 16 / (64 * 32) = 1.875."""
    matches = match_objects(said.places, OBJECTS, best_anchor)
    expected = 1.875 * (cross_entropy(0.75, 0.5) + cross_entropy(0.5, 0.5) + LN2**2 / 2)
    assert float(coordinate_loss(said, matches, 64 * 32)) == pytest.approx(expected)


def test_the_gradient_of_coordinates_is_what_is_said_less_what_should_be(said: GridOutputs) -> None:
    raw = said.raw.clone().requires_grad_()
    matches = match_objects(said.places, OBJECTS, best_anchor)
    coordinate_loss(said._replace(raw=raw), matches, 64 * 32).backward()
    assert raw.grad is not None
    assert raw.grad[0, 0].tolist() == pytest.approx([1.875 * 0.25, 0, 1.875 * LN2, 0])


def test_objectness(said: GridOutputs) -> None:
    """Every objectness is 0.5 and costs ln 2. Place 1 says 32 x 32 around the object, IoU 0.25: spared below that.

    Place 0 says a box of 32 x 16 and is responsible all the same.
    """
    matches = match_objects(said.places, OBJECTS, best_anchor)
    for ignore, counted in ((0.5, 4), (0.2, 3)):
        assert float(entropy_of_objectness(said, matches, OBJECTS, ignore)) == pytest.approx(counted * LN2)


def test_classes(said: GridOutputs) -> None:
    """0.5 of class 0 and 0.75 of class 1, the right one; smoothed by 0.1 the targets are 0.05 and 0.95."""
    matches = match_objects(said.places, OBJECTS, best_anchor)
    assert float(entropy_of_classes(said, matches)) == pytest.approx(LN2 - math.log(0.75))
    expected = cross_entropy(0.5, 0.05) + cross_entropy(0.75, 0.95)
    assert float(entropy_of_classes(said, matches, smoothing=0.1)) == pytest.approx(expected)


def test_anchors_of_a_level_are_three_of_nine() -> None:
    """By area: the smallest three at stride 8."""
    options = (("anchors", "published"), ("width", 0.05))
    model = build_model(ModelSpec("yolov3", None, 2, 64, 64, (0, 0, 0), (1, 1, 1), options))
    anchors: Tensor = model.anchors
    assert anchors[0].tolist() == [[10, 13], [16, 30], [33, 23]] and anchors[2, 2].tolist() == [373, 326]
    assert "anchors" not in model.state_dict()
