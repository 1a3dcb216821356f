"""Whether products can still be named: the accuracy of names before and after pictures were refined."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dataset.records import ImageLabels, sku_of
from dataset.values import box_numbers
from pipeline.refine.samples import SamplePair
from pipeline.refine.settings import RefineSettings

Pixels = NDArray[np.uint8]
# Boxes (N, 4) xyxy with the SKU of each.
Named = tuple[NDArray[np.float64], Sequence[str]]
# Names products of a picture at its boxes: the SKU, or None where nothing is recognized.
NameBoxes = Callable[[Pixels, NDArray[np.float64]], Sequence[str | None]]
# Crops that are compared at most; products of fewer pixels a side, or of which less is seen, have no name to lose.
MAX_CROPS, MIN_SIDE, MIN_SEEN = 3000, 16, 0.5
SIDE = 64
MIN_OVERLAP = 0.5


@dataclass(frozen=True)
class NamingReport:
    """Accuracies of names, 0..1, NaN without crops. crops: their numbers before and after. how: what named them."""

    before: float
    after: float
    crops: tuple[int, int]
    how: str


def measure_naming(pairs: Iterable[SamplePair], settings: RefineSettings) -> NamingReport:
    """Measure how well products are named in pictures before and after. Raises SynthError for unusable models."""
    if settings.detector is not None:
        return _measured(pairs, _detector_names(settings.detector, settings.device), f"detector {settings.detector}")
    if settings.gallery is not None:
        return _measured(pairs, _gallery_names(settings.gallery, settings.device), f"gallery {settings.gallery}")
    return nearest_crops(pairs)


def named_boxes(pair: SamplePair) -> tuple[Named, Named]:
    """Return the products before and after whose name can be told."""
    return _named(pair.before_labels, pair.names), _named(pair.after_labels, pair.names)


def _named(labels: ImageLabels, names: Mapping[int | None, str]) -> Named:
    boxes, skus = [], []
    for record in labels.annotations:
        box = box_numbers(record.value("bbox"))
        seen = (1.0 if record.visibility is None else record.visibility) * (1 - (record.truncation or 0.0))
        if box is None or record.ignored or seen < MIN_SEEN or min(box[2:]) < MIN_SIDE:
            continue
        boxes.append([box[0], box[1], box[0] + box[2], box[1] + box[3]])
        skus.append(sku_of(record, names))
    return np.array(boxes, dtype=np.float64).reshape(-1, 4), skus


def _measured(pairs: Iterable[SamplePair], name: NameBoxes, how: str) -> NamingReport:
    """Count right names by a model."""
    right, total = [0, 0], [0, 0]
    for pair in pairs:
        for side, (pixels, (boxes, skus)) in enumerate(zip((pair.before, pair.after), named_boxes(pair), strict=True)):
            if len(boxes) and total[side] < MAX_CROPS:
                right[side] += sum(one == sku for one, sku in zip(name(pixels, boxes), skus, strict=True))
                total[side] += len(boxes)
    before, after = (one / count if count else float("nan") for one, count in zip(right, total, strict=True))
    return NamingReport(before, after, (total[0], total[1]), how)


def _detector_names(run: Path, device: str) -> NameBoxes:
    """Return a function that names boxes by the classes of a detector's best matching boxes."""
    from detectors.predict.detector import load_detector

    detector = load_detector(run, device=device)
    keys = detector.checkpoint.classes.keys

    def name(pixels: Pixels, boxes: NDArray[np.float64]) -> list[str | None]:
        found = detector.detect([pixels])[0]
        shown = found.scores >= detector.threshold
        overlaps = overlap(boxes, np.asarray(found.boxes[shown], dtype=np.float64))
        labels = found.labels[shown]
        best = overlaps.argmax(axis=1) if overlaps.shape[1] else np.zeros(len(boxes), int)
        return [
            keys[int(labels[place])] if overlaps.shape[1] and row[place] >= MIN_OVERLAP else None
            for row, place in zip(overlaps, best, strict=True)
        ]

    return name


def overlap(first: NDArray[np.float64], second: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the intersection over union (N, M) of boxes (N, 4) and (M, 4), xyxy."""
    low, high = np.maximum(first[:, None, :2], second[None, :, :2]), np.minimum(first[:, None, 2:], second[None, :, 2:])
    shared = np.clip(high - low, 0, None).prod(axis=2)
    areas = [(boxes[:, 2:] - boxes[:, :2]).prod(axis=1) for boxes in (first, second)]
    ratio: NDArray[np.float64] = shared / np.maximum(areas[0][:, None] + areas[1][None] - shared, 1e-9)
    return ratio


def _gallery_names(folder: Path, device: str) -> NameBoxes:
    """Return a function that names boxes by the nearest SKU of a gallery."""
    from detectors.recognition.embedder.crops import prepare_crop
    from detectors.recognition.gallery.recognize import open_recognizer
    from detectors.recognition.gallery.search import find_skus

    recognizer = open_recognizer(folder, device=device)

    def name(pixels: Pixels, boxes: NDArray[np.float64]) -> list[str | None]:
        crops = [prepare_crop(pixels, box, margin=recognizer.embedder.margin) for box in boxes]
        nearest = find_skus(recognizer.gallery, recognizer.index, recognizer.embedder.embed(crops), k=1)
        return [recognizer.gallery.keys[place] if place >= 0 else None for place in nearest.skus[:, 0].tolist()]

    return name


def nearest_crops(pairs: Iterable[SamplePair]) -> NamingReport:
    """Name crops by the most similar crop of the pictures as they were, without weights: print and shape count alone.

    Of pictures as they were each crop finds itself: what is measured is how many of the refined ones still do, or find
    another of their SKU.
    """
    points: tuple[list[NDArray], list[NDArray]] = ([], [])
    skus: tuple[list[str], list[str]] = ([], [])
    for pair in pairs:
        for side, (pixels, (boxes, names)) in enumerate(zip((pair.before, pair.after), named_boxes(pair), strict=True)):
            room = MAX_CROPS - len(skus[side])
            points[side].extend(describe_crop(pixels, box) for box in boxes[:room])
            skus[side].extend(names[:room])
    known = np.array(skus[0])
    scores = [
        float((known[(np.array(mine) @ np.array(points[0]).T).argmax(axis=1)] == np.array(wanted)).mean())
        if mine and points[0]
        else float("nan")
        for mine, wanted in zip(points, skus, strict=True)
    ]
    return NamingReport(scores[0], scores[1], (len(skus[0]), len(skus[1])), "the nearest crop as it was")


def describe_crop(pixels: Pixels, box: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return a unit vector of the directions of a crop's edges, by place (Dalal and Triggs, CVPR 2005).

    pixels: (H, W, 3). box: xyxy. Brightness and colour do not count.
    """
    import cv2

    x0, y0, x1, y1 = (round(edge) for edge in box.tolist())
    crop = cv2.cvtColor(pixels[y0:y1, x0:x1], cv2.COLOR_RGB2GRAY)
    interpolation = cv2.INTER_AREA if min(crop.shape) > SIDE else cv2.INTER_LINEAR
    histogram = cv2.HOGDescriptor((SIDE, SIDE), (16, 16), (8, 8), (8, 8), 9)
    found = np.asarray(histogram.compute(cv2.resize(crop, (SIDE, SIDE), interpolation=interpolation))).ravel()
    return (found / max(float(np.linalg.norm(found)), 1e-9)).astype(np.float32)
