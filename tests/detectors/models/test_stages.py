"""Steps of detectors on one image: anchors and their true boxes by hand, proposals, boxes before suppression."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn
from torchvision.ops import box_iou, nms

from detectors.models import build_model, detector_module
from detectors.models.interface import Explanation, SoftHead
from detectors.models.spec import ModelSpec
from detectors.models.stages import head_scores

BACKBONE = "test_efficientnet"
SIZE = (128, 96)


def built(name: str, options: tuple[tuple[str, int], ...] = ()) -> nn.Module:
    module = detector_module(name)
    torch.manual_seed(0)
    return build_model(ModelSpec(name, BACKBONE, 3, *SIZE, module.MEAN, module.STD, options)).eval()


def explained(model: nn.Module, boxes: list[list[float]]) -> Explanation:
    images = torch.rand(1, 3, SIZE[1], SIZE[0], generator=torch.Generator().manual_seed(1))
    target = {
        "boxes": torch.tensor(boxes).reshape(-1, 4),
        "labels": torch.zeros(len(boxes), dtype=torch.int64),
        "ignored": torch.zeros(0, 4),
    }
    with torch.no_grad():
        return model.explain(images, [target])


def test_scores_of_heads_by_hand() -> None:
    logits, boxes = torch.tensor([[0.0, math.log(3)]]), torch.zeros(1, 4)
    torch.testing.assert_close(head_scores(SoftHead(logits, boxes)), torch.tensor([[0.5, 0.75]]))
    torch.testing.assert_close(head_scores(SoftHead(logits, boxes, background=0)), torch.tensor([[0.75]]))
    judged = SoftHead(logits, boxes, quality=torch.tensor([-math.log(3)]))  # sigmoid 1/4
    torch.testing.assert_close(head_scores(judged), torch.tensor([[math.sqrt(1 / 8), math.sqrt(3 / 16)]]))


@pytest.mark.parametrize("name", ["fasterrcnn", "fcos", "retinanet", "ssdlite", "yolo"])
def test_steps_end_with_what_is_detected(name: str) -> None:
    """Every detection is a box before suppression, of the class that it has there or of another one."""
    model = built(name)
    stages = {stage.name: stage for stage in explained(model, [[30.0, 20, 94, 84]]).stages}
    assert list(stages)[-2:] == ["before suppression", "detections"]
    first = next(iter(stages.values()))
    assert first.matched is not None and (first.matched == 0).any() and first.matched.min() == -1
    before, found = stages["before suppression"], stages["detections"]
    assert before.scores is not None and before.labels is not None and found.scores is not None
    assert len(before.boxes) == len(before.scores) == len(before.labels) and before.scores.max() <= 1
    assert before.labels.max() < 3 and found.scores.diff().max() <= 1e-6
    if name != "fasterrcnn":  # its second stage has a box for each class
        limits = torch.tensor([*SIZE, *SIZE])
        assert (
            torch.cdist(found.boxes[:9], torch.minimum(before.boxes.clamp(min=0), limits), p=1).amin(1) < 0.01
        ).all()


def test_anchors_and_their_true_boxes_by_hand() -> None:
    """Faster R-CNN's rule: an overlap of 0.7, and the best anchor of each box in any case (Ren et al. 2015)."""
    boxes = [[32.0, 16, 64, 48], [70.0, 10, 75, 90]]
    anchors = explained(built("fasterrcnn"), boxes).stages[0]
    assert anchors.name == "anchors" and anchors.matched is not None
    overlap = box_iou(torch.tensor(boxes), anchors.boxes)
    best, owner = overlap.max(0)
    expected = torch.where(best >= 0.7, owner, -1)
    for row, most in enumerate(overlap.amax(1)):
        expected[overlap[row] == most] = owner[overlap[row] == most]
    assert torch.equal(anchors.matched, expected)
    assert set(anchors.matched.tolist()) == {-1, 0, 1} and overlap[1].max() < 0.7


def test_cells_of_fcos_by_hand() -> None:
    """Cells within 1.5 strides of the middle of a box, on the level of its reach (Tian et al. 2019).

    The first level, of stride 8, takes what reaches at most 64 px. torchvision puts the centres of its cells at 0, 8,
    16, ...: those less than 12 px from the middle (64, 48) of the box are 56, 64 and 72 by 40, 48 and 56.
    """
    cells = explained(built("fcos"), [[44.0, 28, 84, 68]]).stages[0]
    assert cells.name == "cells" and cells.matched is not None
    rows = cells.boxes[cells.matched == 0]
    middles = ((rows[:, :2] + rows[:, 2:]) / 2).tolist()
    assert sorted(map(tuple, middles)) == [(x, y) for x in (56, 64, 72) for y in (40, 48, 56)]


def test_proposals_are_those_that_remain_after_suppression() -> None:
    model = built("fasterrcnn", (("proposals", 12),))
    stages = {stage.name: stage for stage in explained(model, [[32.0, 16, 64, 48]]).stages}
    assert list(stages) == [
        "anchors",
        "proposals before suppression",
        "proposals",
        "before suppression",
        "detections",
    ]
    first, proposals = stages["proposals before suppression"], stages["proposals"]
    assert first.scores is not None and proposals.scores is not None and proposals.matched is not None
    assert len(proposals.boxes) == len(stages["before suppression"].boxes) == 12
    assert len(nms(proposals.boxes, proposals.scores, 0.75)) == 12
    clipped = torch.minimum(first.boxes.clamp(min=0), torch.tensor([128.0, 96, 128, 96]))
    assert (torch.cdist(proposals.boxes, clipped, p=1).amin(1) < 0.01).all()
    matched = box_iou(torch.tensor([[32.0, 16, 64, 48]]), proposals.boxes)[0] >= 0.5
    assert torch.equal(proposals.matched >= 0, matched)


@pytest.mark.parametrize("name", ["fasterrcnn", "ssdlite", "fcos", "yolo"])
def test_without_true_boxes_nothing_is_assigned(name: str) -> None:
    model = built(name)
    first = explained(model, []).stages[0]
    assert first.matched is not None and (first.matched == -1).all()
    with torch.no_grad():
        assert model.explain(torch.rand(1, 3, SIZE[1], SIZE[0])).stages[0].matched is None


def test_the_number_of_proposals_is_an_option() -> None:
    for name, usual in (("fasterrcnn", 1000), ("fasterrcnn_mobilenet_320", 300), ("maskrcnn", 1000)):
        assert built(name).rpn.post_nms_top_n() == usual
        assert built(name, (("proposals", 7),)).rpn.post_nms_top_n() == 7
