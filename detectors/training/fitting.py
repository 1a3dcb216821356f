"""What happens to images outside of steps: proposals are searched before the first, detectors fitted after the last."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from torch import Tensor
from torch.utils.data import Dataset

from assets.errors import SynthError
from assets.files.atomic import write_atomic
from assets.progress import StepProgress
from detectors.data.image_set import ImageSet
from detectors.data.mix import Draw
from detectors.data.prepare import TrainingData
from detectors.data.proposals import ProposalSettings, cached_proposals, proposals_folder
from detectors.device import PREFETCH, ProcessLoader, limit_threads
from detectors.models.detect import network_input
from detectors.training.loader import Batch, TrainingImages, collate


class FittingStopped(Exception):
    """Raised while images are read for a fitting that was asked to stop."""


class _PlainImages:
    """The images of a training in the order of its last phase, each once and not augmented (FittingImages)."""

    def __init__(
        self,
        images: TrainingImages,
        draws: list[Draw],
        *,
        device: torch.device,
        workers: int,
        progress: StepProgress,
        stop: Callable[[], bool],
    ) -> None:
        self.images, self.draws, self.device, self.workers = images, draws, device, workers
        self.progress, self.stop = progress, stop

    def __len__(self) -> int:
        return len(self.draws)

    def __iter__(self) -> Iterator[tuple[Tensor, list[dict[str, Tensor]]]]:
        live = any(source.live is not None for source in self.images.sources)
        loader = ProcessLoader(
            self.images,
            batch_sampler=[[draw] for draw in self.draws],
            # Images that are made while training are in this process alone.
            num_workers=0 if live else self.workers,
            collate_fn=collate,
            worker_init_fn=limit_threads,
            prefetch_factor=None if live or not self.workers else PREFETCH,
        )
        for batch in loader:
            if isinstance(batch, SynthError):
                raise batch
            if self.stop():
                raise FittingStopped
            yield self._on_device(batch)
            self.progress.advance()

    def _on_device(self, batch: Batch) -> tuple[Tensor, list[dict[str, Tensor]]]:
        targets = [{name: value.to(self.device) for name, value in target.items()} for target in batch.targets]
        return network_input(batch.images.to(self.device)), targets


def plain_draws(images: TrainingImages, limit: int) -> list[Draw]:
    """Return the first draws of a training's last phase, without those of an image drawn before.

    At most `limit`, and no more than there are images.
    """
    schedule = images.schedule
    start = (schedule.steps - schedule.phases[-1].steps) * schedule.samples
    shares = schedule.shares_at(start)
    there = sum(count for count, share in zip(schedule.counts, shares, strict=True) if share > 0)
    draws: dict[tuple[int, int], Draw] = {}
    for draw in schedule.draws(start, start + min(limit, there)):
        draws.setdefault((draw.source, draw.image), draw)
    return list(draws.values())


@torch.inference_mode()
def fit_detector(
    model: Any, images: TrainingImages, console: Console, stop: Callable[[], bool], *, workers: int
) -> bool:
    """Fit a FittedDetector in evaluation mode, with a progress bar; returns False if asked to stop before the end."""
    device = next(model.parameters()).device
    draws = plain_draws(images, model.fit_images)
    with StepProgress(console, "fitting", total=model.fit_passes * len(draws), unit="images") as progress:
        plain = _PlainImages(images, draws, device=device, workers=workers, progress=progress, stop=stop)
        try:
            with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
                model.eval().fit(plain)
        except FittingStopped:
            return False
        progress.print(f"fitted to {len(plain)} images")
    return True


class _Searched(Dataset[int | SynthError]):
    """The images of a set; reading one puts its proposals into the cache."""

    def __init__(self, images: ImageSet, settings: ProposalSettings) -> None:
        self.images, self.settings = images, settings

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> int | SynthError:
        try:
            return len(cached_proposals(self.images.read_image(index), self.settings))
        except SynthError as error:
            # Returned, not raised: torch would wrap its text in the traceback of the worker process.
            return error


def prepare_proposals(data: TrainingData, settings: ProposalSettings, console: Console, *, workers: int) -> None:
    """Search all images of a training that lie in folders; those of shards are searched as they are read.

    What an earlier call has searched is not searched again. Raises SynthError if an image cannot be read.
    """
    for source in data.sources:
        images = source.columns
        if images is None:
            continue
        done = _marker(images, data.hashes.get(images.name, ""), settings)
        if not done.exists():
            _search_all(images, settings, console, workers)
            with suppress(OSError):  # only the next call takes longer
                done.parent.mkdir(parents=True, exist_ok=True)
                write_atomic(done, b"")


def _search_all(images: ImageSet, settings: ProposalSettings, console: Console, workers: int) -> None:
    loader = ProcessLoader(
        _Searched(images, settings),
        batch_size=None,
        num_workers=workers,
        worker_init_fn=limit_threads,
        prefetch_factor=PREFETCH if workers else None,
        collate_fn=_as_it_is,
    )
    with StepProgress(console, f"proposals of {images.name}", total=len(images), unit="images") as progress:
        for found in loader:
            if isinstance(found, SynthError):
                raise found
            progress.advance()


def _as_it_is(found: Any) -> Any:
    return found


def _marker(images: ImageSet, digest: str, settings: ProposalSettings) -> Path:
    """Return the file that says that all images of a set have been searched."""
    text = f"{digest} {settings.mode} {settings.width} {len(images)} "
    known = hashlib.sha256(text.encode() + images.image_ids.tobytes()).hexdigest()
    return proposals_folder() / "sets" / known
