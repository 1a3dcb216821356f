"""R-FCN (Dai et al. 2016): regions vote on position-sensitive score maps; no layer is applied to each region.

Dai, Li, He and Sun 2016, arXiv 1605.06409. A region proposal network gives regions; a bank of k x k maps per class, one
for each part of an object, is pooled so that each part of a region reads its own map, and the parts vote by their mean.
The hardest regions are learned from (online hard example mining). Written from the paper.
"""

from __future__ import annotations

import sys

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.image_list import ImageList
from torchvision.models.detection.rpn import RPNHead, concat_box_prediction_layers
from torchvision.ops import ps_roi_pool

from detectors.models.ignoring import IgnoringProposals
from detectors.models.interface import DetectorOptions, SoftHead, SoftOutputs, options_of
from detectors.models.parts import IMAGENET_MEAN, IMAGENET_STD, normalised
from detectors.models.region_based.bodies import STRIDE, DilatedStages, initialise
from detectors.models.region_based.sampling import (
    BACKGROUND,
    decode_boxes,
    encode_boxes,
    match_regions,
    select_detections,
)
from detectors.models.spec import ModelSpec

LONG_SIDE = 1024
FIXED_SIZE = None
LEARNING_RATE = 2e-4
NEEDS_MASKS = False
BACKBONE_STRIDES = (16,)
NOT_EXPORTED = "ONNX has no position-sensitive pooling"
SMALLEST = {"hard": 64, "proposals": 60, "width": 128}
TORCHVISION = (None, "ResNet101_Weights")
MEAN, STD = IMAGENET_MEAN, IMAGENET_STD
# Parts of an object in a row and in a column.
PARTS = 7
# Sides of the anchors at stride 16, each in three aspect ratios.
ANCHORS = (32, 64, 128, 256, 512)
# Targets of regression are divided by these, so that they have about unit variance.
DEVIATIONS = (0.1, 0.1, 0.2, 0.2)
POSITIVE = 0.5
# Anchors of an image that the proposal network is trained on, and proposals before suppression.
ANCHOR_SAMPLE, BEFORE_NMS = 256, {"training": 6000, "testing": 6000}


class Options(DetectorOptions):
    """Options of the network."""

    proposals: int = Field(300, ge=1, le=4000, description="Proposals of an image, in training and detection.")
    hard: int = Field(128, ge=1, le=4000, description="Proposals of an image with the largest losses that are learned.")
    width: int = Field(1024, ge=8, le=4096, description="Channels under the score maps and of the proposal network.")
    nms: float = Field(0.3, gt=0, lt=1, description="Overlap from which the weaker of two boxes of a class is dropped.")


class Rfcn(nn.Module):
    """The network (interface.Detector)."""

    def __init__(self, spec: ModelSpec, options: Options) -> None:
        super().__init__()
        self.spec, self.options = spec, options
        self.backbone = DilatedStages(spec.backbone)
        early, late = self.backbone.channels
        self.rpn = _proposal_network(early, options)
        self.reduce = nn.Sequential(nn.Conv2d(late, options.width, 1), nn.ReLU(inplace=True))
        self.cls_logits = nn.Conv2d(options.width, PARTS**2 * (spec.classes + 1), 1)
        self.box_votes = nn.Conv2d(options.width, PARTS**2 * 4, 1)
        initialise(self.cls_logits, 0.01)
        initialise(self.box_votes, 0.001)
        self.register_buffer("deviations", torch.tensor(DEVIATIONS), persistent=False)

    def features(self, images: Tensor) -> list[Tensor]:
        """Return the maps of conv4, which proposals are made from, and of the dilated conv5."""
        return list(self.backbone(normalised(images, self.spec)))

    def losses(self, images: Tensor, targets: list[dict[str, Tensor]]) -> dict[str, Tensor]:
        """Return those of the proposal network, "loss_classifier" and "loss_box_reg", of the hardest regions alone."""
        early, late = self.features(images)
        proposals, losses = self._propose(images, early, targets)
        matched = [match_regions(one.detach(), target) for one, target in zip(proposals, targets, strict=True)]
        logits, codes = self._vote(late, [one.boxes for one in matched])
        counts = [len(one.boxes) for one in matched]
        classifier, box, total = logits.sum() * 0, codes.sum() * 0, 0
        for one, said, code in zip(matched, logits.split(counts), codes.split(counts), strict=True):
            positive = one.overlap >= POSITIVE
            labels = torch.where(positive, one.labels, BACKGROUND)
            wanted = encode_boxes(one.boxes, one.truth) / self.deviations
            of_class = functional.cross_entropy(said, labels, reduction="none")
            of_box = functional.smooth_l1_loss(code, wanted, beta=1.0, reduction="none").sum(1) * positive
            rows = hardest(of_class + of_box, positive | ~one.ignored, self.options.hard)
            classifier, box = classifier + of_class[rows].sum(), box + of_box[rows].sum()
            total += len(rows)
        return {**losses, "loss_classifier": classifier / max(total, 1), "loss_box_reg": box / max(total, 1)}

    def detect(self, images: Tensor) -> list[dict[str, Tensor]]:
        """Return the boxes that remain after non-maximum suppression within each class."""
        early, late = self.features(images)
        regions, _ = self._propose(images, early)
        logits, codes = self._vote(late, regions)
        boxes = decode_boxes(torch.cat(regions), codes * self.deviations)[:, None]
        counts, size = [len(one) for one in regions], (self.spec.width, self.spec.height)
        scores = logits.softmax(1)[:, BACKGROUND + 1 :]
        pairs = zip(scores.split(counts), boxes.split(counts), strict=True)
        return [select_detections(*pair, size, self.options.nms) for pair in pairs]

    def soft_outputs(self, images: Tensor, like: SoftOutputs | None = None) -> SoftOutputs:
        """Return the outputs of the proposal network at all anchors, and of the vote at regions."""
        early, late = self.features(images)
        listed = self._listed(images)
        objectness, deltas = self.rpn.head([early])
        anchors = self.rpn.anchor_generator(listed, [early])
        per_level = [int(one[0].numel()) for one in objectness]
        logits, codes = concat_box_prediction_layers(objectness, deltas)
        boxes = self.rpn.box_coder.decode(codes.float(), anchors)[:, 0]
        first = SoftHead(logits.float().reshape(-1, 1), boxes)
        if like is None:
            places = boxes.detach().view(len(images), -1, 4)
            found, _ = self.rpn.filter_proposals(places, logits.detach(), listed.image_sizes, per_level)
            regions = tuple(one.detach() for one in found)
        else:
            regions = like.regions
        votes, moves = self._vote(late, list(regions))
        second = SoftHead(votes, decode_boxes(torch.cat(regions), moves * self.deviations), BACKGROUND)
        return SoftOutputs({"proposals": first, "regions": second}, regions)

    def _propose(
        self, images: Tensor, early: Tensor, targets: list[dict[str, Tensor]] | None = None
    ) -> tuple[list[Tensor], dict[str, Tensor]]:
        """Return proposals and, in training, losses; in full precision, as half of it moves boxes by pixels."""
        with torch.autocast(images.device.type, enabled=False):
            return self.rpn(self._listed(images), {"0": early.float()}, targets)

    def _listed(self, images: Tensor) -> ImageList:
        return ImageList(images, [(self.spec.height, self.spec.width)] * len(images))

    def _vote(self, late: Tensor, regions: list[Tensor]) -> tuple[Tensor, Tensor]:
        """Return (R, C + 1) float32 logits and (R, 4) normalised codes: means over the parts of each region."""
        maps = self.reduce(late)
        scale = 1 / STRIDE
        logits, codes = (pool_parts(layer(maps).float(), regions, scale) for layer in (self.cls_logits, self.box_votes))
        return logits.mean((2, 3)), codes.mean((2, 3))


def pool_parts(maps: Tensor, regions: list[Tensor], scale: float) -> Tensor:
    """Return (R, C, k, k) means of the parts of regions, each of its own map: channel (c k + row) k + column.

    torchvision's pooling never reads the last row and column of a map, so that it gets one more of each.
    """
    return ps_roi_pool(functional.pad(maps, (0, 1, 0, 1)), regions, PARTS, scale)


def hardest(losses: Tensor, usable: Tensor, count: int) -> Tensor:
    """Return the rows of the largest of the usable losses, at most `count` (Shrivastava et al. 2016, 1604.03540)."""
    order = losses.detach().masked_fill(~usable, -1.0).argsort(descending=True, stable=True)
    return order[: min(count, int(usable.sum()))]


def _proposal_network(channels: int, options: Options) -> IgnoringProposals:
    """Build torchvision's proposal network over one map (Ren et al. 2015)."""
    generator = AnchorGenerator((ANCHORS,), ((0.5, 1.0, 2.0),))
    kept = {"training": options.proposals, "testing": options.proposals}
    return IgnoringProposals(
        generator,
        RPNHead(channels, generator.num_anchors_per_location()[0]),
        fg_iou_thresh=0.7,
        bg_iou_thresh=0.3,
        batch_size_per_image=ANCHOR_SAMPLE,
        positive_fraction=0.5,
        pre_nms_top_n=BEFORE_NMS,
        post_nms_top_n=kept,
        nms_thresh=0.7,
    )


def build(spec: ModelSpec) -> nn.Module:
    """Build the network: ResNet-101 whose last stage is dilated to stride 16, or a timm model, dilated if it can be."""
    return Rfcn(spec, options_of(sys.modules[__name__], spec))
