"""What every detector offers: losses of labelled images, detections, features; and options of its own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from pydantic import BaseModel, ConfigDict
from torch import Tensor, nn

from assets.errors import SynthError, unknown_name
from assets.files.models import check_model
from detectors.models.spec import ModelSpec


class Detector(Protocol):
    """An nn.Module that finds objects. Images are (B, 3, H, W) float32 RGB in 0..1, of the spec's width and height.

    backbone: the part that `--freeze backbone` freezes and whose pretrained batch norms keep their statistics. Layers
    whose rows stand for classes have `cls_logits` in their name: other classes never take them over.
    """

    backbone: nn.Module

    def losses(self, images: Tensor, targets: list[dict[str, Tensor]]) -> dict[str, Tensor]:
        """Return scalar losses by name; their sum is minimized.

        targets: of each image `boxes` (N, 4) float32 xyxy pixels, `labels` (N,) int64 from 0, `ignored` (K, 4) boxes
        in which nothing counts as background, and `masks` (N, H, W) uint8 where the module needs them.
        """
        ...

    def detect(self, images: Tensor) -> list[dict[str, Tensor]]:
        """Return for each image `boxes` (D, 4) xyxy pixels, `labels` (D,) int64 from 0, `scores` (D,) falling.

        Detectors of masks add `masks` (D, 1, H, W) in 0..1.
        """
        ...

    def features(self, images: Tensor) -> list[Tensor]:
        """Return the maps of features (B, C, h, w) that the heads see, the finest first."""
        ...


class DetectorModule(Protocol):
    """What the file of a detector defines; it may also define Options and TORCHVISION.

    LONG_SIDE: pixels of the longer side that images are scaled to by default. FIXED_SIZE: the only (width, height) it
    takes, or None. LEARNING_RATE: of AdamW, at a batch of 16. NEEDS_MASKS: whether every target needs a mask. MEAN,
    STD: of the channels, as shares of full scale. Options: a subclass of DetectorOptions, which `build` reads by
    `options_of`. TORCHVISION: names of torchvision's weight enums of the whole detector and of its backbone, or None.
    """

    LONG_SIDE: int
    FIXED_SIZE: tuple[int, int] | None
    LEARNING_RATE: float
    NEEDS_MASKS: bool
    MEAN: tuple[float, float, float]
    STD: tuple[float, float, float]

    def build(self, spec: ModelSpec) -> nn.Module:
        """Return the network with random weights."""
        ...


class DetectorOptions(BaseModel):
    """Options of one detector: fields with defaults, ranges and descriptions. The base has none."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


def check_options(module: Any, given: Mapping[str, Any], detector: str) -> DetectorOptions:
    """Return the validated options of a detector, defaults filled in.

    given: values, or texts of the command line. Raises SynthError for unknown names and values out of range.
    """
    kind: type[DetectorOptions] = getattr(module, "Options", DetectorOptions)
    for name in given:
        if name not in kind.model_fields:
            raise unknown_name(f"option of {detector}", name, kind.model_fields)
    return check_model(kind, dict(given), f"the options of {detector}", "--detector-option")


def options_of(module: Any, spec: ModelSpec) -> Any:
    """Return the options in a spec, as the module's Options. Options that came later have their defaults."""
    return check_options(module, dict(spec.options), spec.detector)


def parse_options(pairs: tuple[str, ...]) -> dict[str, str]:
    """Return NAME=VALUE texts as a dictionary. Raises SynthError where one has no sign or stands twice."""
    parsed: dict[str, str] = {}
    for pair in pairs:
        name, sign, value = (part.strip() for part in pair.partition("="))
        if not sign or not name or name in parsed:
            raise SynthError(
                "invalid detector option", code="setting-invalid", found=pair, expected="NAME=VALUE, each name once"
            )
        parsed[name] = value
    return parsed
