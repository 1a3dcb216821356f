"""A sliding window (Sermanet et al. 2014, OverFeat): a classifier of windows, evaluated at every place and many scales.

Sermanet, Eigen, Zhang, Mathieu, Fergus and LeCun 2014, arXiv 1312.6229. The fully connected layers of the classifier
are convolutions, so that an image of any size gives a map with one output for each window; a second output moves the
box of the window. Trained on single windows; the objects of an image are found in a pyramid of scaled copies.
"""

from __future__ import annotations

import sys
from typing import NamedTuple

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional
from torchvision.ops import roi_align

from detectors.models.interface import DetectorOptions, SoftHead, SoftOutputs, options_of
from detectors.models.parts import IMAGENET_MEAN, IMAGENET_STD, normalised
from detectors.models.region_based.bodies import initialise
from detectors.models.region_based.sampling import (
    BACKGROUND,
    Matched,
    decode_boxes,
    encode_boxes,
    match_regions,
    sample_regions,
    select_detections,
)
from detectors.models.spec import ModelSpec

LONG_SIDE = 640
FIXED_SIZE = None
LEARNING_RATE = 2e-4
NEEDS_MASKS = False
CUTS_WINDOWS = True
# Other networks pad, so that they say of a window within an image what they would not say of it alone.
TAKES_BACKBONE = False
NOT_EXPORTED = "ONNX cannot scale images by the filter of its pyramid"
SMALLEST = {"channels": 128, "dropout": 0.0, "smallest": 24, "width": 128, "window": 63, "windows": 32}
MEAN, STD = IMAGENET_MEAN, IMAGENET_STD
POSITIVE, POSITIVE_SHARE = 0.5, 0.25
# Windows are nearly square and products are not: of every product the best windows count as positives, down to this.
LEAST_POSITIVE = 0.2
DEVIATIONS = (0.1, 0.1, 0.2, 0.2)
# Side of windows of the network after OverFeat's fast one, and of a small one.
LARGE, SMALL = 231, 63


class Options(DetectorOptions):
    """Options of the network."""

    window: int = Field(LARGE, ge=32, le=512, description="Side of windows in pixels: 231, or 63 for a small network.")
    smallest: int = Field(48, ge=4, le=1024, description="Side of the smallest windows in pixels of the image.")
    per_octave: int = Field(2, ge=1, le=4, description="Scales from one size of windows to that of twice the side.")
    windows: int = Field(128, ge=4, le=4096, description="Windows of an image that are trained on in a step.")
    channels: int = Field(1024, ge=16, le=2048, description="Channels of the last convolutions.")
    width: int = Field(4096, ge=8, le=8192, description="Outputs of the two fully connected layers.")
    dropout: float = Field(0.5, ge=0, lt=1, description="Share of these that is dropped while training.")
    nms: float = Field(0.3, gt=0, lt=1, description="Overlap from which the weaker of two boxes of a class is dropped.")


class WindowStack(nn.Module):
    """Convolutions without padding: what they say of a window is the same alone and within an image.

    window: 231 pixels, for layers as those of OverFeat's fast network, which become 6 x 6 cells of 16 pixels; or 63,
    which become 4 x 4 cells of 8 pixels. cells: a side of the window in cells. stride: of a cell in pixels.
    """

    def __init__(self, window: int, channels: int) -> None:
        super().__init__()
        first, second = max(16, channels * 3 // 32), max(16, channels // 4)
        self.window = window
        if window == LARGE:
            self.cells, self.stride = 6, 16
            layers = [*_layer(3, first, 11, 4, pool=True), *_layer(first, second, 5, pool=True)]
            layers += [*_layer(second, channels, 3), *_layer(channels, channels, 3), *_layer(channels, channels, 3)]
        else:
            self.cells, self.stride = 4, 8
            layers = [*_layer(3, first, 5, 2, pool=True), *_layer(first, second, 4, pool=True)]
            layers += _layer(second, channels, 3)
        self.layers = nn.Sequential(*layers)

    def forward(self, images: Tensor) -> Tensor:
        return self.layers(images)


def _layer(inputs: int, outputs: int, side: int, stride: int = 1, *, pool: bool = False) -> list[nn.Module]:
    convolution = nn.Conv2d(inputs, outputs, side, stride)
    nn.init.kaiming_normal_(convolution.weight, nonlinearity="relu")
    return [convolution, nn.ReLU(inplace=True), *([nn.MaxPool2d(2)] if pool else [])]


class ScaledCopy(NamedTuple):
    """A scaled copy of the image. size: its height and width. boxes: (N, 4) of its windows in the image's pixels."""

    size: tuple[int, int]
    boxes: Tensor


class SlidingWindow(nn.Module):
    """The network (interface.Detector)."""

    def __init__(self, spec: ModelSpec, options: Options) -> None:
        super().__init__()
        self.spec, self.options = spec, options
        stack = WindowStack(LARGE if options.window >= LARGE else SMALL, options.channels)
        self.backbone, self.window, self.stride, self.cells = stack, stack.window, stack.stride, stack.cells
        self.fc6 = nn.Conv2d(options.channels, options.width, stack.cells)
        self.fc7 = nn.Conv2d(options.width, options.width, 1)
        self.cls_logits = nn.Conv2d(options.width, spec.classes + 1, 1)
        self.moves = nn.Conv2d(options.width, 4, 1)
        for layer in (self.fc6, self.fc7):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
        initialise(self.cls_logits, 0.01)
        initialise(self.moves, 0.001)
        self.register_buffer("deviations", torch.tensor(DEVIATIONS), persistent=False)

    def features(self, images: Tensor) -> list[Tensor]:
        """Return the map of the whole image at the network's size, enlarged to a window if it is smaller."""
        return [self.backbone(normalised(_at_least(images, self.window), self.spec))]

    def evaluate(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return (B, C + 1, h, w) logits and (B, 4, h, w) normalised codes of all windows of normalised images.

        Window (row, column) begins at (column, row) times the stride.
        """
        hidden = self.backbone(images)
        for layer in (self.fc6, self.fc7):
            hidden = functional.dropout(layer(hidden).relu(), self.options.dropout, self.training)
        return self.cls_logits(hidden).float(), self.moves(hidden).float()

    def levels(self, device: torch.device) -> list[ScaledCopy]:
        """Return the scaled copies of an image of the network's size, that with the smallest windows first."""
        size = (self.spec.height, self.spec.width)
        found: list[ScaledCopy] = []
        step = 2 ** (1 / self.options.per_octave)
        side = float(self.options.smallest)
        while not found or side <= max(size) * step**0.5:
            # Whole steps of the window, so that the last one ends at the border of the image.
            steps = [max(0, round((length * self.window / side - self.window) / self.stride)) for length in size]
            height, width = (self.window + count * self.stride for count in steps)
            found.append(ScaledCopy((height, width), self._windows((height, width), device)))
            side *= step
        return found

    def losses(self, images: Tensor, targets: list[dict[str, Tensor]]) -> dict[str, Tensor]:
        """Return "loss_classifier" (cross-entropy) and "loss_box_reg" (smooth L1 of positives over all windows)."""
        windows = torch.cat([level.boxes for level in self.levels(images.device)])
        sampled = [self.sample(windows, target) for target in targets]
        labels = torch.cat([one for _, one in sampled])
        matched = Matched(*(torch.cat(column) for column in zip(*(one for one, _ in sampled), strict=True)))
        crops = roi_align(normalised(images, self.spec), [one.boxes for one, _ in sampled], self.window, aligned=True)
        said, moves = self.evaluate(crops)
        logits, codes = said[:, :, 0, 0], moves[:, :, 0, 0]
        total = max(len(labels), 1)
        rows = torch.nonzero(labels > BACKGROUND)[:, 0]
        wanted = encode_boxes(matched.boxes[rows], matched.truth[rows]) / self.deviations
        box = functional.smooth_l1_loss(codes[rows], wanted, beta=1.0, reduction="sum") / total
        return {
            "loss_classifier": functional.cross_entropy(logits, labels, reduction="sum") / total,
            "loss_box_reg": box,
        }

    def sample(self, windows: Tensor, target: dict[str, Tensor]) -> tuple[Matched, Tensor]:
        """Sample the windows of an image to train on: a quarter with products, the others overlap them by less.

        A window has a product if it overlaps it by half, or nearly as much as the best window of that product does.
        """
        found = match_regions(windows, target).take(torch.arange(len(windows), device=windows.device))
        found = found._replace(overlap=_raise_best(found, target))
        count = self.options.windows
        share = round(POSITIVE_SHARE * count)
        return sample_regions(found, positives=share, total=count, positive=POSITIVE, background=(0.0, POSITIVE))

    def detect(self, images: Tensor) -> list[dict[str, Tensor]]:
        """Return the boxes of all windows that remain after non-maximum suppression within each class."""
        logits, boxes = self._dense(images)
        scores = logits.softmax(2)[..., BACKGROUND + 1 :]
        size = (self.spec.width, self.spec.height)
        return [
            select_detections(one, places[:, None], size, self.options.nms)
            for one, places in zip(scores, boxes, strict=True)
        ]

    def soft_outputs(self, images: Tensor, like: SoftOutputs | None = None) -> SoftOutputs:
        """Return the outputs of all windows of all scales."""
        logits, boxes = self._dense(images)
        return SoftOutputs({"windows": SoftHead(logits.flatten(0, 1), boxes.flatten(0, 1), BACKGROUND)})

    def _dense(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return (B, N, C + 1) logits and (B, N, 4) boxes of the windows of all levels."""
        shown, logits, boxes = normalised(images, self.spec), [], []
        for level in self.levels(images.device):
            scaled = functional.interpolate(shown, level.size, mode="bilinear", antialias=True)
            said, moves = self.evaluate(scaled)
            logits.append(said.flatten(2).transpose(1, 2))
            boxes.append(decode_boxes(level.boxes, moves.flatten(2).transpose(1, 2) * self.deviations))
        return torch.cat(logits, 1), torch.cat(boxes, 1)

    def _windows(self, size: tuple[int, int], device: torch.device) -> Tensor:
        """Return (N, 4) the boxes of the windows of a copy of that height and width, in pixels of the image."""
        rows, columns = (
            self.stride * torch.arange((side - self.window) // self.stride + 1, device=device) for side in size
        )
        top, left = torch.meshgrid(rows, columns, indexing="ij")
        corner = torch.stack([left, top], 2).reshape(-1, 2).float()
        scale = corner.new_tensor([self.spec.width / size[1], self.spec.height / size[0]])
        return torch.cat([corner * scale, (corner + self.window) * scale], 1)


def _raise_best(found: Matched, target: dict[str, Tensor]) -> Tensor:
    """Return the overlaps, raised to a positive's where a window is among the best ones of its product."""
    overlap = found.overlap.clone()
    for box in target["boxes"]:
        mine = (found.truth == box).all(1) & (found.overlap > 0)
        best = found.overlap[mine].max() if mine.any() else found.overlap.new_zeros(())
        near = mine & (found.overlap >= (0.9 * best).clamp(min=LEAST_POSITIVE))
        overlap[near] = overlap[near].clamp(min=POSITIVE)
    return overlap


def _at_least(images: Tensor, side: int) -> Tensor:
    """Return images whose sides are at least `side`, enlarged where they are not."""
    scale = side / min(images.shape[-2:])
    if scale <= 1:
        return images
    size = [max(side, round(length * scale)) for length in images.shape[-2:]]
    return functional.interpolate(images, size, mode="bilinear")


def build(spec: ModelSpec) -> nn.Module:
    """Build the network: convolutions without padding after OverFeat."""
    return SlidingWindow(spec, options_of(sys.modules[__name__], spec))
