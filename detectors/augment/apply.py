"""Augmentation of one training sample."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

from dataset.categories import MIRRORED
from detectors.augment.camera import retake
from detectors.augment.framing import frame, mosaic
from detectors.augment.occlude import erase
from detectors.augment.paste import paste
from detectors.augment.patch import cut_patch
from detectors.augment.settings import AugmentSettings
from detectors.data.sample import Sample

# Other samples that one augmentation needs at most: a mosaic combines four.
PARTNERS = 3


def augment(
    sample: Sample,
    others: Sequence[Callable[[], Sample]],
    *,
    settings: AugmentSettings,
    width: int,
    height: int,
    rng: np.random.Generator,
) -> Sample:
    """Augment a sample; the result is exactly (height, width) and has masks if every sample in it has.

    others: load partners for mosaics (the first PARTNERS) and for pasting (the first); each is called at most once, and
    only if needed. With fewer, the augmentations that need them are skipped. The inputs are not changed; the same
    inputs and rng give the same bytes. Boxes of which less than a quarter is left inside the image, or of which over
    nine tenths are covered, come back IGNORED.
    """
    partners = [cache(load) for load in others[:PARTNERS]]
    # The number is drawn in any case, so that later draws do not depend on the number of partners.
    with_mosaic = rng.random() < settings.mosaic_chance and len(partners) == PARTNERS and min(width, height) > 1
    if with_mosaic:
        four = [sample, *(load() for load in partners)]
        made = mosaic(four, settings=settings, width=width, height=height, rng=rng)
    # Drawn only where it can matter, so that other presets give what they gave before.
    elif settings.patch_chance and rng.random() < settings.patch_chance:
        made = cut_patch(sample, settings=settings, width=width, height=height, rng=rng)
    else:
        made = frame(sample, settings=settings, width=width, height=height, rng=rng)
    if rng.random() < settings.paste_chance and partners:
        made = paste(made, partners[0](), settings=settings, rng=rng)
    if rng.random() < settings.flip_chance:
        made = flip(made)
    if rng.random() < settings.erase_chance:
        made = replace(made, image=erase(made, settings=settings, rng=rng))
    return replace(made, image=retake(made.image, settings=settings, rng=rng))


def flip(sample: Sample) -> Sample:
    """Mirror a sample horizontally."""
    masks = None if sample.masks is None else np.ascontiguousarray(sample.masks[:, :, ::-1])
    proposals = None if sample.proposals is None else _mirrored(sample.proposals, sample.width)
    boxes = _mirrored(sample.boxes, sample.width)
    corners = None if sample.keypoints is None else _mirrored_corners(sample.keypoints, sample.width)
    return Sample(cv2.flip(sample.image, 1), boxes, sample.labels, masks, proposals=proposals, keypoints=corners)


def _mirrored_corners(corners: NDArray[np.float32], width: int) -> NDArray[np.float32]:
    """Mirror (N, 8, 3) corners of cuboids: left and right change places, since the product is mirrored, too."""
    mirrored = corners[:, list(MIRRORED)]
    mirrored[..., 0] = np.where(mirrored[..., 2] > 0, width - mirrored[..., 0], 0)
    return mirrored


def _mirrored(boxes: NDArray[np.float32], width: int) -> NDArray[np.float32]:
    mirrored = boxes.copy()
    mirrored[:, [0, 2]] = width - boxes[:, [2, 0]]
    return mirrored
