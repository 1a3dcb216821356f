"""`synth gallery evaluate|tune`: evaluate a gallery on labelled photos, and choose its thresholds on others."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from assets.errors import SynthError
from assets.files.atomic import write_atomic
from assets.progress import StepProgress
from dataset.images import read_image
from detectors.checkpoints.detector import load_checkpoint, restore_model
from detectors.data.class_match import rename_classes
from detectors.data.image_set import IGNORED, Classes, ImageSet, Predictions
from detectors.data.mix import TrainingStream, stream
from detectors.data.prepare import read_one
from detectors.data.settings import DataSettings
from detectors.device import pick_device
from detectors.evaluate.metrics.table import MetricKind
from detectors.evaluate.page.about import About
from detectors.evaluate.page.write import write_page
from detectors.evaluate.report import Report, evaluate, json_text
from detectors.models.detect import find_in_set
from detectors.recognition.embedder.crops import ImageArray, prepare_crop
from detectors.recognition.embedder.metrics import (
    RETRIEVAL_METRICS,
    Retrieval,
    RetrievalEvidence,
    measure_retrieval,
)
from detectors.recognition.embedder.retrieval import UNKNOWN, Ranking, confusions
from detectors.recognition.gallery.decision import Decision, Verdict, choose_decision, judge, ranking_of, write_decision
from detectors.recognition.gallery.open import MISSING, Gallery
from detectors.recognition.gallery.recognize import CANDIDATES, Recognizer
from detectors.recognition.gallery.result_files import NO_NAME
from detectors.recognition.gallery.search import NearestSkus, find_skus
from detectors.recognition.gallery.versions import write_gallery
from detectors.recognition.settings import GalleryEvaluateSettings, GalleryPhotos

SPLITS = ("test", "val", "train")
TUNING_SPLITS = ("val", "train")
# Key of the class of products that the gallery lacks; keys of SKUs are never empty.
NO_KEY = ""
# Number of crops searched at a time.
BATCH = 256
MAX_CONFUSIONS = 20

# Description of the boxes of each page.
BOXES = {"given": "the labelled ones", "found": "those of the detector"}


@dataclass(frozen=True)
class GalleryReport:
    """Results of a gallery on one image set. boxes: number of labelled products. retrieval: metrics of naming them,
    also with the gallery's decisions. given, found: COCO and checkout metrics with the labelled boxes, and with those
    of a detector (None without one); in both, products that the gallery lacks form one class "unknown". mistakes:
    (true SKU, named SKU, count).
    """

    name: str
    version: str
    images: int
    boxes: int
    decision: Decision
    retrieval: Retrieval
    given: Report
    found: Report | None
    mistakes: tuple[tuple[str, str, int], ...]

    def summary(self) -> dict[str, Any]:
        """Return the numbers of naming as `--json` prints them."""
        head = {"name": self.name, "version": self.version, "images": self.images, "boxes": self.boxes}
        return {**head, "decision": self.decision.model_dump(), **self.retrieval.parts()}

    def to_json(self) -> str:
        """Return the report as JSON; undefined values are null."""
        metrics = [asdict(metric) for metric in self.retrieval.metrics]
        reports = {
            part: None if report is None else json.loads(report.to_json())
            for part, report in (("given", self.given), ("found", self.found))
        }
        return json_text({**self.summary(), "metrics": metrics, "mistakes": self.mistakes, **reports})


@dataclass(frozen=True, eq=False)
class _Named:
    """Boxes with their nearest SKUs. images: (N,) index of each box's image in the set."""

    images: NDArray[np.int64]
    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]
    vectors: NDArray[np.float32]
    nearest: NearestSkus


def evaluate_gallery(
    recognizer: Recognizer,
    settings: GalleryEvaluateSettings,
    console: Console,
    *,
    metrics: Mapping[str, MetricKind] = RETRIEVAL_METRICS,
) -> GalleryReport:
    """Name every labelled product of a data set and, with a detector, every product that it detects.

    metrics: RETRIEVAL_METRICS, with others beside them if need be.
    Raises SynthError if data or detector cannot be used.
    """
    truth = _read(recognizer.gallery, settings.photos, SPLITS, console)
    given = _name_given(recognizer, truth, console)
    ranking, verdicts = _rank(recognizer, truth, given), judge(given.nearest, recognizer.decision)
    evidence = RetrievalEvidence(
        ranking, recognizer.decision.threshold, verdicts != Verdict.UNKNOWN, verdicts == Verdict.REVIEW
    )
    reports = {"given": _judge(recognizer, truth, given, seed=settings.seed)}
    if settings.run is not None:
        found = _name_found(recognizer, truth, settings.run, console, detection=settings.detection)
        reports["found"] = _judge(recognizer, truth, found, seed=settings.seed)
    report = GalleryReport(
        name=truth.name,
        version=recognizer.gallery.version,
        images=len(truth),
        boxes=len(given.images),
        decision=recognizer.decision,
        retrieval=measure_retrieval(
            evidence,
            metrics,
            truth.groups[given.images],
            skus=len(recognizer.gallery),
            views=recognizer.gallery.manifest.rows,
            seed=settings.seed,
        ),
        given=reports["given"][0],
        found=reports["found"][0] if "found" in reports else None,
        mistakes=_mistakes(recognizer.gallery, ranking),
    )
    out = settings.out
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        write_atomic(out / "report.json", report.to_json().encode())
        subject = f"gallery {recognizer.gallery.folder.resolve().name}"
        for part, (one, known, predictions) in reports.items():
            facts = (
                ("version", recognizer.gallery.version),
                ("data", str(settings.photos.data)),
                ("boxes", BOXES[part]),
            )
            write_page(one, out / part, known, predictions, about=About(subject, truth.name, facts=facts))
    return report


def tune_gallery(recognizer: Recognizer, photos: GalleryPhotos, console: Console) -> Decision:
    """Choose threshold and margin on labelled photos, and store them for the version in use.

    Not on photos of the final evaluation, whose results would be too good. Raises SynthError if they do not suffice.
    """
    gallery = recognizer.gallery
    truth = _read(gallery, photos, TUNING_SPLITS, console)
    ranking = _rank(recognizer, truth, _name_given(recognizer, truth, console))
    unknown = int((~ranking.known).sum())
    products = f"{int(ranking.known.sum())} known" + (f" and {unknown} unknown" if unknown else "")
    decision = choose_decision(ranking, f"{products} products of {truth.name}")
    with write_gallery(gallery.folder):
        write_decision(gallery, decision)
    return decision


def _read(gallery: Gallery, photos: GalleryPhotos, splits: Sequence[str], console: Console) -> ImageSet:
    """Read the first split that exists, or the given one; classes that the gallery has get the gallery's keys."""
    print_line = partial(console.print, highlight=False, markup=False)
    data, splits = photos.data, (photos.split,) if photos.split else splits
    name = data.resolve().stem if data.is_file() else data.resolve().name
    settings = DataSettings(images=photos.images, skip_bad=photos.skip_bad)
    truth = read_one(data, name, settings, splits=splits, print_line=print_line)
    truth = replace(truth, classes=rename_classes(truth, Classes(gallery.keys, gallery.category_names)))
    lacking = [key for key in truth.classes.keys if key not in gallery.positions]
    if len(lacking) == len(truth.classes):
        raise SynthError(
            f"no product of {name} is in the gallery",
            code="classes-disjoint",
            found=", ".join(lacking[:5]),
            expected=", ".join(gallery.keys[:5]),
            hint="products are matched by sku, else by name",
        )
    if lacking:
        print_line(
            f"{len(lacking)} of {len(truth.classes)} products of {name} are not in the gallery and count as unknown"
        )
    return truth


def _name_given(recognizer: Recognizer, truth: ImageSet, console: Console) -> _Named:
    counted = np.flatnonzero(truth.labels != IGNORED)
    images = truth.image_of_box()[counted]
    return _name(recognizer, truth, images, truth.boxes[counted], np.ones(len(counted), np.float32), console)


def _name_found(
    recognizer: Recognizer, truth: ImageSet, run: Path, console: Console, *, detection: float | None
) -> _Named:
    checkpoint = load_checkpoint(run)
    model = restore_model(checkpoint).to(pick_device("auto" if recognizer.embedder.device.type == "cuda" else "cpu"))
    least = checkpoint.display_threshold if detection is None else detection
    size = (checkpoint.spec.width, checkpoint.spec.height)
    with StepProgress(console, "finding", total=len(truth), unit="images") as progress:
        found = find_in_set(model, truth, checkpoint.classes, size, advance=progress.count)
    kept = found.scores >= least
    scores = found.scores[kept].astype(np.float32)
    return _name(recognizer, truth, found.images[kept], found.boxes[kept], scores, console)


def _name(
    recognizer: Recognizer,
    truth: ImageSet,
    images: NDArray[np.int64],
    boxes: NDArray[np.float32],
    scores: NDArray[np.float32],
    console: Console,
) -> _Named:
    """Embed the boxes of a set and find their nearest SKUs."""
    with StepProgress(console, "naming", total=len(truth), unit="images") as progress:
        crops = _crops(truth, images, boxes, recognizer.embedder.margin, progress.count)
        vectors = recognizer.embedder.embed(crops)
    gallery, index, best = recognizer.gallery, recognizer.index, recognizer.best
    nearest = [
        find_skus(gallery, index, vectors[start : start + BATCH], k=CANDIDATES, best=best)
        for start in range(0, max(len(vectors), 1), BATCH)
    ]
    joined = NearestSkus(np.concatenate([one.skus for one in nearest]), np.concatenate([one.scores for one in nearest]))
    return _Named(images, boxes, scores, vectors, joined)


def _crops(
    truth: ImageSet, images: NDArray, boxes: NDArray, margin: float, advance: Callable[[int], None]
) -> Iterator[ImageArray]:
    """Yield the crops in the order of the boxes, which are sorted by image."""
    for image in range(len(truth)):
        mine = boxes[images == image]
        if len(mine):
            width, height = (int(side) for side in truth.sizes[image])
            pixels = read_image(truth.path(image), width, height)
            yield from (prepare_crop(pixels, box, margin=margin) for box in mine)
        advance(1)


def _rank(recognizer: Recognizer, truth: ImageSet, named: _Named) -> Ranking:
    gallery = recognizer.gallery
    labels = truth.labels[truth.labels != IGNORED]
    position = np.array([gallery.positions.get(key, UNKNOWN) for key in truth.classes.keys], np.int64)
    return ranking_of(gallery, named.nearest, named.vectors, position[labels], best=recognizer.best)


def _judge(
    recognizer: Recognizer, truth: ImageSet, named: _Named, *, seed: int
) -> tuple[Report, ImageSet, Predictions]:
    """Evaluate named boxes like a detector's results, with one class for all products that the gallery lacks."""
    gallery = recognizer.gallery
    verdicts, best = judge(named.nearest, recognizer.decision), named.nearest.skus[:, 0]
    called = [
        NO_KEY if verdict == Verdict.UNKNOWN else gallery.keys[sku]
        for verdict, sku in zip(verdicts.tolist(), best.tolist(), strict=True)
    ]
    true = [key if key in gallery.positions else NO_KEY for key in truth.classes.keys]
    keys = tuple(sorted({*called, *true}))
    names = tuple(gallery.names[gallery.positions[key]] if key else NO_NAME for key in keys)
    place = {key: label for label, key in enumerate(keys)}
    table = np.array([place[key] for key in true], np.int32)
    columns = {
        name: np.where(labels == IGNORED, IGNORED, table[np.maximum(labels, 0)]).astype(np.int32)
        for name, labels in (("labels", truth.labels), ("true_labels", truth.true_labels))
    }
    known = replace(truth, classes=Classes(keys, names), category_ids=(), **columns)  # type: ignore[arg-type]
    scores = named.scores * np.clip(named.nearest.scores[:, 0], 0, 1)
    order = np.lexsort((-scores, named.images))
    labels = np.array([place[key] for key in called], np.int32)
    found = Predictions(
        known.classes, named.images[order], named.boxes[order], labels[order], scores[order].astype(np.float32)
    )
    # Boxes below the detector's threshold have been removed already, so all of them count.
    return evaluate(known, found, threshold=0.0, rng=stream(seed, TrainingStream.BOOTSTRAP)), known, found


def _mistakes(gallery: Gallery, ranking: Ranking) -> tuple[tuple[str, str, int], ...]:
    rows = confusions(ranking, most=MAX_CONFUSIONS)
    return tuple((gallery.keys[true], gallery.keys[called], times) for true, called, times in rows if called != MISSING)
