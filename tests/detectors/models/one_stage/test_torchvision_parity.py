"""Without ignored regions SSD300, RetinaNet and FCOS have the losses of torchvision's own classes, to rounding."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torchvision.models.detection import FCOS, RetinaNet, ssd300_vgg16

from detectors.models import build_model, detector_module
from detectors.models.parts import TimmPyramid, pyramid_anchors, two_strided_levels
from detectors.models.spec import ModelSpec

BACKBONE = "lcnet_050"
CLASSES = 2


def pyramid() -> TimmPyramid:
    return TimmPyramid(BACKBONE, least_stride=8, extra=two_strided_levels)


def torchvision_ssd(side: int) -> Any:
    return ssd300_vgg16(weights=None, weights_backbone=None, num_classes=CLASSES + 1)


def torchvision_retinanet(side: int) -> Any:
    anchors = pyramid_anchors((32, 64, 128, 256, 512), per_octave=3)
    return RetinaNet(pyramid(), CLASSES + 1, min_size=side, max_size=side, anchor_generator=anchors)


def torchvision_fcos(side: int) -> Any:
    return FCOS(pyramid(), CLASSES + 1, min_size=side, max_size=side)


@pytest.mark.parametrize(
    ("name", "backbone", "side", "build_theirs"),
    [
        ("ssd300", None, 300, torchvision_ssd),
        ("retinanet", BACKBONE, 128, torchvision_retinanet),
        ("fcos", BACKBONE, 128, torchvision_fcos),
    ],
)
def test_equal_losses(name: str, backbone: str | None, side: int, build_theirs: Callable[[int], Any]) -> None:
    """The same weights; torchvision resizes, normalises and counts labels from 1 on its own."""
    torch.manual_seed(0)
    module = detector_module(name)
    ours: Any = build_model(ModelSpec(name, backbone, CLASSES, side, side, module.MEAN, module.STD))
    theirs = build_theirs(side)
    theirs.load_state_dict(ours.state_dict())
    images = torch.rand(2, 3, side, side)
    targets = [
        {"boxes": torch.tensor([[24.0, 24, 64, 64], [10, 10, 110, 110]]), "labels": torch.tensor([0, 1])},
        {"boxes": torch.zeros(0, 4), "labels": torch.zeros(0, dtype=torch.int64)},
    ]
    shifted = [{**target, "labels": target["labels"] + 1} for target in targets]
    with torch.no_grad():
        said, expected = ours.train().losses(images, targets), theirs.train()(list(images), shifted)
    assert sorted(said) == sorted(expected)
    for loss, wanted in expected.items():
        torch.testing.assert_close(said[loss], wanted)
