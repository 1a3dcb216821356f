"""Pasting, erasing and the camera's changes, each alone, on images one can work out on paper."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from assets.color import distinct_color
from detectors.augment import preset
from detectors.augment.camera import add_noise, color_matrix, grade, motion_kernel, recompress, retake
from detectors.augment.occlude import erase
from detectors.augment.paste import paste
from detectors.data.image_set import IGNORED
from detectors.data.plot_batch import plot_batch, plot_sample
from detectors.data.sample import Sample

STRONG = preset("strong")
ONE_PIECE = replace(STRONG, paste_count=1, paste_scale=(1, 1))


def blocks(size: tuple[int, int], *boxes: tuple[int, int, int, int], label: int = 0, masks: bool = True) -> Sample:
    """Black with a white block per box; labels count up from `label`."""
    width, height = size
    image, stack = np.zeros((height, width, 3), np.uint8), np.zeros((len(boxes), height, width), np.uint8)
    for mask, (x0, y0, x1, y1) in zip(stack, boxes, strict=True):
        mask[y0:y1, x0:x1] = 1
        image[y0:y1, x0:x1] = 255
    labels = np.arange(label, label + len(boxes))
    return Sample(image, np.array(boxes, np.float32).reshape(-1, 4), labels, stack if masks else None)


class Corner(np.random.Generator):
    """Chance that always draws the lowest place."""

    def __init__(self) -> None:
        super().__init__(np.random.PCG64(0))

    def integers(self, low: int, high: int | None = None, **_: object) -> int:  # type: ignore[override]
        return 0 if high is None else low


@pytest.mark.parametrize(
    ("box", "label", "rest"),
    [
        ((0, 0, 10, 10), None, None),  # all under the block
        ((0, 0, 30, 32), IGNORED, (0, 30, 30, 32)),  # 2 of 32 rows seen: 6 %
        ((0, 0, 30, 40), 0, (0, 30, 30, 40)),  # a quarter seen
        ((35, 0, 39, 9), 0, (35, 0, 39, 9)),  # beside it
    ],
)
@pytest.mark.parametrize("masks", [True, False])
def test_pasted_products_cover_what_is_below(
    box: tuple[int, int, int, int], label: int | None, rest: tuple[int, int, int, int] | None, masks: bool
) -> None:
    """The block lands in the corner; boxes shrink to the rest of their mask, and stay where there is none."""
    base = blocks((40, 40), box, masks=masks)
    partner = blocks((40, 40), (1, 1, 31, 31), label=7)
    made = paste(base, partner, settings=ONE_PIECE, rng=Corner())
    expected = [] if label is None else [label]
    assert made.labels.tolist() == [*expected, 7]
    assert (made.masks is not None) == masks
    np.testing.assert_array_equal(made.boxes[-1], [0, 0, 30, 30])
    if rest is not None:
        np.testing.assert_array_equal(made.boxes[0], rest if masks else box)
    assert (made.image[1:29, 1:29] == 255).all()


def test_what_is_pasted_later_covers_what_was_pasted_before() -> None:
    """Two blocks nearly as large as the image: of the first a sliver is left at most."""
    partner = blocks((60, 60), (1, 1, 59, 59), (1, 1, 59, 59), label=4)
    counts = set()
    for seed in range(20):
        made = paste(
            blocks((60, 60)), partner, settings=replace(ONE_PIECE, paste_count=2), rng=np.random.default_rng(seed)
        )
        assert np.count_nonzero(made.labels != IGNORED) == 1
        assert made.labels[-1] in (4, 5)
        counts.add(len(made.labels))
    assert counts == {1, 2}


def test_edges_are_softened_inside_only() -> None:
    made = paste(blocks((40, 40)), blocks((40, 40), (5, 5, 25, 25)), settings=ONE_PIECE, rng=np.random.default_rng(1))
    assert made.masks is not None
    mask = made.masks[0] > 0
    assert not made.image[~mask].any()
    assert set(np.unique(made.image[mask])) == {113, 170, 255}  # 4, 6 and 9 ninths


@pytest.mark.parametrize(
    "partner",
    [
        blocks((40, 40), (5, 5, 25, 25), masks=False),
        blocks((40, 40)),
        blocks((40, 40), (0, 5, 25, 25)),  # cut by the border
        blocks((40, 40), (5, 5, 25, 25), label=IGNORED),
    ],
)
def test_nothing_to_paste_changes_nothing(partner: Sample) -> None:
    base = blocks((40, 40), (1, 2, 3, 4))
    assert paste(base, partner, settings=ONE_PIECE, rng=np.random.default_rng(0)) is base


@pytest.mark.parametrize("seed", range(20))
def test_erasing_hides_no_more_than_allowed(seed: int) -> None:
    """Overlapping boxes on black, filled or not: no box loses over 30 %, something is hidden, labels are not asked."""
    sample = blocks((200, 100), (10, 10, 90, 90), (50, 20, 120, 80), (130, 30, 170, 70), (140, 40, 150, 50))
    black = replace(sample, image=np.full_like(sample.image, 7))
    image = erase(black, settings=replace(STRONG, erase_share=1), rng=np.random.default_rng(seed))
    changed = (image != 7).any(axis=2)
    for x0, y0, x1, y1 in sample.boxes.astype(int):
        assert changed[y0:y1, x0:x1].mean() <= 0.3
    outside = changed.copy()
    for x0, y0, x1, y1 in sample.boxes.astype(int):
        outside[y0:y1, x0:x1] = False
    assert not outside.any() and (black.image == 7).all()


def test_erasing_covers_some_of_most_boxes() -> None:
    sample = blocks((200, 100), (10, 10, 90, 90))
    rngs = [np.random.default_rng(seed) for seed in range(30)]
    images = [erase(sample, settings=replace(STRONG, erase_share=1), rng=rng) for rng in rngs]
    assert sum((image != sample.image).any() for image in images) >= 20


def test_neutral_colour_changes_nothing() -> None:
    neutral = replace(
        STRONG, brightness=(1, 1), contrast=(1, 1), gamma=(1, 1), white_balance=(1, 1), saturation=(1, 1), hue=(0, 0)
    )
    image = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    made = grade(image, settings=neutral, rng=np.random.default_rng(0))
    np.testing.assert_allclose(made.astype(int), image, atol=1)


def test_greys_have_no_colour_to_turn() -> None:
    matrix = color_matrix(1.7, 0.4)
    np.testing.assert_allclose(matrix @ np.ones(3), np.ones(3), atol=1e-9)
    np.testing.assert_allclose(np.array([0.299, 0.587, 0.114]) @ matrix, [0.299, 0.587, 0.114], atol=1e-9)
    np.testing.assert_allclose(color_matrix(0, 0), np.tile([0.299, 0.587, 0.114], (3, 1)), atol=1e-9)


@pytest.mark.parametrize("angle", [0.0, 0.5, 1.5708, 3.0])
def test_shake_moves_nothing_on_average(angle: float) -> None:
    kernel = motion_kernel(6.3, angle)
    middle = (kernel.shape[0] - 1) / 2
    rows, columns = np.mgrid[: kernel.shape[0], : kernel.shape[1]]
    assert kernel.sum() == pytest.approx(1)
    assert (kernel * rows).sum() == pytest.approx(middle) and (kernel * columns).sum() == pytest.approx(middle)


def test_shake_along_x_is_a_row() -> None:
    np.testing.assert_allclose(motion_kernel(3, 0).sum(axis=1)[2], 1)
    assert (motion_kernel(3, 0)[2] > 0).tolist() == [False, True, True, True, False]


@pytest.mark.parametrize("deviation", [1.0, 4.0, 10.0])
def test_noise_has_its_deviation_and_no_bias(deviation: float) -> None:
    """On images larger than the tile, too."""
    for seed in range(4):
        made = add_noise(np.full((600, 530, 3), 128, np.uint8), deviation, rng=np.random.default_rng(seed))
        assert made.shape == (600, 530, 3)
        assert made.std() == pytest.approx(deviation, rel=0.06, abs=0.1)
        assert made.mean() == pytest.approx(128, abs=0.2)


def test_jpeg_keeps_channels_in_order() -> None:
    image = np.full((16, 16, 3), (200, 100, 30), np.uint8)
    np.testing.assert_allclose(recompress(image, 90).astype(int), image, atol=4)


def test_nothing_drawn_leaves_the_image() -> None:
    image = np.zeros((4, 4, 3), np.uint8)
    assert retake(image, settings=preset("none"), rng=np.random.default_rng(0)) is image


def test_sheet_shows_every_sample(tmp_path: Path) -> None:
    """Three samples in two columns; the box's outermost pixels are drawn in the label's colour."""
    sample = blocks((60, 40), (5, 20, 25, 35), (30, 20, 50, 35), masks=False)
    sample = replace(sample, labels=np.array([1, IGNORED]))
    plot_batch(
        [sample] * 3, ["a.jpg", "b.jpg", "a folder of a name too long to fit/c.jpg"], ["x", "y"], tmp_path / "s.png", 2
    )
    with Image.open(tmp_path / "s.png") as sheet:
        assert sheet.width > 2 * 60 and sheet.height > 2 * 40
    image = np.asarray(plot_sample(sample, ["x", "y"]))
    for row, column in ((34, 5), (34, 24), (30, 5), (30, 24)):
        assert tuple(image[row, column]) == distinct_color(1)
    assert (image[35:] == 0).all()
    assert [path.name for path in tmp_path.iterdir()] == ["s.png"]


def test_sheet_refuses_captions_that_do_not_fit(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="captions"):
        plot_batch([blocks((8, 8))], [], [], tmp_path / "s.png")
