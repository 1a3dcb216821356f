"""A trained detector as one file that holds all that using it needs, and loads without running anyone's code."""

from __future__ import annotations

import importlib.metadata
import io
import json
import platform
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from assets.atomic import write_whole
from assets.errors import SynthError
from detectors.image_set import Classes
from detectors.models import ModelSpec, build_model

FORMAT = 1
BEST, LAST = "best.ckpt", "last.ckpt"
PACKAGES = ("synth", "torch", "torchvision", "lightning", "timm", "numpy")


@dataclass(frozen=True)
class Checkpoint:
    """A detector. weights: of the network (the moving average where there is one).

    settings: of the run, as JSON. data: hash of each data set. frozen_norms: batch norms that keep their statistics.
    score: of the validation, where there was one. threshold: score above which a detection is worth showing.
    training: what going on needs (weights before averaging, optimizer, step); empty in the best checkpoint.
    """

    spec: ModelSpec
    classes: Classes
    weights: dict[str, Tensor]
    settings: dict[str, Any]
    data: dict[str, str]
    frozen_norms: tuple[str, ...] = ()
    step: int = 0
    score: dict[str, float] = field(default_factory=dict)
    threshold: float | None = None
    training: dict[str, Any] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)


def save_checkpoint(checkpoint: Checkpoint, path: Path) -> None:
    """Writes the file, whole or not at all."""
    content = {
        "format": FORMAT,
        "spec": checkpoint.spec.to_json(),
        "classes": {"keys": list(checkpoint.classes.keys), "names": list(checkpoint.classes.names)},
        # As text: torch's safe loader takes no Path, and JSON takes everything that settings are made of.
        "settings": json.dumps(checkpoint.settings),
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
    write_whole(path, buffer.getvalue())


def find_checkpoint(run: Path) -> Path:
    """The checkpoint that RUN means: the file itself, or the best of a run's folder, or its last.

    Raises SynthError where there is none.
    """
    for path in (run, run / BEST, run / LAST):
        if path.is_file():
            return path
    found = "a folder without checkpoints" if run.is_dir() else "nothing"
    raise SynthError(
        "there is no trained detector",
        where=str(run),
        found=found,
        expected=f"a folder that 'synth train --out' wrote ({BEST}, {LAST}), or a checkpoint file",
    )


def load_checkpoint(run: Path) -> Checkpoint:
    """The checkpoint of a run, on the CPU. Raises SynthError where it is missing, damaged or of another kind."""
    path = find_checkpoint(run)
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch and pickle raise half a dozen kinds
        raise SynthError(
            "the checkpoint cannot be read", where=str(path), found=str(error).split(". ")[0][:300]
        ) from error
    if isinstance(content, dict) and "embedder" in content:
        hint = "detectors come from 'synth train'; embedders are for 'synth gallery' and 'synth recognize'"
        raise SynthError("this is an embedder, not a detector", where=str(path), hint=hint)
    if not isinstance(content, dict) or "spec" not in content or "weights" not in content:
        hint = "weights of others can start a training: synth train --weights FILE"
        raise SynthError("this is no checkpoint of a synth run", where=str(path), hint=hint)
    if content.get("format") != FORMAT:
        raise SynthError(
            "the checkpoint has another format", where=str(path), found=str(content.get("format")), expected=str(FORMAT)
        )
    classes = content["classes"]
    return Checkpoint(
        spec=ModelSpec.from_json(content["spec"]),
        classes=Classes(tuple(classes["keys"]), tuple(classes["names"])),
        weights=content["weights"],
        settings=json.loads(content["settings"]),
        frozen_norms=tuple(content["frozen_norms"]),
        **{name: content[name] for name in ("data", "step", "score", "threshold", "training", "versions")},
    )


def restore_model(checkpoint: Checkpoint) -> nn.Module:
    """The network of a checkpoint with its weights, in evaluation mode, on the CPU.

    Raises SynthError where another version of synth or torchvision built the network differently.
    """
    model = build_model(checkpoint.spec)
    try:
        model.load_state_dict(checkpoint.weights)
    except RuntimeError as error:
        made = ", ".join(f"{name} {version}" for name, version in checkpoint.versions.items())
        hint = "use the versions it was made with, or train again"
        raise SynthError(
            "the checkpoint's weights do not fit its network here", found=f"made with {made}", hint=hint
        ) from error
    return model.eval()


def versions() -> dict[str, str]:
    """Versions of what results depend on."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found
