"""Corners of cuboids from the COCO file to the target of a training step."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from dataset.categories import MIRRORED
from detectors.augment import preset
from detectors.augment.apply import augment, flip
from detectors.augment.view import ImageWindow, compose
from detectors.data.image_set import ImageSet, open_images
from detectors.data.sample import Sample
from detectors.training.loader import target_of
from support.sets.coco_files import coco, read_set, write_set

CORNERS = np.array([[4 * k + 1, 2 * k + 1, 2] for k in range(8)], np.float32)
CORNERS[5:] = 0


def sample(corners: np.ndarray = CORNERS, label: int = 0) -> Sample:
    """One box of an image of 40 x 30."""
    image = np.zeros((30, 40, 3), np.uint8)
    return Sample(image, np.array([[0, 0, 20, 12]], np.float32), np.array([label]), keypoints=corners[None])


@pytest.fixture
def images(tmp_path: Path) -> ImageSet:
    """Three images of two boxes; the second box of the first image has corners, and one has keypoints of a person."""
    content = coco()
    content["annotations"][1].update(keypoints=CORNERS.ravel().tolist(), num_keypoints=5)
    content["annotations"][2].update(keypoints=[1.0, 1.0, 2] * 17, num_keypoints=17)
    write_set(tmp_path, content)
    return read_set(tmp_path)[0]


def test_a_set_has_those_of_cuboids(images: ImageSet, tmp_path: Path) -> None:
    assert images.keypoints is not None and images.keypoints.shape == (6, 8, 3) and not images.missing_keypoints
    assert (images.keypoints[1] == CORNERS).all() and not images.keypoints[[0, 2, 3, 4, 5]].any()
    assert images.take(np.array([0])).read_sample(0, masks=False).keypoints.shape == (2, 8, 3)  # type: ignore[union-attr]
    images.save(tmp_path / "stored")
    assert (open_images(tmp_path / "stored").keypoints == images.keypoints).all()


def test_a_set_without_any(tmp_path: Path) -> None:
    write_set(tmp_path, coco())
    images = read_set(tmp_path)[0]
    assert images.keypoints is None and "corners" in images.missing_keypoints
    assert images.read_sample(0, masks=False).keypoints is None
    images.save(tmp_path / "stored")
    assert open_images(tmp_path / "stored").keypoints is None


def test_a_window_moves_them_and_drops_those_outside() -> None:
    """The window from (4, 2) to (14, 12), twice as large, at (20, 0): corners 1, 2 and 3 at (5, 3), (9, 5), (13, 7)."""
    moved = compose([(sample(), ImageWindow((4, 2, 14, 12), (20, 0, 40, 20)))], 40, 20)
    assert moved.keypoints is not None
    assert moved.keypoints[0, 1:4].tolist() == [[22, 2, 2], [30, 6, 2], [38, 10, 2]]
    assert not moved.keypoints[0, [0, 4, 5, 6, 7]].any()


def test_parts_without_any() -> None:
    """An image without products lacks none; one with products does."""
    window = ImageWindow((0, 0, 40, 30), (0, 0, 40, 30))
    bare = replace(sample(), keypoints=None)
    empty = Sample(bare.image, np.zeros((0, 4), np.float32), np.zeros(0, np.int64))
    for other, known in ((sample(), 2), (empty, 1), (bare, None)):
        made = compose([(sample(), window), (other, window)], 40, 30)
        assert made.keypoints is None if known is None else made.keypoints.shape == (known, 8, 3)  # type: ignore[union-attr]


def test_flipped_they_change_sides() -> None:
    mirrored = flip(sample())
    assert mirrored.keypoints is not None
    assert mirrored.keypoints[0, 0].tolist() == [40 - 5, 3, 2]  # what was bottom_front_right
    assert mirrored.keypoints[0, 4].tolist() == [0, 0, 0] and mirrored.keypoints[0, 5].tolist() == [40 - 17, 9, 2]
    assert (flip(mirrored).keypoints == CORNERS).all() and sorted(MIRRORED) == list(range(8))


def test_rows_stay_with_their_boxes() -> None:
    """Of two targets the one that leaves the image is dropped together with its corners."""
    both = Sample(
        np.zeros((30, 40, 3), np.uint8),
        np.array([[25, 0, 40, 12], [0, 0, 20, 12]], np.float32),
        np.array([0, 1]),
        keypoints=np.stack([CORNERS + [20, 0, 0], CORNERS]),
    )
    seen = compose([(both, ImageWindow((0, 0, 20, 30), (0, 0, 20, 30)))], 20, 30)
    assert seen.labels.tolist() == [1] and (seen.keypoints == CORNERS).all()
    whole = augment(both, [], settings=preset("none"), width=40, height=30, rng=np.random.default_rng(0))
    target = target_of(replace(whole, labels=np.array([-1, 1])))
    assert target["keypoints"].numpy().tolist() == CORNERS[None].tolist() and target["boxes"].shape == (1, 4)


def test_a_wrong_number_of_them_is_refused() -> None:
    with pytest.raises(ValueError, match="keypoints"):
        sample(CORNERS[:7])
