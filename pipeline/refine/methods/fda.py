"""Fourier domain adaptation: the lowest frequencies of a photograph, by amplitude; phases stay.

Yang and Soatto, "FDA: Fourier domain adaptation for semantic segmentation", CVPR 2020: amplitudes of frequencies of at
most beta times the picture's sides are those of the photograph, x' = F^-1(M F_A(photo) + (1 - M) F_A(x), F_P(x)).

Other than published, all channels share one gain at each frequency but the lowest, of bounded size: channels by
themselves put clouds of colour over the picture.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from pipeline.refine.methods import Pixels, Preparation, RefinedPicture, RefinePicture, SourcePicture, blend
from pipeline.refine.photos import cover
from pipeline.refine.settings import RefineSettings

LABELS: Final = "kept"
DONORS: Final = 0
MAX_GAIN = 3.0


def prepare(settings: RefineSettings, task: Preparation) -> None:
    """Nothing is prepared."""


def open_method(settings: RefineSettings) -> RefinePicture:
    """Return the function that refines a picture."""

    def refine(picture: SourcePicture, photo: Pixels, strength: float, rng: np.random.Generator) -> RefinedPicture:
        height, width = picture.pixels.shape[:2]
        target = cover(photo, width, height, rng)
        exchanged = exchange_amplitudes(picture.pixels, target, settings.fda.beta)
        return RefinedPicture(blend(picture.pixels, exchanged, strength), picture.pixels)

    return refine


def exchange_amplitudes(source: Pixels, target: Pixels, beta: float) -> NDArray[np.float32]:
    """Return a picture (H, W, 3) with the low amplitudes of another of its size, 0..255 and beyond."""
    height, width = source.shape[:2]
    own, other = (np.fft.rfft2(one.astype(np.float32), axes=(0, 1)) for one in (source, target))
    reach = int(beta * min(height, width))
    rows, columns = np.abs(np.fft.fftfreq(height) * height), np.fft.rfftfreq(width) * width
    low = (rows[:, None] <= reach) & (columns <= reach)
    strength, wanted = (np.abs(one).sum(axis=2) for one in (own, other))
    gain = np.where(low, np.clip(wanted / np.maximum(strength, 1e-6), 1 / MAX_GAIN, MAX_GAIN), 1.0)
    changed = own * gain[:, :, None]
    changed[0, 0] = other[0, 0]
    return np.fft.irfft2(changed, s=(height, width), axes=(0, 1)).astype(np.float32)
