"""The interface of detectors: training losses, detections, feature maps and detector-specific options."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

from pydantic import BaseModel, ConfigDict
from torch import Tensor, nn

from assets.errors import SynthError, unknown_name
from assets.files.models import check_model
from detectors.models.spec import ModelSpec, OptionValue


class Detector(Protocol):
    """An nn.Module that detects objects. Images are (B, 3, H, W) float32 RGB in 0..1, of the spec's width and height.

    backbone: the part that `--freeze backbone` freezes and whose pretrained batch norms keep their statistics. Layers
    with one row per class must have `cls_logits` in their name, so that they never load weights of other classes.
    """

    backbone: nn.Module

    def losses(self, images: Tensor, targets: list[dict[str, Tensor]]) -> dict[str, Tensor]:
        """Return scalar losses by name; their sum is minimized.

        targets: for each image `boxes` (N, 4) float32 xyxy pixels, `labels` (N,) int64 from 0, `ignored` (K, 4) boxes
        inside which nothing counts as background, `masks` (N, H, W) uint8 if the module needs them, `keypoints`
        (N, 8, 3) float32 x, y and COCO's flag of the corners of cuboids where the data has them, and `proposals`
        (P, 4) boxes if it has NEEDS_PROPOSALS and they were made beforehand.
        """
        ...

    def detect(self, images: Tensor) -> list[dict[str, Tensor]]:
        """Return for each image `boxes` (D, 4) xyxy pixels, `labels` (D,) int64 from 0, `scores` (D,) in falling order.

        Those that segment add `masks` (D, 1, H, W) in 0..1, those that find the corners of cuboids `keypoints`
        (D, 8, 3) of x, y and a score in 0..1.
        """
        ...

    def features(self, images: Tensor) -> list[Tensor]:
        """Return the feature maps (B, C, h, w) that the heads take, the finest first."""
        ...


class SemanticDetector(Detector, Protocol):
    """A Detector that scores the classes of every pixel; its detections are connected regions, with masks."""

    def segment(self, images: Tensor) -> Tensor:
        """Return (B, 1 + C, H, W) scores of background and of the classes, before the softmax."""
        ...


@dataclass(frozen=True)
class SoftHead:
    """All that a head says about N places of a batch of images, before any threshold or suppression.

    logits: (N, C) of the classes. boxes: (N, 4) xyxy pixels. background: column of the background class under a
    softmax; None where each class has its own sigmoid. quality: (N,) logits of how well the box sits, if it is judged.
    """

    logits: Tensor
    boxes: Tensor
    background: int | None = None
    quality: Tensor | None = None


@dataclass(frozen=True)
class SoftOutputs:
    """The heads of a detector by name. regions: for each image (R, 4) boxes that a second stage looked at.

    classes: (N,) the class of each region whose box the second stage gives.
    """

    heads: Mapping[str, SoftHead]
    regions: tuple[Tensor, ...] = ()
    classes: Tensor | None = None


class SoftDetector(Detector, Protocol):
    """A Detector that also returns what its heads say before any threshold, so that another one can learn from it."""

    def soft_outputs(self, images: Tensor, like: SoftOutputs | None = None) -> SoftOutputs:
        """Return the outputs of all places, in any mode, with gradients.

        like: outputs of another network of this kind on the same images: a second stage looks at its regions and gives
        the boxes of its classes, so that both have the same places.
        """
        ...


@dataclass(frozen=True)
class DetectionStage:
    """One step of a detector on its way from an image to detections: N places, for people to look at.

    name: a few words. meaning: one sentence. boxes: (N, 4) xyxy pixels of the network's input. scores: (N,) in 0..1,
    labels: (N,) int64 from 0, where the step has them. matched: (N,) int64, the true box that a place is assigned to in
    training, -1 for none; None where there is no truth or the step assigns nothing.
    """

    name: str
    meaning: str
    boxes: Tensor
    scores: Tensor | None = None
    labels: Tensor | None = None
    matched: Tensor | None = None


@dataclass(frozen=True)
class Explanation:
    """The steps of a detector on one image in their order; the last one are its detections."""

    stages: tuple[DetectionStage, ...]


class ExplainingDetector(Detector, Protocol):
    """A Detector that shows its own steps; without this method they are those of `soft_outputs` and `detect`."""

    def explain(self, images: Tensor, targets: list[dict[str, Tensor]] | None = None) -> Explanation:
        """Return the steps on a single image (1, 3, H, W), in evaluation mode. targets: of `losses`, if known."""
        ...


class FittingImages(Protocol):
    """Images as in validation, one after the other, to fit a detector to; they can be read several times."""

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[tuple[Tensor, list[dict[str, Tensor]]]]:
        """Yield images and targets as `Detector.losses` takes them, one image each. Ends with an error to stop."""


class FittedDetector(Detector, Protocol):
    """A Detector with parts that are not learned in steps, such as support vector machines.

    They are fitted once after the last step, to the weights of the best epoch, and kept in buffers. Before that, and
    once the network is trained further, `detect` does without them. fit_passes: how often `fit` reads the images.
    fit_images: how many it needs at most.
    """

    fit_passes: int
    fit_images: int

    def fit(self, images: FittingImages) -> None:
        """Fit these parts to the network as it is, in evaluation mode; the same images give the same buffers."""


class DetectorModule(Protocol):
    """The names that a detector's file defines; it may also define those that are not listed as fields below.

    LONG_SIDE: default length in pixels of the longer side of input images. FIXED_SIZE: the only input (width, height)
    the network takes, or None. LEARNING_RATE: for AdamW at a batch of 16. NEEDS_MASKS: whether every target needs a
    mask. MEAN, STD: per channel, as fractions of full scale. Options: a subclass of DetectorOptions, which `build`
    gets from `options_of`. TORCHVISION: names (or None) of torchvision's weight enums of detector and backbone.
    TAKES_BACKBONE: False where the network has no backbone that another could replace; absent otherwise.
    BACKBONE_STRIDES: strides of the stages that it needs of a backbone, (8, 16, 32) if absent, () if any will do.
    NEEDS_KEYPOINTS: True where every target needs the corners of its cuboid; absent otherwise.
    ONE_PER_IMAGE: True where only the largest product of an image is found; absent otherwise.
    SMALLEST: options of the smallest network, by name, for quick trials of networks that are large by default.
    NOT_EXPORTED: why the detector cannot be exported to a file, as one clause; absent where it can.
    RENAMED: prefixes of names in the published weights of the backbone, and what the network calls them, where it takes
    more of these weights than those of the backbone. NEEDS_PROPOSALS: True where the network takes object proposals:
    its Options are ProposalOptions, and targets of training get `proposals`. CUTS_WINDOWS: True where the backbone sees
    windows or scaled copies of images.

    options_from_data(boxes, labels, options): options that follow from the training data, such as anchors, by name.
    boxes: (N, 4) float32 xyxy of all labelled boxes of the training sets, in pixels of the network's input, N may be 0.
    labels: (N,) int64 from 0. options: the validated ones of the user; those that the user chose must not be returned.
    It is called once, before the network is built; what it returns is kept in the spec, so that checkpoints build the
    same network and a resumed training does not compute it again. The same boxes must give the same options.
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
    """Base class of a detector's options: fields with defaults, ranges and descriptions."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


def check_options(
    module: Any, given: Mapping[str, OptionValue], owner: str, flag: str = "--detector-option"
) -> DetectorOptions:
    """Return the validated options of a detector or another module with Options, with defaults filled in.

    given: values, or strings from the command line. owner: its name. flag: the option of the command line that sets
    them. Raises SynthError for unknown names and values out of range.
    """
    kind: type[DetectorOptions] = getattr(module, "Options", DetectorOptions)
    for name in given:
        if name not in kind.model_fields:
            raise unknown_name(f"option of {owner}", name, kind.model_fields)
    return check_model(kind, dict(given), f"the options of {owner}", flag)


def options_of(module: Any, spec: ModelSpec) -> Any:
    """Return the options of a spec as the module's Options; options added since it was saved take their defaults."""
    return check_options(module, dict(spec.options), spec.detector)


def with_defaults(module: Any, spec: ModelSpec) -> ModelSpec:
    """Return a spec with the defaults of options that were added to the detector since it was saved."""
    return replace(spec, options=tuple(sorted(options_of(module, spec).model_dump().items())))


def parse_options(pairs: tuple[str, ...], kind: str = "detector option") -> dict[str, str]:
    """Parse NAME=VALUE strings into a dictionary. Raises SynthError for one without "=" and for a repeated name.

    kind: what they are, for messages.
    """
    parsed: dict[str, str] = {}
    for pair in pairs:
        name, sign, value = (part.strip() for part in pair.partition("="))
        if not sign or not name or name in parsed:
            raise SynthError(
                f"invalid {kind}", code="setting-invalid", found=pair, expected="NAME=VALUE, each name once"
            )
        parsed[name] = value
    return parsed
