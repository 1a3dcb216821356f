"""Image sets, detections and rows of comparisons for tests, drawn at random or written out by hand."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from detectors.bench.rows import RowCosts, RowData, RowRecord, RowSettings, RowTimes
from detectors.data.image_set import IGNORED, Classes, ImageSet, Packed, Predictions


def classes_of(count: int, prefix: str = "sku") -> Classes:
    keys = tuple(f"{prefix}{index}" for index in range(count))
    return Classes(keys, tuple(f"name of {key}" for key in keys))


def image_set(
    images: int,
    rows: list[tuple[int, int, list[float]]],
    classes: Classes,
    *,
    true_labels: list[int] | None = None,
    areas: list[float] | None = None,
    visibility: list[float] | None = None,
    truncation: list[float] | None = None,
    groups: list[int] | None = None,
    size: tuple[int, int] = (200, 200),
) -> ImageSet:
    """rows: image, label and xyxy of every box, sorted by image."""
    count = len(rows)
    boxes = np.array([box for _, _, box in rows], np.float32).reshape(count, 4)
    labels = np.array([label for _, label, _ in rows], np.int32)
    own = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)

    def column(values: list[float] | None) -> np.ndarray:
        return np.full(count, np.nan, np.float32) if values is None else np.array(values, np.float32)

    return ImageSet(
        name="cases",
        root=Path("nowhere"),
        classes=classes,
        file_names=Packed.of([f"{index}.jpg".encode() for index in range(images)]),
        image_ids=np.arange(images, dtype=np.int64) * 3 + 5,
        sizes=np.full((images, 2), size, np.int32),
        groups=np.arange(images, dtype=np.int32) if groups is None else np.array(groups, np.int32),
        first=np.searchsorted([image for image, _, _ in rows], np.arange(images + 1)).astype(np.int64),
        boxes=boxes,
        labels=labels,
        true_labels=labels.copy() if true_labels is None else np.array(true_labels, np.int32),
        areas=own if areas is None else np.array(areas, np.float32),
        visibility=column(visibility),
        truncation=column(truncation),
        annotation_ids=np.arange(count, dtype=np.int64) + 1,
        masks=Packed.of([b""] * count),
    )


def predictions(rows: list[tuple[int, int, list[float], float]], classes: Classes) -> Predictions:
    """rows: image, label, xyxy and score of every detection, in any order."""
    rows = sorted(rows, key=lambda row: (row[0], -row[3]))
    return Predictions(
        classes=classes,
        images=np.array([row[0] for row in rows], np.int64),
        boxes=np.array([row[2] for row in rows], np.float32).reshape(len(rows), 4),
        labels=np.array([row[1] for row in rows], np.int32),
        scores=np.array([row[3] for row in rows], np.float32),
    )


def random_case(
    *,
    rng: np.random.Generator,
    images: int = 4,
    classes: int = 3,
    boxes: int = 12,
    extra: int = 8,
    ignored: float = 0.15,
    largest: float = 120.0,
) -> tuple[ImageSet, Predictions]:
    """A set and what a middling detector finds in it: most boxes moved a little, some renamed, some out of thin air.

    The detector lists its classes in another order and knows one that the truth does not.
    """
    names = classes_of(classes)
    image = np.sort(rng.integers(0, images, boxes))
    corner, sides = rng.uniform(0, 80, (boxes, 2)), rng.uniform(2, largest, (boxes, 2))
    xyxy = np.concatenate([corner, corner + sides], axis=1).round(1)
    true = rng.integers(0, classes, boxes)
    drop = rng.random(boxes) < ignored
    unknown = drop & (rng.random(boxes) < 0.5)
    rows = [
        (int(i), IGNORED if d else int(c), box.tolist()) for i, d, c, box in zip(image, drop, true, xyxy, strict=True)
    ]
    truth = image_set(
        images,
        rows,
        names,
        true_labels=np.where(unknown, IGNORED, true).tolist(),
        areas=(sides.prod(axis=1) * rng.uniform(0.5, 1, boxes)).tolist(),
        visibility=np.where(rng.random(boxes) < 0.2, np.nan, rng.random(boxes)).tolist(),
        truncation=np.where(rng.random(boxes) < 0.5, 0, rng.random(boxes)).tolist(),
        groups=(np.arange(images) // 2).tolist(),
    )
    # In no order, as files may have them: of equal scores COCO takes that of the lower id first.
    truth = replace(truth, image_ids=rng.permutation(truth.image_ids))
    return truth, _guess(truth, true, classes, extra, rng=rng)


def _guess(truth: ImageSet, true: np.ndarray, classes: int, extra: int, *, rng: np.random.Generator) -> Predictions:
    order = rng.permutation(classes + 1)
    keys = (*truth.classes.keys, "foreign")
    own = Classes(tuple(keys[place] for place in order), tuple(keys[place] for place in order))
    own_label = np.argsort(order)
    pick = np.flatnonzero(rng.random(len(true)) < 0.8)
    pick = np.concatenate([pick, rng.integers(0, max(len(true), 1), extra if len(true) else 0)])
    boxes = truth.boxes[pick] + rng.normal(0, 4, (len(pick), 4)).round(1)
    boxes[:, 2:] = np.maximum(boxes[:, 2:], boxes[:, :2] + 1)
    labels = np.where(rng.random(len(pick)) < 0.75, true[pick], rng.integers(0, classes + 1, len(pick)))
    # Rounded, so that scores tie.
    scores = rng.random(len(pick)).round(1)
    image = truth.image_of_box()[pick]
    rows = zip(image.tolist(), own_label[labels].tolist(), boxes.tolist(), scores.tolist(), strict=True)
    return predictions(list(rows), own)


def bench_row(name: str, ap: float | None, ms: float, *, status: Any = "done", **fields: Any) -> RowRecord:
    """A row of a name with an AP and a latency."""
    times = RowTimes(
        latency_ms=ms,
        latency_p95_ms=2 * ms,
        repeats=5,
        images_per_second=1000 / ms,
        batch=8,
        trained_seconds=60,
        trained_per_second=3,
    )
    settings = RowSettings(
        detector=name,
        backbone=fields.pop("backbone", None),
        width=fields.pop("width", 320),
        height=192,
        proposals=fields.pop("proposals", None),
        options={},
        steps=10,
        batch=2,
        weights="none",
        augment="light",
        seed=0,
        threads=1,
        device="cpu",
    )
    done: dict[str, Any] = {
        "settings": settings,
        "data": RowData(images=9, judged_images=3, judged_groups=1, judged_boxes=5, classes=3),
        "times": times,
        "costs": RowCosts(parameters=4_200_000, flops=None, memory_mb=12.5, training_memory_mb=None),
        "metrics": {"AP": ap, "APs": ap, "APm": None},
        "hardware": "a machine",
    }
    more = done if status == "done" else {}
    return RowRecord(name=name, status=status, **{"asked": name, **more, **fields})
