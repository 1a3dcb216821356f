"""Targets, loss and regions of semantic segmentation on images of a few pixels, worked out by hand."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from detectors.models import build_model, detector_module
from detectors.models.dense.segnet import class_pixels, median_frequency
from detectors.models.dense.semantic import NOT_COUNTED, SemanticNetwork, class_map, pixel_loss, regions_of
from detectors.models.parts import IMAGENET_MEAN, IMAGENET_STD
from detectors.models.spec import ModelSpec


def target(masks: list[list[list[int]]], labels: list[int], ignored: list[list[float]]) -> dict[str, Tensor]:
    return {
        "boxes": torch.zeros(len(masks), 4),
        "labels": torch.tensor(labels, dtype=torch.long),
        "ignored": torch.tensor(ignored, dtype=torch.float32).reshape(-1, 4),
        "masks": torch.tensor(masks, dtype=torch.uint8).reshape(len(masks), 3, 4),
    }


def test_the_smaller_mask_lies_on_top_and_objects_lie_on_ignored_regions() -> None:
    """Label 4 covers the left three columns, label 0 two pixels of them; the last two columns are ignored."""
    large = [[1, 1, 1, 0]] * 3
    small = [[0, 0, 0, 0], [0, 1, 1, 0], [0, 0, 0, 0]]
    wanted = class_map([target([small, large], [0, 4], [[2, 0, 4, 3]]), target([], [], [[0, 1, 9, 2]])], (3, 4))
    assert wanted[0].tolist() == [[5, 5, 5, -1], [5, 1, 1, -1], [5, 5, 5, -1]]
    assert wanted[1].tolist() == [[0, 0, 0, 0], [-1, -1, -1, -1], [0, 0, 0, 0]]


def test_the_loss_is_the_weighted_mean_of_pixels_that_count() -> None:
    """Three pixels with probabilities 1/2, 1/4 and 1/8 of their class, a fourth left out.

    -log: 1, 2 and 3 times log 2: the mean is 2 log 2. With weights 1 for background and 3 for the product, which is
    the last of the three, (1 + 2 + 3 * 3) / (1 + 1 + 3) log 2 = 12 / 5 log 2.
    """
    shares = torch.tensor([[0.5, 0.25, 0.875, 0.1], [0.5, 0.75, 0.125, 0.9]])
    scores = shares.log()[None, :, None]
    wanted = torch.tensor([[[0, 0, 1, NOT_COUNTED]]])
    assert float(pixel_loss(scores, wanted)) == pytest.approx(2 * math.log(2), rel=1e-6)
    weighted = pixel_loss(scores, wanted, torch.tensor([1.0, 3.0]))
    assert float(weighted) == pytest.approx(2.4 * math.log(2), rel=1e-6)
    nothing = pixel_loss(scores.requires_grad_(), torch.full((1, 1, 4), NOT_COUNTED))
    nothing.backward()
    assert float(nothing.detach()) == 0


def test_median_frequency() -> None:
    """Two images of 4 pixels. Background: 2 + 3 of 8 pixels; class 1: 2 of the 4 of its image; class 2: 1 of 4.

    The frequencies 5/8, 1/2, 1/4 have the median 1/2: weights 4/5, 1, 2. A class that does not occur has 1. In the
    second case one pixel is left out: background 1 + 3 of 7, class 1 2 of 3, class 2 1 of 4; the median is 4/7.
    """
    wanted = torch.tensor([[[0, 0], [1, 1]], [[0, 0], [0, 2]]])
    torch.testing.assert_close(median_frequency(class_pixels(wanted, 3)), torch.tensor([0.8, 1, 2, 1]))
    wanted[0, 0, 0] = NOT_COUNTED
    torch.testing.assert_close(median_frequency(class_pixels(wanted, 3)), torch.tensor([1, 6 / 7, 16 / 7, 1]))
    assert median_frequency(class_pixels(torch.full((1, 2, 2), NOT_COUNTED), 1)).tolist() == [1, 1]


def test_segnet_weighs_by_all_images_that_it_trained_on() -> None:
    """The two images of above in two steps have the same weights in the end; validation counts nothing."""
    options = tuple(sorted(detector_module("segnet").SMALLEST.items()))
    model: Any = build_model(ModelSpec("segnet", None, 3, 32, 32, IMAGENET_MEAN, IMAGENET_STD, options))
    first, second = torch.tensor([[[0, 0], [1, 1]]]), torch.tensor([[[0, 0], [0, 2]]])
    model.train().class_weights(first)
    model.eval().class_weights(first)
    torch.testing.assert_close(model.train().class_weights(second), torch.tensor([0.8, 1, 2, 1]))
    assert "pixels" in model.state_dict()


CLASSES = np.array([[1, 1, 0, 2, 0], [1, 0, 0, 0, 2], [0, 0, 0, 0, 0], [1, 0, 0, 0, 0]], np.int64)
SHARES = np.array([[0.9, 0.8, 1, 0.5, 1], [0.4, 1, 1, 1, 0.7], [1, 1, 1, 1, 1], [0.95, 1, 1, 1, 1]], np.float32)


def test_regions_are_connected_pixels_of_a_class() -> None:
    """Class 1 has a region of three pixels, mean 0.7, and a single one of 0.95; class 2 a diagonal of mean 0.6."""
    found = regions_of(SHARES, CLASSES, min_area=1)
    assert [one.label for one in found] == [0, 0, 1]
    assert [one.score for one in found] == pytest.approx([0.95, 0.7, 0.6])
    assert [one.box for one in found] == [(0, 3, 1, 4), (0, 0, 2, 2), (3, 0, 5, 2)]
    assert found[2].mask.tolist() == [[0, 0, 0, 1, 0], [0, 0, 0, 0, 1], [0, 0, 0, 0, 0], [0, 0, 0, 0, 0]]
    assert [one.box for one in regions_of(SHARES, CLASSES, min_area=2)] == [(0, 0, 2, 2), (3, 0, 5, 2)]
    assert [one.score for one in regions_of(SHARES, CLASSES, min_area=1, most=1)] == pytest.approx([0.95])
    assert regions_of(SHARES, np.zeros_like(CLASSES), min_area=1) == []


class Painted(SemanticNetwork):
    """Says the same of every image: its scores are logarithms of probabilities."""

    def __init__(self, scores: Tensor) -> None:
        super().__init__(ModelSpec("painted", None, 2, 5, 4, (0, 0, 0), (1, 1, 1)), min_area=2)
        self.scores = scores

    def segment(self, images: Tensor) -> Tensor:
        return self.scores


def test_detections_have_boxes_scores_and_masks() -> None:
    rest = (1 - torch.from_numpy(SHARES)) / 2
    scores = torch.stack([rest, rest, rest])
    scores.scatter_(0, torch.from_numpy(CLASSES)[None], torch.from_numpy(SHARES)[None])
    (found,) = Painted(scores.clamp(min=1e-6).log()[None]).detect(torch.zeros(1, 3, 4, 5))
    assert found["labels"].tolist() == [0, 1] and found["masks"].shape == (2, 1, 4, 5)
    assert found["scores"].tolist() == pytest.approx([0.7, 0.6], abs=1e-4)
    assert found["boxes"].tolist() == [[0, 0, 2, 2], [3, 0, 5, 2]]
    (nothing,) = Painted(torch.tensor([1.0, 0, 0])[None, :, None, None].expand(1, 3, 4, 5)).detect(
        torch.zeros(1, 3, 4, 5)
    )
    assert nothing["boxes"].shape == (0, 4) and nothing["masks"].shape == (0, 1, 4, 5)
