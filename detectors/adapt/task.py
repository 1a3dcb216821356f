"""What the tasks of adaptation methods share: the choice of a checkpoint, and pairs of labelled images and photos."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property, partial
from typing import Any, NamedTuple

from pydantic import Field
from rich.console import Console
from torch import Tensor, nn

from assets.errors import SynthError
from assets.files.models import Count, FileModel, check_model
from assets.plurals import count_of
from detectors.adapt import AdaptSettings
from detectors.adapt.photos import identify_photos, open_photos
from detectors.adapt.start import continued, load_start, method_options, slow_rate
from detectors.augment import preset
from detectors.checkpoints.fields import StateDict
from detectors.data.image_set import ImageSet
from detectors.training.detector_task import DetectorParts, DetectorTask
from detectors.training.loader import Batch, InputSettings, PlannedBatches, TrainingImages, training_loader
from detectors.training.run import run_training
from detectors.training.schedule import Phase, Schedule
from detectors.training.summary import TrainSummary
from detectors.training.task import Process

# Added to the seed for photos, so that their order differs from that of the labelled images.
PHOTO_SEED = 1 << 20


class AdaptTask(DetectorTask):
    """The training of a detector that no rendered image chooses a checkpoint of.

    On renderings the least adapted weights are the best: without labelled photos to validate on the last ones count.
    """

    def validate(self, model: nn.Module, step: int) -> dict[str, float]:
        """Return the validation scores on labelled photos that were given for it, {} without any."""
        given = self.parts.settings.data
        photos = self.parts.data.validates_on_real and (given.val is not None or given.real is not None)
        return super().validate(model, step) if photos else {}


class Pair(NamedTuple):
    """A batch of labelled images, and what was read of as many photos."""

    labelled: Batch
    photos: Any


class PhotoFields(FileModel):
    """The photos that a run was started with. digest: of their names and contents."""

    count: Count
    digest: str = Field(max_length=100)


class PhotoTask(AdaptTask):
    """A training that uses photos without labels; it is resumed only on the same ones."""

    def __init__(
        self, model: nn.Module, parts: DetectorParts, *, frozen_norms: Iterable[str] = (), photos: ImageSet
    ) -> None:
        super().__init__(model, parts, frozen_norms=frozen_norms)
        self.photos = photos

    @cached_property
    def _digest(self) -> str:
        return identify_photos(self.photos).digest

    def state(self) -> StateDict:
        """Also return what the photos are known by."""
        return {**super().state(), "photos": {"count": len(self.photos), "digest": self._digest}}

    def restore(self, state: StateDict, where: str) -> None:
        """Restore the result of `state`. Raises SynthError if the photos have changed."""
        super().restore(state, where)
        known = check_model(PhotoFields, state.get("photos"), "the last checkpoint", where)
        if known.digest != self._digest:
            raise SynthError(
                "the photos have changed since the run was started",
                code="data-changed",
                where=where,
                found=count_of(len(self.photos), "photo"),
                expected=f"the same {count_of(known.count, 'photo')}, with the same content",
                hint="give another --out to start again",
            )


class PairedTask(PhotoTask):
    """The training of a detector on pairs of a labelled batch and a batch of as many photos.

    Batch norms keep their statistics: batches of one domain each would hide the shift during training but not
    afterwards.
    """

    def __init__(
        self, model: nn.Module, parts: DetectorParts, *, frozen_norms: Iterable[str] = (), photos: ImageSet
    ) -> None:
        norms = [name for name, part in model.named_modules() if isinstance(part, nn.BatchNorm2d)]
        super().__init__(model, parts, frozen_norms=dict.fromkeys((*frozen_norms, *norms)), photos=photos)

    def pair_losses(self, pair: Pair, step: int) -> dict[str, Tensor]:
        """Return the losses beside the detector's own on the labelled batch."""
        raise NotImplementedError

    def losses(self, batch: Any, step: int) -> dict[str, Tensor]:
        """Return the detector's own losses and those of the method."""
        return {**super().losses(batch.labelled, step), **self.pair_losses(batch, step)}

    def batches(self, step: int, process: Process) -> Iterator[Any]:
        """Yield pairs of a labelled batch and a batch of as many photos."""
        planned = PlannedBatches(
            self._photo_schedule(),
            batch=self.parts.settings.batch // process.world,
            start_step=step,
            rank=process.rank,
            world=process.world,
        )
        for labelled, photos in zip(super().batches(step, process), self.photo_batches(planned), strict=True):
            errors = [batch for batch in (labelled, photos) if isinstance(batch, SynthError)]
            yield errors[0] if errors else Pair(labelled, photos)

    def photo_batches(self, planned: PlannedBatches) -> Iterable[Any]:
        """Return the batches of photos, augmented as the labelled images are."""
        images = TrainingImages((self.photos,), planned.schedule, self.photo_inputs(planned))
        return training_loader(images, planned, workers=self.parts.workers, pin=False)

    def photo_inputs(self, planned: PlannedBatches) -> InputSettings:
        """Return how photos are prepared for the network."""
        spec, augment = self.parts.spec, preset(self.parts.settings.augment)
        return InputSettings(spec.width, spec.height, augment, masks=False, seed=planned.schedule.seed)

    def note_step(self, batch: Any, step: int, process: Process) -> None:
        """Count labelled samples by source."""
        super().note_step(batch.labelled, step, process)

    def explain_not_finite(self, batch: Any, losses: Mapping[str, float], step: int) -> SynthError:
        """Save the labelled batch, and return an error that lists its images."""
        return super().explain_not_finite(batch.labelled, losses, step)

    def _photo_schedule(self) -> Schedule:
        schedule = self.schedule
        phase = Phase("photos", schedule.steps, (1.0,))
        counts, seed = (len(self.photos),), schedule.seed + PHOTO_SEED
        return Schedule((phase,), counts, schedule.samples, schedule.steps_per_epoch, seed)


def adapt_in_pairs(
    settings: AdaptSettings, console: Console, task: Callable[..., PairedTask], notes: Sequence[str] = ()
) -> TrainSummary:
    """Continue from the run's averaged weights on labelled images and photos, at a tenth of the learning rate.

    task: its class. notes: lines to print before the training.
    """
    assert settings.unlabelled is not None
    start = load_start(settings, console)
    photos = open_photos(settings.unlabelled, start.classes, console)
    console.print(f"{settings.method}: {count_of(len(photos), 'photo')} without labels", highlight=False)
    for line in notes:
        console.print(line, highlight=False, markup=False)
    training = continued(settings, start, learning_rate=slow_rate(settings, start))
    make = partial(task, photos=photos, options=method_options(settings))
    return run_training(training, console, start=start, make_task=make)
