"""What the detectors of the package transformers share: backbone, losses that respect ignored regions, detections."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from types import FunctionType
from typing import Any

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional
from torchvision.ops import box_convert

from assets.errors import SynthError
from detectors.models.backbones.stages import backbone_stages
from detectors.models.ignoring import SURELY_NOT
from detectors.models.interface import DetectorOptions
from detectors.models.parts import COARSEST, MAX_DETECTIONS, covered_by, keep_all, normalised, select_boxes
from detectors.models.spec import ModelSpec

MOSTLY_IGNORED = 0.5
HEADS = 8
# A tiny backbone with stages that the package may build in place of ours, which then replaces it.
PLACEHOLDER = "test_efficientnet"


class TransformerOptions(DetectorOptions):
    """Options of the network that these detectors share."""

    width: int = Field(256, ge=32, le=1024, multiple_of=32, description="Channels of encoder and decoder.")
    feedforward: int = Field(1024, ge=32, le=8192, description="Channels between the two layers of each feed-forward.")
    decoder_layers: int = Field(6, ge=1, le=12, description="Layers of the decoder.")


def load_transformers() -> Any:
    """Import the package. Raises SynthError if it is not installed."""
    # Networks are built from configurations with random weights; nothing is asked for at the hub.
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    try:
        import transformers
    except ImportError as error:
        raise SynthError(
            "the package transformers is not installed",
            code="dependency-missing",
            found=str(error),
            hint="pip install 'synth[transformers]'",
        ) from error
    return transformers


class TransformerDetector(nn.Module):
    """A detection network of the package as interface.Detector.

    backbone: its name. strides: of the stages that the encoder takes. background: whether classes share a softmax whose
    last one is "no object".
    """

    def __init__(self, spec: ModelSpec, backbone: str, strides: tuple[int, ...], background: bool) -> None:
        super().__init__()
        self.spec, self.background = spec, background
        # Whole cells of the coarsest stage: encoders join stages of exactly half the size.
        self.size = tuple(COARSEST * math.ceil(side / COARSEST) for side in (spec.width, spec.height))
        self.backbone, self.channels = backbone_stages(backbone, strides)
        self.network: nn.Module = nn.Identity()

    def take(self, network: Any, loss: FunctionType, criterion: str, labels: str) -> TransformerDetector:
        """Take the package's network in: our backbone in place of its own, and losses without ignored regions.

        loss: its loss function. criterion: the class in it whose method `labels` is the loss of the classes.
        """
        network.model.backbone = _Backbone(self.backbone)
        network.loss_function = _in_float32(_respecting_ignored(loss, criterion, labels, self.background))
        self.network = network
        return self

    def features(self, images: Tensor) -> list[Tensor]:
        """Return the stages of the backbone that the encoder takes."""
        return list(self.backbone(self._padded(images)))

    def losses(self, images: Tensor, targets: list[dict[str, Tensor]]) -> dict[str, Tensor]:
        """Return "classification" and "box" (L1, generalized IoU and what the detector adds), of all decoder layers."""
        said = self.network(self._padded(images), labels=[self._labels(target) for target in targets])
        names = [name for name in said.loss_dict if name.startswith(("loss_ce", "loss_vfl"))]
        classification = torch.stack([said.loss_dict[name] for name in names]).sum()
        return {"classification": classification, "box": said.loss - classification}

    def detect(self, images: Tensor) -> list[dict[str, Tensor]]:
        """Return the best pairs of query and class; nothing is suppressed, as each object has one query."""
        said = self.network(self._padded(images))
        logits = said.logits.float()
        scores = logits.softmax(2)[..., :-1] if self.background else logits.sigmoid()
        size = torch.tensor(self.size * 2, device=images.device)
        boxes = box_convert(said.pred_boxes.float(), "cxcywh", "xyxy") * size
        shape = (self.spec.width, self.spec.height)
        return [select_boxes(*one, shape, keep_all) for one in zip(scores, boxes, strict=True)]

    def _padded(self, images: Tensor) -> Tensor:
        """Return images minus their mean, with zeros to the right and below."""
        padding = (0, self.size[0] - images.shape[-1], 0, self.size[1] - images.shape[-2])
        return functional.pad(normalised(images, self.spec), padding)

    def _labels(self, target: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return a target as the package takes it: centres and sizes as shares of the padded image."""
        size = torch.tensor(self.size * 2, device=target["boxes"].device)
        boxes = box_convert(target["boxes"] / size, "xyxy", "cxcywh")
        return {"class_labels": target["labels"], "boxes": boxes, "ignored": target["ignored"] / size}


class _Backbone(nn.Module):
    """The detector's backbone as the package asks for it: maps, each with a mask of its valid cells."""

    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        # In a tuple, so that its weights have one name alone: that in the detector.
        self.held = (body,)

    def forward(self, pixels: Tensor, mask: Tensor) -> list[tuple[Tensor, Tensor]]:
        maps = self.held[0](pixels)
        masks = (functional.interpolate(mask[None].float(), size=one.shape[-2:])[0].bool() for one in maps)
        return list(zip(maps, masks, strict=True))


def placeholder(stages: int) -> Any:
    """Return the configuration of a backbone that is replaced as soon as it is built. stages: number of its maps."""
    package = load_transformers()
    last = 5
    return package.TimmBackboneConfig(
        backbone=PLACEHOLDER,
        use_pretrained_backbone=False,
        features_only=True,
        out_indices=list(range(last - stages, last)),
    )


def count_queries(wanted: int, spec: ModelSpec, strides: tuple[int, ...]) -> int:
    """Return how many queries an image has that are chosen among its places: no more than it has places."""
    places = sum(math.ceil(spec.width / stride) * math.ceil(spec.height / stride) for stride in strides)
    return min(wanted, places, MAX_DETECTIONS)


def _respecting_ignored(loss: FunctionType, criterion: str, labels: str, background: bool) -> Callable[..., Any]:
    """Return a loss function of the package for which a query in an ignored region is no background.

    The function itself stays as it is; the class that it makes its criterion of becomes a subclass of it.
    """
    base = loss.__globals__[criterion]
    plain = getattr(base, labels)

    def without_ignored(self: Any, outputs: Any, targets: Any, indices: Any, *others: Any, **named: Any) -> Any:
        outputs = {**outputs, "logits": silence_queries(outputs, targets, indices, background)}
        return plain(self, outputs, targets, indices, *others, **named)

    respecting = type(f"Ignoring{criterion}", (base,), {labels: without_ignored})
    return FunctionType(loss.__code__, {**loss.__globals__, criterion: respecting}, loss.__name__, loss.__defaults__)


def silence_queries(
    outputs: dict[str, Tensor], targets: list[dict[str, Tensor]], indices: list[tuple[Tensor, Tensor]], background: bool
) -> Tensor:
    """Return (B, Q, C) logits that surely say "no object" for queries that matched nothing and lie in ignored regions.

    outputs: `logits` and `pred_boxes` (B, Q, 4) centres and sizes. targets: with `ignored` xyxy; all as shares of the
    image. indices: for each image the matched queries and their objects. A query lies in a region by half of its box.
    """
    logits = outputs["logits"]
    silent = torch.zeros(logits.shape[:2], dtype=torch.bool, device=logits.device)
    for place, (target, (matched, _)) in enumerate(zip(targets, indices, strict=True)):
        boxes = box_convert(outputs["pred_boxes"][place].detach().float(), "cxcywh", "xyxy")
        silent[place] = covered_by(boxes, target["ignored"]) > MOSTLY_IGNORED
        silent[place, matched.to(logits.device)] = False
    sure = logits.new_full((logits.shape[-1],), SURELY_NOT)
    if background:
        sure[-1] = -SURELY_NOT
    return torch.where(silent[..., None], sure, logits)


def _in_float32(loss: Callable[..., Any]) -> Callable[..., Any]:
    """Return the loss function in float32, whatever precision the network has."""

    def full(
        logits: Tensor, labels: Any, device: Any, pred_boxes: Tensor, config: Any, *others: Any, **named: Any
    ) -> Any:
        with torch.autocast(torch.device(device).type, enabled=False):
            inputs = (_full(logits), labels, device, _full(pred_boxes), config, *(_full(one) for one in others))
            return loss(*inputs, **{name: _full(one) for name, one in named.items()})

    return full


def _full(value: Any) -> Any:
    return value.float() if isinstance(value, Tensor) and value.is_floating_point() else value
