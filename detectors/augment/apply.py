"""One training sample from pictures and chance."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache

import cv2
import numpy as np

from detectors.augment.camera import retake
from detectors.augment.framing import frame, mosaic
from detectors.augment.occlude import erase
from detectors.augment.paste import paste
from detectors.augment.settings import AugmentSettings
from detectors.data.sample import Sample

# So many other samples are asked for at most: a mosaic shows four.
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
    """The sample as it might have been seen elsewhere, exactly (height, width); it has masks if all that is in it has.

    others: load partners for mosaics (the first PARTNERS) and pasting (the first); called only when drawn, once at
    most each. With fewer, what needs them is left out. The inputs are not changed; the same inputs and rng give the
    same bytes. Boxes cut to under a quarter or covered to over nine tenths come back IGNORED.
    """
    partners = [cache(load) for load in others[:PARTNERS]]
    # Drawn first in any case; then asked whether there is something to make it of.
    with_mosaic = rng.random() < settings.mosaic_chance and len(partners) == PARTNERS and min(width, height) > 1
    if with_mosaic:
        four = [sample, *(load() for load in partners)]
        made = mosaic(four, settings=settings, width=width, height=height, rng=rng)
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
    """The sample seen in a mirror."""
    boxes = sample.boxes.copy()
    boxes[:, [0, 2]] = sample.width - sample.boxes[:, [2, 0]]
    masks = None if sample.masks is None else np.ascontiguousarray(sample.masks[:, :, ::-1])
    return Sample(cv2.flip(sample.image, 1), boxes, sample.labels, masks)
