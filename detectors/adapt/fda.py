"""Fourier domain adaptation (Yang and Soatto 2020, arXiv 2004.05498): renderings get the coarse colours of photos.

The amplitudes of the lowest frequencies of each channel of a synthetic image are replaced by those of a random photo;
its phases, and with them edges, print and labels, stay.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from rich.console import Console
from torch import nn

from assets.errors import SynthError
from assets.plurals import count_of
from detectors.adapt import AdaptSettings
from detectors.adapt.options import MethodOptions
from detectors.adapt.photos import open_photos
from detectors.adapt.start import continued, load_start, method_options, slow_rate
from detectors.adapt.task import PhotoTask
from detectors.augment.view import resize
from detectors.data.image_set import ImageSet
from detectors.data.sample import Sample
from detectors.training.detector_task import DetectorParts
from detectors.training.loader import ChangeImage
from detectors.training.run import run_training
from detectors.training.summary import TrainSummary


class FdaOptions(MethodOptions):
    """Options of the method."""

    beta: float = Field(
        0.01, gt=0, le=0.25, description="Half the side of the replaced frequencies, as a share of the shorter side."
    )
    share: float = Field(1.0, gt=0, le=1, description="Share of the synthetic images that are changed.")


Options = FdaOptions


def check(settings: AdaptSettings) -> None:
    """Raise SynthError if there are no photos whose colours could be taken, or no synthetic images to change."""
    if settings.unlabelled is None and settings.data.real is None:
        raise SynthError("no photos to adapt to", code="option-missing", hint="give --unlabelled FOLDER or --real")
    if not settings.data.synthetic:
        raise SynthError("no synthetic images to change", code="option-missing", hint="give --synthetic")


def adapt(settings: AdaptSettings, console: Console) -> TrainSummary:
    """Continue training from the run's averaged weights on synthetic images with the coarse colours of photos."""
    path = settings.unlabelled or settings.data.real
    assert path is not None
    start = load_start(settings, console)
    photos = open_photos(path, start.classes, console)
    console.print(f"fda: colours of {count_of(len(photos), 'photo')}", highlight=False)
    training = continued(settings, start, learning_rate=slow_rate(settings, start))
    make = partial(FdaTask, photos=photos, options=method_options(settings))
    return run_training(training, console, start=start, make_task=make)


@dataclass(frozen=True)
class TakeColours:
    """Gives images of the first `synthetic` sources the coarse colours of a random photo."""

    photos: ImageSet
    synthetic: int
    options: FdaOptions

    def __call__(self, sample: Sample, source: int, rng: np.random.Generator) -> Sample:
        if source >= self.synthetic or rng.random() >= self.options.share:
            return sample
        photo = self.photos.read_image(int(rng.integers(len(self.photos))))
        image = swap_amplitudes(sample.image, resize(photo, sample.width, sample.height), self.options.beta)
        return replace(sample, image=image)


class FdaTask(PhotoTask):
    """Training of a detector on synthetic images with the coarse colours of photos."""

    def __init__(
        self,
        model: nn.Module,
        parts: DetectorParts,
        *,
        frozen_norms: Iterable[str] = (),
        photos: ImageSet,
        options: FdaOptions,
    ) -> None:
        super().__init__(model, parts, frozen_norms=frozen_norms, photos=photos)
        self.options = options

    def change_image(self) -> ChangeImage:
        """Return the change of synthetic images."""
        return TakeColours(self.photos, len(self.parts.settings.data.synthetic), self.options)


def swap_amplitudes(image: NDArray[np.uint8], photo: NDArray[np.uint8], beta: float) -> NDArray[np.uint8]:
    """Return (H, W, 3) `image` with the amplitudes of `photo`, of the same size, at its lowest frequencies.

    Frequencies of up to floor(beta * min(H, W)) periods per side. Only these are computed: a Fourier transform of the
    whole image takes a hundred times as long.
    """
    height, width = image.shape[:2]
    reach = int(np.floor(beta * min(height, width)))
    rows, columns = (np.outer(np.arange(-reach, reach + 1), np.arange(side)) / side for side in (height, width))
    down, across = np.exp(-2j * np.pi * rows), np.exp(-2j * np.pi * columns)
    own, other = (
        np.einsum("kh,hwc,lw->klc", down, one.astype(np.float64), across, optimize=True) for one in (image, photo)
    )
    size = np.abs(own)
    # The phase of an amplitude of 0 is undefined: 0, as NumPy's angle has it.
    turned = np.divide(own, size, out=np.ones_like(own), where=size > 0)
    change = np.abs(other) * turned - own
    added = np.einsum("kh,klc,lw->hwc", down.conj(), change, across.conj(), optimize=True).real / (height * width)
    return np.clip(np.rint(image + added), 0, 255).astype(np.uint8)
