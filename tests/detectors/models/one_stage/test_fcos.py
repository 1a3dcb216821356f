"""FCOS by hand: which places learn which object, centre-ness, the loss and decoding."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from detectors.models import build_model
from detectors.models.parts import IMAGENET_MEAN, IMAGENET_STD
from detectors.models.spec import ModelSpec

BACKBONE = "lcnet_050"
SIDE = 128
CLASSES = 2
# Cells of the five maps over 128 x 128 pixels: 16 x 16 to 1 x 1, strides 8 to 128.
LEVELS = (256, 64, 16, 4, 1)


@pytest.fixture(scope="module")
def model() -> Any:
    torch.manual_seed(0)
    return build_model(ModelSpec("fcos", BACKBONE, CLASSES, SIDE, SIDE, IMAGENET_MEAN, IMAGENET_STD))


def places() -> Tensor:
    """Centred squares of the side of the stride, as torchvision's generator of one anchor per cell makes them."""
    rows = []
    for stride in (8, 16, 32, 64, 128):
        for y in range(0, SIDE, stride):
            rows += [[x - stride / 2, y - stride / 2, x + stride / 2, y + stride / 2] for x in range(0, SIDE, stride)]
    return torch.tensor(rows)


def matches(model: Any, boxes: list[list[float]], monkeypatch: pytest.MonkeyPatch) -> Tensor:
    """Return for each place the object that it learns, -1 for none."""
    seen: list[Tensor] = []

    def keep(targets: Any, outputs: Any, anchors: Any, matched: list[Tensor]) -> dict[str, Tensor]:
        seen.extend(matched)
        return {}

    monkeypatch.setattr(model.head, "compute_loss", keep)
    target = {"boxes": torch.tensor(boxes), "labels": torch.ones(len(boxes), dtype=torch.int64)}
    model.compute_loss([target], {}, [places()], list(LEVELS))
    return seen[0]


def test_places_are_the_corners_of_cells(model: Any) -> None:
    from torchvision.models.detection.image_list import ImageList

    sides = [math.isqrt(count) for count in LEVELS]
    images = ImageList(torch.zeros(1, 3, SIDE, SIDE), [(SIDE, SIDE)])
    made = model.anchor_generator(images, [torch.zeros(1, 1, side, side) for side in sides])
    torch.testing.assert_close(made[0], places())


def test_centre_sampling_by_hand(model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A 40 x 40 box around (44, 44): only stride 8 (farthest side under 64), less than 12 px from its centre."""
    matched = matches(model, [[24, 24, 64, 64]], monkeypatch)
    first = matched[:256].reshape(16, 16)
    rows, columns = torch.nonzero(first >= 0, as_tuple=True)
    # Places at 40 and 48 are 4 px off, those at 32 and 56 12 px, which is not less than 1.5 strides.
    assert sorted(zip(rows.tolist(), columns.tolist(), strict=True)) == [(5, 5), (5, 6), (6, 5), (6, 6)]
    assert (matched[256:] == -1).all()


def test_levels_by_the_farthest_side(model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 100 x 100 the farthest side is 50 or more: under 64 at stride 8, from 64 to 128 px at stride 16."""
    matched = matches(model, [[10, 10, 110, 110]], monkeypatch)
    farthest = (places()[:, :2] + places()[:, 2:]) / 2
    off = torch.stack([farthest - 10, 110 - farthest]).amax((0, 2))
    assert set(off[:256][matched[:256] >= 0].tolist()) <= {float(side) for side in range(50, 64)}
    assert (matched[:256] >= 0).any()
    # Stride 16 samples within 24 px of (60, 60): 48, 64 and 80 lie there, and (80, y) is 70 px from the left side.
    second = torch.nonzero(matched[256:320].reshape(8, 8) >= 0).tolist()
    assert second == [[3, 5], [4, 5], [5, 3], [5, 4], [5, 5]]
    assert (matched[320:] == -1).all()


def test_the_smaller_of_two_objects_takes_a_shared_place(model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    matched = matches(model, [[24, 24, 64, 64], [34, 34, 54, 54]], monkeypatch)
    assert sorted(set(matched.tolist())) == [-1, 1]


def test_loss_by_hand(model: Any) -> None:
    """One place with an object and one of background: focal loss, generalised IoU and centre-ness over one object."""
    anchors = torch.tensor([[36.0, 36, 44, 44], [0, 0, 8, 8]])
    target = {"boxes": torch.tensor([[24.0, 32, 64, 64]]), "labels": torch.tensor([1])}
    outputs = {
        "cls_logits": torch.zeros(1, 2, CLASSES + 1),
        # Sides in strides: the place at (40, 40) says 16 px to the left and right, 8 up and 24 down.
        "bbox_regression": torch.tensor([[[2.0, 1, 2, 3], [1, 1, 1, 1]]]),
        "bbox_ctrness": torch.zeros(1, 2, 1),
    }
    losses = model.head.compute_loss([target], outputs, [anchors], [torch.tensor([0, -1])])
    # p = 0.5 everywhere: 0.25 for the one right class, 0.75 for the five others, times 0.5 squared times ln 2.
    assert losses["classification"].item() == pytest.approx((0.25 + 5 * 0.75) * 0.25 * math.log(2), abs=1e-5)
    # Said (24, 32, 56, 64), true (24, 32, 64, 64): 1024 of 1280 shared, and the true box is their hull.
    assert losses["bbox_regression"].item() == pytest.approx(1 - 1024 / 1280, abs=1e-5)
    # Centre-ness is sqrt(16/24 * 8/24); at a logit of zero its cross-entropy is ln 2 whatever it is.
    assert losses["bbox_ctrness"].item() == pytest.approx(math.log(2), abs=1e-5)
    outputs["bbox_ctrness"] = torch.full((1, 2, 1), 2.0)
    losses = model.head.compute_loss([target], outputs, [anchors], [torch.tensor([0, -1])])
    wanted = math.sqrt(16 / 24 * 8 / 24)
    assert losses["bbox_ctrness"].item() == pytest.approx(math.log1p(math.exp(2)) - 2 * wanted, abs=1e-5)


def test_decoding_by_hand(model: Any) -> None:
    """A score is the root of class times centre-ness; sides are in strides from the place."""
    levels = [torch.tensor([[36.0, 36, 44, 44]]), torch.tensor([[56.0, 56, 72, 72]])]
    logits = [torch.full((1, 1, 3), -9.0), torch.full((1, 1, 3), -9.0)]
    logits[0][0, 0, 1], logits[1][0, 0, 2] = 1.0, 0.0
    outputs = {
        "cls_logits": logits,
        "bbox_regression": [torch.tensor([[[2.0, 1, 2, 3]]]), torch.tensor([[[1.0, 1, 1, 10]]])],
        "bbox_ctrness": [torch.zeros(1, 1, 1), torch.full((1, 1, 1), 3.0)],
    }
    found = model.postprocess_detections(outputs, [levels], [(SIDE, SIDE)])[0]
    order = found["scores"].argsort(descending=True)
    assert found["boxes"][order].tolist()[:2] == [[48, 48, 80, 128], [24, 32, 56, 64]]
    assert found["labels"][order].tolist()[:2] == [2, 1]
    sigmoid = torch.sigmoid(torch.tensor([0.0, 3, 1, 0])).tolist()
    expected = [math.sqrt(sigmoid[0] * sigmoid[1]), math.sqrt(sigmoid[2] * sigmoid[3])]
    assert found["scores"][order].tolist()[:2] == pytest.approx(expected)
