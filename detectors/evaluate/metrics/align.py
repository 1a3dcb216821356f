"""Truth and detections with one numbering of classes: matched by key, since the two may order them differently."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from assets.errors import SynthError
from detectors.data.class_match import is_agnostic
from detectors.data.image_set import IGNORED, Classes, ImageSet, Predictions

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class BoxColumns:
    """Boxes of many images. image, label: (N,) int64. xyxy: (N, 4) float64 pixels. area: (N,) float64 pixels."""

    image: Ints
    label: Ints
    xyxy: Floats
    area: Floats

    def __len__(self) -> int:
        return len(self.image)

    def take(self, rows: Ints | Bools) -> BoxColumns:
        """The boxes at these rows."""
        return BoxColumns(self.image[rows], self.label[rows], self.xyxy[rows], self.area[rows])


@dataclass(frozen=True)
class Aligned:
    """One problem to evaluate: N images, A boxes of truth, D detections, labels of both from one list of classes.

    classes: those of the truth, label for label, then those that only the detector knows ("other").
    known: how many of them the truth knows. images: N. groups: (N,) int32 as in the ImageSet.
    truth.label is what an ignored box really shows, or IGNORED where nobody knows. ignored: (A,).
    found is sorted by image, then by falling score. scores: (D,) float64.
    image_ids: (N,) int64: of detections of one score and several images COCO takes that of the lower id first.
    """

    classes: Classes
    known: int
    images: int
    groups: NDArray[np.int32]
    truth: BoxColumns
    ignored: Bools
    found: BoxColumns
    scores: Floats
    image_ids: Ints

    def counted(self) -> Ints:
        """The labels that occur among boxes that are not ignored, rising: the classes that means are taken over."""
        return np.unique(self.truth.label[~self.ignored])


def align(truth: ImageSet, found: Predictions) -> Aligned:
    """Truth and detections with one numbering of classes. Raises SynthError where the two cannot belong together.

    For a detector that tells no products apart every box of the truth is a product.
    """
    _check(truth, found)
    if is_agnostic(found.classes):
        truth = truth.relabelled(found.classes)
    classes, label_of = _merge_classes(truth.classes, found.classes)
    order = falling_scores(found)
    boxes = found.boxes[order].astype(np.float64)
    sides = np.maximum(boxes[:, 2:] - boxes[:, :2], 0)
    ignored = truth.labels == IGNORED
    labels = np.where(ignored, truth.true_labels, truth.labels).astype(np.int64)
    return Aligned(
        classes=classes,
        known=len(truth.classes),
        images=len(truth),
        groups=truth.groups,
        truth=BoxColumns(truth.image_of_box(), labels, truth.boxes.astype(np.float64), truth.areas.astype(np.float64)),
        ignored=ignored,
        found=BoxColumns(
            found.images[order].astype(np.int64), label_of[found.labels[order]], boxes, sides.prod(axis=1)
        ),
        scores=found.scores[order].astype(np.float64),
        image_ids=np.asarray(truth.image_ids, np.int64),
    )


def falling_scores(found: Predictions) -> Ints:
    """The rows of detections by image, then by falling score: the order of those of `align`."""
    return np.lexsort((-found.scores.astype(np.float64), found.images))


def _merge_classes(truth: Classes, found: Classes) -> tuple[Classes, Ints]:
    """The truth's classes with the detector's own behind them, and (K,) the merged label of each detector label."""
    if truth == found:
        return truth, np.arange(len(truth))
    place = {key: label for label, key in enumerate(truth.keys)}
    other = [label for label, key in enumerate(found.keys) if key not in place]
    place |= {found.keys[label]: len(truth) + index for index, label in enumerate(other)}
    keys = truth.keys + tuple(found.keys[label] for label in other)
    names = truth.names + tuple(found.names[label] for label in other)
    return Classes(keys, names), np.array([place[key] for key in found.keys], np.int64)


def _check(truth: ImageSet, found: Predictions) -> None:
    problems = []
    if len(found) and not (found.images.min() >= 0 and found.images.max() < len(truth)):
        problems.append(f"images {found.images.min()} to {found.images.max()} of a set of {len(truth)}")
    if len(found) and not (found.labels.min() >= 0 and found.labels.max() < len(found.classes)):
        problems.append(f"labels {found.labels.min()} to {found.labels.max()} of {len(found.classes)} classes")
    if not (np.isfinite(found.scores).all() and np.isfinite(found.boxes).all()):
        problems.append("scores or boxes that are not finite")
    if problems:
        raise SynthError(
            "the detections belong to other images",
            code="predictions-mismatch",
            where=truth.name,
            expected="detections made on this image set",
            hint="run the detector on the images again",
            problems=problems,
        )
