"""Schemas of checkpoint files, validated before anything is built from them."""

from __future__ import annotations

from typing import Annotated, Any, TypedDict

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, FailFast, Field, model_validator
from torch import Tensor

from assets.files.models import Count
from assets.limits import LIST_TEXT, NETWORK_PIXELS, SET_CLASSES
from detectors.checkpoints.recorded import RecordedSettings
from detectors.checkpoints.tensor_file import is_plain_tensor

# Input sides of networks in pixels and vector lengths: larger than any in use, small enough not to exhaust memory.
MAX_SIDE, MAX_CROP_SIDE, MAX_DIM = 8192, 1024, 1 << 16
# Channels and blocks of networks that translate pictures.
MAX_TRANSLATOR = 512
# Lower bound because channels are divided by it: torchvision's SSD has 1/255.
MIN_STD, MAX_NORMALISATION = 1e-6, 1e3


def _plain_tensor(value: Any) -> Any:
    if not is_plain_tensor(value):
        raise ValueError("not a plain tensor of numbers")
    return value


def _settings_of(text: Any) -> Any:
    if not isinstance(text, str):
        raise ValueError("not a JSON string")
    return RecordedSettings.parse(text.encode(errors="replace"), "checkpoint")


def _listed(value: Any) -> Any:
    """Return a list as a tuple: torch.save keeps both types, and versions of synth wrote both."""
    return tuple(value) if isinstance(value, list) else value


def _distinct(keys: tuple[str, ...]) -> tuple[str, ...]:
    if len(set(keys)) != len(keys):
        raise ValueError("a key is repeated")
    return keys


Text = Annotated[str, Field(max_length=LIST_TEXT.maximum)]
Texts = Annotated[tuple[Text, ...], FailFast(), Field(max_length=SET_CLASSES.maximum), BeforeValidator(_listed)]
Keys = Annotated[Texts, AfterValidator(_distinct)]
PlainTensor = Annotated[Tensor, BeforeValidator(_plain_tensor)]
Weights = dict[Text, PlainTensor]
Mean = Annotated[float, Field(ge=-MAX_NORMALISATION, le=MAX_NORMALISATION)]
Deviation = Annotated[float, Field(ge=MIN_STD, le=MAX_NORMALISATION)]
# Undefined scores are NaN.
# State of an optimizer or a task, of whatever it needs, as torch saves and restores it.
StateDict = dict[str, Any]
Scores = dict[Text, Annotated[float, Field(allow_inf_nan=True)]]


class _Fields(BaseModel):
    """Strict types, NaN only in scores. Unknown keys are accepted, as a later version of synth may write some."""

    model_config = ConfigDict(frozen=True, strict=True, allow_inf_nan=False, arbitrary_types_allowed=True)


class _Normalised(_Fields):
    mean: Annotated[tuple[Mean, Mean, Mean], BeforeValidator(_listed)]
    std: Annotated[tuple[Deviation, Deviation, Deviation], BeforeValidator(_listed)]


class SpecFields(_Normalised):
    """The fields of a ModelSpec."""

    detector: Text
    backbone: Text | None
    classes: int = Field(ge=0, le=SET_CLASSES.maximum)
    width: int = Field(ge=1, le=MAX_SIDE)
    height: int = Field(ge=1, le=MAX_SIDE)
    options: dict[Text, bool | int | float | Text] = Field(default_factory=dict)
    origin: Text | None = None

    @model_validator(mode="after")
    def _check_pixels(self) -> SpecFields:
        if self.width * self.height > NETWORK_PIXELS.maximum:
            raise ValueError(
                f"{self.width} x {self.height} pixels, at most {NETWORK_PIXELS.maximum:,} (docs/limits.md)"
            )
        return self


class EmbedderFields(_Normalised):
    """The fields of an EmbedderSpec."""

    backbone: Text
    dim: int = Field(ge=2, le=MAX_DIM)
    side: int = Field(ge=1, le=MAX_CROP_SIDE)
    margin: float = Field(ge=0, lt=1)


class ClassFields(_Fields):
    """The fields of Classes."""

    keys: Keys
    names: Texts

    @model_validator(mode="after")
    def _check_lengths(self) -> ClassFields:
        if len(self.keys) != len(self.names):
            raise ValueError(f"{len(self.keys)} keys and {len(self.names)} names")
        return self


class _Written(_Fields):
    """The fields that both kinds of checkpoint have."""

    weights: Weights
    settings: Annotated[RecordedSettings, BeforeValidator(_settings_of)]
    data: dict[Text, Text]
    step: Count
    score: Scores
    training: StateDict
    versions: dict[Text, Text]


class CheckpointFields(_Written):
    """The fields of a detector checkpoint."""

    spec: SpecFields
    classes: ClassFields
    frozen_norms: Texts
    threshold: float | None = Field(ge=0, le=1)

    @model_validator(mode="after")
    def _check_classes(self) -> CheckpointFields:
        if self.spec.classes != len(self.classes.keys):
            raise ValueError(f"a network of {self.spec.classes} classes for {len(self.classes.keys)} keys")
        return self


class EmbedderCheckpointFields(_Written):
    """The fields of an embedder checkpoint."""

    embedder: EmbedderFields
    keys: Keys
    head: Weights

    @model_validator(mode="after")
    def _check_threshold(self) -> EmbedderCheckpointFields:
        threshold = self.score.get("threshold", 0.0)
        if threshold < -1.5 or 1.5 < threshold < float("inf"):
            raise ValueError(f"score.threshold is {threshold:g}, a similarity lies between -1 and 1")
        return self


class TranslatorSpecFields(_Fields):
    """The fields of a TranslatorSpec."""

    width: int = Field(ge=1, le=MAX_TRANSLATOR)
    blocks: int = Field(ge=1, le=MAX_TRANSLATOR)


class TranslatorFields(_Written):
    """The fields of a translator's checkpoint."""

    translator: TranslatorSpecFields


class TrainingState(TypedDict, total=False):
    """What checkpoints store to resume a training; `TrainingFields` checks it. Empty in the best checkpoint.

    weights: before averaging. extra: of what is trained beside the model. task: the task's own state.
    """

    weights: dict[str, Tensor]
    extra: dict[str, Tensor]
    optimizers: list[StateDict]
    average_steps: int
    record: HistoryState
    losses: LossState
    task: StateDict


class HistoryState(TypedDict):
    """As `RecordFields`."""

    rows: list[dict[str, float]]
    best: float
    stale: int
    stopped: bool
    fitted: dict[str, float] | None


class LossState(TypedDict):
    """As `LossFields`."""

    sums: dict[str, float]
    steps: int


class RecordFields(_Fields):
    """The history of a training: a row per epoch, best score, epochs since the best, whether it stopped early.

    fitted: the row of the best epoch once the model is fitted, None before and of models without such parts.
    """

    rows: list[Scores]
    best: float
    stale: Count
    stopped: bool
    fitted: Scores | None = None


class LossFields(_Fields):
    """Sums of losses over the steps of the unfinished epoch."""

    sums: Scores
    steps: Count


class TrainingFields(_Fields):
    """The state needed to resume a training. task: the task's own state."""

    weights: Weights
    extra: Weights
    optimizers: list[StateDict]
    average_steps: Count
    record: RecordFields
    losses: LossFields
    task: StateDict

    @model_validator(mode="before")
    @classmethod
    def _upgrade(cls, content: Any) -> Any:
        """Convert checkpoints written before detectors and embedders shared one training loop."""
        record = content.get("record") if isinstance(content, dict) else None
        if not isinstance(record, dict) or "task" in content:
            return content
        if "optimizer" in content:
            task = {"drawn": record.get("drawn")}
            return {"extra": {}, "optimizers": [content["optimizer"]], **content, "task": task}
        losses = {"sums": {"loss": record.get("sum")}, "steps": record.get("steps")}
        if not losses["steps"]:
            losses["sums"] = {}
        task = {name: content.get(name) for name in ("frozen_norms", "neighbours")}
        return {**content, "extra": content.get("loss"), "losses": losses, "task": task}


class DetectorTaskFields(_Fields):
    """State of a detector's training. drawn: number of samples from each source."""

    drawn: dict[Text, Count]


class EmbedderTaskFields(_Fields):
    """State of an embedder's training."""

    frozen_norms: Texts
    neighbours: PlainTensor | None
