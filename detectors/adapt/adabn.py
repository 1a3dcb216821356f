"""Adaptive batch normalisation (Li et al. 2016): the statistics of batch norms become those of photos; no gradients."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import torch
from pydantic import Field
from rich.console import Console
from torch import Tensor, nn

from assets.errors import SynthError
from assets.files.atomic import lock_folder
from assets.interrupt import stop_on_signals
from assets.plurals import count_of
from assets.progress import StepProgress
from dataset.identity import claim_data
from detectors.adapt import AdaptSettings
from detectors.adapt.norms import adaptable_norms, describe_norms, estimate_norms
from detectors.adapt.options import MethodOptions
from detectors.adapt.photos import identify_photos, open_photos
from detectors.adapt.start import AdaptTraining, continued, load_start, method_options
from detectors.checkpoints.detector import BEST, LAST, Checkpoint, load_checkpoint, restore_model, save_checkpoint
from detectors.data.image_set import ImageSet
from detectors.device import loader_processes, pick_device
from detectors.models.detect import fitted_images, network_input, read_in_batches
from detectors.training.run_folder import check_network, claim_folder
from detectors.training.summary import TrainSummary


class AdabnOptions(MethodOptions):
    """Options of the method."""

    share: float = Field(1.0, gt=0, le=1, description="Weight of the photos' statistics beside those of the run.")


Options = AdabnOptions


def check(settings: AdaptSettings) -> None:
    """Raise SynthError if there are no photos."""
    if settings.unlabelled is None and settings.data.real is None:
        raise SynthError("no photos to adapt to", code="option-missing", hint="give --unlabelled FOLDER or --real")


def adapt(settings: AdaptSettings, console: Console) -> TrainSummary:
    """Re-estimate the statistics of batch norms on the photos, into a run folder of its own."""
    path = settings.unlabelled or settings.data.real
    assert path is not None
    start = load_start(settings, console)
    model = restore_model(start)
    norms = adaptable_norms(model, start.spec.detector)
    training = continued(settings, start)
    with lock_folder(training.out):
        earlier = claim_folder(training, load_checkpoint)
        photos = open_photos(path, start.classes, console)
        identity = identify_photos(photos)
        claim_data(training.out, {"photos": identity}, earlier.data if earlier else None)
        if earlier is not None:
            check_network(start.spec, earlier.spec, training.out)
            console.print("the run is already complete", highlight=False)
            return _summary(training, photos, 0.0, finished=True)
        console.print(f"adabn: {describe_norms(norms, start.frozen_norms)}; {count_of(len(photos), 'photo')}")
        began = time.monotonic()
        finished = reestimate(model, start, photos, training, method_options(settings).share, console)
        if finished:
            weights = {name: value.cpu() for name, value in model.state_dict().items()}
            adapted = replace(start, weights=weights, settings=training.recorded(), data={"photos": identity.digest})
            for name in (LAST, BEST):
                save_checkpoint(replace(adapted, training={}, score={}), training.out / name)
        return _summary(training, photos, time.monotonic() - began, finished=finished)


def reestimate(
    model: nn.Module, start: Checkpoint, photos: ImageSet, training: AdaptTraining, share: float, console: Console
) -> bool:
    """Re-estimate the statistics of a model's batch norms on photos; returns False if a signal asked to stop."""
    norms = adaptable_norms(model, start.spec.detector)
    model.to(pick_device(training.device))
    progress = StepProgress(console, "batch norms", total=len(photos), unit="photos")
    batches = photo_batches(photos, start, training)
    with stop_on_signals("nothing is kept: the same command begins again") as stop, progress:
        for done in estimate_norms(model, norms, batches, share):
            progress.count(done - progress.done)
            if stop():
                return False
    return True


def photo_batches(photos: ImageSet, start: Checkpoint, training: AdaptTraining) -> Iterator[Tensor]:
    """Yield (B, 3, H, W) batches of all photos, as the network sees them at prediction."""
    device = pick_device(training.device)
    workers = training.workers if training.workers is not None else loader_processes()
    fitted = fitted_images(photos, (start.spec.width, start.spec.height))
    for made in read_in_batches(fitted, batch=training.batch, workers=workers):
        yield network_input(torch.from_numpy(np.stack([image for image, _, _ in made])).to(device))


def _summary(training: AdaptTraining, photos: ImageSet, seconds: float, *, finished: bool) -> TrainSummary:
    rate = len(photos) / seconds if seconds else 0.0
    best = {"epoch": 1.0} if finished else {}
    return TrainSummary(training.out, finished, 0, best, {"photos": len(photos)}, rate, 0.0, seconds)
