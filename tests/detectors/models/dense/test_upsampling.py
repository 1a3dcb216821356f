"""The four upsamplings on maps of four cells, against results written out by hand."""

from __future__ import annotations

import torch

from detectors.models.dense.upsampling import (
    LearnedNails,
    bilinear_kernel,
    enlarge_nails,
    enlarge_nearest,
    pool,
    spread,
    unpool,
)

SMALL = torch.tensor([[1.0, 2], [3, 4]])[None, None]


def test_nearest_repeats_cells() -> None:
    wanted = [[1, 1, 2, 2], [1, 1, 2, 2], [3, 3, 4, 4], [3, 3, 4, 4]]
    assert enlarge_nearest(SMALL)[0, 0].tolist() == wanted
    assert enlarge_nearest(SMALL, 4).shape == (1, 1, 8, 8)


def test_nails_stand_in_the_top_left_corners() -> None:
    wanted = [[1, 0, 2, 0], [0, 0, 0, 0], [3, 0, 4, 0], [0, 0, 0, 0]]
    assert enlarge_nails(SMALL)[0, 0].tolist() == wanted
    three = enlarge_nails(SMALL, 3)[0, 0]
    assert three.shape == (6, 6) and three[::3, ::3].tolist() == [[1, 2], [3, 4]] and three.sum() == 10


def test_unpooling_puts_values_where_the_maxima_were() -> None:
    """The map of the lecture: the maxima 5, 6, 7, 8 and, after some layers, the values 1, 2, 3, 4 in their places."""
    before = torch.tensor([[1.0, 2, 6, 3], [3, 5, 2, 1], [1, 2, 2, 1], [7, 3, 4, 8]])[None, None]
    pooled, places = pool(before)
    assert pooled[0, 0].tolist() == [[5, 6], [7, 8]]
    wanted = [[0, 0, 2, 0], [0, 1, 0, 0], [0, 0, 0, 0], [3, 0, 0, 4]]
    assert unpool(SMALL, places, (4, 4))[0, 0].tolist() == wanted


def test_unpooling_of_odd_sizes() -> None:
    """Of five columns and three rows pooling drops the last; they come back as zeros."""
    before = torch.arange(15.0).reshape(1, 1, 3, 5)
    pooled, places = pool(before)
    assert pooled[0, 0].tolist() == [[6, 8]]
    wanted = [[0, 0, 0, 0, 0], [0, 6, 0, 8, 0], [0, 0, 0, 0, 0]]
    assert unpool(pooled, places, (3, 5))[0, 0].tolist() == wanted


def test_the_weights_of_linear_interpolation() -> None:
    kernel = bilinear_kernel(2)
    row = torch.tensor([0.25, 0.75, 0.75, 0.25])
    torch.testing.assert_close(kernel, torch.outer(row, row))
    # 1 - |i - 3.5| / 4 for i from 0 to 7.
    eighths = torch.tensor([1, 3, 5, 7, 7, 5, 3, 1]) / 8
    torch.testing.assert_close(bilinear_kernel(4)[3] / (7 / 8), eighths)


def test_a_transposed_convolution_reaches_half_a_cell_further() -> None:
    """The row 4, 8 by two: 1 3 | 3+2 1+6 | 6 2, where what reaches the same cell is added."""
    column = torch.tensor([[0.0], [0.0], [1.0], [0.0]])
    row = torch.tensor([[0.25, 0.75, 0.75, 0.25]])
    made = spread(torch.tensor([[4.0, 8]])[None, None], column * row)
    assert made.shape == (1, 1, 4, 6)
    assert made[0, 0, 2].tolist() == [1, 3, 5, 7, 6, 2]
    # A constant map stays constant where two cells reach.
    even = spread(torch.ones(1, 2, 4, 4), bilinear_kernel(2))
    assert even.shape == (1, 2, 10, 10)
    torch.testing.assert_close(even[:, :, 2:-2, 2:-2], torch.ones(1, 2, 6, 6))


def test_nails_with_a_filter_are_a_transposed_convolution() -> None:
    maps = torch.rand(2, 3, 5, 4)
    made = LearnedNails(3, 2)(maps)
    torch.testing.assert_close(made, spread(maps, bilinear_kernel(2))[:, :, 1:-1, 1:-1])
    twice = LearnedNails(3, 8)(maps)
    assert twice.shape == (2, 3, 40, 32)
    twice.sum().backward()
