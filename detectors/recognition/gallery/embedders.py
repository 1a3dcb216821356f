"""The embedder of a gallery, stored in its folder, so that a gallery can be moved as a whole.

embedders/FINGERPRINT.ckpt    checkpoint without the training state
"""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import torch

from detectors.recognition.embedder.checkpoint import load_embedder_checkpoint, save_embedder_checkpoint
from detectors.recognition.embedder.load import Embedder, load_embedder
from detectors.recognition.gallery.open import Gallery
from detectors.recognition.gallery.versions import EmbedderInfo

EMBEDDERS = "embedders"


def embedder_info(embedder: Embedder) -> EmbedderInfo:
    """Return what a gallery stores about its embedder."""
    return EmbedderInfo(fingerprint=embedder.fingerprint, dim=embedder.dim, side=embedder.side, margin=embedder.margin)


def embedder_info_of_run(run: Path) -> EmbedderInfo:
    """Return the same for the embedder of a run. Raises SynthError if there is none."""
    return embedder_info(load_embedder(run, device="cpu"))


def load_on_one_thread(path: Path, *, device: str) -> Embedder:
    """Load an embedder, and limit torch to one thread: another summation order would change the last digits."""
    torch.set_num_threads(1)
    return load_embedder(path, device=device)


def keep_embedder(folder: Path, run: Path, fingerprint: str) -> Path:
    """Store the embedder of a run in a gallery's folder unless it is there already; returns the file."""
    path = embedder_path(folder, fingerprint)
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        save_embedder_checkpoint(replace(load_embedder_checkpoint(run), training={}), path)
    return path


def embedder_path(folder: Path, fingerprint: str) -> Path:
    """Return the file in which a gallery stores an embedder."""
    return folder / EMBEDDERS / f"{fingerprint[:16]}.ckpt"


def load_embedder_of(gallery: Gallery, run: Path | None, *, device: str) -> Embedder:
    """Load the gallery's embedder, from `run` if given. Raises SynthError if it is another embedder."""
    path = run or embedder_path(gallery.folder, gallery.manifest.embedder.fingerprint)
    embedder = load_embedder(path, device=device)
    gallery.check_embedder(embedder.fingerprint, str(path))
    return embedder


def learned_threshold(gallery: Gallery) -> float:
    """Return the threshold for unknown products from the embedder's validation, nan if it had none."""
    path = embedder_path(gallery.folder, gallery.manifest.embedder.fingerprint)
    return load_embedder_checkpoint(path).score.get("threshold", math.nan) if path.exists() else math.nan
