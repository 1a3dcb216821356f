"""Loading of training batches: worker processes read, augment and batch images, determined by position alone."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from assets.errors import SynthError
from detectors.augment import PARTNERS, AugmentSettings, augment
from detectors.data.image_set import IGNORED
from detectors.data.mix import Draw, TrainingStream, stream
from detectors.data.proposals import ProposalSettings, cached_proposals
from detectors.data.sample import Sample
from detectors.data.source import ImageSource
from detectors.device import PREFETCH, ProcessLoader, limit_threads
from detectors.training.schedule import Schedule

# Batches that threads prepare while one is trained on.
BATCHES_AHEAD = 2


class Batch(NamedTuple):
    """A training batch. images: (B, H, W, 3) uint8 RGB. targets: as in `Detector.losses`. draws: where each is from."""

    images: Tensor
    targets: list[dict[str, Tensor]]
    draws: list[Draw]


@dataclass(frozen=True)
class InputSettings:
    """How images are prepared for the network. masks: whether targets need masks. proposals: how they are made."""

    width: int
    height: int
    augment: AugmentSettings
    masks: bool
    seed: int
    proposals: ProposalSettings | None = None


# Changes an image of a source (its index) before it is augmented.
ChangeImage = Callable[[Sample, int, np.random.Generator], Sample]


class TrainingImages(Dataset[Any]):
    """Training samples by draw: a pure function of (seed, position), so that any worker process can make any sample."""

    def __init__(
        self,
        sources: tuple[ImageSource, ...],
        schedule: Schedule,
        settings: InputSettings,
        change: ChangeImage | None = None,
    ) -> None:
        self.sources, self.schedule, self.settings, self.change = sources, schedule, settings, change
        self._ahead: dict[int, Sequence[int]] = {}

    def __getitem__(self, draw: Draw) -> tuple[Sample, Draw] | SynthError:
        try:
            return self.make(draw), draw
        except SynthError as error:
            # Returned, not raised: torch would wrap its text in the traceback of the worker process.
            return error

    def make(self, draw: Draw) -> Sample:
        """Read and augment the sample of a draw. Raises SynthError if its image cannot be read."""
        settings = self.settings
        self._fetch_ahead(draw)
        sample = self._read(draw.source, draw.image, draw.position, 0, masks=settings.masks)
        rng = stream(settings.seed, TrainingStream.AUGMENT, draw.position)
        return augment(
            sample,
            self._partners(draw),
            settings=settings.augment,
            width=settings.width,
            height=settings.height,
            rng=rng,
        )

    def _read(self, source: int, image: int, position: int, place: int, *, masks: bool) -> Sample:
        """Read an image for a position: the drawn one (place 0) or one of its partners."""
        images = self.sources[source]
        sample = images.read_sample(image, masks=masks)
        if self.settings.proposals is not None:
            # An image that is made while training is never seen again.
            proposals = cached_proposals(sample.image, self.settings.proposals, store=images.live is None)
            sample = replace(sample, proposals=proposals)
        if self.change is None:
            return sample
        return self.change(sample, source, stream(self.settings.seed, TrainingStream.CHANGE, position, place))

    def _partners(self, draw: Draw) -> list[Callable[[], Sample]]:
        """Return loaders of other images of the same mix, for mosaics and copy-paste."""
        rng = stream(self.settings.seed, TrainingStream.PARTNERS, draw.position)
        shares = self.schedule.shares_at(draw.position)
        mix, offset = self.schedule.mix_at(draw.position)
        partners: list[Callable[[], Sample]] = []
        for place, source in enumerate(rng.choice(len(shares), PARTNERS, p=np.array(shares) / sum(shares)), start=1):
            image = mix.partner(draw.position - offset, int(source), rng=rng)
            partners.append(partial(self._read, int(source), image, draw.position, place, masks=True))
        return partners

    def _fetch_ahead(self, draw: Draw) -> None:
        """Start to download the next shards of a source while the current ones are read."""
        source = self.sources[draw.source]
        if source.windows is not None:
            mix, offset = self.schedule.mix_at(draw.position)
            shards = mix.shards_ahead(draw.position - offset, draw.source)
            if self._ahead.get(draw.source) != shards:
                self._ahead[draw.source] = shards
                source.fetch_ahead(shards)


class PlannedBatches(Sampler[list[Draw]]):
    """The batches of one process: each step uses `batch` samples in each of `world` processes."""

    def __init__(self, schedule: Schedule, *, batch: int, start_step: int, rank: int, world: int) -> None:
        self.schedule, self.batch, self.start_step, self.rank, self.world = schedule, batch, start_step, rank, world

    def __len__(self) -> int:
        return self.schedule.steps - self.start_step

    def __iter__(self) -> Iterator[list[Draw]]:
        for step in range(self.start_step, self.schedule.steps):
            first = (step * self.world + self.rank) * self.batch
            yield list(self.schedule.draws(first, first + self.batch))


def training_loader(dataset: TrainingImages, batches: PlannedBatches, *, workers: int, pin: bool) -> ProcessLoader:
    """Return a loader of the batches in their order; `workers` processes read ahead."""
    return ProcessLoader(
        dataset,
        batch_sampler=batches,
        num_workers=workers,
        collate_fn=collate,
        pin_memory=pin,
        worker_init_fn=limit_threads,
        prefetch_factor=PREFETCH if workers else None,
    )


def batches_in_threads(
    dataset: TrainingImages, batches: PlannedBatches, *, threads: int
) -> Iterator[Batch | SynthError]:
    """Yield the batches in their order; threads of this process read ahead.

    For images that only this process has. OpenCV and Pillow release the lock of the interpreter for most of the time.
    """
    pool = ThreadPoolExecutor(max(threads, 1), thread_name_prefix="images")
    ahead: deque[list[Future[tuple[Sample, Draw] | SynthError]]] = deque()
    try:
        for draws in batches:
            ahead.append([pool.submit(dataset.__getitem__, draw) for draw in draws])
            if len(ahead) > BATCHES_AHEAD:
                yield collate([made.result() for made in ahead.popleft()])
        while ahead:
            yield collate([made.result() for made in ahead.popleft()])
    finally:
        # Not waited for: a thread may wait for an image that is rendered after the training has stopped.
        pool.shutdown(wait=False, cancel_futures=True)


def collate(items: list[tuple[Sample, Draw] | SynthError]) -> Batch | SynthError:
    """Combine samples of one size into a batch, or return the first error among them."""
    made = [item for item in items if not isinstance(item, SynthError)]
    if len(made) < len(items):
        return next(item for item in items if isinstance(item, SynthError))
    images = torch.from_numpy(np.stack([sample.image for sample, _ in made]))
    return Batch(images, [target_of(sample) for sample, _ in made], [draw for _, draw in made])


def target_of(sample: Sample) -> dict[str, Tensor]:
    """Convert a sample's boxes to a target of `Detector.losses`, with ignored boxes separate."""
    kept = sample.labels != IGNORED
    target = {
        "boxes": torch.from_numpy(np.ascontiguousarray(sample.boxes[kept], np.float32)),
        "labels": torch.from_numpy(sample.labels[kept].astype(np.int64)),
        "ignored": torch.from_numpy(np.ascontiguousarray(sample.boxes[~kept], np.float32)),
    }
    if sample.masks is not None:
        target["masks"] = torch.from_numpy(np.ascontiguousarray(sample.masks[kept], np.uint8))
    if sample.keypoints is not None:
        target["keypoints"] = torch.from_numpy(np.ascontiguousarray(sample.keypoints[kept], np.float32))
    if sample.proposals is not None:
        target["proposals"] = torch.from_numpy(np.ascontiguousarray(sample.proposals, np.float32))
    return target
