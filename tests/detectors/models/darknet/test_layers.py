"""Attention, norms across mini-batches, backbones and changing input sizes, worked out by hand."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from detectors.models.darknet.backbones import CspDarknet53, Darknet19, Darknet53, FirstDarknet
from detectors.models.darknet.input_shapes import RandomShapes, resize_inputs
from detectors.models.darknet.layers import CrossBatchNorm, LayerStyle, PointAttention, begin_mini_batches
from detectors.models.darknet.necks import PyramidPooling


def column(*values: float) -> torch.Tensor:
    """One channel of one pixel of several images."""
    return torch.tensor(values, dtype=torch.float32).view(-1, 1, 1, 1)


def test_norm_across_mini_batches() -> None:
    """1 and 3 have mean 2 and variance 1; with 5 and 7 mean 4 and variance 5, of which 5 and 7 become 1 and 3 / sqrt 5.

    The running statistics are those over all four: 0.1 * 4, and 0.9 + 0.1 * 5 * 4 / 3 (unbiased).
    """
    norm = CrossBatchNorm(1).train()
    norm.eps = 0.0
    norm.begin(2)
    assert norm(column(1, 3)).flatten().tolist() == pytest.approx([-1, 1])
    assert float(norm.running_mean) == 0
    assert norm(column(5, 7)).flatten().tolist() == pytest.approx([1 / math.sqrt(5), 3 / math.sqrt(5)])
    assert float(norm.running_mean) == pytest.approx(0.4)
    assert float(norm.running_var) == pytest.approx(0.9 + 0.1 * 20 / 3)


def test_the_last_mini_batch_is_normalised_as_in_one_batch() -> None:
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(6, 4, 3, 5, generator=generator)
    whole, parts = nn.BatchNorm2d(4).train(), CrossBatchNorm(4).train()
    for norm in (whole, parts):
        nn.init.constant_(norm.weight, 1.5)
        nn.init.constant_(norm.bias, 0.3)
    expected = whole(images)
    begin_mini_batches([parts], 3)
    found = [parts(one) for one in images.chunk(3)]
    torch.testing.assert_close(found[-1], expected[4:])
    torch.testing.assert_close(parts.running_mean, whole.running_mean)
    torch.testing.assert_close(parts.running_var, whole.running_var)


def test_without_mini_batches_it_is_plain_batch_norm() -> None:
    images = torch.randn(4, 2, 3, 3, generator=torch.Generator().manual_seed(0))
    whole, parts = nn.BatchNorm2d(2), CrossBatchNorm(2)
    assert torch.equal(parts(images), whole(images))
    parts.begin(2)
    assert torch.equal(parts.eval()(images), whole.eval()(images))


def test_gradients_go_through_the_own_part() -> None:
    """Each mini-batch is normalised by what came before as by numbers, so that its own graph is all that is kept."""
    norm = CrossBatchNorm(1).train()
    norm.begin(2)
    first, second = column(1.0, 3.0).requires_grad_(), column(5.0, 6.0).requires_grad_()
    norm(first)
    (norm(second) * column(1.0, -2.0)).sum().backward()
    assert first.grad is None and second.grad is not None and second.grad.abs().sum() > 0


def test_attention_weighs_each_value() -> None:
    attend = PointAttention(2)
    nn.init.zeros_(attend.weigh.weight)
    attend.weigh.bias.data = torch.tensor([0.0, math.log(3)])
    assert attend(torch.full((1, 2, 1, 1), 8.0)).flatten().tolist() == pytest.approx([4, 6])


def test_pyramid_pooling() -> None:
    """Of one bright cell in the middle of 15 x 15: pools of 13, 9 and 5 see it from 169, 81 and 25 cells."""
    maps = torch.zeros(1, 1, 15, 15)
    maps[0, 0, 7, 7] = 1
    assert PyramidPooling()(maps).sum((0, 2, 3)).tolist() == [169, 81, 25, 1]


@pytest.mark.parametrize(
    ("kind", "strides", "channels"),
    [
        (FirstDarknet, (32,), [1024]),
        (Darknet19, (16, 32), [512, 1024]),
        (Darknet53, (8, 16, 32), [256, 512, 1024]),
        (CspDarknet53, (8, 16, 32), [256, 512, 1024]),
    ],
)
def test_backbones(kind: type[nn.Module], strides: tuple[int, ...], channels: list[int]) -> None:
    """Published channels, and strides rounded up for sizes that they do not divide."""
    with torch.device("meta"):
        assert kind(LayerStyle()).channels == channels
    narrow = kind(LayerStyle(width=1 / 32)).eval()
    with torch.inference_mode():
        maps = narrow(torch.zeros(1, 3, 70, 100))
    assert [one.shape[1] for one in maps] == narrow.channels
    assert [tuple(one.shape[2:]) for one in maps] == [(math.ceil(70 / side), math.ceil(100 / side)) for side in strides]


def test_another_size_every_ten_batches() -> None:
    """Multiples of 32, of 320 / 416 to 608 / 416 of 416 x 208; the same after a copy of the state in between."""
    objects = [{"boxes": torch.tensor([[41.6, 20.8, 83.2, 62.4]]), "labels": torch.tensor([0])}]

    def run(shapes: RandomShapes, first: int, last: int) -> list[tuple[int, ...]]:
        sizes = []
        for step in range(first, last):
            torch.manual_seed(1000 + step)
            images, targets = shapes(torch.zeros(1, 3, 208, 416), objects)
            sizes.append(tuple(images.shape[2:]))
            share = targets[0]["boxes"][0] / torch.tensor([images.shape[3], images.shape[2]] * 2)
            assert share.tolist() == pytest.approx([0.1, 0.1, 0.2, 0.3])
        return sizes

    sizes = run(RandomShapes(), 0, 100)
    assert all(len(set(sizes[start : start + 10])) == 1 for start in range(0, 100, 10))
    assert len(set(sizes)) > 3
    assert all(height % 32 == 0 and width % 32 == 0 and 320 <= width <= 608 for height, width in sizes)
    stopped, resumed = RandomShapes(), RandomShapes()
    run(stopped, 0, 37)
    resumed.load_state_dict(stopped.state_dict())
    assert run(resumed, 37, 100) == sizes[37:]


def test_resized_targets() -> None:
    target = {
        "boxes": torch.tensor([[1.0, 2, 3, 4]]),
        "labels": torch.tensor([5]),
        "ignored": torch.tensor([[0.0, 0, 8, 8]]),
        "masks": torch.ones(1, 8, 8),
    }
    images, (scaled,) = resize_inputs(torch.ones(1, 3, 8, 8), [target], 16, 24)
    assert images.shape == (1, 3, 24, 16) and torch.allclose(images, torch.ones(()))
    assert scaled["boxes"].tolist() == [[2, 6, 6, 12]] and scaled["ignored"].tolist() == [[0, 0, 16, 24]]
    assert scaled["labels"].tolist() == [5] and "masks" not in scaled
