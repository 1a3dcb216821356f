"""The table of backbones by the names of their papers: where each comes from, and the strides of its stages."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

PYRAMID = (2, 4, 8, 16, 32)
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
HALVES = (0.5, 0.5, 0.5)

Channels = tuple[float, float, float]


@dataclass(frozen=True)
class KnownBackbone:
    """A backbone of the table. name: in its source; "own" is a file of this folder. strides: of its stages, in pixels.

    mean, std: normalisation of torchvision's and own networks; timm says it of its own. weights: torchvision's enum of
    pretrained weights. same: whether 3 x 3 layers without padding get some, so that cells lie where strides say.
    """

    source: Literal["timm", "torchvision", "own"]
    name: str
    paper: str
    strides: tuple[int, ...] = PYRAMID
    mean: Channels = IMAGENET_MEAN
    std: Channels = IMAGENET_STD
    weights: str | None = None
    same: bool = False


_VGG = "Simonyan and Zisserman 2014, arXiv 1409.1556"
_V1 = "Szegedy et al. 2014, arXiv 1409.4842"
_V2 = "Ioffe and Szegedy 2015, arXiv 1502.03167"
_V3 = "Szegedy et al. 2015, arXiv 1512.00567"
_V4 = "Szegedy et al. 2016, arXiv 1602.07261"
_RESNET = "He et al. 2015, arXiv 1512.03385"
_RESNEXT = "Xie et al. 2016, arXiv 1611.05431"
_DENSE = "Huang et al. 2016, arXiv 1608.06993"
_SE = "Hu et al. 2017, arXiv 1709.01507"
_EFFICIENT = "Tan and Le 2019, arXiv 1905.11946"

# torchvision's GoogLeNet has batch norm after each convolution and was trained on pixels of -1..1.
_GOOGLENET = KnownBackbone("torchvision", "googlenet", _V1, mean=HALVES, std=HALVES, weights="GoogLeNet_Weights")
_INCEPTION_V2 = KnownBackbone("own", "inception_v2", _V2)
_VGG_STRIDES = (1, *PYRAMID)

BACKBONES = {
    "lenet": KnownBackbone("own", "lenet", "LeCun et al. 1998, Proceedings of the IEEE 86(11)", (2, 4)),
    "alexnet": KnownBackbone(
        "torchvision", "alexnet", "Krizhevsky 2014, arXiv 1404.5997", (4, 8, 16), weights="AlexNet_Weights"
    ),
    "vgg11": KnownBackbone("timm", "vgg11", _VGG, _VGG_STRIDES),
    "vgg13": KnownBackbone("timm", "vgg13", _VGG, _VGG_STRIDES),
    "vgg16": KnownBackbone("timm", "vgg16", _VGG, _VGG_STRIDES),
    "vgg19": KnownBackbone("timm", "vgg19", _VGG, _VGG_STRIDES),
    "googlenet": _GOOGLENET,
    "inception_v1": _GOOGLENET,
    "inception_v2": _INCEPTION_V2,
    "bn_inception": _INCEPTION_V2,
    "inception_v3": KnownBackbone("timm", "inception_v3", _V3, same=True),
    "inception_v4": KnownBackbone("timm", "inception_v4", _V4, same=True),
    "inception_resnet_v2": KnownBackbone("timm", "inception_resnet_v2", _V4, same=True),
    "resnet18": KnownBackbone("timm", "resnet18", _RESNET),
    "resnet34": KnownBackbone("timm", "resnet34", _RESNET),
    "resnet50": KnownBackbone("timm", "resnet50", _RESNET),
    "resnet101": KnownBackbone("timm", "resnet101", _RESNET),
    "resnet152": KnownBackbone("timm", "resnet152", _RESNET),
    "resnext50": KnownBackbone("timm", "resnext50_32x4d", _RESNEXT),
    "resnext101": KnownBackbone("timm", "resnext101_32x8d", _RESNEXT),
    "densenet121": KnownBackbone("timm", "densenet121", _DENSE),
    "densenet169": KnownBackbone("timm", "densenet169", _DENSE),
    "densenet201": KnownBackbone("timm", "densenet201", _DENSE),
    "senet154": KnownBackbone("timm", "legacy_senet154", _SE),
    "seresnet50": KnownBackbone("timm", "seresnet50", _SE),
    "mnasnet": KnownBackbone("timm", "mnasnet_100", "Tan et al. 2018, arXiv 1807.11626"),
    "efficientnet_b0": KnownBackbone("timm", "efficientnet_b0", _EFFICIENT),
    "efficientnet_b1": KnownBackbone("timm", "efficientnet_b1", _EFFICIENT),
    "efficientnet_b2": KnownBackbone("timm", "efficientnet_b2", _EFFICIENT),
    "efficientnet_b3": KnownBackbone("timm", "efficientnet_b3", _EFFICIENT),
    "efficientnet_b4": KnownBackbone("timm", "efficientnet_b4", _EFFICIENT),
    "ghostnet": KnownBackbone("timm", "ghostnet_100", "Han et al. 2019, arXiv 1911.11907"),
    "mobilenet_v1": KnownBackbone("timm", "mobilenetv1_100", "Howard et al. 2017, arXiv 1704.04861"),
    "mobilenet_v2": KnownBackbone("timm", "mobilenetv2_100", "Sandler et al. 2018, arXiv 1801.04381"),
    "mobilenet_v3": KnownBackbone("timm", "mobilenetv3_large_100", "Howard et al. 2019, arXiv 1905.02244"),
}


def timm_name(name: str) -> str:
    """Return timm's name of a backbone: of one of the table what it says, any other name as it is."""
    known = BACKBONES.get(name)
    return known.name if known and known.source == "timm" else name


def normalisation(name: str) -> tuple[Channels, Channels]:
    """Return the channel means and standard deviations that a backbone was pretrained with."""
    known = BACKBONES.get(name)
    if known and known.source != "timm":
        return known.mean, known.std
    import timm

    published = timm.get_pretrained_cfg(timm_name(name), allow_unregistered=True)
    return (tuple(published.mean), tuple(published.std)) if published else (IMAGENET_MEAN, IMAGENET_STD)
