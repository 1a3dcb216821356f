"""What YOLOv2 to v4 share: heads over anchors at the cells of grids, detection, and outputs without a threshold."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from detectors.models.darknet.anchors import Shapes
from detectors.models.darknet.grid import (
    GridOutputs,
    Level,
    Target,
    best_anchor,
    decode_boxes,
    make_places,
    match_objects,
    read_head,
)
from detectors.models.interface import DetectionStage, Explanation, SoftHead, SoftOutputs
from detectors.models.parts import Suppress, normalised, select_boxes
from detectors.models.spec import ModelSpec
from detectors.models.stages import DECODED, detections_stage

ANCHORS = "Boxes in the middle of each cell, from which the network predicts how to move them."


class AnchorHead(nn.Module):
    """The last 1x1 convolution of a level: box and objectness of each anchor, and its classes."""

    def __init__(self, channels: int, anchors: int, classes: int) -> None:
        super().__init__()
        self.anchors = anchors
        self.boxes = nn.Conv2d(channels, anchors * 5, 1)
        self.cls_logits = nn.Conv2d(channels, anchors * classes, 1)

    def forward(self, maps: Tensor) -> tuple[Tensor, Tensor]:
        """Return (B, N, 5) tx ty tw th and objectness, and (B, N, C) class logits, of the places of the level."""
        return read_head(self.boxes(maps), self.anchors), read_head(self.cls_logits(maps), self.anchors)


class AnchorYolo(nn.Module):
    """Base class of the networks. shapes: anchors in pixels, those of the finest level first, as many on each level.

    channels: of each level's map, the finest first. sensitivity: of each level (`decode_boxes`). choose: which anchors
    are responsible for an object (`match_objects`).
    """

    choose: Callable[[Tensor], Tensor] = staticmethod(best_anchor)

    def __init__(
        self,
        spec: ModelSpec,
        shapes: Shapes,
        channels: Sequence[int],
        suppress: Suppress,
        sensitivity: Sequence[float] | None = None,
    ) -> None:
        super().__init__()
        self.spec, self.suppress = spec, suppress
        self.sensitivity = tuple(sensitivity or (1.0,) * len(channels))
        count = len(shapes) // len(channels)
        self.heads = nn.ModuleList(AnchorHead(width, count, spec.classes) for width in channels)
        # Not saved with the weights: the spec has them.
        anchors = torch.tensor(shapes, dtype=torch.float32).view(len(channels), count, 2)
        self.register_buffer("anchors", anchors, persistent=False)

    def features(self, images: Tensor) -> list[Tensor]:
        """Return the feature maps that the heads take, the finest first."""
        raise NotImplementedError

    def outputs(self, images: Tensor) -> GridOutputs:
        """Return what the heads say of (B, 3, H, W) images in 0..1, whose size may differ from the spec's."""
        return self.outputs_of(self.features(images), images.shape[-1], images.shape[-2])

    def outputs_of(self, maps: Sequence[Tensor], width: int, height: int) -> GridOutputs:
        """Return what the heads say of feature maps of images of `width` x `height` pixels."""
        said = [head(one) for head, one in zip(self.heads, maps, strict=True)]
        grids = [(one.shape[2], one.shape[3]) for one in maps]
        levels = [Level(*level) for level in zip(grids, self._anchors(), self.sensitivity, strict=True)]
        boxes = torch.cat([one for one, _ in said], 1)
        classes = torch.cat([one for _, one in said], 1)
        return GridOutputs(make_places(levels, width, height), boxes[..., :4], boxes[..., 4], classes)

    def class_scores(self, outputs: GridOutputs) -> Tensor:
        """Return (B, N, C) probabilities of the classes of an object: each class by itself."""
        return outputs.classes.sigmoid()

    def detect(self, images: Tensor) -> list[dict[str, Tensor]]:
        """Return the boxes that remain after suppression within each class; scores are p(class) * objectness."""
        outputs = self.outputs(images)
        scores = self.class_scores(outputs) * outputs.objectness.sigmoid()[..., None]
        boxes = decode_boxes(outputs.raw, outputs.places)
        size = (self.spec.width, self.spec.height)
        return [select_boxes(*one, size, self.suppress) for one in zip(scores, boxes, strict=True)]

    def soft_outputs(self, images: Tensor, like: SoftOutputs | None = None) -> SoftOutputs:
        """Return the logits, boxes and objectness of all places."""
        outputs = self.outputs(images)
        boxes = decode_boxes(outputs.raw, outputs.places).flatten(0, 1)
        quality = outputs.objectness.flatten()
        return SoftOutputs({"places": SoftHead(outputs.classes.flatten(0, 1), boxes, quality=quality)})

    def explain(self, images: Tensor, targets: list[Target] | None = None) -> Explanation:
        """Return the anchors with the objects that they are responsible for, what they become, and what remains."""
        outputs = self.outputs(images)
        owner = None
        if targets:
            matches = match_objects(outputs.places, targets, self.choose)
            owner = torch.full((len(outputs.places.cells),), -1, device=images.device)
            owner[matches.places] = matches.objects
        scores = self.class_scores(outputs) * outputs.objectness.sigmoid()[..., None]
        best, labels = scores[0].max(1)
        boxes = decode_boxes(outputs.raw, outputs.places)[0]
        return Explanation(
            (
                DetectionStage("anchors", ANCHORS, outputs.places.anchor_boxes, matched=owner),
                DetectionStage("before suppression", DECODED, boxes, best, labels),
                detections_stage(self, images),
            )
        )

    def _anchors(self) -> list[Tensor]:
        anchors = self.anchors
        assert isinstance(anchors, Tensor)
        return list(anchors)

    def normalised(self, images: Tensor) -> Tensor:
        """Return images with the mean and standard deviation of the spec."""
        return normalised(images, self.spec)
