"""Weak and strong views of the same photos, and masking of blocks (MIC, Hoyer et al. 2023, arXiv 2212.01322)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional
from torch.utils.data import Dataset

from assets.errors import SynthError
from detectors.augment import AugmentSettings, augment, preset
from detectors.data.image_set import ImageSet
from detectors.data.mix import Draw, TrainingStream, stream
from detectors.device import PREFETCH, ProcessLoader, limit_threads
from detectors.training.loader import InputSettings, PlannedBatches


class Views(NamedTuple):
    """Two views of the same B photos at the same places. weak, strong: (B, H, W, 3) uint8 RGB."""

    weak: Tensor
    strong: Tensor


# Geometry of both views: framing as light augmentation has it, and nothing that adds or hides products.
SHARED = ("zoom_chance", "zoom", "aspect")
COMPOSING: dict[str, Any] = {"mosaic_chance": 0.0, "paste_chance": 0.0, "flip_chance": 0.0, "erase_chance": 0.0}


def weak_settings() -> AugmentSettings:
    """Return the weak augmentation: light framing, no change of colours."""
    framing: dict[str, Any] = {name: getattr(preset("light"), name) for name in SHARED}
    return replace(preset("none"), **framing, **COMPOSING)


def strong_settings() -> AugmentSettings:
    """Return the strong augmentation: the framing of the weak one, and strong changes of light and camera."""
    framing: dict[str, Any] = {name: getattr(preset("light"), name) for name in SHARED}
    return replace(preset("strong"), **framing, **COMPOSING)


class PhotoViews(Dataset[Any]):
    """Both views of a photo by draw: a pure function of (seed, position)."""

    def __init__(self, photos: ImageSet, settings: InputSettings) -> None:
        self.photos, self.settings = photos, settings

    def __getitem__(self, draw: Draw) -> tuple[np.ndarray, np.ndarray] | SynthError:
        settings = self.settings
        try:
            sample = self.photos.read_sample(draw.image, masks=False)
        except SynthError as error:
            # Returned, not raised: torch would wrap its text in the traceback of the worker process.
            return error
        weak, strong = (
            # The same random numbers: those of the framing come first.
            augment(
                sample,
                [],
                settings=one,
                width=settings.width,
                height=settings.height,
                rng=stream(settings.seed, TrainingStream.AUGMENT, draw.position),
            ).image
            for one in (weak_settings(), strong_settings())
        )
        return weak, strong


def view_batches(photos: ImageSet, planned: PlannedBatches, settings: InputSettings, workers: int) -> ProcessLoader:
    """Return a loader of the batches' Views in their order; `workers` processes read ahead."""
    return ProcessLoader(
        PhotoViews(photos, settings),
        batch_sampler=planned,
        num_workers=workers,
        collate_fn=collate_views,
        worker_init_fn=limit_threads,
        prefetch_factor=PREFETCH if workers else None,
    )


def collate_views(items: list[tuple[np.ndarray, np.ndarray] | SynthError]) -> Views | SynthError:
    """Combine the views of several photos, or return the first error among them."""
    pairs = []
    for item in items:
        if isinstance(item, SynthError):
            return item
        pairs.append(item)
    weak, strong = (torch.from_numpy(np.stack(column)) for column in zip(*pairs, strict=True))
    return Views(weak, strong)


def mask_blocks(images: Tensor, share: float, block: int, fill: tuple[float, float, float]) -> Tensor:
    """Return (B, 3, H, W) images in which each block of `block` pixels is replaced by a colour with chance `share`.

    fill: RGB in 0..1. Uses torch's random numbers on the CPU, so that devices agree.
    """
    rows, columns = (-(-side // block) for side in images.shape[-2:])
    kept = (torch.rand(len(images), 1, rows, columns) >= share).to(images.dtype)
    kept = functional.interpolate(kept, scale_factor=block, mode="nearest")
    kept = kept[..., : images.shape[-2], : images.shape[-1]].to(images.device)
    colour = torch.tensor(fill, dtype=images.dtype, device=images.device)[:, None, None]
    return images * kept + colour * (1 - kept)
