"""Networks under detectors that classify given regions: convolutions of stride 16, and fully connected layers."""

from __future__ import annotations

from contextlib import suppress

import torch
from torch import Tensor, nn
from torch.nn import functional

from detectors.models.backbones.stages import backbone_stages
from detectors.models.backbones.table import timm_name

STRIDE = 16
ALEXNET_CHANNELS = 256
# What these networks call the layers of torchvision's AlexNet.
ALEXNET_NAMES = {"features.": "backbone.", "classifier.1.": "head.fc6.", "classifier.4.": "head.fc7."}


class SingleStage(nn.Module):
    """The stage of stride 16 of a backbone, as one map."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.body, (self.channels,) = backbone_stages(name, (STRIDE,))

    def forward(self, images: Tensor) -> Tensor:
        return self.body(images)[0]


class DilatedStages(nn.Module):
    """The last two stages of a network whose last one is dilated, so that it stays at stride 16: (conv4, conv5).

    ResNet-101, or a timm model; those that cannot be dilated give their stage of stride 16 twice.
    """

    def __init__(self, name: str | None) -> None:
        super().__init__()
        self.channels = (1024, 2048)
        if name is None:
            from torchvision.models import resnet101
            from torchvision.models._utils import IntermediateLayerGetter

            network = resnet101(weights=None, replace_stride_with_dilation=[False, False, True])
            self.body: nn.Module = IntermediateLayerGetter(network, {"layer3": "early", "layer4": "late"})
        else:
            self.body, self.channels = _dilated(name)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        maps = self.body(images)
        if isinstance(maps, dict):
            return maps["early"], maps["late"]
        return maps[0], maps[-1]


def _dilated(name: str) -> tuple[nn.Module, tuple[int, int]]:
    """Return a network that gives one or two stages, and the channels of the first and the last."""
    import timm

    stage = SingleStage(name)  # also refuses what has no stages
    # timm has many ways to say that a model cannot be dilated, or that it has none of that name.
    with suppress(AssertionError, AttributeError, NotImplementedError, RuntimeError, TypeError, ValueError):
        wanted = {"pretrained": False, "features_only": True, "output_stride": STRIDE}
        info = timm.create_model(timm_name(name), **wanted).feature_info
        if info.reduction()[-2:] == [STRIDE, STRIDE]:
            last = len(info.reduction()) - 1
            body = timm.create_model(timm_name(name), out_indices=(last - 1, last), **wanted)
            early, late = body.feature_info.channels()
            return body, (early, late)
    return stage.body, (stage.channels, stage.channels)


def convolutions(backbone: str | None) -> tuple[nn.Module, int]:
    """Build the convolutions of AlexNet (Krizhevsky et al. 2012) up to conv5, or of another backbone.

    Returns them, whose stride is 16, with their number of channels.
    """
    if backbone is None:
        from torchvision.models import alexnet

        return alexnet(weights=None).features[:-1], ALEXNET_CHANNELS
    stage = SingleStage(backbone)
    return stage, stage.channels


class FullyConnected(nn.Module):
    """Two fully connected layers with dropout, fc6 and fc7 of AlexNet. Takes (R, ...) features, returns (R, width).

    keep: singular values of fc6 and fc7 that are kept while detecting (Girshick 2015, section 3.1); 0 keeps the layer.
    """

    def __init__(self, inputs: int, width: int, dropout: float, keep: tuple[int, int] = (0, 0)) -> None:
        super().__init__()
        self.fc6, self.fc7 = nn.Linear(inputs, width), nn.Linear(width, width)
        self.dropout, self.keep = dropout, keep
        self._truncated: dict[int, tuple[tuple[int, int], Tensor, Tensor]] = {}

    def forward(self, features: Tensor) -> Tensor:
        hidden = features.flatten(1)
        for number, layer in enumerate((self.fc6, self.fc7)):
            hidden = functional.dropout(self._layer(number, layer, hidden).relu(), self.dropout, self.training)
        return hidden

    def _layer(self, number: int, layer: nn.Linear, hidden: Tensor) -> Tensor:
        keep = self.keep[number]
        if self.training or not 0 < keep < min(layer.weight.shape):
            return layer(hidden)
        # Decomposed once for all images; the version changes whenever the weights do.
        version = (layer.weight.data_ptr(), layer.weight._version)
        if number not in self._truncated or self._truncated[number][0] != version:
            self._truncated[number] = (version, *truncate(layer.weight.detach().float(), keep))
        _, first, second = self._truncated[number]
        return functional.linear(functional.linear(hidden, first), second, layer.bias)


def truncate(weight: Tensor, keep: int) -> tuple[Tensor, Tensor]:
    """Return (keep, inputs) and (outputs, keep) of which the product is nearest to a weight: U (S V^T)."""
    left, values, right = torch.linalg.svd(weight, full_matrices=False)
    return values[:keep, None] * right[:keep], left[:, :keep]


def initialise(layer: nn.Linear | nn.Conv2d, deviation: float) -> None:
    """Draw the weights of an output layer from a normal distribution, as Girshick (2015) does; biases are 0."""
    nn.init.normal_(layer.weight, std=deviation)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
