"""SSD300 and SSD512 by hand: default boxes, targets, matching and loss as in the paper."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from detectors.models import build_model, detector_module
from detectors.models.one_stage.ssd_vgg import Scales, default_boxes
from detectors.models.spec import ModelSpec
from support.errors import raises

CELLS = {300: (38, 19, 10, 5, 3, 1), 512: (64, 32, 16, 8, 4, 2, 1)}


def ssd(name: str, **options: bool | int | float | str) -> Any:
    module = detector_module(name)
    given = tuple(sorted(options.items()))
    return build_model(ModelSpec(name, None, 2, *module.FIXED_SIZE, module.MEAN, module.STD, given))


def boxes_of(side: int, scales: Scales) -> Tensor:
    from torchvision.models.detection.image_list import ImageList

    maps = [torch.zeros(1, 1, count, count) for count in CELLS[side]]
    return default_boxes(side, scales)(ImageList(torch.zeros(1, 3, side, side), [(side, side)]), maps)[0]


@pytest.mark.parametrize(
    ("side", "counts"),
    [(300, (5776, 2166, 600, 150, 36, 4)), (512, (16384, 6144, 1536, 384, 96, 16, 4))],
)
def test_numbers_of_default_boxes(side: int, counts: tuple[int, ...]) -> None:
    per_cell = default_boxes(side, "coco").num_anchors_per_location()
    assert tuple(cells**2 * count for cells, count in zip(CELLS[side], per_cell, strict=True)) == counts
    assert len(boxes_of(side, "voc")) == sum(counts) == {300: 8732, 512: 24564}[side]


def test_the_networks_have_these_maps() -> None:
    torch.manual_seed(0)
    model = ssd("ssd512", width=0.0625).eval()
    assert tuple(one.shape[2] for one in model.features(torch.rand(1, 3, 512, 512))) == CELLS[512]
    with torch.device("meta"):
        model = ssd("ssd300").eval()
        maps = model.backbone(torch.empty(1, 3, 300, 300)).values()
    assert tuple(one.shape[2] for one in maps) == CELLS[300]
    with torch.device("meta"):
        model = ssd("ssd512").eval()
    # VGG-16's convolutions, the norm, fc6 and fc7, conv8 and 9, twice conv10, conv12.
    parts = (14_714_688, 512, 4_719_616, 1_049_600, 1_442_560, 360_832, 2 * 328_064, 557_440)
    assert sum(one.numel() for one in model.backbone.parameters()) == sum(parts)


def test_default_boxes_of_voc_by_hand() -> None:
    """At the first cell of conv4_3: 30 px square, the square between 30 and 60, and 2 : 1 lying and upright."""
    first = boxes_of(300, "voc")[:4]
    half = torch.tensor([[30.0, 30], [math.sqrt(30 * 60)] * 2, [30 * 2**0.5, 30 / 2**0.5], [30 / 2**0.5, 30 * 2**0.5]])
    torch.testing.assert_close(first, torch.cat([4 - half / 2, 4 + half / 2], 1))
    assert boxes_of(300, "coco")[0, 2:].tolist() == pytest.approx([14.5, 14.5])
    # SSD512 begins at 7 % of the image, SSD512 for COCO at 4 %.
    assert (boxes_of(512, "voc")[0, 2] - 4).item() == pytest.approx(0.035 * 512, rel=1e-4)
    assert (boxes_of(512, "coco")[0, 2] - 4).item() == pytest.approx(0.02 * 512, rel=1e-4)


@pytest.fixture(scope="module")
def model() -> Any:
    with torch.device("meta"):
        return ssd("ssd300")


def test_settings_of_the_paper(model: Any) -> None:
    assert model.proposal_matcher.high_threshold == 0.5 and model.neg_to_pos_ratio == 3
    assert model.nms_thresh == 0.45 and model.score_thresh == 0.01 and model.topk_candidates == 400
    small = ssd("ssd512", width=0.0625)
    assert small.backbone.scale_weight.unique().tolist() == [20.0]
    # At each place the norm of conv4_3's features is 20.
    first = small.features(torch.rand(1, 3, 512, 512))[0]
    assert first.norm(dim=1).max().item() == pytest.approx(20, rel=1e-3)


def test_encoding_by_hand(model: Any) -> None:
    """(.05/.3)/.1, (-.05/.3)/.1, ln(.4/.3)/.2 and ln(.2/.3)/.2."""
    prior = torch.tensor([[0.3, 0.4, 0.6, 0.7]])
    truth = torch.tensor([[0.3, 0.4, 0.7, 0.6]])
    code = model.box_coder.encode_single(truth, prior)[0].tolist()
    assert code == pytest.approx([1.6667, -1.6667, 1.4384, -2.0273], abs=1e-4)


def test_each_object_has_its_best_box_and_all_from_a_half_on(model: Any) -> None:
    """Overlaps of two objects with four boxes: the second object has none of a half, and gets its best one."""
    overlap = torch.tensor([[0.8, 0.6, 0.49, 0.0], [0.0, 0.1, 0.2, 0.3]])
    assert model.proposal_matcher(overlap).tolist() == [0, 0, -1, 1]


def test_loss_by_hand(model: Any) -> None:
    """One match and seven backgrounds, of which the three of greatest loss count; all over one match."""
    prior, truth = [0.3, 0.4, 0.6, 0.7], [0.3, 0.4, 0.7, 0.6]
    anchors = torch.tensor([prior] + [[5.0, 5, 6, 6]] * 7)
    logits = torch.zeros(1, 8, 3)
    logits[0, 1:, 0] = torch.tensor([2.0, 1, 0, -1, -2, 3, 4])
    outputs = {"bbox_regression": torch.zeros(1, 8, 4), "cls_logits": logits}
    matched = [torch.tensor([0, -1, -1, -1, -1, -1, -1, -1])]
    target = {"boxes": torch.tensor([truth]), "labels": torch.tensor([2])}
    losses = model.compute_loss([target], outputs, [anchors], matched)
    code = (1.6667, 1.6667, 1.4384, 2.0273)
    assert losses["bbox_regression"].item() == pytest.approx(sum(value - 0.5 for value in code), abs=1e-3)
    hardest = [math.log(math.exp(x) + 2) - x for x in (-2, -1, 0)]
    assert losses["classification"].item() == pytest.approx(math.log(3) + sum(hardest), abs=1e-4)


def test_options_are_checked() -> None:
    with raises("content-invalid"):
        ssd("ssd512", width=0.1)
