"""COCO numbers of a large set against pycocotools, both from the same arrays in one run.

    python benchmarks/evaluate.py                                    # 50,000 boxes in 1,000 images, 100 classes
    python benchmarks/evaluate.py --classes 170000 --boxes 200000 --images 10000 --no-reference

Prints one line for docs/results.md. The numbers of both must be the same. With --no-reference only our own side runs,
followed by the whole report: pycocotools would need 33 GB for 170,000 classes.
"""

from __future__ import annotations

import contextlib
import io
import resource
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import numpy as np

from detectors.data.image_set import Classes, ImageSet, Packed, Predictions
from detectors.evaluate.metrics.coco_numbers import NAMES, coco_numbers
from detectors.evaluate.report import evaluate

SIDE = 1000


@click.command()
@click.option("--images", default=1000, show_default=True)
@click.option("--boxes", default=50_000, show_default=True)
@click.option("--classes", default=100, show_default=True)
@click.option("--resamples", default=100, show_default=True, help="Of the report's intervals, with --no-reference.")
@click.option("--reference/--no-reference", default=True, show_default=True)
def main(images: int, boxes: int, classes: int, resamples: int, reference: bool) -> None:
    """Measures once and prints one line."""
    truth, found = draw_case(images, boxes, classes, rng=np.random.default_rng(0))
    what = f"{boxes} boxes, {len(found)} detections, {images} images, {classes} classes"
    # The first call loads the libraries.
    coco_numbers(*draw_case(2, 4, 2, rng=np.random.default_rng(0)))
    ours, seconds = timed(lambda: coco_numbers(truth, found))
    if reference:
        theirs, slow = timed(lambda: with_plain_pycocotools(truth, found))
        np.testing.assert_allclose([ours[name] for name in NAMES], theirs, atol=1e-6)
        print(f"| {what} | {seconds:.2f} s | pycocotools {slow:.1f} s | {slow / seconds:.0f} times | same numbers |")
        return
    _, whole = timed(lambda: evaluate(truth, found, threshold=None, rng=np.random.default_rng(0), resamples=resamples))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"| {what} | {seconds:.1f} s | report, {resamples} resamples {whole:.1f} s | peak {peak:.0f} MiB |")


def draw_case(images: int, boxes: int, classes: int, *, rng: np.random.Generator) -> tuple[ImageSet, Predictions]:
    """Boxes at random, and a detector that finds most of them, names most of those, and makes some up."""
    image = np.sort(rng.integers(0, images, boxes))
    corner, sides = rng.uniform(0, SIDE - 200, (boxes, 2)), rng.uniform(10, 200, (boxes, 2))
    xyxy = np.concatenate([corner, corner + sides], axis=1).astype(np.float32)
    labels = rng.integers(0, classes, boxes).astype(np.int32)
    keys = tuple(f"sku{label}" for label in range(classes))
    unknown = np.full(boxes, np.nan, np.float32)
    truth = ImageSet(
        name="drawn",
        root=Path(),
        classes=Classes(keys, keys),
        file_names=Packed.of([b"-"] * images),
        image_ids=np.arange(images, dtype=np.int64),
        sizes=np.full((images, 2), SIDE, np.int32),
        groups=np.arange(images, dtype=np.int32),
        first=np.searchsorted(image, np.arange(images + 1)).astype(np.int64),
        boxes=xyxy,
        labels=labels,
        true_labels=labels,
        areas=sides.prod(axis=1).astype(np.float32),
        visibility=unknown,
        truncation=unknown,
        annotation_ids=np.arange(boxes, dtype=np.int64),
        masks=Packed.of([b""] * boxes),
    )
    return truth, _guess(truth, image, classes, rng=rng)


def _guess(truth: ImageSet, image: np.ndarray, classes: int, *, rng: np.random.Generator) -> Predictions:
    boxes = len(image)
    pick = np.sort(np.concatenate([np.flatnonzero(rng.random(boxes) < 0.85), rng.integers(0, boxes, boxes)]))
    moved = truth.boxes[pick] + rng.normal(0, 5, (len(pick), 4)).astype(np.float32)
    moved[:, 2:] = np.maximum(moved[:, 2:], moved[:, :2] + 1)
    labels = np.where(rng.random(len(pick)) < 0.8, truth.labels[pick], rng.integers(0, classes, len(pick)))
    scores = rng.random(len(pick)).astype(np.float32)
    order = np.lexsort((-scores, image[pick]))
    return Predictions(truth.classes, image[pick][order], moved[order], labels[order].astype(np.int32), scores[order])


def with_plain_pycocotools(truth: ImageSet, found: Predictions) -> np.ndarray:
    """(12,) the numbers as anybody gets them: annotations as dictionaries, detections as an array."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    boxes = truth.boxes.astype(np.float64)
    boxes[:, 2:] -= boxes[:, :2]
    rows = zip(truth.image_of_box().tolist(), truth.labels.tolist(), boxes.tolist(), truth.areas.tolist(), strict=True)
    annotations: list[dict[str, Any]] = [
        {"id": number, "image_id": image, "category_id": label, "bbox": box, "area": area, "iscrowd": 0}
        for number, (image, label, box, area) in enumerate(rows, 1)
    ]
    results = found.boxes.astype(np.float64)
    results[:, 2:] -= results[:, :2]
    with contextlib.redirect_stdout(io.StringIO()):
        known = COCO()
        images = [{"id": image} for image in range(len(truth))]
        categories = [{"id": label} for label in range(len(truth.classes))]
        known.dataset = {"info": {}, "images": images, "categories": categories, "annotations": annotations}
        known.createIndex()
        answer = known.loadRes(np.column_stack([found.images, results, found.scores, found.labels]))
        evaluation = COCOeval(known, answer, "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return np.where(evaluation.stats < 0, np.nan, evaluation.stats)


def timed(work: Callable[[], Any]) -> tuple[Any, float]:
    """What the work returns and the seconds it took."""
    start = time.perf_counter()
    answer = work()
    return answer, time.perf_counter() - start


if __name__ == "__main__":
    main()
