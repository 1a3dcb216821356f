"""Targets, losses and boxes of classification and localization, worked out by hand."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from detectors.models import build_model, detector_module
from detectors.models.dense.classify_locate import ClassifyLocate, boxes_of, largest_of, shares_of
from detectors.models.spec import ModelSpec


def target(boxes: list[list[float]], labels: list[int], ignored: list[list[float]]) -> dict[str, Tensor]:
    return {
        "boxes": torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4),
        "labels": torch.tensor(labels, dtype=torch.long),
        "ignored": torch.tensor(ignored, dtype=torch.float32).reshape(-1, 4),
    }


# Of 40 x 10 and 20 x 30 pixels: the second is the larger one.
TWO = target([[0, 0, 40, 10], [10, 20, 30, 50]], [0, 2], [])
NONE, IGNORED = target([], [], []), target([], [], [[0, 0, 50, 50]])


def test_the_largest_product_stands_for_the_image() -> None:
    label, box = largest_of(TWO)
    assert int(label) == 3 and box.tolist() == [10, 20, 30, 50]
    label, box = largest_of(NONE)
    assert int(label) == 0 and box.tolist() == [0, 0, 0, 0]


def test_shares_of_the_image_and_back() -> None:
    """Centre 20, 35 and sides 20, 30 of an image of 100 x 50."""
    shares = shares_of(torch.tensor([[10.0, 20, 30, 50]]), (100, 50))
    torch.testing.assert_close(shares, torch.tensor([[0.2, 0.7, 0.2, 0.6]]))
    torch.testing.assert_close(boxes_of(shares, (100, 50)), torch.tensor([[10.0, 20, 30, 50]]))
    # Clipped to the image; a negative side has no area.
    beyond = boxes_of(torch.tensor([[0.9, 0.5, 0.4, -1.0]]), (100, 50))
    torch.testing.assert_close(beyond, torch.tensor([[70.0, 25, 100, 25]]))


def answering(logits: Tensor, shares: Tensor, monkeypatch: pytest.MonkeyPatch) -> ClassifyLocate:
    module = detector_module("classify_locate")
    options = (("box_weight", 2.0), ("width", 16))
    model = build_model(ModelSpec("classify_locate", "test_efficientnet", 3, 100, 50, module.MEAN, module.STD, options))
    monkeypatch.setattr(model, "_predict", lambda images: (logits, shares))
    return model


def test_losses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three images: one with the class of probability 1/2 and its box a tenth off in x and two in height, one that is
    background with probability 1/8, one that only has an ignored region.

    Classification (log 2 + 3 log 2) / 2; box 2 (0.01 + 0.04) of the only image that has one.
    """
    shares = torch.tensor([[0.3, 0.7, 0.2, 0.4], [0.5] * 4, [0.5] * 4])
    likely = torch.tensor([[0.2, 0.1, 0.2, 0.5], [0.125, 0.375, 0.25, 0.25], [0.25] * 4])
    losses = answering(likely.log(), shares, monkeypatch).losses(torch.zeros(3, 3, 50, 100), [TWO, NONE, IGNORED])
    assert float(losses["classification"]) == pytest.approx(2 * math.log(2), rel=1e-5)
    assert float(losses["box"]) == pytest.approx(0.1, rel=1e-5)


def test_one_box_for_each_image(monkeypatch: pytest.MonkeyPatch) -> None:
    """The likeliest product, however likely background is; nothing where no product has a hundredth."""
    likely = torch.tensor([[0.6, 0.1, 0.25, 0.05], [0.98, 0.008, 0.006, 0.006]])
    shares = torch.tensor([[0.2, 0.7, 0.2, 0.6], [0.5] * 4])
    first, second = answering(likely.log(), shares, monkeypatch).detect(torch.zeros(2, 3, 50, 100))
    assert first["labels"].tolist() == [1] and first["scores"].tolist() == pytest.approx([0.25])
    torch.testing.assert_close(first["boxes"], torch.tensor([[10.0, 20, 30, 50]]))
    assert second["boxes"].shape == (0, 4) and second["labels"].shape == second["scores"].shape == (0,)
