"""What the processes of a row do: train its detector; then, in a fresh process, judge and time it."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
from pydantic import Field
from rich.console import Console
from torch import nn

from assets.console import PlainConsole
from assets.errors import SynthError
from assets.files.atomic import write_atomic
from assets.files.models import FileModel, read_model
from assets.limits import DATASET_JSON
from detectors.bench.describe import PROPOSALS
from detectors.bench.measure import (
    MemoryPeak,
    Pixels,
    count_flops,
    count_parameters,
    hardware_text,
    measure_latency,
    measure_throughput,
)
from detectors.bench.rows import PlannedRow, RowCosts, RowData, RowRecord, RowSettings, RowTimes
from detectors.bench.settings import STEPS, BenchSettings
from detectors.checkpoints.detector import Checkpoint, load_checkpoint, restore_model, versions
from detectors.checkpoints.weights import NONE
from detectors.data.image_set import ImageSet, open_images
from detectors.data.mix import TrainingStream, stream
from detectors.data.settings import DataSettings
from detectors.device import loader_processes, pick_device
from detectors.evaluate.page.write import write_page
from detectors.evaluate.report import Report, evaluate
from detectors.models import detector_module
from detectors.models.detect import find_in_set, fit_image, network_input
from detectors.predict.detector import LoadedDetector
from detectors.training.detector_task import DetectorTask
from detectors.training.run import run_training
from detectors.training.settings import TrainSettings
from detectors.training.summary import TrainSummary

RUN, PILOT, PROGRESS, PAGE = "run", "pilot", "training.json", "evaluation"
# Steps of the training that finds out how many of them fit into the minutes.
PILOT_STEPS = 10
# Weights that are published for other networks than a detector's.
UNSUITED = ("weights-mismatch", "weights-unavailable")
# Images in memory, which are timed in turns.
MAX_IMAGES = 32
SHOWN = 6


class TrainingProgress(FileModel):
    """The content of training.json of a row. steps: of the whole training. seconds: of all calls that ended in order.

    memory_mb: the most that a call took. weights: that it started from.
    """

    steps: Annotated[int, Field(ge=1)]
    weights: str
    seconds: Annotated[float, Field(ge=0)] = 0.0
    images_per_second: Annotated[float, Field(ge=0)] = 0.0
    memory_mb: Annotated[float, Field(ge=0)] | None = None
    images: int = 0
    finished: bool = False


class UnjudgedTask(DetectorTask):
    """Training of a detector for which nothing is chosen: the weights of the last step are those that are judged."""

    def validate(self, model: nn.Module, step: int) -> dict[str, float]:
        """Return no scores."""
        return {}


def read_progress(folder: Path) -> TrainingProgress | None:
    """Return how far the training of a row is, None before it has begun."""
    path = folder / PROGRESS
    return read_model(TrainingProgress, path, DATASET_JSON, "the record of a training") if path.exists() else None


def train_row(settings: BenchSettings, row: PlannedRow, folder: Path) -> bool:
    """Train the detector of a row, or go on where it was stopped; returns whether it is finished."""
    use_threads(settings.used_threads)
    folder.mkdir(parents=True, exist_ok=True)
    progress = read_progress(folder)
    if progress is not None and progress.finished:
        return True
    console = PlainConsole(width=160)
    if progress is None:
        progress = _begin(settings, row, folder, console)
        _save(folder, progress)
    peak = MemoryPeak(pick_device(settings.device))
    progress, summary = _train_from_fitting(settings, row, folder / RUN, progress, console)
    memory = [size for size in (progress.memory_mb, peak.read()) if size is not None]
    rate = summary.images_per_second or progress.images_per_second
    sizes = {"memory_mb": max(memory) if memory else None, "images": sum(summary.drawn.values())}
    done = {"seconds": progress.seconds + summary.seconds, "images_per_second": rate, "finished": summary.finished}
    _save(folder, progress.model_copy(update={**sizes, **done}))
    return summary.finished


def _save(folder: Path, progress: TrainingProgress) -> None:
    write_atomic(folder / PROGRESS, json.dumps(progress.model_dump()).encode())


def _begin(settings: BenchSettings, row: PlannedRow, folder: Path, console: Console) -> TrainingProgress:
    """Return what a training is to be: its steps as asked for, or as many as a short training says fit the minutes."""
    if settings.minutes is None:
        return TrainingProgress(steps=settings.steps or STEPS, weights=settings.weights)
    shutil.rmtree(folder / PILOT, ignore_errors=True)
    pilot = TrainingProgress(steps=PILOT_STEPS, weights=settings.weights)
    pilot, summary = _train_from_fitting(settings, row, folder / PILOT, pilot, console)
    shutil.rmtree(folder / PILOT, ignore_errors=True)
    if not summary.finished:
        raise KeyboardInterrupt
    steps = round(60 * settings.minutes * summary.images_per_second / settings.batch)
    return TrainingProgress(steps=max(steps, PILOT_STEPS), weights=pilot.weights)


def _train_from_fitting(
    settings: BenchSettings, row: PlannedRow, out: Path, progress: TrainingProgress, console: Console
) -> tuple[TrainingProgress, TrainSummary]:
    """Train; a detector that the weights do not suit starts from nothing, which the returned progress says."""
    try:
        return progress, _train(settings, row, out, progress, console)
    except SynthError as error:
        if error.code not in UNSUITED or progress.weights == NONE:
            raise
        console.print(f"{error}\nit starts from nothing", highlight=False, markup=False)
        progress = progress.model_copy(update={"weights": NONE})
        return progress, _train(settings, row, out, progress, console)


def _train(
    settings: BenchSettings, row: PlannedRow, out: Path, progress: TrainingProgress, console: Console
) -> TrainSummary:
    training = TrainSettings(
        data=data_settings(settings),
        out=out,
        detector=row.detector,
        detector_options=_options(settings, row),
        backbone=row.backbone,
        weights=progress.weights,
        size=row.size,
        augment=settings.augment,
        epochs=1,
        epoch_images=progress.steps * settings.batch,
        batch=settings.batch,
        learning_rate=settings.learning_rate,
        seed=settings.seed,
        workers=settings.workers,
        device=settings.device,
    )
    return run_training(training, console, make_task=UnjudgedTask)


def _options(settings: BenchSettings, row: PlannedRow) -> tuple[str, ...]:
    """Return the options of a row's network as NAME=VALUE."""
    smallest = getattr(detector_module(row.detector), "SMALLEST", {}) if settings.small else {}
    options = {**smallest, **({PROPOSALS: row.proposals} if row.proposals else {})}
    return tuple(f"{name}={value}" for name, value in options.items())


def data_settings(settings: BenchSettings) -> DataSettings:
    """Return the data of all trainings of a comparison."""
    return DataSettings(
        real=settings.data,
        val=settings.judge,
        group_key=settings.group_key,
        boxes=settings.boxes,
        skip_bad=settings.skip_bad,
        hold_out=settings.judged if settings.judge is None else 0.0,
    )


def use_threads(threads: int) -> None:
    """Compute with so many threads."""
    import cv2

    torch.set_num_threads(threads)
    cv2.setNumThreads(threads)


def measure_row(settings: BenchSettings, row: PlannedRow, folder: Path) -> RowRecord:
    """Judge and time the trained detector of a row; returns its record, and writes its report."""
    use_threads(settings.used_threads)
    detector_module(row.detector)  # the user has named its file, which its checkpoint may run now
    checkpoint, device = load_checkpoint(folder / RUN), pick_device(settings.device)
    truth = open_images(folder / RUN / "data" / "validation")
    images = [truth.read_image(index) for index in range(min(len(truth), settings.repeats, MAX_IMAGES))]
    peak = MemoryPeak(device)
    detector = LoadedDetector(checkpoint, restore_model(checkpoint).to(device))
    detector.detect(images[:1])
    memory = peak.read()
    times = _times(settings, detector, images, folder)
    costs = _costs(detector, folder, images[0], memory)
    report = _judge(settings, checkpoint, detector.model, truth, folder)
    interval = report.intervals.get("AP")
    return RowRecord(
        name=row.name,
        status="done",
        asked=row.detector,
        settings=_settings_of(settings, row, checkpoint, device.type, folder),
        data=_data_of(folder, truth),
        metrics={metric.name: _number(metric.value) for metric in report.metrics},
        low=_number(interval.low) if interval else None,
        high=_number(interval.high) if interval else None,
        times=times,
        costs=costs,
        versions=versions(),
        hardware=hardware_text(device, settings.used_threads),
    )


def _number(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def _times(settings: BenchSettings, detector: LoadedDetector, images: list[Pixels], folder: Path) -> RowTimes:
    progress = read_progress(folder)
    assert progress is not None
    latency = measure_latency(detector.detect, images, settings.repeats)
    print(f"latency: {1000 * latency.median:.1f} ms", flush=True)
    rate = measure_throughput(detector.detect, images, settings.together, settings.repeats)
    print(f"throughput: {rate:.2f} images/s", flush=True)
    return RowTimes(
        latency_ms=1000 * latency.median,
        latency_p95_ms=1000 * latency.p95,
        repeats=latency.repeats,
        images_per_second=rate,
        batch=settings.together,
        trained_seconds=progress.seconds,
        trained_per_second=progress.images_per_second,
    )


def _costs(detector: LoadedDetector, folder: Path, image: Pixels, memory: float | None) -> RowCosts:
    """Return what a network needs for an image of the data: on an empty one there would be no proposals."""
    progress, device = read_progress(folder), next(detector.model.parameters()).device
    fitted, _ = fit_image(image, *detector.size)
    return RowCosts(
        parameters=count_parameters(detector.model),
        flops=count_flops(detector.model, network_input(torch.from_numpy(fitted[None]).to(device))),
        memory_mb=memory,
        training_memory_mb=progress.memory_mb if progress else None,
    )


def _judge(settings: BenchSettings, checkpoint: Checkpoint, model: nn.Module, truth: ImageSet, folder: Path) -> Report:
    size = (checkpoint.spec.width, checkpoint.spec.height)
    readers = settings.workers if settings.workers is not None else loader_processes()

    def advance(count: int) -> None:
        print(".", end="", flush=True)

    masks = not truth.missing_masks
    found = find_in_set(model, truth, checkpoint.classes, size, workers=readers, masks=masks, advance=advance)
    report = evaluate(truth, found, threshold=None, rng=stream(settings.seed, TrainingStream.BOOTSTRAP))
    write_page(report, folder / PAGE, truth, found, limit=SHOWN)
    write_atomic(folder / PAGE / "report.json", report.to_json().encode())
    return report


def _settings_of(
    settings: BenchSettings, row: PlannedRow, checkpoint: Checkpoint, device: str, folder: Path
) -> RowSettings:
    spec, progress = checkpoint.spec, read_progress(folder)
    return RowSettings(
        detector=spec.detector,
        backbone=spec.backbone,
        width=spec.width,
        height=spec.height,
        proposals=row.proposals,
        options=dict(spec.options),
        steps=checkpoint.step,
        batch=settings.batch,
        weights=progress.weights if progress else settings.weights,
        augment=settings.augment,
        seed=settings.seed,
        threads=settings.used_threads,
        device=device,
    )


def _data_of(folder: Path, truth: ImageSet) -> RowData:
    taught = open_images(folder / RUN / "data" / "real")
    return RowData(
        images=len(taught),
        judged_images=len(truth),
        judged_groups=len(np.unique(truth.groups)),
        judged_boxes=truth.box_count,
        classes=len(truth.classes),
    )
