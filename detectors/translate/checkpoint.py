"""Checkpoints of translators."""

from __future__ import annotations

import io
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from assets.errors import SynthError
from assets.files.atomic import write_atomic
from assets.files.models import check_model
from detectors.checkpoints.detector import DAMAGED, check_format, find_checkpoint, versions
from detectors.checkpoints.fields import TrainingState, TranslatorFields
from detectors.checkpoints.network_weights import check_weights, outline_network, versions_hint
from detectors.checkpoints.recorded import RecordedSettings
from detectors.checkpoints.tensor_file import read_tensor_file
from detectors.translate.networks import Translator
from detectors.translate.settings import TranslatorSpec

FORMAT = 1


@dataclass(frozen=True)
class TranslatorCheckpoint:
    """A trained translator. settings: of the run. data: digests of what it learned from. training: to resume."""

    spec: TranslatorSpec
    weights: dict[str, Tensor]
    settings: RecordedSettings
    data: dict[str, str]
    step: int = 0
    training: TrainingState = field(default_factory=TrainingState)
    versions: dict[str, str] = field(default_factory=dict)


def save_translator(checkpoint: TranslatorCheckpoint, path: Path) -> None:
    """Write a checkpoint atomically."""
    content = {
        "translator_format": FORMAT,
        "translator": asdict(checkpoint.spec),
        "weights": checkpoint.weights,
        "settings": checkpoint.settings.text,
        "data": checkpoint.data,
        "step": checkpoint.step,
        "score": {},
        "training": checkpoint.training,
        "versions": versions(),
    }
    buffer = io.BytesIO()
    torch.save(content, buffer)
    write_atomic(path, buffer.getvalue())


def load_translator(run: Path) -> TranslatorCheckpoint:
    """Load a checkpoint file, or the best or else last one of a run's folder, onto the CPU.

    Raises SynthError if it is missing, damaged or not a translator.
    """
    path = find_checkpoint(run, kind="translator", command="synth refine")
    content: Any = read_tensor_file(path, "the checkpoint")
    if not isinstance(content, dict) or "translator" not in content:
        raise SynthError(
            "not a translator",
            code="checkpoint-foreign",
            where=str(path),
            found=type(content).__name__,
            expected="the folder translator of what 'synth refine --method translate --out' wrote",
        )
    check_format(content.get("translator_format"), FORMAT, "the translator", str(path))
    fields = check_model(TranslatorFields, content, "the translator", str(path), DAMAGED)
    spec = TranslatorSpec(fields.translator.width, fields.translator.blocks)
    image = torch.zeros(1, 3, 16, 16, device="meta")
    expected = outline_network(lambda: Translator(spec), lambda net: net(image))
    check_weights(expected, fields.weights, str(path), versions_hint(fields.versions))
    names = ("weights", "settings", "data", "step", "training", "versions")
    return TranslatorCheckpoint(spec=spec, **{name: getattr(fields, name) for name in names})
