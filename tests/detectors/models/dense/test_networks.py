"""The three networks for segmentation: where their cells lie, how large they are, what they are as published."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from detectors.models import build_model, detector_module
from detectors.models.dense.upsampling import bilinear_kernel, spread
from detectors.models.dense.vgg import SlidingLinear
from detectors.models.spec import ModelSpec
from support.errors import raises

WIDTH, HEIGHT = 200, 168


def network(name: str, **options: bool | int | float | str) -> nn.Module:
    module = detector_module(name)
    chosen = tuple(sorted({**getattr(module, "SMALLEST", {}), **options}.items()))
    torch.manual_seed(0)
    return build_model(ModelSpec(name, None, 3, WIDTH, HEIGHT, module.MEAN, module.STD, chosen)).eval()


@pytest.mark.parametrize(("name", "millions"), [("fcn", 134.3), ("segnet", 29.45), ("deconvnet", 251.8)])
def test_as_published_they_have_this_many_weights(name: str, millions: float) -> None:
    """The papers count 134 million, 29.5 million and about 252 million, with 21 classes."""
    module = detector_module(name)
    with torch.device("meta"):
        model = build_model(ModelSpec(name, None, 20, 512, 512, module.MEAN, module.STD))
    assert sum(weight.numel() for weight in model.parameters()) / 1e6 == pytest.approx(millions, abs=0.1)


# The pixel, counted from 0, over the centre of cell i of each map of VGG. conv1_1 pads 100: its cell i lies over pixel
# i + 1 - 100. A pooling puts a cell over the middle of two: 2 i + 0.5, after three, four and five of them 8 i + 3.5,
# 16 i + 7.5, 32 i + 15.5, each minus 99. A window of seven cells has its centre three cells further: + 96.
CENTRES = {8: (8, 3.5 - 99), 16: (16, 7.5 - 99), 32: (32, 15.5 - 99 + 96)}


def ramp(maps: Tensor, stride: int, axis: int) -> Tensor:
    """What a map would hold whose cells say over which pixel they lie."""
    step, first = CENTRES[stride]
    row = torch.arange(maps.shape[axis], dtype=torch.float32) * step + first
    shape = [1, 1, 1, 1]
    shape[axis] = len(row)
    return row.reshape(shape).expand(1, 4, *maps.shape[2:])


@pytest.mark.parametrize("stride", [32, 16, 8])
@pytest.mark.parametrize("axis", [2, 3])
def test_every_pixel_gets_the_score_of_its_place(stride: int, axis: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Cells that say where they lie say so of every pixel between them after linear interpolation."""
    model = network("fcn", stride=stride)
    strides = [one for one in (8, 16, 32) if one >= stride]
    maps = model.features(torch.zeros(1, 3, HEIGHT, WIDTH))
    for layer, one, step in zip(model.cls_logits, maps, strides, strict=True):
        monkeypatch.setattr(layer, "forward", lambda _, one=one, step=step: ramp(one, step, axis) / len(strides))
    scores = model.segment(torch.zeros(1, 3, HEIGHT, WIDTH))
    assert scores.shape == (1, 4, HEIGHT, WIDTH)
    wanted = torch.arange((HEIGHT, WIDTH)[axis - 2], dtype=torch.float32)
    line = scores[0, 0, :, WIDTH // 2] if axis == 2 else scores[0, 0, HEIGHT // 2]
    # Near the border the coarsest map has no second cell to interpolate with.
    torch.testing.assert_close(line[32:-40], wanted[32:-40], atol=1e-3, rtol=0)


def test_the_crops_are_the_published_ones() -> None:
    """19 px for FCN-32s, 5 cells and 27 px for FCN-16s, 5 and 9 cells and 31 px for FCN-8s, at both borders."""
    images = torch.rand(1, 3, HEIGHT, WIDTH)
    expected = {32: (19,), 16: (5, 27), 8: (5, 9, 31)}
    for stride, offsets in expected.items():
        model = network("fcn", stride=stride)
        for layer in model.cls_logits:
            nn.init.normal_(layer.weight)
        maps = model.features(images)
        scores = model.cls_logits[-1](maps[-1])
        for level, offset in zip(range(len(maps) - 2, -1, -1), offsets[:-1], strict=True):
            scores = spread(scores, bilinear_kernel(2))
            height, width = scores.shape[2:]
            skip = model.cls_logits[level](maps[level])
            scores = scores + skip[:, :, offset : offset + height, offset : offset + width]
        scores, last = spread(scores, bilinear_kernel(stride)), offsets[-1]
        wanted = scores[:, :, last : last + HEIGHT, last : last + WIDTH]
        torch.testing.assert_close(model.segment(images), wanted)


@pytest.mark.parametrize("upsampling", ["nearest", "bed-of-nails"])
def test_other_upsamplings_keep_the_places(upsampling: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A single cell of the coarsest map that stands out changes the pixels it lies over, and with a filter some more.

    Cell 2 of a map of stride 32 begins with pixel 2 * 32 - 3 = 61.
    """
    model = network("fcn", stride=32, upsampling=upsampling)
    (maps,) = model.features(torch.zeros(1, 3, HEIGHT, WIDTH))
    one = torch.zeros(1, 4, *maps.shape[2:])
    one[:, :, 2, 2] = 1
    monkeypatch.setattr(model.cls_logits[0], "forward", lambda _: one)
    row = model.segment(torch.zeros(1, 3, HEIGHT, WIDTH))[0, 0, 77].detach()
    # The middle of the pixels 61 to 92.
    assert float((row * torch.arange(WIDTH)).sum() / row.sum()) == pytest.approx(76.5, abs=1e-3)
    if upsampling == "nearest":
        assert row.nonzero()[:, 0].tolist() == list(range(61, 93))


def test_a_fully_connected_layer_slides() -> None:
    """Over a map of its own size it gives what a classifier gives; over a larger one what it gives of each window."""
    layer = SlidingLinear(3, 5, 2)
    maps = torch.rand(1, 3, 2, 3)
    plain = nn.functional.linear(maps[:, :, :, 1:].flatten(1), layer.weight, layer.bias)
    assert layer(maps).shape == (1, 5, 1, 2)
    torch.testing.assert_close(layer(maps)[:, :, 0, 1], plain)


@pytest.mark.parametrize("upsampling", ["max-unpooling", "nearest", "bed-of-nails", "transposed"])
def test_odd_sizes_come_back(upsampling: str) -> None:
    assert network("segnet", upsampling=upsampling).segment(torch.rand(1, 3, 67, 45)).shape == (1, 4, 67, 45)


def test_a_window_slides_over_larger_images_and_smaller_ones_are_refused() -> None:
    assert network("deconvnet", window=3).segment(torch.rand(2, 3, 131, 97)).shape == (2, 4, 131, 97)
    with raises("setting-invalid", expected="224x224"):
        network("deconvnet", window=7)


def test_batch_norm_of_a_single_value() -> None:
    """One image of one cell: there is nothing to take a variance of."""
    model = network("deconvnet").train()
    model.losses(
        torch.rand(1, 3, 32, 32),
        [
            {
                "boxes": torch.zeros(0, 4),
                "labels": torch.zeros(0, dtype=torch.long),
                "ignored": torch.zeros(0, 4),
                "masks": torch.zeros(0, 32, 32, dtype=torch.uint8),
            }
        ],
    )["classification"].backward()
