"""Classification and localization: one product and one box for each image, a softmax and a squared distance.

The first step from classifying images to detecting objects, as in OverFeat (Sermanet et al. 2014, arXiv 1312.6229): the
feature map of a backbone, a fully connected layer, and two layers beside each other, for the class and for four numbers
of the box. An image stands for its largest product; one without any is of the class background.
"""

from __future__ import annotations

import math
import sys

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from detectors.models.backbones.stages import backbone_stages, backbone_strides
from detectors.models.interface import DetectorOptions, SoftHead, SoftOutputs, options_of
from detectors.models.parts import IMAGENET_MEAN, IMAGENET_STD, MIN_SCORE, normalised
from detectors.models.spec import ModelSpec

LONG_SIDE = 320
FIXED_SIZE = None
LEARNING_RATE = 2e-4
NEEDS_MASKS = False
ONE_PER_IMAGE = True
MEAN, STD = IMAGENET_MEAN, IMAGENET_STD
SMALLEST = {"width": 64}
DEFAULT_BACKBONE = "resnet18"
STRIDE = 32
# Any: what stage a backbone ends in is flattened.
BACKBONE_STRIDES: tuple[int, ...] = ()
BACKGROUND = 0


class Options(DetectorOptions):
    """Options of the network."""

    width: int = Field(1024, ge=16, le=4096, description="Outputs of the fully connected layer.")
    box_weight: float = Field(10.0, gt=0, le=1000, description="Weight of the squared distance of boxes in the loss.")


class ClassifyLocate(nn.Module):
    """The network (interface.SoftDetector)."""

    def __init__(self, spec: ModelSpec, options: Options) -> None:
        super().__init__()
        self.spec, self.box_weight = spec, options.box_weight
        name = spec.backbone or DEFAULT_BACKBONE
        last = max(stride for stride in backbone_strides(name) if stride <= STRIDE)
        self.backbone, channels = backbone_stages(name, (last,))
        # Networks that end at a finer stride are pooled to this one.
        self.pooling = STRIDE // last
        self.cells = math.ceil(spec.height / STRIDE), math.ceil(spec.width / STRIDE)
        self.full = nn.Linear(channels[-1] * self.cells[0] * self.cells[1], options.width)
        self.cls_logits = nn.Linear(options.width, 1 + spec.classes)
        self.box = nn.Linear(options.width, 4)
        # Boxes begin in the middle, half as large as the image.
        nn.init.constant_(self.box.bias, 0.5)

    def features(self, images: Tensor) -> list[Tensor]:
        """Return the backbone's last feature map."""
        return [self.backbone(normalised(images, self.spec))[-1]]

    def losses(self, images: Tensor, targets: list[dict[str, Tensor]]) -> dict[str, Tensor]:
        """Return "classification" (cross entropy) and "box" (squared distance of the shares, of images with a product).

        An image whose only objects are ignored is left out.
        """
        logits, shares = self._predict(images)
        chosen = [largest_of(target) for target in targets]
        wanted = torch.stack([label for label, _ in chosen])
        usable = [len(one["labels"]) > 0 or not len(one["ignored"]) for one in targets]
        counted = torch.tensor(usable, device=logits.device)
        each = functional.cross_entropy(logits, wanted, reduction="none") * counted
        shown = wanted != BACKGROUND
        truth = shares_of(torch.stack([box for _, box in chosen]), (self.spec.width, self.spec.height))
        apart = (shares - truth).square().sum(1) * shown
        return {
            "classification": each.sum() / counted.sum().clamp(min=1),
            "box": self.box_weight * apart.sum() / shown.sum().clamp(min=1),
        }

    def detect(self, images: Tensor) -> list[dict[str, Tensor]]:
        """Return the likeliest product of each image, unless its probability is next to nothing."""
        logits, shares = self._predict(images)
        scores, labels = logits.softmax(1)[:, BACKGROUND + 1 :].max(1)
        boxes = boxes_of(shares, (self.spec.width, self.spec.height))
        rows = zip(boxes[:, None], labels[:, None], scores[:, None], scores[:, None] > MIN_SCORE, strict=True)
        return [{"boxes": box[kept], "labels": label[kept], "scores": score[kept]} for box, label, score, kept in rows]

    def soft_outputs(self, images: Tensor, like: SoftOutputs | None = None) -> SoftOutputs:
        """Return the logits and the box of each image, the only place there is."""
        logits, shares = self._predict(images)
        boxes = boxes_of(shares, (self.spec.width, self.spec.height))
        return SoftOutputs({"image": SoftHead(logits, boxes, BACKGROUND)})

    def _predict(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return (B, 1 + C) float32 logits and (B, 4) shares of the image: centre x, y, width, height."""
        maps = self.features(images)[0]
        if self.pooling > 1:
            maps = functional.max_pool2d(maps, self.pooling, ceil_mode=True)
        if maps.shape[2:] != self.cells:  # of backbones whose convolutions do not pad
            maps = functional.interpolate(maps, self.cells, mode="bilinear")
        full = functional.relu(self.full(maps.flatten(1)))
        return self.cls_logits(full).float(), self.box(full).float()


def largest_of(target: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
    """Return label + 1 and the (4,) box of the largest product of a target; BACKGROUND and zeros if there is none."""
    boxes = target["boxes"]
    if not len(boxes):
        return boxes.new_full((), BACKGROUND, dtype=torch.long), boxes.new_zeros(4)
    place = (boxes[:, 2:] - boxes[:, :2]).prod(1).argmax()
    return target["labels"][place] + BACKGROUND + 1, boxes[place]


def shares_of(boxes: Tensor, size: tuple[int, int]) -> Tensor:
    """Return centre x, y, width and height of (B, 4) xyxy boxes as shares of the image. size: its width and height."""
    scale = boxes.new_tensor([*size, *size])
    return torch.cat([(boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]], 1) / scale


def boxes_of(shares: Tensor, size: tuple[int, int]) -> Tensor:
    """Return the (B, 4) xyxy boxes of `shares_of`, clipped to the image."""
    scale = shares.new_tensor(size)
    centre, sides = shares[:, :2] * scale, shares[:, 2:].clamp(min=0) * scale
    corners = torch.stack([centre - sides / 2, centre + sides / 2], 1)
    return torch.minimum(corners.clamp(min=0), scale).flatten(1)


def build(spec: ModelSpec) -> nn.Module:
    """Build the network over the last stage of any backbone."""
    return ClassifyLocate(spec, options_of(sys.modules[__name__], spec))
