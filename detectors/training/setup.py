"""Derive the network's specification and the training schedule from settings and data."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from assets.errors import SynthError
from detectors.data.mix import complete_shares
from detectors.data.prepare import TrainingData
from detectors.models import detector_module, detector_origin
from detectors.models.backbones.table import normalisation
from detectors.models.interface import parse_options
from detectors.models.spec import ModelSpec
from detectors.training.data_options import complete_options
from detectors.training.schedule import FINETUNE_RATE, Phase, Schedule, finetune_shares, without_real
from detectors.training.settings import TrainSettings

# Input sides are multiples of this, so that the backbone can halve them five times.
STRIDE = 32
MIN_EPOCH_STEPS = 10
# Images in an epoch if all of them are made while training, so that there is no set to pass once.
LIVE_EPOCH = 1000
# Passes over the real photos in an epoch of adaptation, since they are few.
PHOTO_PASSES = 10


def make_spec(settings: TrainSettings, data: TrainingData, earlier: ModelSpec | None = None) -> ModelSpec:
    """Return the specification of the network; its input size is chosen by `fitting_size` if it is not set.

    earlier: that of the run that is resumed, if it is one: what it took from the data is not computed again.
    """
    module = detector_module(settings.detector)
    if module.NEEDS_MASKS:
        _check_masks(data, settings.detector)
    if getattr(module, "NEEDS_KEYPOINTS", False):
        _check_keypoints(data, settings.detector)
    width, height = settings.size or fitting_size(module, data.sources[-1].sizes)
    if module.FIXED_SIZE and (width, height) != module.FIXED_SIZE:
        raise SynthError(
            f"{settings.detector} takes images of one size only",
            code="setting-invalid",
            found=f"--size {width}x{height}",
            expected="{}x{}".format(*module.FIXED_SIZE),
        )
    mean, std = module.MEAN, module.STD
    if settings.backbone is not None:
        mean, std = normalisation(settings.backbone)
    given = parse_options(settings.detector_options)
    options = complete_options(module, given, settings.detector, data.sources, (width, height), earlier)
    return ModelSpec(
        settings.detector,
        settings.backbone,
        len(data.classes),
        width,
        height,
        mean,
        std,
        options,
        detector_origin(settings.detector),
    )


def fitting_size(module: Any, sizes: np.ndarray) -> tuple[int, int]:
    """Return an input width and height: the median aspect ratio of the images at the detector's long side.

    Both are multiples of STRIDE; the long side is no longer than the longest of the images.
    """
    if module.FIXED_SIZE:
        return module.FIXED_SIZE
    long_side = min(module.LONG_SIDE, STRIDE * math.ceil(int(sizes.max()) / STRIDE))
    aspect = float(np.median(sizes[:, 0] / sizes[:, 1]))
    width, height = (long_side, long_side / aspect) if aspect >= 1 else (long_side * aspect, long_side)
    return STRIDE * math.ceil(round(width) / STRIDE), STRIDE * math.ceil(round(height) / STRIDE)


def _check_masks(data: TrainingData, detector: str) -> None:
    problems = [f"{images.name}: {images.missing_masks}" for images in data.sources if images.missing_masks]
    if problems:
        hint = "use a box detector, such as fasterrcnn, or add segmentations"
        raise SynthError(f"{detector} needs masks", code="masks-missing", problems=problems, hint=hint)


def _check_keypoints(data: TrainingData, detector: str) -> None:
    problems = [f"{images.name}: {images.missing_keypoints}" for images in data.sources if images.missing_keypoints]
    if problems:
        hint = "render sets with --keypoints, or use another detector, such as fcos"
        raise SynthError(
            f"{detector} needs the corners of cuboids", code="keypoints-missing", problems=problems, hint=hint
        )


def make_schedule(settings: TrainSettings, data: TrainingData) -> Schedule:
    """Return the schedule of a training. Raises SynthError if a source has no usable image."""
    names = settings.source_names
    counts = tuple(len(images) for images in data.sources)
    empty = [name for name, count in zip(names, counts, strict=True) if not count]
    if empty:
        raise SynthError(f"no usable image in {', '.join(empty)}", code="images-unusable")
    windows = {place: images.windows for place, images in enumerate(data.sources) if images.windows is not None}
    shares = complete_shares(settings.completed_mix, names)
    tuned = finetune_shares(shares, settings.replay)
    if settings.schedule == "adapt":
        images = settings.epoch_images or math.ceil(PHOTO_PASSES * counts[-1] / tuned[-1])
        per_epoch = max(math.ceil(images / settings.batch), MIN_EPOCH_STEPS)
        phases = [Phase("finetune", settings.epochs * per_epoch, tuned, FINETUNE_RATE)]
        return Schedule(tuple(phases), counts, settings.batch, per_epoch, settings.seed, windows)
    stored = sum(counts[: len(settings.data.synthetic)])
    images = settings.epoch_images or stored or (LIVE_EPOCH if settings.live else counts[-1])
    per_epoch = max(math.ceil(images / settings.batch), MIN_EPOCH_STEPS)
    main = ("synthetic", without_real(shares)) if settings.schedule == "finetune" else ("mix", shares)
    phases = [Phase(main[0], settings.epochs * per_epoch, main[1])]
    if settings.schedule != "mix":
        epochs = settings.finetune_epochs or max(1, settings.epochs // 4)
        phases.append(Phase("finetune", epochs * per_epoch, tuned, FINETUNE_RATE))
    return Schedule(tuple(phases), counts, settings.batch, per_epoch, settings.seed, windows)
