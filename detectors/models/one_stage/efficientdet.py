"""EfficientDet (Tan et al. 2020, arXiv 1911.09070): a weighted bidirectional pyramid over EfficientNet, focal loss.

Anchors of three scales and three shapes per place on five levels (49,104 at 512 x 512). An anchor is an object's from
an overlap of 0.5 on, and each object has its best one at least; the loss is the focal loss of all others and Huber's of
the boxes of matches, over the matches and one. Written from the paper.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional
from torchvision.models.detection._utils import BoxCoder, SSDMatcher
from torchvision.ops import box_iou

from detectors.models.backbones.stages import backbone_stages
from detectors.models.interface import DetectorOptions, SoftHead, SoftOutputs
from detectors.models.one_stage.bifpn import BiFpn, SharedHead
from detectors.models.parts import covered_by, normalised, select_boxes, suppress_by_class
from detectors.models.spec import ModelSpec

STRIDES = (8, 16, 32)
# Sides of an anchor at stride 1, its scales within an octave, and widths and heights of its shapes.
ANCHOR_SCALE = 4.0
OCTAVES = (1.0, 2 ** (1 / 3), 2 ** (2 / 3))
SHAPES = ((1.0, 1.0), (1.4, 0.7), (0.7, 1.4))
PER_PLACE = len(OCTAVES) * len(SHAPES)
# Focal loss, Huber's loss and the weight of the boxes.
ALPHA, GAMMA, DELTA, BOX_WEIGHT = 0.25, 1.5, 0.1, 50.0
MIN_MATCH = 0.5
# Score of each class that the untrained network says: a bias of -ln 99.
PRIOR = 0.01
MOSTLY_IGNORED = 0.5


class EfficientDetOptions(DetectorOptions):
    """Options of the network."""

    momentum: float = Field(
        0.01, gt=0, le=1, description="Momentum of the batch norms of pyramid and heads; more in short trainings."
    )
    channels: int = Field(0, ge=0, le=512, description="Channels of pyramid and heads; 0 for those of the paper.")
    layers: int = Field(0, ge=0, le=16, description="Layers of the pyramid; 0 for those of the paper.")
    repeats: int = Field(0, ge=0, le=8, description="Convolutions of each head; 0 for those of the paper.")
    nms: float = Field(0.5, gt=0, lt=1, description="Overlap from which the weaker of two boxes of a class is dropped.")


@dataclass(frozen=True)
class EfficientDetSize:
    """The size of a network of the family (table 1). layers: of the pyramid; repeats: convolutions of each head."""

    backbone: str
    channels: int
    layers: int
    repeats: int


class EfficientDet(nn.Module):
    """The network (interface.Detector)."""

    def __init__(self, spec: ModelSpec, size: EfficientDetSize, options: EfficientDetOptions) -> None:
        super().__init__()
        self.spec, self.nms, momentum = spec, options.nms, options.momentum
        self.backbone, channels = backbone_stages(spec.backbone or size.backbone, STRIDES)
        width, repeats = options.channels or size.channels, options.repeats or size.repeats
        self.pyramid = BiFpn(channels, width, options.layers or size.layers, momentum)
        self.class_head = SharedHead(width, repeats, PER_PLACE * spec.classes, momentum, PRIOR)
        self.box_head = SharedHead(width, repeats, PER_PLACE * 4, momentum)
        self.coder, self.matcher = BoxCoder((1.0, 1.0, 1.0, 1.0)), SSDMatcher(MIN_MATCH)

    def features(self, images: Tensor) -> list[Tensor]:
        """Return the five maps of the pyramid."""
        return self.pyramid(self.backbone(normalised(images, self.spec)))

    def losses(self, images: Tensor, targets: list[dict[str, Tensor]]) -> dict[str, Tensor]:
        """Return "classification" (focal loss) and "box" (Huber's loss), over the matches of the batch and one."""
        logits, codes, anchors = self._predict(images)
        classification, box, matches = logits.sum() * 0, codes.sum() * 0, 1
        for row, code, target in zip(logits, codes, targets, strict=True):
            owner = self._match(anchors, target)
            rows = owner >= 0
            wanted = torch.zeros_like(row)
            wanted[rows, target["labels"][owner[rows]]] = 1
            counted = rows | (covered_by(anchors, target["ignored"]) <= MOSTLY_IGNORED)
            classification = classification + (focal_loss(row, wanted) * counted[:, None]).sum()
            truth = self.coder.encode_single(target["boxes"][owner[rows]], anchors[rows])
            box = box + functional.huber_loss(code[rows], truth, reduction="sum", delta=DELTA)
            matches += int(rows.sum())
        return {"classification": classification / matches, "box": BOX_WEIGHT * box / (4 * matches)}

    def detect(self, images: Tensor) -> list[dict[str, Tensor]]:
        """Return the boxes that remain after non-maximum suppression within each class."""
        logits, codes, anchors = self._predict(images)
        size, suppress = (self.spec.width, self.spec.height), suppress_by_class(self.nms)
        boxes = [self.coder.decode_single(code, anchors) for code in codes]
        return [select_boxes(*one, size, suppress) for one in zip(logits.sigmoid(), boxes, strict=True)]

    def soft_outputs(self, images: Tensor, like: SoftOutputs | None = None) -> SoftOutputs:
        """Return the logits and boxes of all anchors."""
        logits, codes, anchors = self._predict(images)
        boxes = self.coder.decode_single(codes.flatten(0, 1), anchors.repeat(len(codes), 1))
        return SoftOutputs({"anchors": SoftHead(logits.flatten(0, 1), boxes)})

    def _predict(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return (B, A, classes) logits, (B, A, 4) codes of boxes and the (A, 4) anchors."""
        maps = self.features(images)
        anchors = anchors_of(tuple((one.shape[-2], one.shape[-1]) for one in maps)).to(images.device)
        logits, codes = self.class_head(maps, self.spec.classes), self.box_head(maps, 4)
        return logits.float(), codes.float(), anchors

    def _match(self, anchors: Tensor, target: dict[str, Tensor]) -> Tensor:
        """Return the (A,) place of the object that each anchor belongs to, below 0 for none."""
        if not len(target["boxes"]):
            return torch.full((len(anchors),), -1, device=anchors.device)
        return self.matcher(box_iou(target["boxes"], anchors))


@cache
def anchors_of(sizes: tuple[tuple[int, int], ...]) -> Tensor:
    """Return the (A, 4) anchors xyxy in pixels. sizes: height and width of the maps, of stride 8 and on."""
    levels = []
    for level, (height, width) in enumerate(sizes):
        stride = STRIDES[0] * 2**level
        sides = [ANCHOR_SCALE * stride * octave for octave in OCTAVES]
        half = [(side * wide / 2, side * high / 2) for side in sides for wide, high in SHAPES]
        rows, columns = ((torch.arange(count) + 0.5) * stride for count in (height, width))
        places = torch.stack(torch.meshgrid(columns, rows, indexing="xy"), 2).reshape(-1, 1, 2)
        reach = torch.tensor(half)[None]
        levels.append(torch.cat([places - reach, places + reach], 2).flatten(0, 1))
    return torch.cat(levels)


def focal_loss(logits: Tensor, wanted: Tensor) -> Tensor:
    """Return alpha (1 - p)^gamma times the cross-entropy of each score, p that of what is true (Lin et al. 2017)."""
    entropy = functional.binary_cross_entropy_with_logits(logits, wanted, reduction="none")
    score = logits.sigmoid()
    wrong = torch.where(wanted == 1, 1 - score, score)
    return torch.where(wanted == 1, ALPHA, 1 - ALPHA) * wrong**GAMMA * entropy
