"""Labels of photos made by the detector itself, of photos that it understands as a whole (after Li et al. 2019, DPNet).

A photo is looked at in three views: as at prediction, smaller at another place, and its middle enlarged. If what the
detector is sure of is the same in all of them, and as many, the photo is taken: its boxes that another view confirms
become labels, and whatever is doubtful an ignored region. Other photos are left out whole: one missed product in them
would be taught as background. (DPNet: https://arxiv.org/abs/1904.04978)
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import Dataset
from torchvision.ops import box_iou

from assets.errors import SynthError
from assets.plurals import count_of, counts_of
from detectors.augment.fit import letterbox
from detectors.augment.view import ImageWindow, compose
from detectors.data.image_set import ImageSet
from detectors.data.sample import Sample
from detectors.models.detect import Detections
from detectors.models.parts import covered_by

# Size of the second view relative to the first, and of the part of the photo that the third one shows.
SMALLER, MIDDLE = 0.8, 0.8
# Overlap from which two boxes of one class, or of a photo, are the same product.
SAME = 0.5
# Least side of a box in pixels of the photo: what lies beyond its edge leaves slivers.
MIN_SIDE_PX = 1.0
# Share of a region inside a label from which it says nothing more: views cut products off.
MOSTLY_IN = 0.7
# Pixels of the network's input from the edge of the enlarged middle within which boxes are cut off.
EDGE_PX = 3.0
NO_BOX, COUNTS, BOXES = "no sure box", "other counts in other views", "other boxes in other views"


@dataclass(frozen=True)
class Trust:
    """What is believed. confidence: least score of a sure box. doubt: of it, the least score of a doubtful one.

    agreement: least share of sure boxes that other views confirm. counts: largest difference of their numbers.
    """

    confidence: float
    doubt: float
    agreement: float
    counts: float


@dataclass(frozen=True)
class PhotoLabels:
    """Labels of a photo. boxes: (N, 4) xyxy pixels. labels: (N,). ignored: (K, 4) regions of what is doubtful.

    refused: why the photo is left out; empty if it is taken. scores: (N,).
    """

    boxes: NDArray[np.float32]
    labels: NDArray[np.int32]
    scores: NDArray[np.float32]
    ignored: NDArray[np.float32]
    refused: str = ""


def windows_of(sample: Sample, width: int, height: int) -> tuple[ImageWindow, ...]:
    """Return the three views of a photo in a network's input of `width` x `height`."""
    whole = letterbox(sample, width, height)
    full = (0, 0, sample.width, sample.height)
    smaller = [max(1, round(side * SMALLER)) for side in (whole.fitted_width, whole.fitted_height)]
    part = [max(1, round(side * MIDDLE)) for side in (sample.width, sample.height)]
    left, top = (sample.width - part[0]) // 2, (sample.height - part[1]) // 2
    return (
        whole.window,
        ImageWindow(full, (width - smaller[0], height - smaller[1], width, height)),
        ImageWindow((left, top, left + part[0], top + part[1]), (0, 0, whole.fitted_width, whole.fitted_height)),
    )


class PhotosInViews(Dataset[Any]):
    """The three views of each photo: (3, H, W, 3) uint8, and their windows."""

    def __init__(self, photos: ImageSet, width: int, height: int) -> None:
        self.photos, self.width, self.height = photos, width, height

    def __len__(self) -> int:
        return len(self.photos)

    def __getitem__(self, index: int) -> tuple[NDArray[np.uint8], tuple[ImageWindow, ...]] | SynthError:
        try:
            image = self.photos.read_image(index)
        except SynthError as error:
            # Returned, not raised: torch would wrap its text in the traceback of the worker process.
            return error
        sample = Sample(image, np.zeros((0, 4), np.float32), np.zeros(0, np.int64))
        windows = windows_of(sample, self.width, self.height)
        views = [compose([(sample, window)], self.width, self.height).image for window in windows]
        return np.stack(views), windows


def in_photo(output: dict[str, Any], window: ImageWindow) -> Detections:
    """Return the detections in a view in pixels of the photo, cut off at the edges of what the view shows."""
    boxes = output["boxes"].float().cpu().numpy().astype(np.float64)
    target, source = np.tile(window.target[:2], 2), np.tile(window.source[:2], 2)
    x0, y0, x1, y1 = window.source
    moved = np.clip((boxes - target) / np.tile(window.scale, 2) + source, [x0, y0, x0, y0], [x1, y1, x1, y1])
    kept = ((moved[:, 2:] - moved[:, :2]) >= MIN_SIDE_PX).all(1)
    labels, scores = output["labels"].cpu().numpy(), output["scores"].float().cpu().numpy()
    return Detections(moved[kept].astype(np.float32), labels[kept].astype(np.int32), scores[kept].astype(np.float32))


def label_photo(views: Sequence[Detections], windows: Sequence[ImageWindow], trust: Trust) -> PhotoLabels:
    """Return the labels of a photo from the detections in its views, in pixels of the photo; the first is the photo."""
    sure = [_sure(found, trust.confidence) for found in views]
    first, others = sure[0], sure[1:]
    confirmed = np.zeros(len(first.boxes), bool)
    refused = "" if len(first.boxes) else NO_BOX
    for found, window in zip(others, windows[1:], strict=True):
        mine, theirs = _inside(first, window), _inside(found, window)
        forth, back = _confirmed(first, found), _confirmed(found, first)
        confirmed |= forth
        numbers = int(mine.sum()), int(theirs.sum())
        agreed = (forth[mine].sum() + back[theirs].sum()) / max(sum(numbers), 1)
        if abs(numbers[0] - numbers[1]) > trust.counts * max(numbers):
            refused = refused or COUNTS
        elif sum(numbers) and agreed < trust.agreement:
            refused = refused or BOXES
    if not refused and not confirmed.any():
        refused = BOXES
    doubtful = [_doubtful(found, trust) for found in views]
    labels = _taken(first, confirmed)
    regions = np.concatenate([first.boxes[~confirmed], *doubtful, *(found.boxes for found in others)])
    return PhotoLabels(labels.boxes, labels.labels, labels.scores, _apart(regions, labels.boxes), refused)


def _sure(found: Detections, confidence: float) -> Detections:
    """Return the sure detections; of several at one place, whatever their class, the surest."""
    order = np.argsort(-found.scores, kind="stable")
    kept: list[int] = []
    for row in order[found.scores[order] >= confidence]:
        if not kept or _overlaps(found.boxes[[row]], found.boxes[kept]).max() < SAME:
            kept.append(int(row))
    return _taken(found, np.array(kept, np.int64))


def _doubtful(found: Detections, trust: Trust) -> NDArray[np.float32]:
    rows = (found.scores >= trust.doubt * trust.confidence) & (found.scores < trust.confidence)
    return found.boxes[rows]


def _taken(found: Detections, rows: Any) -> Detections:
    return Detections(found.boxes[rows], found.labels[rows], found.scores[rows])


def _inside(found: Detections, window: ImageWindow) -> NDArray[np.bool_]:
    """Return (N,) whether a box lies whole in the part of the photo that a view shows."""
    margin = EDGE_PX / np.tile(window.scale, 2)[:2]
    low, high = np.array(window.source[:2]) + margin, np.array(window.source[2:]) - margin
    if window.source[0] == window.source[1] == 0:
        return np.ones(len(found.boxes), bool)
    return (found.boxes[:, :2] >= low).all(1) & (found.boxes[:, 2:] <= high).all(1)


def _confirmed(found: Detections, others: Detections) -> NDArray[np.bool_]:
    """Return (N,) whether another view has a box of the same class at the same place."""
    if not len(found.boxes) or not len(others.boxes):
        return np.zeros(len(found.boxes), bool)
    same = found.labels[:, None] == others.labels[None]
    return ((_overlaps(found.boxes, others.boxes) >= SAME) & same).any(1)


def _apart(regions: NDArray[np.float32], boxes: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the regions that are not at the place of a label, or mostly in one, each place once."""
    within = covered_by(torch.from_numpy(regions), torch.from_numpy(boxes)).numpy()
    regions = regions[within < MOSTLY_IN]
    kept: list[int] = []
    for row in range(len(regions)):
        taken = np.concatenate([boxes, regions[kept]])
        if not len(taken) or _overlaps(regions[[row]], taken).max() < SAME:
            kept.append(row)
    return regions[kept]


def _overlaps(first: NDArray[np.float32], second: NDArray[np.float32]) -> NDArray[np.float32]:
    found: NDArray[np.float32] = box_iou(torch.from_numpy(first), torch.from_numpy(second)).numpy()
    return found


def describe_labels(labels: Sequence[PhotoLabels]) -> str:
    """Return how many photos and boxes were taken, and why the other photos were left out."""
    taken = [one for one in labels if not one.refused]
    regions = sum(len(one.ignored) for one in taken)
    text = f"pseudo-labels: {len(taken)} of {count_of(len(labels), 'photo')} taken, with "
    text += counts_of(box=sum(len(one.boxes) for one in taken)) + f" and {count_of(regions, 'ignored region')}"
    reasons = Counter(one.refused for one in labels if one.refused)
    if reasons:
        text += "; left out: " + ", ".join(f"{count} with {reason}" for reason, count in reasons.most_common())
    return text
