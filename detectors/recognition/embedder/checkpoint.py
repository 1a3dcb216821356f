"""Embedder checkpoints: one file with everything needed to use the embedder, loaded without running its code."""

from __future__ import annotations

import io
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from assets.errors import SynthError
from assets.files.atomic import write_atomic
from assets.files.models import check_model
from detectors.checkpoints.detector import DAMAGED, check_format, find_checkpoint, versions
from detectors.checkpoints.fields import EmbedderCheckpointFields, TrainingState
from detectors.checkpoints.network_weights import check_weights, outline_network, versions_hint
from detectors.checkpoints.recorded import RecordedSettings
from detectors.checkpoints.tensor_file import read_tensor_file
from detectors.recognition.embedder.network import EmbedderSpec, EmbeddingNet, check_maps
from detectors.recognition.embedder.softmax import Softmax

FORMAT = 1


@dataclass(frozen=True)
class EmbedderCheckpoint:
    """A trained embedder. keys: the SKUs it was trained on, in the order of the loss's classes.

    settings: of the run. data: hash of each data set. score: validation scores, empty without a validation
    set. head: weights of the classifier if the loss is one. training: what resuming needs (weights before averaging,
    loss, optimizers, history); empty in the best checkpoint.
    """

    spec: EmbedderSpec
    weights: dict[str, Tensor]
    keys: tuple[str, ...]
    settings: RecordedSettings
    data: dict[str, str]
    step: int = 0
    score: dict[str, float] = field(default_factory=dict)
    head: dict[str, Tensor] = field(default_factory=dict)
    training: TrainingState = field(default_factory=TrainingState)
    versions: dict[str, str] = field(default_factory=dict)


def save_embedder_checkpoint(checkpoint: EmbedderCheckpoint, path: Path) -> None:
    """Write a checkpoint atomically."""
    content = {
        "embedder_format": FORMAT,
        "embedder": asdict(checkpoint.spec),
        "weights": checkpoint.weights,
        "keys": list(checkpoint.keys),
        "settings": checkpoint.settings.text,
        "data": checkpoint.data,
        "step": checkpoint.step,
        "score": checkpoint.score,
        "head": checkpoint.head,
        "training": checkpoint.training,
        "versions": versions(),
    }
    buffer = io.BytesIO()
    torch.save(content, buffer)
    write_atomic(path, buffer.getvalue())


def load_embedder_checkpoint(run: Path) -> EmbedderCheckpoint:
    """Load a checkpoint file, or the best or else last checkpoint of a run's folder, onto the CPU.

    Raises SynthError if it is missing, damaged or not an embedder.
    """
    path = find_checkpoint(run, kind="embedder", command="synth embedder train")
    content = read_tensor_file(path, "the checkpoint")
    _check_kind(content, str(path))
    fields = check_model(EmbedderCheckpointFields, content, "the embedder", str(path), DAMAGED)
    spec = EmbedderSpec(**fields.embedder.model_dump())
    check_weights(outline_embedder(spec), fields.weights, str(path), versions_hint(fields.versions))
    _check_head(fields, str(path))
    names = ("weights", "keys", "settings", "data", "step", "score", "head", "training", "versions")
    return EmbedderCheckpoint(spec=spec, **{name: getattr(fields, name) for name in names})


def _check_kind(content: Any, where: str) -> None:
    """Raise SynthError for files other than an embedder of this version."""
    if not isinstance(content, dict) or "embedder" not in content:
        spec = content.get("spec") if isinstance(content, dict) and "classes" in content else None
        detector = spec.get("detector") if isinstance(spec, dict) else None
        raise SynthError(
            "not an embedder",
            code="checkpoint-foreign",
            where=where,
            found=f"a detector ({detector[:100]})" if isinstance(detector, str) else type(content).__name__,
            expected="what 'synth embedder train --out' wrote",
        )
    check_format(content.get("embedder_format"), FORMAT, "the embedder", where)


def _check_head(fields: EmbedderCheckpointFields, where: str) -> None:
    """Raise SynthError if the classifier does not match the keys."""
    if fields.head:
        with torch.device("meta"):
            expected = Softmax(len(fields.keys), fields.embedder.dim).state_dict()
        check_weights(expected, fields.head, where, DAMAGED)


@lru_cache(maxsize=8)
def outline_embedder(spec: EmbedderSpec) -> dict[str, Tensor]:
    """Return an embedder's weights by name, without data. Raises SynthError if it cannot be built."""
    return outline_network(lambda: EmbeddingNet(spec), lambda net: check_maps(net, spec))
