"""Fast R-CNN (Girshick 2015): pools the proposals of selective search from one feature map and classifies them.

Girshick 2015, arXiv 1504.08083. An image goes through the convolutions once; each proposal is pooled to a grid (RoI
max pooling) and passes two fully connected layers, a softmax with background and a regressor for each class. Written
from the paper.
"""

from __future__ import annotations

import sys

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional
from torchvision.ops import roi_pool

from detectors.models.interface import SoftHead, SoftOutputs, options_of
from detectors.models.parts import IMAGENET_MEAN, IMAGENET_STD, normalised
from detectors.models.region_based.bodies import ALEXNET_NAMES, STRIDE, FullyConnected, convolutions, initialise
from detectors.models.region_based.sampling import (
    BACKGROUND,
    Matched,
    decode_boxes,
    encode_boxes,
    match_regions,
    sample_regions,
    select_detections,
)
from detectors.models.region_proposals import ProposalOptions, ProposalSearch
from detectors.models.soft import MAX_REGIONS
from detectors.models.spec import ModelSpec

LONG_SIDE = 800
FIXED_SIZE = None
LEARNING_RATE = 2e-4
NEEDS_MASKS = False
BACKBONE_STRIDES = (16,)
NEEDS_PROPOSALS = True
NOT_EXPORTED = "selective search runs outside the network"
SMALLEST = {"width": 64, "regions": 32, "proposals": 200, "search_width": 160, "dropout": 0.0}
TORCHVISION = (None, "AlexNet_Weights")
RENAMED = ALEXNET_NAMES
MEAN, STD = IMAGENET_MEAN, IMAGENET_STD
# Targets of regression are divided by these, so that they have about unit variance.
DEVIATIONS = (0.1, 0.1, 0.2, 0.2)
POSITIVE, POSITIVE_SHARE = 0.5, 0.25
# Side of the pooled grid: that of conv5 of AlexNet, and of VGG16's, for all other networks.
ALEXNET_GRID, GRID = 6, 7


class Options(ProposalOptions):
    """Options of the network."""

    regions: int = Field(64, ge=4, le=4096, description="Proposals of an image that are trained on in a step.")
    background: float = Field(
        0.1, ge=0, lt=0.5, description="Least overlap with a product of proposals that are trained on as background."
    )
    width: int = Field(4096, ge=8, le=8192, description="Outputs of the two fully connected layers.")
    dropout: float = Field(0.5, ge=0, lt=1, description="Share of these that is dropped while training.")
    nms: float = Field(0.3, gt=0, lt=1, description="Overlap from which the weaker of two boxes of a class is dropped.")
    svd_fc6: int = Field(0, ge=0, le=8192, description="Singular values kept of fc6 while detecting, 0 for all.")
    svd_fc7: int = Field(0, ge=0, le=8192, description="Singular values kept of fc7 while detecting, 0 for all.")


class FastRcnn(nn.Module):
    """The network (interface.Detector)."""

    def __init__(self, spec: ModelSpec, options: Options) -> None:
        super().__init__()
        self.spec, self.options = spec, options
        self.search = ProposalSearch(options.proposal_settings)
        self.backbone, channels = convolutions(spec.backbone)
        self.grid = ALEXNET_GRID if spec.backbone is None else GRID
        keep = (options.svd_fc6, options.svd_fc7)
        self.head = FullyConnected(channels * self.grid**2, options.width, options.dropout, keep)
        self.cls_logits = nn.Linear(options.width, spec.classes + 1)
        self.bbox_pred = nn.Linear(options.width, 4 * spec.classes)
        initialise(self.cls_logits, 0.01)
        initialise(self.bbox_pred, 0.001)
        self.register_buffer("deviations", torch.tensor(DEVIATIONS), persistent=False)

    def features(self, images: Tensor) -> list[Tensor]:
        """Return the map that regions are pooled from."""
        return [self.backbone(normalised(images, self.spec))]

    def losses(self, images: Tensor, targets: list[dict[str, Tensor]]) -> dict[str, Tensor]:
        """Return "loss_classifier" (cross-entropy) and "loss_box_reg" (smooth L1 of positives over all regions)."""
        proposals = self.search.of_targets(images, targets)
        sampled = [self.sample(match_regions(boxes, target)) for boxes, target in zip(proposals, targets, strict=True)]
        regions = [one.boxes for one, _ in sampled]
        labels = torch.cat([one for _, one in sampled])
        logits, codes = self._heads(images, regions)
        total = max(len(labels), 1)
        classifier = functional.cross_entropy(logits, labels, reduction="sum") / total
        wanted = self.regression_targets(torch.cat(regions), torch.cat([one.truth for one, _ in sampled]))
        rows = torch.nonzero(labels > BACKGROUND)[:, 0]
        found = codes[rows, labels[rows] - 1]
        box = functional.smooth_l1_loss(found, wanted[rows], beta=1.0, reduction="sum") / total
        return {"loss_classifier": classifier, "loss_box_reg": box}

    def sample(self, matched: Matched) -> tuple[Matched, Tensor]:
        """Sample the regions of an image to train on: a quarter overlap a product by half, the others by less."""
        count = self.options.regions
        return sample_regions(
            matched,
            positives=round(POSITIVE_SHARE * count),
            total=count,
            positive=POSITIVE,
            background=(self.options.background, POSITIVE),
        )

    def regression_targets(self, boxes: Tensor, truth: Tensor) -> Tensor:
        """Return (R, 4) codes of the true boxes, normalised."""
        return encode_boxes(boxes, truth) / self.deviations

    def detect(self, images: Tensor) -> list[dict[str, Tensor]]:
        """Search for proposals, and return the boxes that remain after non-maximum suppression within each class."""
        regions = self.search(images)
        logits, codes = self._heads(images, regions)
        boxes = decode_boxes(torch.cat(regions)[:, None], codes * self.deviations)
        counts = [len(one) for one in regions]
        scores = logits.softmax(1)[:, BACKGROUND + 1 :]
        size = (self.spec.width, self.spec.height)
        pairs = zip(scores.split(counts), boxes.split(counts), strict=True)
        return [select_detections(*pair, size, self.options.nms) for pair in pairs]

    def soft_outputs(self, images: Tensor, like: SoftOutputs | None = None) -> SoftOutputs:
        """Return the outputs at the first proposals, with the box of the likeliest class."""
        regions = tuple(one[:MAX_REGIONS] for one in self.search(images)) if like is None else like.regions
        logits, codes = self._heads(images, list(regions))
        classes = logits.detach()[:, BACKGROUND + 1 :].argmax(1) + 1 if like is None else like.classes
        assert classes is not None
        chosen = codes[torch.arange(len(codes)), classes - 1] * self.deviations
        head = SoftHead(logits, decode_boxes(torch.cat(regions), chosen), BACKGROUND)
        return SoftOutputs({"regions": head}, regions, classes)

    def _heads(self, images: Tensor, regions: list[Tensor]) -> tuple[Tensor, Tensor]:
        """Return (R, C + 1) float32 logits and (R, C, 4) normalised codes of the regions of all images."""
        (maps,) = self.features(images)
        pooled = roi_pool(maps.float(), regions, self.grid, 1 / STRIDE)
        hidden = self.head(pooled)
        return self.cls_logits(hidden).float(), self.bbox_pred(hidden).float().unflatten(1, (-1, 4))


def build(spec: ModelSpec) -> nn.Module:
    """Build the network: AlexNet, or the stages of a timm model up to stride 16, such as those of VGG16."""
    return FastRcnn(spec, options_of(sys.modules[__name__], spec))
