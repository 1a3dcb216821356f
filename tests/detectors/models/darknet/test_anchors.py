"""Anchors clustered on boxes, worked out by hand, and their text in the options."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from detectors.models import detector_module
from detectors.models.darknet.anchors import (
    cluster_anchors,
    cluster_shapes,
    format_anchors,
    parse_anchors,
    shape_overlaps,
)
from detectors.models.darknet.yolov2 import YoloV2Options
from detectors.models.darknet.yolov3 import YoloV3Options
from detectors.models.interface import check_options
from support.errors import raises

# Two kinds of boxes; the means of each are (10, 11) and (42, 40).
SIZES = np.array([[10.0, 10], [40, 40], [10, 12], [44, 40]])


def test_overlap_of_shapes_that_share_a_corner() -> None:
    """10 x 20 and 20 x 10 have 100 of 300 in common."""
    overlap = shape_overlaps(torch.tensor([[10.0, 20]]), torch.tensor([[20.0, 10], [10, 20], [10, 10], [40, 40]]))
    assert overlap[0].tolist() == pytest.approx([1 / 3, 1, 0.5, 0.125])


@pytest.mark.parametrize("seed", range(5))
def test_clusters_are_the_means_of_like_shapes(seed: int) -> None:
    np.testing.assert_allclose(cluster_shapes(SIZES, 2, seed=seed), [[10, 11], [42, 40]])


def test_distance_is_not_euclidean() -> None:
    """k = 2 on 4, 10, 100 and 130: by length 4 and 10 are one kind, by overlap 10 is far from 4 but 100 near to 130.

    With three centroids, IoU of squares is (a / b)^2: 0.16 between 4 and 10, 0.59 between 100 and 130.
    """
    squares = np.array([[4.0, 4], [10, 10], [100, 100], [130, 130]])
    np.testing.assert_allclose(cluster_shapes(squares, 3, seed=0)[:, 0], [4, 10, 115])


def test_the_same_boxes_give_the_same_anchors() -> None:
    sizes = np.random.default_rng(3).uniform(5, 200, (400, 2))
    first = cluster_shapes(sizes, 9, seed=0)
    assert np.array_equal(first, cluster_shapes(sizes.copy(), 9, seed=0))
    assert (np.diff(first.prod(1)) >= 0).all()
    boxes = torch.from_numpy(sizes)
    own = shape_overlaps(boxes, torch.from_numpy(first)).amax(1).mean()
    published = shape_overlaps(boxes, torch.tensor(YoloV3Options.PAPER, dtype=torch.float64)).amax(1).mean()
    assert own > published + 0.05


def test_fewer_shapes_than_anchors() -> None:
    assert cluster_shapes(np.array([[8.0, 6]]), 5, seed=0).tolist() == [[8, 6]] * 5


def test_text_comes_back() -> None:
    text = format_anchors(np.array([[10.0, 13.25], [373, 326]]))
    assert text == "10.00x13.25 373.00x326.00"
    assert parse_anchors(text) == ((10, 13.25), (373, 326))


@pytest.mark.parametrize("text", ["10x13", "10x13 " * 8 + "7", "10x0 " * 9, "ax1 " * 9, "1e9x1 " * 9, "nanx1 " * 9, ""])
def test_bad_anchors_are_told(text: str) -> None:
    with raises("content-invalid", problems="anchors"):
        check_options(detector_module("yolov3"), {"anchors": text}, "yolov3")


def test_who_chooses_the_anchors() -> None:
    boxes = np.array([[0, 0, 10, 10], [5, 5, 15, 17], [0, 0, 40, 40]], np.float32)
    assert cluster_anchors(boxes, YoloV2Options())["anchors"]
    assert cluster_anchors(boxes[:0], YoloV2Options()) == {}
    assert cluster_anchors(boxes, YoloV2Options(anchors="published")) == {}
    assert YoloV2Options().shapes == YoloV2Options(anchors="published").shapes
    own = YoloV2Options(anchors="1x2 3x4 5x6 7x8 9x9.5")
    assert cluster_anchors(boxes, own) == {} and own.shapes[-1] == (9, 9.5)


def test_published_anchors() -> None:
    """In pixels: YOLOv2's are published in cells of 32."""
    assert YoloV2Options.PAPER[0] == pytest.approx((42.3072, 55.4064))
    assert YoloV3Options.PAPER[-1] == (373, 326)
    for name, count in (("yolov2", 5), ("yolov3", 9), ("yolov4", 9)):
        assert len(detector_module(name).Options().shapes) == detector_module(name).Options.COUNT == count
