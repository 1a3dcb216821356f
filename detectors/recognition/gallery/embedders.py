"""The embedder that belongs to a gallery: kept in its folder, so that a gallery can be taken elsewhere as it is.

embedders/FINGERPRINT.ckpt    without what only training needs
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
    """What a gallery keeps on record of its embedder."""
    return EmbedderInfo(fingerprint=embedder.fingerprint, dim=embedder.dim, side=embedder.side, margin=embedder.margin)


def embedder_info_of_run(run: Path) -> EmbedderInfo:
    """The same of the embedder of a run. Raises SynthError where there is none."""
    return embedder_info(load_embedder(run, device="cpu"))


def load_on_one_thread(path: Path, *, device: str) -> Embedder:
    """An embedder that computes on one thread: sums in another order would give other last digits."""
    torch.set_num_threads(1)
    return load_embedder(path, device=device)


def keep_embedder(folder: Path, run: Path, fingerprint: str) -> Path:
    """Stores the embedder of a run in a gallery's folder, if it is not there yet; the file."""
    path = embedder_path(folder, fingerprint)
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        save_embedder_checkpoint(replace(load_embedder_checkpoint(run), training={}), path)
    return path


def embedder_path(folder: Path, fingerprint: str) -> Path:
    """Where a gallery keeps an embedder."""
    return folder / EMBEDDERS / f"{fingerprint[:16]}.ckpt"


def load_embedder_of(gallery: Gallery, run: Path | None, *, device: str) -> Embedder:
    """The gallery's own embedder, or that of a run. Raises SynthError where it is another than the gallery's."""
    path = run or embedder_path(gallery.folder, gallery.manifest.embedder.fingerprint)
    embedder = load_embedder(path, device=device)
    gallery.check_embedder(embedder.fingerprint, str(path))
    return embedder


def learned_threshold(gallery: Gallery) -> float:
    """The score that the embedder's own validation found to tell known products from unknown; nan where it had none."""
    path = embedder_path(gallery.folder, gallery.manifest.embedder.fingerprint)
    return load_embedder_checkpoint(path).score.get("threshold", math.nan) if path.exists() else math.nan
