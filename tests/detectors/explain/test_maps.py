"""Feature maps, receptive fields and patches of networks whose answers can be worked out on paper."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from detectors.explain.filters import as_input, crop_at, top_patches
from detectors.explain.maps import feature_levels, receptive_field
from detectors.explain.plots import heat, plot_level

CPU = torch.device("cpu")


def sums(images: Tensor) -> list[Tensor]:
    """Two levels: sums of 3 x 3 pixels twice, which see 5 x 5; means of 4 x 4 pixels of red, and minus three times."""
    ones = torch.ones(1, 3, 3, 3, dtype=images.dtype)
    first = functional.conv2d(images, ones, padding=1)
    second = functional.conv2d(first, torch.ones(1, 1, 3, 3), padding=1)
    red = functional.avg_pool2d(images[:, :1], 4)
    return [second, torch.cat([red, -3 * red, 0 * red], 1)]


def test_levels_strongest_channels_and_what_they_see() -> None:
    images = torch.zeros(1, 3, 16, 24)
    images[0, 0, 4:8, 8:12] = 1
    fine, coarse = feature_levels(sums, images, 2)
    assert fine.maps.shape == (1, 16, 24) and fine.strongest == (0,)
    assert coarse.maps.shape == (3, 4, 6) and coarse.strongest == (1, 0)
    assert coarse.maps[0, 1, 2] == 1 and coarse.maps[0].sum() == 1
    assert coarse.sees == (4, 4)
    # The twofold sum weighs its 5 x 5 pixels 1 2 3 2 1 in both directions: the inner 3 x 3 hold (17 / 19)^2 = 0.80 of
    # the squares, the middle alone (9 / 19)^2.
    assert fine.sees == (3, 3)


def test_what_passes_no_gradient_sees_its_stride() -> None:
    images = torch.rand(1, 3, 16, 24)
    assert receptive_field(lambda one: [torch.zeros(1, 2, 4, 4)], images, 0) == (6, 4)
    assert receptive_field(lambda one: [functional.avg_pool2d(one, 8) * 0], images, 0) == (8, 8)


def test_patches_are_where_the_channel_is_largest() -> None:
    """The first filter finds the cell of the most red, minus three times it the least; one patch of each image."""
    images = []
    for number, level in enumerate((60, 240, 120)):
        image = np.full((16, 24, 3), 40, np.uint8)
        image[:, :, 1] = 10 * number
        image[8:12, 16:20, 0] = level
        images.append(image)
    seen: list[int] = []
    found = top_patches(
        sums, images, [[], [0, 1]], [(5, 5), (4, 4)], 2, device=CPU, advance=lambda count: seen.append(count)
    )
    assert found[0] == [] and len(seen) == 3
    bright, dark = found[1]
    assert [round(255 * patch.value) for patch in bright] == [240, 120]
    assert all((patch.pixels[..., 0] == level).all() for patch, level in zip(bright, (240, 120), strict=True))
    assert [int(patch.pixels[0, 0, 1]) for patch in bright] == [10, 20]
    # Equal ones in the order of the images; the least red is that of the background.
    assert [round(255 * patch.value) for patch in dark] == [-120, -120]
    assert [int(patch.pixels[0, 0, 1]) for patch in dark] == [0, 10]


@pytest.mark.parametrize(("middle", "corner"), [((0, 0), (2, 2)), ((6, 4), (0, 0)), ((100, 100), (4, 4))])
def test_crops_beyond_the_border_are_grey(middle: tuple[int, int], corner: tuple[int, int]) -> None:
    """Of 4 x 4 pixels around the corner of an image, those from (2, 2) on are inside."""
    image = np.full((8, 12, 3), 200, np.uint8)
    crop = crop_at(image, middle, (4, 4))
    expected = np.full((4, 4, 3), 127, np.uint8)
    expected[corner[1] :, corner[0] :] = 200
    np.testing.assert_array_equal(crop, expected)


def test_maps_as_pictures() -> None:
    """The least value is dark, the largest bright, each cell as large as its part of the image."""
    image = np.zeros((16, 24, 3), np.uint8)
    picture = heat(np.array([[0.0, 5.0]], np.float32), image)
    assert picture.shape == (16, 24, 3)
    assert picture[:, :12].max() < 30 and picture[:, 12:, 0].min() > 150
    assert heat(np.full((2, 2), 3.0, np.float32), image).max() < 30
    (level, *_) = feature_levels(sums, as_input(image, CPU), 4)
    assert plot_level(level, image).startswith(b"\x89PNG")
