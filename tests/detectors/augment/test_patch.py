"""Patches as SSD is trained on: what they overlap, how large they are, and where they land."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from detectors.augment import augment, fit, preset
from detectors.augment.patch import OVERLAPS, sample_patch, window_of
from detectors.augment.view import GREY
from detectors.data.sample import Sample

CANVAS = np.array([0.0, 0.0, 200.0, 100.0])


class Chosen:
    """A generator that wants one of the overlaps; all else is chance."""

    def __init__(self, overlap: float | None, seed: int) -> None:
        self.place, self.rng = OVERLAPS.index(overlap), np.random.default_rng(seed)

    def integers(self, count: int) -> int:
        return self.place

    def __getattr__(self, name: str) -> object:
        return getattr(self.rng, name)


def iou(patch: np.ndarray, box: np.ndarray) -> float:
    sides = np.minimum(patch[2:], box[2:]) - np.maximum(patch[:2], box[:2])
    shared = float(np.maximum(sides, 0).prod())
    return shared / (float((patch[2:] - patch[:2]).prod()) + float((box[2:] - box[:2]).prod()) - shared)


@pytest.mark.parametrize("overlap", [0.0, 0.1, 0.3, 0.5])
def test_a_patch_overlaps_a_product_as_wanted(overlap: float) -> None:
    boxes = np.array([[60, 20, 160, 90], [0, 0, 12, 12]], np.float32)
    whole = 0
    for seed in range(100):
        patch = sample_patch(CANVAS, boxes, (0.32, 1.0), Chosen(overlap, seed))  # type: ignore[arg-type]
        whole += bool((patch == CANVAS).all())
        shares = (patch[2:] - patch[:2]) / [200, 100]
        assert (shares >= 0.32).all() and 0.5 <= shares[0] / shares[1] <= 2
        assert (patch[:2] >= 0).all() and (patch[2:] <= CANVAS[2:] + 1e-9).all()
        assert (patch == CANVAS).all() or max(iou(patch, box) for box in boxes) >= overlap
        centres = (boxes[:, :2] + boxes[:, 2:]) / 2
        assert ((centres > patch[:2]) & (centres < patch[2:])).all(axis=1).any()
    assert whole < 20


def test_the_whole_image_where_there_is_no_such_patch() -> None:
    small = np.array([[0, 0, 12, 12]], np.float32)
    for overlap in (None, 0.9):
        assert (sample_patch(CANVAS, small, (0.32, 1.0), Chosen(overlap, 0)) == CANVAS).all()  # type: ignore[arg-type]
    nothing = np.zeros((0, 4), np.float32)
    assert (sample_patch(CANVAS, nothing, (0.32, 1.0), Chosen(0.5, 0)) == CANVAS).all()  # type: ignore[arg-type]


def test_windows_by_hand() -> None:
    """Of an image of 200 x 100 for an output of 100 x 100: half of its width, then a canvas of twice its sides."""
    sample = Sample(np.zeros((100, 200, 3), np.uint8), np.zeros((0, 4), np.float32), np.zeros(0, np.int64), None)
    half = window_of(np.array([50.0, 0, 150, 100]), sample, 100, 100)
    assert (half.source, half.target) == ((50, 0, 150, 100), (0, 0, 100, 100))
    canvas = window_of(np.array([-100.0, -50, 300, 150]), sample, 100, 100)
    assert (canvas.source, canvas.target) == ((0, 0, 200, 100), (25, 25, 75, 75))


def test_the_preset_shows_small_products_on_grey_and_large_ones() -> None:
    """A product of a tenth of the area is seen from a hundredth of the image to half of it."""
    image = np.full((120, 120, 3), 200, np.uint8)
    sample = Sample(image, np.array([[40, 40, 80, 80]], np.float32), np.array([0]), None)
    shares, grey = [], 0
    for seed in range(200):
        made = augment(sample, [], settings=preset("ssd"), width=96, height=96, rng=np.random.default_rng(seed))
        shares += [float((box[2:] - box[:2]).prod()) / 96**2 for box in made.boxes]
        grey += bool((np.abs(made.image[0, 0].astype(int) - GREY) < 40).all())
    assert min(shares) < 0.015 and max(shares) > 0.5 and 0.2 < grey / 200 < 0.8


def test_the_whole_image_is_as_in_prediction() -> None:
    """One of seven patches is the whole canvas: without a larger one that is the image fitted to the network."""
    rng = np.random.default_rng(0)
    image = rng.integers(0, 255, (60, 120, 3), np.uint8)
    sample = Sample(image, np.array([[40, 20, 80, 40]], np.float32), np.array([0]), None)
    settings = replace(preset("ssd"), expand_chance=0, color_chance=0)
    made = [
        augment(sample, [], settings=settings, width=60, height=60, rng=np.random.default_rng(seed))
        for seed in range(40)
    ]
    expected, _ = fit(sample, 60, 60)
    assert any(np.array_equal(one.image, expected.image) for one in made)
