"""RetinaNet by hand: anchors, matching, focal loss, box codes and decoding."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torchvision.models.detection.image_list import ImageList

from detectors.models import build_model
from detectors.models.parts import IMAGENET_MEAN, IMAGENET_STD
from detectors.models.spec import ModelSpec

BACKBONE = "lcnet_050"
SIDE = 128
CLASSES = 2
BETWEEN = -2


@pytest.fixture(scope="module")
def model() -> Any:
    torch.manual_seed(0)
    return build_model(ModelSpec("retinanet", BACKBONE, CLASSES, SIDE, SIDE, IMAGENET_MEAN, IMAGENET_STD))


def test_anchors_by_hand(model: Any) -> None:
    """Nine per cell: three scales per octave from 32 px at stride 8 on, each at 1 : 2, 1 : 1 and 2 : 1."""
    images = ImageList(torch.zeros(1, 3, SIDE, SIDE), [(SIDE, SIDE)])
    anchors = model.anchor_generator(images, [torch.zeros(1, 1, side, side) for side in (16, 8, 4, 2, 1)])[0]
    assert len(anchors) == 9 * (256 + 64 + 16 + 4 + 1)
    sides = (anchors[:9, 2:] - anchors[:9, :2]).tolist()
    # 32, 40.3 and 50.8 px; torchvision rounds corners to whole pixels.
    expected = [
        [32 * 2 ** (step / 3) * shape for shape in (ratio**-0.5, ratio**0.5)]
        for ratio in (0.5, 1, 2)
        for step in range(3)
    ]
    for found, wanted in zip(sides, expected, strict=True):
        assert found == pytest.approx(wanted, abs=1.5)
    assert (anchors[:9, :2] + anchors[:9, 2:]).abs().max() == 0
    widest = (anchors[-9:, 2:] - anchors[-9:, :2]).prod(1).sqrt()
    assert widest.max().item() == pytest.approx(512 * 2 ** (2 / 3), abs=1.5)


def test_matching_of_the_paper(model: Any) -> None:
    """An object from 0.5 on, background under 0.4, neither between; each object has its best anchor."""
    overlap = torch.tensor([[0.8, 0.5, 0.49, 0.4, 0.39, 0.0], [0.0, 0.1, 0.0, 0.0, 0.0, 0.3]])
    assert model.proposal_matcher(overlap).tolist() == [0, 0, BETWEEN, BETWEEN, -1, 1]


def test_loss_by_hand(model: Any) -> None:
    """One matched anchor, one of background, one between that counts nowhere; over the number of matched ones."""
    anchors = torch.tensor([[45.0, 40, 75, 70], [0, 0, 30, 30], [90, 90, 120, 120]])
    target = {"boxes": torch.tensor([[45.0, 45, 85, 65]]), "labels": torch.tensor([2])}
    logits = torch.tensor([[[-4.0, -4, 0], [-4, 2, -4], [9, 9, 9]]])
    outputs = {"cls_logits": logits, "bbox_regression": torch.zeros(1, 3, 4)}
    losses = model.head.compute_loss([target], outputs, [anchors], [torch.tensor([0, -1, BETWEEN])])

    def focal(logit: float, wanted: bool) -> float:
        p = 1 / (1 + math.exp(-logit if wanted else logit))
        return -(0.25 if wanted else 0.75) * (1 - p) ** 2 * math.log(p)

    # The first matched anchor, the second all background. Column 0 is never an object.
    expected = focal(0, True) + 2 * focal(-4, False) + 2 * focal(-4, False) + focal(2, False)
    assert losses["classification"].item() == pytest.approx(expected, rel=1e-5)
    # Codes (5 / 30, 0, ln 40/30, ln 20/30) without weights, absolute differences summed.
    codes = (5 / 30, 0, math.log(40 / 30), -math.log(20 / 30))
    assert losses["bbox_regression"].item() == pytest.approx(sum(codes), rel=1e-5)


def test_background_is_sure_in_the_beginning(model: Any) -> None:
    """Every class starts at the prior of 0.01, so that the many backgrounds do not drown the first steps."""
    bias = model.head.classification_head.cls_logits.bias
    assert torch.sigmoid(bias).tolist() == pytest.approx([0.01] * len(bias))
    assert len(bias) == 9 * (CLASSES + 1)


def test_decoding_by_hand(model: Any) -> None:
    anchors = [torch.tensor([[40.0, 40, 72, 72]]), torch.tensor([[100.0, 0, 132, 64]])]
    logits = [torch.tensor([[[-9.0, 1, -9]]]), torch.tensor([[[-9.0, -9, 2]]])]
    codes = [torch.tensor([[[0.25, -0.25, math.log(2), 0]]]), torch.zeros(1, 1, 4)]
    outputs = {"cls_logits": logits, "bbox_regression": codes}
    found = model.postprocess_detections(outputs, [anchors], [(SIDE, SIDE)])[0]
    order = found["scores"].argsort(descending=True)[:2]
    # 8 px to the right and up, twice as wide; the second is cut at the image's border.
    torch.testing.assert_close(found["boxes"][order], torch.tensor([[100.0, 0, 128, 64], [32, 32, 96, 64]]))
    assert found["labels"][order].tolist() == [2, 1]
    assert found["scores"][order].tolist() == pytest.approx(torch.sigmoid(torch.tensor([2.0, 1])).tolist())
