"""A translator that nobody trained, and that changes pictures."""

from __future__ import annotations

from pathlib import Path

import torch

from detectors.checkpoints.recorded import RecordedSettings
from detectors.translate.checkpoint import TranslatorCheckpoint, save_translator
from detectors.translate.networks import Translator
from detectors.translate.settings import TranslatorSpec


def write_translator(path: Path) -> None:
    """Write its checkpoint."""
    torch.manual_seed(0)
    spec = TranslatorSpec(4, 1)
    network = Translator(spec)
    torch.nn.init.normal_(network.last.weight, 0, 0.02)
    save_translator(TranslatorCheckpoint(spec, dict(network.state_dict()), RecordedSettings(), {}), path)
