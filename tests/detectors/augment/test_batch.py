"""Mosaic and CutMix of batches, on images whose values say where they are from."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from detectors.augment.batch import Patch, compose_patches, cutmix_batch, mosaic_batch

WIDTH, HEIGHT = 16, 12


def images(count: int = 4) -> Tensor:
    """Image i has the values i, column / 100 and row / 100."""
    rows, columns = torch.meshgrid(torch.arange(HEIGHT) / 100, torch.arange(WIDTH) / 100, indexing="ij")
    return torch.stack([torch.stack([torch.full_like(rows, i), columns, rows]) for i in range(count)])


def target(boxes: list[list[float]], labels: list[int], ignored: list[list[float]] | None = None) -> dict[str, Tensor]:
    masks = torch.zeros(len(boxes), HEIGHT, WIDTH, dtype=torch.uint8)
    for mask, (left, top, right, bottom) in zip(masks, boxes, strict=True):
        mask[int(top) : int(bottom), int(left) : int(right)] = 1
    return {
        "boxes": torch.tensor(boxes, dtype=torch.float32).view(-1, 4),
        "labels": torch.tensor(labels, dtype=torch.long),
        "ignored": torch.tensor(ignored or [], dtype=torch.float32).view(-1, 4),
        "masks": masks,
    }


def test_a_patch_moves_its_targets() -> None:
    """The right half, 8 pixels, shows image 1 from column 4, row 2 on: 4 to the right, 2 up."""
    targets = [target([], []), target([[6, 4, 10, 8]], [7], [[4, 2, 6, 4]])]
    patches = [Patch((0, 0, 8, 12), 0, 0, 0), Patch((8, 0, 16, 10), 1, 4, 2)]
    made, said = compose_patches(images(), targets, patches)
    assert made[0, :10].unique(dim=0).tolist() == [[0.0] * 8 + [1.0] * 8]
    assert made[1, 0, 8] == pytest.approx(0.04) and made[2, 0, 8] == pytest.approx(0.02)
    assert said["boxes"].tolist() == [[10, 2, 14, 6]] and said["labels"].tolist() == [7]
    assert said["ignored"].tolist() == [[8, 0, 10, 2]]
    mask = torch.zeros(HEIGHT, WIDTH, dtype=torch.uint8)
    mask[2:6, 10:14] = 1
    assert torch.equal(said["masks"][0], mask)


def test_what_a_patch_cuts() -> None:
    """Of three boxes a half, an eighth and nothing is left: a target, an ignored region, nothing."""
    cut = target([[2, 0, 10, 8], [0, 0, 8, 8], [0, 0, 4, 4]], [1, 2, 3])
    patches = [Patch((0, 0, 16, 12), 0, 0, 0), Patch((0, 0, 9, 12), 1, 7, 0)]
    _, said = compose_patches(
        images(), [target([], []), target([[3, 0, 11, 8], [0, 0, 8, 8], [0, 0, 4, 4]], [1, 2, 3])], patches
    )
    assert said["boxes"].tolist() == [[0, 0, 4, 8]] and said["labels"].tolist() == [1]
    assert said["ignored"].tolist() == [[0, 0, 1, 8]]
    assert len(cut["boxes"]) == 3


def test_what_a_patch_covers() -> None:
    """A patch of columns 4 to 12 and rows 0 to 8: covers all of one box, 3/4 of a second, 7/8 of a third, which shrinks
    to the columns beside it, and a corner of a fourth, whose box stays.
    """
    boxes = [[5.0, 1, 8, 4], [2, 0, 10, 8], [3, 0, 11, 8], [10, 6, 14, 10]]
    below = target(boxes, [0, 1, 2, 3], [[4, 0, 12, 12]])
    patches = [Patch((0, 0, 16, 12), 0, 0, 0), Patch((4, 0, 12, 8), 1, 4, 0)]
    _, said = compose_patches(images(), [below, target([], [])], patches)
    assert said["boxes"].tolist() == [[2, 0, 4, 8], [10, 6, 14, 10]] and said["labels"].tolist() == [1, 3]
    assert said["ignored"].tolist() == [[3, 0, 4, 8], [4, 8, 12, 12]]
    assert int(said["masks"][1].sum()) == 16 - 4


def test_a_mosaic_is_four_images_around_a_corner() -> None:
    torch.manual_seed(3)
    made, said = mosaic_batch(images(), [target([[0, 0, 16, 12]], [i]) for i in range(4)], 1.0)
    for number in range(4):
        sources = made[number, 0]
        assert sources[0, 0] == number
        column = next((x for x in range(1, WIDTH) if made[number, 1, 0, x] - made[number, 1, 0, x - 1] < 0.009), None)
        corners = {float(sources[y, x]) for y in (0, -1) for x in (0, -1)}
        assert {float(value) for value in sources.unique()} == corners
        assert column is None or 4 <= column <= 12
        # Every tile is covered by the box of its image, cut to the tile: a target, or ignored under a quarter.
        area = sum(float((box[2:] - box[:2]).prod()) for box in (*said[number]["boxes"], *said[number]["ignored"]))
        assert area == WIDTH * HEIGHT
    assert len({tuple(one["labels"].tolist()) for one in said}) > 1


def test_cutmix_shows_a_rectangle_of_another_image_in_place() -> None:
    torch.manual_seed(0)
    made, said = cutmix_batch(images(), [target([[1, 1, 15, 11]], [i]) for i in range(4)], 1.0)
    # Columns and rows are those of the images: nothing is moved.
    assert torch.equal(made[:, 1:], images()[:, 1:])
    for number in range(4):
        others = (made[number, 0] != number).nonzero()
        if len(others):
            low, high = others.amin(0), others.amax(0) + 1
            assert len(others) == int((high - low).prod())
    assert any(len(one["labels"]) + len(one["ignored"]) > 1 for one in said)


@pytest.mark.parametrize("change", [mosaic_batch, cutmix_batch])
def test_chance_and_seed(change: object) -> None:
    """Nothing happens with a chance of 0; the same seed does the same; the batch given is not changed."""
    given, targets = images(), [target([[2, 2, 8, 8]], [i]) for i in range(4)]
    same, said = change(given, targets, 0.0)  # type: ignore[operator]
    assert torch.equal(same, given) and said == targets
    found = []
    for _ in range(2):
        torch.manual_seed(9)
        found.append(change(given, targets, 0.7))  # type: ignore[operator]
    assert torch.equal(found[0][0], found[1][0])
    for one, other in zip(found[0][1], found[1][1], strict=True):
        assert all(torch.equal(one[name], other[name]) for name in one)
    assert torch.equal(given, images())


def test_without_masks_or_ignored_regions() -> None:
    plain = [{"boxes": torch.tensor([[2.0, 2, 8, 8]]), "labels": torch.tensor([i])} for i in range(2)]
    torch.manual_seed(1)
    for change in (mosaic_batch, cutmix_batch):
        _, said = change(images(2), plain, 1.0)
        assert all("masks" not in one and one["boxes"].shape[1] == 4 for one in said)
