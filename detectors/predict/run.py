"""`synth predict`: run a detector on images and videos; write COCO files and images with boxes."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from torch import Tensor

from assets.files.atomic import lock_folder
from assets.interrupt import stop_on_signals, until
from assets.plurals import count_of
from assets.progress import StepProgress
from dataset.records import InfoRecord
from detectors.augment import Letterbox
from detectors.checkpoints.detector import Checkpoint, find_checkpoint
from detectors.data.image_set import Classes
from detectors.models.detect import detections_of
from detectors.predict.detector import LoadedDetector, load_detector
from detectors.predict.input_images import (
    InputImage,
    Unreadable,
    count_input_images,
    numbered_batches,
    read_input_images,
)
from detectors.predict.inputs import Inputs, find_inputs
from detectors.predict.plot import plot_detections
from detectors.predict.result_files import (
    IMAGES,
    PREDICTIONS,
    RESULTS_KEPT,
    RESULTS_STEP,
    DetectionFiles,
    ImageDetections,
    image_row,
    open_detection_files,
    result_rows,
)
from detectors.predict.settings import PredictSettings

# Minimum score of written detections: below it there are a hundred false ones for every true one.
MIN_WRITTEN = 0.05
IMAGE_FOLDER = "pictures"
MAX_LISTED = 10


@dataclass
class PredictSummary:
    """Summary of a run. threshold: of drawn boxes. written, shown: number of detections in the file, and above it.

    failed: inputs that could not be read; a run with any has not succeeded. notes: messages for the user.
    """

    out: Path
    threshold: float
    total: int
    images: int = 0
    written: int = 0
    shown: int = 0
    failed: list[Unreadable] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    interrupted: bool = False
    seconds: float = 0.0


def predict(settings: PredictSettings, console: Console) -> PredictSummary:
    """Run a detector on images and videos, and write the results into the folder `settings.out`.

    The files contain all detections from 0.05 on, or from the threshold if that is less. Unreadable files are listed in
    the summary; Ctrl-C keeps results so far. Raises SynthError for paths without images and for a missing detector.
    """
    out = settings.out
    inputs = find_inputs(settings.paths, leave_out=out)
    detector = load_detector(settings.run, device=settings.device)
    checkpoint = detector.checkpoint
    shown_from = checkpoint.display_threshold if settings.threshold is None else settings.threshold
    total = count_input_images(inputs.items, settings.every)
    summary = PredictSummary(out, shown_from, total, notes=_notes(checkpoint, inputs))
    images = read_input_images(inputs.items, detector.size, every=settings.every, threads=settings.workers)
    found = _find(detector, images, summary, settings.batch, inputs.first_free_id)
    begun = time.monotonic()
    with lock_folder(out), stop_on_signals(RESULTS_KEPT, step=RESULTS_STEP) as stop:
        try:
            with open_detection_files(out, checkpoint.classes, _info(settings.run, shown_from)) as files:
                _write_all(until(stop, found), files, checkpoint.classes, summary, console, draw=settings.draw)
            summary.interrupted = stop() and summary.images + len(summary.failed) < summary.total
        except KeyboardInterrupt:
            summary.interrupted = True
        finally:
            found.close()
            images.close()
    summary.seconds = time.monotonic() - begun
    return summary


def print_summary(console: Console, summary: PredictSummary) -> None:
    """Print the summary of a prediction."""
    from rich.table import Table

    say = partial(console.print, highlight=False, markup=False)
    table = Table(show_header=False, box=None)
    pace = f", {summary.images / summary.seconds:.1f}/s" if summary.seconds else ""
    table.add_row("images", f"{summary.images}{pace}")
    table.add_row("detections", f"{summary.shown} from score {summary.threshold:.2f} on, {summary.written} in the file")
    table.add_row("written", f"{summary.out / PREDICTIONS}, {summary.out / IMAGES}")
    console.print(table, highlight=False)
    for note in summary.notes:
        say(note)
    print_unfinished(console, summary)


def print_unfinished(console: Console, summary: Any) -> None:
    """Print what is missing from a run: images after Ctrl-C, and those that could not be read."""
    say = partial(console.print, highlight=False, markup=False)
    if summary.interrupted:
        images = count_of(summary.total, "image")
        say(f"stopped after {summary.images} of {images}; results so far are kept")
    if summary.failed:
        say(f"could not be read: {len(summary.failed)}")
        for failed in summary.failed[:MAX_LISTED]:
            say(f"  - {failed.file}: {failed.reason}")
        if len(summary.failed) > MAX_LISTED:
            say(f"  - and {len(summary.failed) - MAX_LISTED} more")


def _write_all(
    found: Iterable[list[ImageDetections]],
    files: DetectionFiles,
    classes: Classes,
    summary: PredictSummary,
    console: Console,
    *,
    draw: bool,
) -> None:
    with StepProgress(console, "predict", total=summary.total, unit="images") as progress:
        done = time.monotonic()
        for made in found:
            rows = [row for one in made for row in result_rows(one)]
            if draw:
                for one in made:
                    file = summary.out / IMAGE_FOLDER / f"{one.image.name}.jpg"
                    plot_detections(one.image.pixels, one.detections, one.masks, classes, summary.threshold, file)
            files.add([image_row(one.image, one.image_id) for one in made], rows)
            summary.images += len(made)
            summary.written += len(rows)
            summary.shown += sum(row["score"] >= summary.threshold for row in rows)
            spent, done = time.monotonic() - done, time.monotonic()
            count = summary.images + len(summary.failed) - progress.done
            progress.advance(count=count, seconds=spent)


def _find(
    detector: LoadedDetector,
    images: Iterator[InputImage | Unreadable],
    summary: PredictSummary,
    batch: int,
    first_id: int,
) -> Generator[list[ImageDetections], None, None]:
    """Yield images with their detections in batches; unreadable ones are added to the summary."""
    least = _least_written(summary.threshold)
    for numbered in numbered_batches(images, summary.failed, batch=batch, first_id=first_id):
        outputs = detector.forward([image.fitted for image, _ in numbered])
        yield [
            _of_output(image, number, output, least) for (image, number), output in zip(numbered, outputs, strict=True)
        ]


def _of_output(image: InputImage, image_id: int, output: dict[str, Tensor], least: float) -> ImageDetections:
    # Rows that `detections_of` would drop are removed before, so that masks and boxes correspond.
    kept = output["scores"] >= least
    kept &= torch.from_numpy(_has_area(output, image.letterbox)).to(kept.device)
    output = {name: column[kept] for name, column in output.items()}
    detections = detections_of(output, image.letterbox, masks=True)
    return ImageDetections(image, image_id, detections, detections.masks or ())


def _has_area(output: dict[str, Tensor], letterbox: Letterbox) -> NDArray[np.bool_]:
    boxes = letterbox.to_original(output["boxes"].float().cpu().numpy())
    return (boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])


def _info(run: Path, threshold: float) -> InfoRecord:
    return InfoRecord(
        description=f"images processed by a detector; its detections are in {PREDICTIONS}",
        extra={
            "checkpoint": str(find_checkpoint(run)),
            "threshold": threshold,
            "least_score": _least_written(threshold),
        },
    )


def _least_written(threshold: float) -> float:
    return min(MIN_WRITTEN, threshold)


def _notes(checkpoint: Checkpoint, inputs: Inputs) -> list[str]:
    """Return notes on COCO files among the inputs whose category ids differ from the detector's."""
    ours = {key: label + 1 for label, key in enumerate(checkpoint.classes.keys)}
    notes = []
    for file, categories in inputs.categories.items():
        theirs = {entry.key: entry.id for entry in categories}
        if any(theirs.get(key) != number for key, number in ours.items()):
            notes.append(f"category ids are those of {IMAGES}, not those of {file}: load the detections with {IMAGES}")
    return notes
