"""Detector checkpoints: one file with everything needed to use the detector, loaded without running its code."""

from __future__ import annotations

import importlib.metadata
import io
import platform
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from assets.errors import SynthError
from assets.files.atomic import write_atomic
from assets.files.models import check_model
from detectors.checkpoints.fields import CheckpointFields, SpecFields, TrainingState
from detectors.checkpoints.network_weights import check_norms, check_weights, outline_network, versions_hint
from detectors.checkpoints.recorded import RecordedSettings
from detectors.checkpoints.tensor_file import read_tensor_file
from detectors.data.image_set import Classes
from detectors.models import build_model, check_trusted
from detectors.models.spec import ModelSpec

FORMAT = 1
BEST, LAST = "best.ckpt", "last.ckpt"
DAMAGED = "it is damaged or was edited: use another checkpoint, or train again"
PACKAGES = ("synth", "torch", "torchvision", "lightning", "timm", "numpy")
# Threshold of detectors that were trained without validation data to choose one on.
DEFAULT_THRESHOLD = 0.5


@dataclass(frozen=True)
class Checkpoint:
    """A trained detector. weights: of the network (their moving average if there is one).

    settings: of the run. data: hash of each data set. frozen_norms: batch norms that keep their statistics.
    score: validation scores, empty without a validation set. threshold: score above which a detection is worth showing.
    training: what resuming needs (weights before averaging, optimizer state, ...); empty in the best checkpoint.
    """

    spec: ModelSpec
    classes: Classes
    weights: dict[str, Tensor]
    settings: RecordedSettings
    data: dict[str, str]
    frozen_norms: tuple[str, ...] = ()
    step: int = 0
    score: dict[str, float] = field(default_factory=dict)
    threshold: float | None = None
    training: TrainingState = field(default_factory=TrainingState)
    versions: dict[str, str] = field(default_factory=dict)

    @property
    def display_threshold(self) -> float:
        """The threshold, or the default if none was chosen."""
        return DEFAULT_THRESHOLD if self.threshold is None else self.threshold


def save_checkpoint(checkpoint: Checkpoint, path: Path) -> None:
    """Write a checkpoint atomically."""
    content = {
        "format": FORMAT,
        "spec": {**asdict(checkpoint.spec), "options": dict(checkpoint.spec.options)},
        "classes": {"keys": list(checkpoint.classes.keys), "names": list(checkpoint.classes.names)},
        "settings": checkpoint.settings.text,
        "data": checkpoint.data,
        "frozen_norms": list(checkpoint.frozen_norms),
        "step": checkpoint.step,
        "score": checkpoint.score,
        "threshold": checkpoint.threshold,
        "versions": versions(),
        "weights": checkpoint.weights,
        "training": checkpoint.training,
    }
    buffer = io.BytesIO()
    torch.save(content, buffer)
    write_atomic(path, buffer.getvalue())


def find_checkpoint(run: Path, *, kind: str = "detector", command: str = "synth train") -> Path:
    """Return the checkpoint file that RUN stands for: the file itself, or the best or else the last of a run's folder.

    kind, command: what was trained by which command, for messages. Raises SynthError if there is none.
    """
    for path in (run, run / BEST, run / LAST):
        if path.is_file():
            return path
    found = "a folder without checkpoints" if run.is_dir() else "nothing"
    raise SynthError(
        f"no trained {kind}",
        code="checkpoint-missing",
        where=str(run),
        found=found,
        expected=f"a folder that '{command} --out' wrote ({BEST}, {LAST}), or a checkpoint file",
    )


def load_checkpoint(run: Path) -> Checkpoint:
    """Load the checkpoint of a run onto the CPU and check that its weights fit its network.

    Raises SynthError with all problems if it is missing, damaged or of another kind.
    """
    path = find_checkpoint(run)
    content = read_tensor_file(path, "the checkpoint")
    _check_kind(content, str(path))
    fields = check_model(CheckpointFields, content, "the checkpoint", str(path), DAMAGED)
    spec = _spec_of(fields.spec)
    check_trusted(spec.detector, str(path))
    check_weights(outline_detector(spec), fields.weights, str(path), versions_hint(fields.versions))
    check_norms(outline_detector(spec), fields.frozen_norms, str(path), DAMAGED)
    names = ("weights", "settings", "data", "frozen_norms", "step", "score", "threshold", "training", "versions")
    classes = Classes(fields.classes.keys, fields.classes.names)
    return Checkpoint(spec=spec, classes=classes, **{name: getattr(fields, name) for name in names})


def _spec_of(fields: SpecFields) -> ModelSpec:
    options = tuple(sorted(fields.options.items()))
    return ModelSpec(**{**fields.model_dump(), "options": options})


def _check_kind(content: Any, where: str) -> None:
    """Raise SynthError for files other than a detector checkpoint of this version, with a hint on what to do."""
    if isinstance(content, dict) and "embedder" in content:
        hint = "detectors come from 'synth train'; embedders are for 'synth gallery' and 'synth recognize'"
        raise SynthError("an embedder, not a detector", code="checkpoint-foreign", where=where, hint=hint)
    if not isinstance(content, dict) or "spec" not in content or "weights" not in content:
        hint = "other weights can be the start of a training: synth train --weights FILE"
        raise SynthError("not a checkpoint of a synth run", code="checkpoint-foreign", where=where, hint=hint)
    check_format(content.get("format"), FORMAT, "the checkpoint", where)


def check_format(found: Any, expected: int, what: str, where: str) -> None:
    """Raise SynthError if a file has another version of its format than expected."""
    if type(found) is not int or found != expected:
        version = str(found)[:20] if isinstance(found, int | str) else type(found).__name__
        raise SynthError(
            f"unsupported format of {what}",
            code="format-version-unsupported",
            where=where,
            found=version,
            expected=str(expected),
        )


@lru_cache(maxsize=8)
def outline_detector(spec: ModelSpec) -> dict[str, Tensor]:
    """Return a detector's weights by name, without data. Raises SynthError if it cannot be built."""

    def look(model: nn.Module) -> None:
        model.features(torch.zeros(1, 3, spec.height, spec.width))

    return outline_network(lambda: build_model(spec), look)


def restore_model(checkpoint: Checkpoint) -> nn.Module:
    """Build the network of a checkpoint with its weights, in evaluation mode, on the CPU."""
    model = build_model(checkpoint.spec)
    model.load_state_dict(checkpoint.weights)
    return model.eval()


def versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that results depend on."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found
