"""Trained models on images: detect products, name them by a gallery."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from detectors.evaluate.report import Report
    from detectors.predict.detector import LoadedDetector
    from detectors.recognition.gallery.recognize import Recognizer

# An image: its file, or (H, W, 3) uint8 RGB.
ImageSource = str | Path | NDArray[np.uint8]
Box = tuple[float, float, float, float]
Device = Literal["auto", "cpu", "gpu"]


@dataclass(frozen=True)
class Detection:
    """A product that a detector found. box: xyxy, pixels, far edge exclusive. score: 0 to 1. name: of the SKU."""

    sku: str
    name: str
    score: float
    box: Box


@dataclass(frozen=True)
class Recognition:
    """What a gallery says about one box.

    sku: the nearest product, None where the verdict is "unknown". similarity: cosine to it. margin: lead over the
    second. verdict: "known", "review" (a close call) or "unknown". candidates: the nearest SKUs with their similarity.
    """

    box: Box
    sku: str | None
    verdict: str
    similarity: float
    margin: float
    candidates: tuple[tuple[str, float], ...]


def load_detector(run: str | Path, *, device: Device = "auto") -> LoadedDetector:
    """Load the best checkpoint of a training run, or a checkpoint file. Raises SynthError where there is none."""
    from detectors.predict.detector import load_detector

    return load_detector(Path(run), device=device)


def detect(detector: LoadedDetector, image: ImageSource, *, threshold: float | None = None) -> list[Detection]:
    """Find products in an image, best first.

    threshold: lowest score; by default the one that training chose. Raises SynthError where the file cannot be read.
    """
    (found,) = detector.detect([_pixels(image)])
    least = detector.threshold if threshold is None else threshold
    classes = detector.checkpoint.classes
    rows = zip(found.labels.tolist(), found.scores.tolist(), found.boxes.tolist(), strict=True)
    kept = [
        Detection(classes.keys[label], classes.names[label], score, (box[0], box[1], box[2], box[3]))
        for label, score, box in rows
        if score >= least
    ]
    return sorted(kept, key=lambda detection: -detection.score)


def evaluate_detections(
    data: str | Path,
    found: LoadedDetector | str | Path,
    *,
    split: str | None = None,
    images: str | Path | None = None,
    device: Device = "auto",
    seed: int = 0,
) -> Report:
    """Judge detections on labelled images, as `synth evaluate` does; Jupyter shows the report.

    data: a COCO file or folder. found: a loaded detector, or a COCO results file of any program on these images. split:
    the first of test, val and train by default. images: where images lie that are not beside their labels. seed: of
    the intervals. Raises SynthError where labels or results cannot be used.
    """
    from rich.console import Console

    from detectors.data.mix import TrainingStream, stream
    from detectors.data.prepare import read_one
    from detectors.data.settings import DataSettings
    from detectors.evaluate.report import evaluate
    from detectors.evaluate.results import read_results
    from detectors.evaluate.run import SPLITS, find_products, named_as

    quiet = Console(quiet=True)
    settings = DataSettings(images=None if images is None else Path(images))
    splits = SPLITS if split is None else (split,)
    truth = read_one(Path(data), Path(data).resolve().stem, settings, splits=splits, print_line=quiet.print)
    if isinstance(found, str | Path):
        threshold = None
        ids = dict(zip(truth.classes.keys, truth.category_ids, strict=True))
        predictions = read_results(Path(found), truth, ids)
    else:
        threshold = found.threshold
        truth = named_as(found.checkpoint.classes, truth, quiet)
        predictions = find_products(found.checkpoint, truth, device=device, workers=0)
    rng = stream(seed, TrainingStream.BOOTSTRAP)
    return evaluate(truth, predictions, threshold=threshold, rng=rng)


def load_recognizer(
    gallery: str | Path, *, device: Device = "auto", threshold: float | None = None, margin: float | None = None
) -> Recognizer:
    """Load a gallery with its embedder, its index and its thresholds.

    threshold, margin: in place of those of the gallery. Raises SynthError where it is damaged or not a gallery.
    """
    from detectors.recognition.gallery.recognize import open_recognizer

    return open_recognizer(Path(gallery), device=device, threshold=threshold, margin=margin)


def recognize(recognizer: Recognizer, image: ImageSource, boxes: Sequence[Detection | Box]) -> list[Recognition]:
    """Name the products in some boxes of an image, in the order of the boxes.

    boxes: detections, or xyxy in pixels. Raises SynthError where the file cannot be read.
    """
    from detectors.recognition.embedder.crops import prepare_crop
    from detectors.recognition.gallery.decision import Verdict, judge
    from detectors.recognition.gallery.open import MISSING
    from detectors.recognition.gallery.recognize import CANDIDATES
    from detectors.recognition.gallery.search import find_skus

    pixels = _pixels(image)
    edges: list[Box] = [item.box if isinstance(item, Detection) else item for item in boxes]
    crops = [prepare_crop(pixels, np.asarray(box), margin=recognizer.embedder.margin) for box in edges]
    gallery = recognizer.gallery
    vectors = recognizer.embedder.embed(crops)
    nearest = find_skus(gallery, recognizer.index, vectors, k=CANDIDATES, best=recognizer.best)
    answers = zip(edges, nearest.skus.tolist(), nearest.scores.tolist(), nearest.margins.tolist(), strict=True)
    verdicts = judge(nearest, recognizer.decision).tolist()
    return [
        Recognition(
            box,
            gallery.keys[skus[0]] if verdict != Verdict.UNKNOWN else None,
            Verdict(verdict).name.lower(),
            scores[0],
            margin,
            tuple((gallery.keys[sku], score) for sku, score in zip(skus, scores, strict=True) if sku != MISSING),
        )
        for (box, skus, scores, margin), verdict in zip(answers, verdicts, strict=True)
    ]


def _pixels(image: ImageSource) -> NDArray[np.uint8]:
    if isinstance(image, str | Path):
        from detectors.predict.input_images import read_upright

        return read_upright(Path(image))
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise ValueError(f"expected an (H, W, 3) uint8 RGB image, found {image.shape} {image.dtype}")
    return image
