"""`synth recognize`: detect products in images, and name them by the gallery's nearest views."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import numpy as np
from PIL import Image
from rich.console import Console

from assets.errors import SynthError
from assets.files.atomic import lock_folder
from assets.interrupt import stop_on_signals, until
from assets.progress import StepProgress
from dataset.records import InfoRecord
from detectors.evaluate.page.images import LEFT_OUT, Mark, plot_marks, save_jpeg
from detectors.predict.input_images import (
    InputImage,
    Unreadable,
    count_input_images,
    numbered_batches,
    read_input_images,
)
from detectors.predict.inputs import find_inputs
from detectors.predict.plot import class_color
from detectors.predict.result_files import RESULTS_KEPT, RESULTS_STEP
from detectors.predict.run import print_unfinished
from detectors.recognition.embedder.crops import prepare_crop
from detectors.recognition.embedder.load import Embedder
from detectors.recognition.gallery.boxes import BoxFinder, ImageBoxes, detect_boxes, given_boxes
from detectors.recognition.gallery.decision import Decision, Verdict, judge, settle_decision
from detectors.recognition.gallery.embedders import load_embedder_of
from detectors.recognition.gallery.index import Index, open_index
from detectors.recognition.gallery.open import Gallery, open_gallery
from detectors.recognition.gallery.result_files import NO_NAME, ImageRecognition, open_recognition_files
from detectors.recognition.gallery.review import Review
from detectors.recognition.gallery.review_cases import ViewImage
from detectors.recognition.gallery.search import find_skus
from detectors.recognition.settings import RecognizeSettings

IMAGE_FOLDER = "pictures"
CANDIDATES = 5


@dataclass
class RecognizeSummary:
    """Summary of a run. known, review, unknown: number of boxes by verdict. page: for review, if there is one."""

    out: Path
    version: str
    decision: Decision
    total: int
    images: int = 0
    known: int = 0
    review: int = 0
    unknown: int = 0
    skus: set[int] = field(default_factory=set)
    page: Path | None = None
    failed: list[Unreadable] = field(default_factory=list)
    interrupted: bool = False
    seconds: float = 0.0


@dataclass(frozen=True)
class Recognizer:
    """An open gallery with its index, its embedder and its decision, which names products."""

    gallery: Gallery
    index: Index
    embedder: Embedder
    decision: Decision
    best: int = 1

    def recognize(
        self, images: Sequence[InputImage], ids: Sequence[int], boxes: Sequence[ImageBoxes]
    ) -> list[ImageRecognition]:
        """Recognize the products in the boxes of some images; all crops are embedded and searched together."""
        crops = [
            prepare_crop(image.pixels, box, margin=self.embedder.margin)
            for image, some in zip(images, boxes, strict=True)
            for box in some.xyxy
        ]
        vectors = self.embedder.embed(crops)
        nearest = find_skus(self.gallery, self.index, vectors, k=CANDIDATES, best=self.best)
        verdicts = judge(nearest, self.decision)
        ends = np.cumsum([0, *(len(some.xyxy) for some in boxes)]).tolist()
        spans = [slice(start, stop) for start, stop in pairwise(ends)]
        return [
            ImageRecognition(image, number, some, nearest.take(span), verdicts[span], vectors[span])
            for image, number, some, span in zip(images, ids, boxes, spans, strict=True)
        ]


def open_recognizer(
    folder: Path,
    *,
    version: str | None = None,
    embedder: Path | None = None,
    index: str | None = None,
    threshold: float | None = None,
    margin: float | None = None,
    best: int = 1,
    device: str = "auto",
) -> Recognizer:
    """Open a gallery for recognition; None for what it has itself. Raises SynthError for another embedder."""
    gallery = open_gallery(folder, version)
    made = load_embedder_of(gallery, embedder, device=device)
    decision = settle_decision(gallery, threshold=threshold, margin=margin)
    return Recognizer(gallery, open_index(gallery, index), made, decision, best)


def recognize(
    settings: RecognizeSettings, console: Console, *, view_image: ViewImage | None = None
) -> RecognizeSummary:
    """Recognize the products in images, folders, patterns, videos or COCO files, and write the results.

    view_image: renders the views of SKUs for the review page, which otherwise shows the gallery's fronts. Unreadable
    files are listed in the summary; Ctrl-C keeps results so far. Raises SynthError for paths without images, a missing
    detector, or a gallery of another embedder.
    """
    names = ("version", "embedder", "index", "threshold", "margin", "best", "device")
    recognizer = open_recognizer(settings.gallery, **{name: getattr(settings, name) for name in names})
    inputs = find_inputs(settings.paths, leave_out=settings.out)
    finder = (
        given_boxes(settings.boxes)
        if settings.boxes is not None
        else detect_boxes(_given(settings.run), device=settings.device, threshold=settings.detection)
    )
    gallery, decision = recognizer.gallery, recognizer.decision
    summary = RecognizeSummary(
        settings.out, gallery.version, decision, count_input_images(inputs.items, settings.every)
    )
    images = read_input_images(inputs.items, finder.size, every=settings.every, threads=settings.workers)
    found = _recognize(recognizer, finder, images, summary, batch=settings.batch, first_id=inputs.first_free_id)
    begun = time.monotonic()
    about = {
        "gallery": gallery.version,
        "embedder": gallery.manifest.embedder.fingerprint,
        "boxes": finder.description,
        "detection_threshold": finder.threshold,
        "threshold": decision.threshold,
        "margin": decision.margin,
    }
    info = InfoRecord(description="images whose products were recognized with a gallery", extra=about)
    with lock_folder(settings.out), stop_on_signals(RESULTS_KEPT, step=RESULTS_STEP) as stop:
        review = Review(settings.out, gallery, view_image)
        try:
            with (
                open_recognition_files(settings.out, gallery, info) as files,
                StepProgress(console, "recognize", total=summary.total, unit="images") as progress,
            ):
                for some in _counted(until(stop, found), summary, progress):
                    review.add(some)
                    for one in some if settings.draw else ():
                        _draw(one, gallery, settings.out)
                    files.write(some)
            summary.interrupted = stop() and summary.images + len(summary.failed) < summary.total
        except KeyboardInterrupt:
            summary.interrupted = True
        finally:
            found.close()
            images.close()
        if view_image is not None and not summary.interrupted:
            console.print("rendering the nearest views for the review page", highlight=False)
        summary.page = review.finish(decision, soon=summary.interrupted)
    summary.seconds = time.monotonic() - begun
    return summary


def print_summary(console: Console, summary: RecognizeSummary) -> None:
    """Print the summary of a recognition."""
    from rich.table import Table

    pace = f", {summary.images / summary.seconds:.1f}/s" if summary.seconds else ""
    table = Table(show_header=False, box=None)
    table.add_row("images", f"{summary.images}{pace}")
    table.add_row("products", f"{summary.known} known, {summary.review} for review, {summary.unknown} unknown")
    table.add_row("SKUs seen", f"{len(summary.skus)}")
    table.add_row("gallery", f"version {summary.version}; known from {summary.decision.threshold:.3f}")
    table.add_row("written", str(summary.out))
    console.print(table, highlight=False)
    if summary.page:
        line = f"close calls and unknown products for review: {summary.page}"
        console.print(line, highlight=False, markup=False)
    print_unfinished(console, summary)


def _recognize(
    recognizer: Recognizer,
    finder: BoxFinder,
    images: Iterator[InputImage | Unreadable],
    summary: RecognizeSummary,
    *,
    batch: int,
    first_id: int,
) -> Generator[list[ImageRecognition], None, None]:
    """Yield recognized images in batches; unreadable ones are added to the summary."""
    for numbered in numbered_batches(images, summary.failed, batch=batch, first_id=first_id):
        readable = [image for image, _ in numbered]
        yield recognizer.recognize(readable, [number for _, number in numbered], finder.find(readable))


def _counted(
    found: Iterable[list[ImageRecognition]], summary: RecognizeSummary, progress: StepProgress
) -> Iterator[list[ImageRecognition]]:
    """Pass on batches, and count each in the summary after the consumer has processed it."""
    done = time.monotonic()
    for some in found:
        yield some
        for one in some:
            summary.images += 1
            summary.known += int((one.verdicts == Verdict.KNOWN).sum())
            summary.review += int((one.verdicts == Verdict.REVIEW).sum())
            summary.unknown += int((one.verdicts == Verdict.UNKNOWN).sum())
            summary.skus.update(one.nearest.skus[one.verdicts != Verdict.UNKNOWN, 0].tolist())
        spent, done = time.monotonic() - done, time.monotonic()
        count = summary.images + len(summary.failed) - progress.done
        progress.advance(count=count, seconds=spent)


def _draw(one: ImageRecognition, gallery: Gallery, out: Path) -> None:
    """Save an image with boxes and names; boxes for review are dashed with a question mark, unknown ones are grey."""
    marks = []
    for place, verdict in enumerate(one.verdicts.tolist()):
        best, score = int(one.nearest.skus[place, 0]), float(one.nearest.scores[place, 0])
        mark = "?" if verdict == Verdict.REVIEW else ""
        if verdict == Verdict.UNKNOWN:
            marks.append(Mark(one.boxes.xyxy[place], LEFT_OUT, False, NO_NAME))
        else:
            text = f"{gallery.names[best]}{mark} {score:.2f}"
            marks.append(Mark(one.boxes.xyxy[place], class_color(best), verdict == Verdict.REVIEW, text))
    file = out / IMAGE_FOLDER / f"{one.image.name}.jpg"
    file.parent.mkdir(parents=True, exist_ok=True)
    save_jpeg(plot_marks(Image.fromarray(one.image.pixels), marks), file)


def _given(run: Path | None) -> Path:
    if run is None:
        raise SynthError(
            "boxes come either from a detector or from a file", code="option-missing", hint="give RUN or --boxes"
        )
    return run
