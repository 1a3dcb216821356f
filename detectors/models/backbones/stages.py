"""The stages of a backbone: its feature maps by stride, as a network without what classifies."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

from torch import Tensor, nn
from torch.nn import functional

from assets.errors import SynthError, unknown_name
from detectors.models.backbones.inception_v2 import inception_v2_layers
from detectors.models.backbones.lenet import lenet_layers
from detectors.models.backbones.table import BACKBONES, KnownBackbone, timm_name

# The layers after which the resolution of the networks without timm is that of their strides.
_ENDS = {
    "lenet": ("s2", "c5"),
    "alexnet": ("1", "4", "11"),
    "googlenet": ("conv1", "conv3", "inception3b", "inception4e", "inception5b"),
    "inception_v2": ("conv1", "conv2", "inception3b", "inception4d", "inception5b"),
}
# Of lenet, whose activation follows as a layer of its own.
_AFTER = {"s2": "squash2", "c5": "squash5"}


class ChainStages(nn.Module):
    """Layers one after another that returns what comes out of some of them. ends: the names of these."""

    def __init__(self, layers: OrderedDict[str, nn.Module], ends: tuple[str, ...]) -> None:
        super().__init__()
        self.ends = ends
        for name, layer in layers.items():
            self.add_module(name, layer)
            if name == ends[-1]:
                break

    def forward(self, images: Tensor) -> list[Tensor]:
        """Return the maps, the finest first."""
        maps, seen = [], images
        for name, layer in self.named_children():
            seen = layer(seen)
            if name in self.ends:
                maps.append(seen)
        return maps


def backbone_strides(name: str) -> tuple[int, ...]:
    """Return the strides of a backbone's stages. Raises SynthError for unknown names and models without stages."""
    known = BACKBONES.get(name)
    return known.strides if known else tuple(_timm_stages(name, None).feature_info.reduction())


def backbone_stages(name: str, strides: tuple[int, ...]) -> tuple[nn.Module, list[int]]:
    """Build a backbone with random weights that returns its stages of these strides, and their channels.

    name: of the table BACKBONES, or any timm model. Raises SynthError for unknown names, and for models that have no
    stages of these strides (plain vision transformers have none at all).
    """
    known = BACKBONES.get(name)
    found = backbone_strides(name)
    lacking = [stride for stride in strides if found.count(stride) != 1]
    if lacking:
        raise _unsupported(name, f"its stages have strides {list(found)}, not {lacking}")
    places = tuple(found.index(stride) for stride in strides)
    if known and known.source != "timm":
        return _own_stages(known, places)
    body = _timm_stages(name, places)
    if known and known.same:
        pad_everywhere(body)
    return body, body.feature_info.channels()


def _own_stages(known: KnownBackbone, places: tuple[int, ...]) -> tuple[nn.Module, list[int]]:
    ends = [_ENDS[known.name][place] for place in places]
    layers, widths = _chain(known.name)
    channels = [widths[_ENDS[known.name].index(end)] for end in ends]
    return ChainStages(layers, tuple(_AFTER.get(end, end) for end in ends)), channels


def _chain(name: str) -> tuple[OrderedDict[str, nn.Module], tuple[int, ...]]:
    """Return the layers of a network without timm by name, and the channels of its stages."""
    if name == "lenet":
        return lenet_layers(padding=2), (6, 120)
    if name == "inception_v2":
        return inception_v2_layers(), (64, 192, 320, 576, 1024)
    import torchvision

    if name == "alexnet":
        return OrderedDict(torchvision.models.alexnet().features.named_children()), (64, 192, 256)
    whole = torchvision.models.googlenet(weights=None, aux_logits=False, init_weights=False)
    return OrderedDict(whole.named_children()), (64, 192, 480, 832, 1024)


def pad_everywhere(body: nn.Module) -> None:
    """Pad all 3 x 3 layers that lack padding, so that n cells become ceil(n / stride) as in networks of other kinds.

    As in detectors over Inception networks since Huang et al. 2017 (arXiv 1611.10012); no weight changes.
    """
    from timm.models.inception_v3 import InceptionB, InceptionD

    padded: set[nn.Module] = set()
    for layer in body.modules():
        # One of their branches pools by a function, without a layer: what they take in is padded instead.
        if isinstance(layer, InceptionB | InceptionD):
            layer.register_forward_pre_hook(_pad_input)
            padded |= set(layer.modules())
        elif isinstance(layer, nn.Conv2d | nn.MaxPool2d) and layer not in padded:
            side, padding = (
                one if isinstance(one, tuple) else (one, one) for one in (layer.kernel_size, layer.padding)
            )
            if side == (3, 3) and padding == (0, 0):
                layer.padding = (1, 1) if isinstance(layer, nn.Conv2d) else 1


def _pad_input(layer: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor]:
    return (functional.pad(inputs[0], (1, 1, 1, 1)),)


def _timm_stages(name: str, places: tuple[int, ...] | None) -> Any:
    """Build a timm model that returns stages. places: which of them, None for all."""
    import timm

    if timm_name(name) not in timm.list_models():
        raise unknown_name("backbone", name, [*BACKBONES, *timm.list_models()])
    wanted = {} if places is None else {"out_indices": places}
    try:
        return timm.create_model(timm_name(name), pretrained=False, features_only=True, **wanted)
    except (RuntimeError, AttributeError) as error:
        raise _unsupported(name, str(error)) from error


def _unsupported(name: str, found: str) -> SynthError:
    return SynthError(
        f"backbone {name!r} has no stages of decreasing resolution",
        code="backbone-unsupported",
        found=found,
        hint="use a convolutional or hierarchical one, such as tf_efficientnet_lite0, resnet50 or convnext_tiny",
    )
