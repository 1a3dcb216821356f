"""Deep CORAL: the covariances of features are made alike in renderings and photos (Sun and Saenko 2016, 1607.01719)."""

from __future__ import annotations

from collections.abc import Iterable

from pydantic import Field
from rich.console import Console
from torch import Tensor, nn

from detectors.adapt import AdaptSettings
from detectors.adapt.features import pooled_cells
from detectors.adapt.options import MethodOptions
from detectors.adapt.start import check_labels, check_photos
from detectors.adapt.task import Pair, PairedTask, adapt_in_pairs
from detectors.data.image_set import ImageSet
from detectors.models.detect import network_input
from detectors.training.detector_task import DetectorParts
from detectors.training.summary import TrainSummary


class CoralOptions(MethodOptions):
    """Options of the method."""

    weight: float = Field(1.0, gt=0, le=1e6, description="Weight of the loss.")
    cells: int = Field(
        4, ge=1, le=32, description="Cells per side that features are pooled over: batches are too small for 1."
    )


Options = CoralOptions


def check(settings: AdaptSettings) -> None:
    """Raise SynthError if there are no photos to adapt to, or no labelled images to train on."""
    check_photos(settings)
    check_labels(settings)


def adapt(settings: AdaptSettings, console: Console) -> TrainSummary:
    """Continue training from the run's averaged weights on labelled images, and align the covariances of features."""
    return adapt_in_pairs(settings, console, CoralTask)


class CoralTask(PairedTask):
    """Training of a detector on labelled images, with features of the same covariance in photos."""

    def __init__(
        self,
        model: nn.Module,
        parts: DetectorParts,
        *,
        frozen_norms: Iterable[str] = (),
        photos: ImageSet,
        options: CoralOptions,
    ) -> None:
        super().__init__(model, parts, frozen_norms=frozen_norms, photos=photos)
        self.weight, self.cells = options.weight, options.cells

    def pair_losses(self, pair: Pair, step: int) -> dict[str, Tensor]:
        """Return the CORAL loss between the labelled batch and the photos."""
        both = [
            pooled_cells(self.model.features(network_input(batch.images)), self.cells)
            for batch in (pair.labelled, pair.photos)
        ]
        return {"coral": self.weight * coral_loss(*both)}


def coral_loss(first: Tensor, second: Tensor) -> Tensor:
    """Return |C1 - C2|^2 / (4 d^2) of the covariances of (N, d) and (M, d) features, |.| the Frobenius norm."""
    width = first.shape[1]
    return (_covariance(first) - _covariance(second)).square().sum() / (4 * width * width)


def _covariance(points: Tensor) -> Tensor:
    apart = points - points.mean(0)
    return apart.T @ apart / max(len(points) - 1, 1)
