"""Training of a translator into a folder, and pictures translated by it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from torch.nn import functional

from assets.files.atomic import lock_folder
from detectors.checkpoints.detector import BEST, LAST
from detectors.device import pick_device
from detectors.training.engine import Engine, open_fabric
from detectors.training.run_folder import check_network, claim_folder
from detectors.translate.checkpoint import TranslatorCheckpoint, load_translator
from detectors.translate.crops import CropPairs, ImagePool, scaled
from detectors.translate.networks import Translator
from detectors.translate.settings import REDUCTION, TranslatorRun
from detectors.translate.task import TranslationTask


def train_translator(run: TranslatorRun, rendered: ImagePool, photos: ImagePool, console: Console) -> bool:
    """Train a translator into the folder of the run, or resume it; returns whether it is finished.

    Raises SynthError for a folder of other settings or data, and if memory runs out.
    """
    with lock_folder(run.out):
        earlier = claim_folder(run, _load_last)
        if earlier is not None:
            check_network(run.spec(), earlier.spec, run.out)
        torch.manual_seed(run.seed)  # for the initial weights alone: every step has a seed of its own
        pairs = CropPairs(rendered, photos, run.settings.crop, run.seed)
        task = TranslationTask(Translator(run.spec()), run, pairs)
        engine = Engine(task, run, open_fabric(run), earlier)
        if not engine.ended:
            if engine.step:
                console.print(f"resuming at step {engine.step} of {task.schedule.steps}", highlight=False)
            engine.run(console, (run.settings.crop, run.settings.crop))
        return engine.ended


def _load_last(path: Path) -> TranslatorCheckpoint:
    return load_translator(path)


def is_trained(run: TranslatorRun) -> bool:
    """Whether the folder holds a finished training."""
    last = run.out / LAST
    return last.exists() and (run.out / BEST).exists() and load_translator(last).step >= run.settings.steps


@dataclass(frozen=True, eq=False)
class OpenTranslator:
    """A translator on its device."""

    network: Translator
    device: torch.device

    def translate(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Translate a picture (H, W, 3) uint8 of any size; returns its values 0..255."""
        height, width = pixels.shape[:2]
        pad = (0, -width % REDUCTION, 0, -height % REDUCTION)
        with torch.inference_mode():
            image = scaled(torch.from_numpy(np.ascontiguousarray(pixels))[None]).to(self.device)
            found = self.network(functional.pad(image, pad, mode="replicate"))[0, :, :height, :width]
            values: NDArray[np.float32] = ((found.permute(1, 2, 0).float() + 1) * 127.5).cpu().numpy()
        return values


def open_translator(path: Path, device: str) -> OpenTranslator:
    """Open a trained translator. Raises SynthError if it cannot be used.

    On a CPU it computes with one thread: sums do not depend on how many processes there are.
    """
    checkpoint = load_translator(path)
    place = pick_device(device)
    if place.type == "cpu":
        torch.set_num_threads(1)
    network = Translator(checkpoint.spec)
    network.load_state_dict(checkpoint.weights)
    return OpenTranslator(network.to(place).eval(), place)
