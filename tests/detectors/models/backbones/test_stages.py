"""Backbones by name: their stages lie where the table says, their weights fit, and LeNet and Inception v2 by hand."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from torch import nn

from detectors.checkpoints.weights import load_weights
from detectors.data.image_set import Classes
from detectors.models import build_model
from detectors.models.backbones.inception_v2 import MODULES, inception_v2_layers
from detectors.models.backbones.lenet import CONNECTIONS, LeNet
from detectors.models.backbones.stages import backbone_stages, backbone_strides
from detectors.models.backbones.table import BACKBONES, HALVES, IMAGENET_MEAN, IMAGENET_STD, normalisation
from detectors.models.spec import ModelSpec
from support.errors import raises

WIDTH, HEIGHT = 160, 128


@pytest.mark.parametrize("name", BACKBONES)
def test_stages_lie_where_the_table_says(name: str) -> None:
    """Without numbers: on the meta device networks have shapes alone."""
    strides = backbone_strides(name)
    with torch.device("meta"):
        body, channels = backbone_stages(name, strides)
        maps = body(torch.empty(2, 3, HEIGHT, WIDTH))
    assert [one.shape[1] for one in maps] == channels
    for stride, one in zip(strides, maps, strict=True):
        # AlexNet's layers lack padding: a map ends up to two cells before the border.
        apart = 2 if name == "alexnet" else 0
        assert 0 <= HEIGHT // stride - one.shape[2] <= apart and 0 <= WIDTH // stride - one.shape[3] <= apart


def test_fewer_stages_end_earlier() -> None:
    body, channels = backbone_stages("inception_v2", (8, 16))
    assert channels == [320, 576] and [*dict(body.named_children())][-1] == "inception4d"


def test_a_backbone_without_such_stages_is_refused() -> None:
    with raises("backbone-unsupported", found="strides .2, 4., not .8."):
        backbone_stages("lenet", (4, 8))
    with raises("unknown-name"):
        backbone_stages("resnet19", (8,))


def count(layers: object) -> int:
    assert isinstance(layers, nn.Module)
    return sum(parameter.numel() for parameter in layers.parameters())


def test_lenet_has_the_60000_parameters_of_the_paper() -> None:
    """C1 156, S2 12, C3 1,516, S4 32, C5 48,120, F6 10,164 (sections II.B and C)."""
    net = LeNet()
    layers = dict(net.layers.named_children())
    assert [count(layers[name]) for name in ("c1", "s2", "c3", "s4", "c5")] == [156, 12, 1516, 32, 48120]
    assert count(net.f6) == 10164 and count(net) - count(net.cls_logits) == 60000
    assert sum(len(seen) for seen in CONNECTIONS) == 60
    # Row 0 of table I: the maps of C3 that see map 0 of S2.
    assert [place for place, seen in enumerate(CONNECTIONS) if 0 in seen] == [0, 4, 5, 6, 9, 10, 11, 12, 14, 15]


def test_lenet_has_the_maps_of_the_paper() -> None:
    shapes, maps = {}, torch.zeros(1, 1, 32, 32)
    net = LeNet()
    for name, layer in net.layers.named_children():
        maps = layer(maps)
        shapes[name] = tuple(maps.shape[1:])
    assert [shapes[name] for name in ("c1", "s2", "c3", "s4", "c5")] == [
        *((6, 28, 28), (6, 14, 14), (16, 10, 10), (16, 5, 5), (120, 1, 1))
    ]
    assert net(torch.zeros(2, 1, 32, 32)).shape == (2, 10)


def test_lenet_by_hand() -> None:
    """Of a bright image with ones in C1: 25 / 25 + 0.5, doubled and squashed; C3 sees three maps of it or more."""
    layers = dict(LeNet().layers.named_children())
    with torch.no_grad():
        layers["c1"].weight.fill_(1 / 25)
        layers["c1"].bias.fill_(0.5)
        layers["s2"].weight.fill_(2.0)
        layers["c3"].weight.fill_(1 / 25)
        maps = layers["s2"](layers["c1"](torch.ones(1, 1, 32, 32)))
        assert maps.unique().tolist() == pytest.approx([3.0], abs=1e-5)
        assert layers["squash2"](maps).flatten()[0].item() == pytest.approx(1.7159 * math.tanh(2), abs=1e-5)
        seen = layers["c3"](torch.ones(1, 6, 14, 14))[0, :, 0, 0]
    assert seen.tolist() == pytest.approx([3.0] * 6 + [4.0] * 9 + [6.0], abs=1e-4)


def test_inception_v2_has_the_widths_of_the_paper() -> None:
    layers = inception_v2_layers()
    widths = [layers[name].channels for name in MODULES]
    assert widths == [256, 320, 576, 576, 576, 576, 576, 1024, 1024, 1024]
    # Of a module by hand: 64 x (192 + 2) + 64 x (192 + 2) + 64 x (576 + 2), the same + 96 x (576 + 2) + 96 x (864 + 2),
    # and 32 x (192 + 2): a convolution has no bias, batch norm two numbers a channel.
    by_hand = 3 * 64 * 194 + 64 * 578 + 96 * 578 + 96 * 866 + 32 * 194
    assert count(layers["inception3a"]) == by_hand == 219072


def test_normalisation_is_that_of_the_published_weights() -> None:
    assert normalisation("googlenet") == (HALVES, HALVES)
    assert normalisation("alexnet") == normalisation("resnet18") == (IMAGENET_MEAN, IMAGENET_STD)


@pytest.mark.parametrize(("name", "first"), [("vgg11", "features.0.weight"), ("densenet121", "features.conv0.weight")])
def test_weights_fit_where_timm_joins_the_names_of_layers(name: str, first: str, tmp_path: Path) -> None:
    import timm

    published = timm.create_model(name, pretrained=False, num_classes=2).state_dict()
    kept = {key: value for key, value in published.items() if "fc" not in key and "classifier" not in key}
    torch.save(kept, tmp_path / "backbone.pth")
    spec = ModelSpec("yolo", name, 3, 64, 64, IMAGENET_MEAN, IMAGENET_STD)
    model = build_model(spec)
    loaded = load_weights(model, spec, Classes(("a", "b", "c"), ("A", "B", "C")), str(tmp_path / "backbone.pth"))
    assert loaded is not None and len(loaded.fitted) >= 0.95 * len(kept) and not loaded.reshaped
    (ours,) = [key for key in loaded.fitted if key.replace("_", ".").endswith(first.replace("_", "."))]
    assert torch.equal(model.state_dict()[ours], kept[first])


def test_weights_of_an_own_backbone_are_not_published() -> None:
    spec = ModelSpec("yolo", "inception_v2", 3, 64, 64, IMAGENET_MEAN, IMAGENET_STD)
    with raises("weights-unavailable", what="no pretrained weights are published for inception_v2"):
        load_weights(build_model(spec), spec, Classes(("a", "b", "c"), ("A", "B", "C")), "imagenet")
