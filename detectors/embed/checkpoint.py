"""A trained embedder as one file that holds all that using it needs, and loads without running anyone's code."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from assets.atomic import write_whole
from assets.errors import SynthError
from detectors.checkpoint import BEST, LAST, versions
from detectors.embed.network import EmbedderSpec

FORMAT = 1


@dataclass(frozen=True)
class EmbedderCheckpoint:
    """An embedder. keys: the SKUs it was trained on, in the order of the loss's classes.

    settings: of the run, as JSON. data: hash of each data set. score: of the validation, where there was one.
    head: weights of the classifier where the loss is one. training: what going on needs (weights before averaging,
    loss, optimizers, record); empty in the best checkpoint.
    """

    spec: EmbedderSpec
    weights: dict[str, Tensor]
    keys: tuple[str, ...]
    settings: dict[str, Any]
    data: dict[str, str]
    step: int = 0
    score: dict[str, float] = field(default_factory=dict)
    head: dict[str, Tensor] = field(default_factory=dict)
    training: dict[str, Any] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)


def save_embedder_checkpoint(checkpoint: EmbedderCheckpoint, path: Path) -> None:
    """Writes the file, whole or not at all."""
    content = {
        "embedder_format": FORMAT,
        "embedder": checkpoint.spec.to_json(),
        "weights": checkpoint.weights,
        "keys": list(checkpoint.keys),
        # As text: torch's safe loader takes no Path, and JSON takes everything that settings are made of.
        "settings": json.dumps(checkpoint.settings),
        "data": checkpoint.data,
        "step": checkpoint.step,
        "score": checkpoint.score,
        "head": checkpoint.head,
        "training": checkpoint.training,
        "versions": versions(),
    }
    buffer = io.BytesIO()
    torch.save(content, buffer)
    write_whole(path, buffer.getvalue())


def load_embedder_checkpoint(run: Path) -> EmbedderCheckpoint:
    """The best checkpoint of a run's folder, else its last, or the file itself, on the CPU.

    Raises SynthError where it is missing, damaged or no embedder.
    """
    path = _find(run)
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch and pickle raise half a dozen kinds
        raise SynthError(
            "the checkpoint cannot be read", where=str(path), found=str(error).split(". ")[0][:300]
        ) from error
    if not isinstance(content, dict) or "embedder" not in content:
        is_detector = isinstance(content, dict) and "spec" in content and "classes" in content
        raise SynthError(
            "this is no embedder",
            where=str(path),
            found=f"a detector ({content['spec'].get('detector')})" if is_detector else type(content).__name__,
            expected="what 'synth embedder train --out' wrote",
        )
    if content["embedder_format"] != FORMAT:
        found = str(content["embedder_format"])
        raise SynthError("the embedder has another format", where=str(path), found=found, expected=str(FORMAT))
    return EmbedderCheckpoint(
        spec=EmbedderSpec.from_json(content["embedder"]),
        keys=tuple(content["keys"]),
        settings=json.loads(content["settings"]),
        **{name: content[name] for name in ("weights", "data", "step", "score", "head", "training", "versions")},
    )


def _find(run: Path) -> Path:
    for path in (run, run / BEST, run / LAST):
        if path.is_file():
            return path
    raise SynthError(
        "there is no trained embedder",
        where=str(run),
        found="a folder without checkpoints" if run.is_dir() else "nothing",
        expected=f"a folder that 'synth embedder train --out' wrote ({BEST}, {LAST}), or a checkpoint file",
    )
