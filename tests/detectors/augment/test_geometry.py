"""Boxes stay where the image is: coloured rectangles, found again in the result by their colour."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors.augment import Letterbox, augment, fit, preset
from detectors.augment.framing import frame, sample_window
from detectors.augment.view import GREY, ImageWindow, compose, resize
from detectors.data.image_set import IGNORED
from detectors.data.sample import Sample

STILL = preset("none")
# One per label, far from each other, from the ground and from the fill.
COLORS = np.array([[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 0]])
GROUND = 60

ALONE = {
    "fit": STILL,
    "zoom": replace(STILL, zoom_chance=1),
    "stretch": replace(STILL, zoom_chance=1, zoom=(1, 1), aspect=(0.5, 2)),
    "far": replace(STILL, zoom_chance=1, zoom=(0.2, 0.6)),
    "near": replace(STILL, zoom_chance=1, zoom=(1.5, 4)),
    "patch": replace(STILL, patch_chance=1, expand_chance=0),
    "canvas": replace(STILL, patch_chance=1, expand_chance=1, expand=(1, 2)),
    "mosaic": replace(STILL, mosaic_chance=1),
    "paste": replace(STILL, paste_chance=1),
    "flip": replace(STILL, flip_chance=1),
    "together": replace(STILL, zoom_chance=1, mosaic_chance=0.5, paste_chance=1, flip_chance=0.5),
}


def rectangle_sample(label: int, width: int, height: int, rng: np.random.Generator, masks: bool) -> Sample:
    """One rectangle in the colour of its label, exactly at its box, off the border."""
    image = np.full((height, width, 3), GROUND, np.uint8)
    x0, y0 = rng.integers(1, width - 24), rng.integers(1, height - 24)
    x1, y1 = x0 + rng.integers(16, 24), y0 + rng.integers(16, 24)
    image[y0:y1, x0:x1] = COLORS[label]
    mask = np.zeros((1, height, width), np.uint8)
    mask[0, y0:y1, x0:x1] = 1
    return Sample(image, np.array([[x0, y0, x1, y1]], np.float32), np.array([label]), mask if masks else None)


def colored(image: np.ndarray, label: int) -> np.ndarray:
    """(H, W) bool: over halfway from ground to the label's colour, in all channels."""
    middle = (COLORS[label] + GROUND) / 2
    return ((image > middle) == (COLORS[label] > GROUND)).all(axis=2)


def bounds(found: np.ndarray) -> np.ndarray:
    rows, columns = np.nonzero(found)
    return np.array([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1])


@pytest.mark.parametrize("masks", [True, False])
@pytest.mark.parametrize("name", ALONE)
def test_boxes_fit_the_colours(name: str, masks: bool) -> None:
    """All of a label's colour is found within 1.5 px of its boxes, for every geometric change alone and together."""
    checked = 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        width, height = ((160, 90), (97, 131), (320, 180))[seed % 3]
        four = [rectangle_sample(label, width, height, rng, masks) for label in range(4)]
        others = [partial(lambda other: other, other) for other in four[1:]]
        made = augment(four[0], others, settings=ALONE[name], width=160, height=90, rng=rng)
        if IGNORED in made.labels:  # what it shows has no label any more
            continue
        for label in np.unique(made.labels):
            boxes = made.boxes[made.labels == label]
            union = np.concatenate([boxes[:, :2].min(axis=0), boxes[:, 2:].max(axis=0)])
            np.testing.assert_allclose(union, bounds(colored(made.image, int(label))), atol=1.5)
            checked += 1
    assert checked >= 20


@pytest.mark.parametrize("seed", range(30))
def test_masks_lie_on_the_colours(seed: int) -> None:
    """Apart from a pixel at the edge, mask and colour are the same set."""
    rng = np.random.default_rng(seed)
    sample = rectangle_sample(0, 320, 180, rng, masks=True)
    made = frame(sample, settings=replace(STILL, zoom_chance=1), width=160, height=90, rng=rng)
    assert made.masks is not None
    differing = (made.masks.sum(axis=0) > 0) != colored(made.image, 0)
    assert differing.sum() <= 2 * (made.boxes[:, 2:] - made.boxes[:, :2]).sum() + 4


def test_masks_tighten_boxes_beside_samples_without() -> None:
    """An L-shaped mask cut so that its foot is gone: the box shrinks to the stem, though the result has no masks."""
    mask = np.zeros((1, 50, 50), np.uint8)
    mask[0, 10:40, 10:20] = mask[0, 30:40, 10:40] = 1
    image = np.zeros((50, 50, 3), np.uint8)
    foot = Sample(image, np.array([[10, 10, 40, 40]], np.float32), np.array([0]), mask)
    bare = Sample(image, np.array([[5, 5, 15, 15]], np.float32), np.array([1]))
    above, below = ImageWindow((0, 0, 50, 30), (0, 0, 50, 30)), ImageWindow((0, 0, 50, 20), (0, 30, 50, 50))
    made = compose([(foot, above), (bare, below)], 50, 50)
    assert made.masks is None
    np.testing.assert_array_equal(made.boxes, [[10, 10, 20, 30], [5, 35, 15, 45]])


@given(st.integers(1, 3000), st.integers(1, 3000), st.integers(1, 700), st.integers(1, 700), st.integers(0, 2**32))
def test_boxes_come_back_from_the_letterbox(
    width: int, height: int, out_width: int, out_height: int, seed: int
) -> None:
    scale = min(out_width / width, out_height / height)
    box = Letterbox(scale, width, height)
    assert 1 <= box.fitted_width <= max(out_width, 1) and 1 <= box.fitted_height <= max(out_height, 1)
    corners = np.sort(np.random.default_rng(seed).random((5, 2, 2)), axis=1) * [width, height]
    boxes = corners.reshape(5, 4).astype(np.float32)
    np.testing.assert_allclose(box.to_original(box.window.move(boxes)), boxes, atol=1e-3)


def test_letterbox_clips_into_the_image() -> None:
    """1920x1080 in 640x640: the scale is 1/3, the image ends at row 360."""
    box = Letterbox(1 / 3, 1920, 1080)
    found = box.to_original(np.array([[-5, 10, 700, 400], [0, 0, 640, 360]]))
    np.testing.assert_allclose(found, [[0, 30, 1920, 1080], [0, 0, 1920, 1080]])


def test_fit_fills_right_and_below_with_grey() -> None:
    white = Sample(np.full((50, 100, 3), 255, np.uint8), np.array([[10, 10, 30, 40]], np.float32), np.array([IGNORED]))
    made, box = fit(white, 64, 64)
    assert box == Letterbox(0.64, 100, 50)
    assert (made.image[:32] == 255).all() and (made.image[32:] == GREY).all()
    np.testing.assert_allclose(made.boxes, [[6.4, 6.4, 19.2, 25.6]], rtol=1e-6)
    assert made.labels.tolist() == [IGNORED]


@pytest.mark.parametrize(
    ("cut", "label"),
    [
        (0, 3),
        (29, 3),  # 11 of 40 columns left: 27 %
        (31, IGNORED),  # 9 of 40: 22 %
        (39, IGNORED),  # one pixel left
        (40, None),  # nothing left
    ],
)
@pytest.mark.parametrize("masks", [True, False])
def test_what_is_left_of_a_box_decides_its_label(cut: int, label: int | None, masks: bool) -> None:
    """A window that begins `cut` pixels into a box 40 wide."""
    mask = np.zeros((1, 50, 100), np.uint8)
    mask[0, 10:40, 10:50] = 1
    box = np.array([[10, 10, 50, 40]], np.float32)
    sample = Sample(np.zeros((50, 100, 3), np.uint8), box, np.array([3]), mask if masks else None)
    made = compose([(sample, ImageWindow((10 + cut, 0, 100, 50), (0, 0, 90 - cut, 50)))], 100, 50)
    assert made.labels.tolist() == ([] if label is None else [label])
    if label is not None:
        np.testing.assert_allclose(made.boxes, [[0, 10, 40 - cut, 40]])


@settings(max_examples=200)
@given(
    st.integers(1, 500),
    st.integers(1, 500),
    st.integers(1, 300),
    st.integers(1, 300),
    st.floats(0.01, 100),
    st.integers(0, 2**32),
)
def test_windows_hold_a_target(width: int, height: int, tile_w: int, tile_h: int, scale: float, seed: int) -> None:
    """The window lies in the image, the target on the tile, and the centre of the one target in the window."""
    rng = np.random.default_rng(seed)
    corners = np.sort(rng.random((2, 2)), axis=0) * [width, height]
    boxes = np.concatenate([corners.reshape(1, 4), [[0, 0, width, height]]]).astype(np.float32)
    sample = Sample(np.zeros((height, width, 3), np.uint8), boxes, np.array([0, IGNORED]))
    view = sample_window(sample, (5, 7, 5 + tile_w, 7 + tile_h), (scale, scale), rng)
    (x0, y0, x1, y1), (left, top, right, bottom) = view.source, view.target
    assert 0 <= x0 < x1 <= width and 0 <= y0 < y1 <= height
    assert 5 <= left < right <= 5 + tile_w and 7 <= top < bottom <= 7 + tile_h
    x, y = (boxes[0, :2].astype(float) + boxes[0, 2:]) / 2
    assert x0 <= x <= x1 and y0 <= y <= y1


@pytest.mark.parametrize("factor", [2, 3, 4, 6])
def test_shrinking_takes_means(factor: int) -> None:
    image = np.random.default_rng(0).integers(0, 256, (12 * factor, 16 * factor, 3), dtype=np.uint8)
    means = image.reshape(12, factor, 16, factor, 3).mean(axis=(1, 3))
    np.testing.assert_allclose(resize(image, 16, 12), means, atol=0.51)


@pytest.mark.parametrize("size", [(34, 20), (45, 27), (100, 60), (130, 90), (333, 444)])
def test_resizing_moves_nothing(size: tuple[int, int]) -> None:
    """A ramp of 2 per pixel stays that ramp, in output pixels of any size: values at pixel centres are known."""
    image = np.repeat((np.arange(100, dtype=np.uint8) * 2 + 1)[None, :, None], 60, axis=0).repeat(3, axis=2)
    made = resize(image, *size).astype(float)
    expected = np.clip((np.arange(size[0]) + 0.5) * (100 / size[0]) * 2, 1, 199)
    np.testing.assert_allclose(made, np.broadcast_to(expected[None, :, None], made.shape), atol=1.1)
