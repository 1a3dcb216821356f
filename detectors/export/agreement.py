"""Whether an exported file finds what the detector itself finds."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from detectors.augment import Letterbox
from detectors.augment.view import GREY
from detectors.evaluate.metrics.overlap import pair_overlap
from detectors.models.detect import Detections, detections_of, forward
from detectors.models.parts import MAX_DETECTIONS

# Detections below are noise that nobody looks at.
MIN_COMPARED = 0.05
MAX_PIXELS, MAX_SCORE, MAX_MASK = 1.0, 1e-3, 1e-2
# Share of the corners of a cuboid that may be further apart than that.
MAX_CORNERS = 0.25
# Of the corners of one detection.
CORNER_SHAPE = (8, 3)
# Two boxes of one class that overlap by more than this are rivals in the suppression of doubles.
RIVALS = 0.4
# A list of this length may have been cut off: background counts towards its limit, but is left out of it later.
MAYBE_FULL = MAX_DETECTIONS // 2

Runner = Callable[[NDArray[np.uint8]], tuple[NDArray[Any], ...]]


class Side(NamedTuple):
    """What one of the two finds. masks: (D, M, M) float32 over the boxes, or None."""

    found: Detections
    masks: NDArray[np.float32] | None


@dataclass(frozen=True)
class Agreement:
    """How far two detectors agree. images, compared: images and detections of both sides together.

    ties: detections that only one side has, because two of one score were about equally good. wrong: those that only
    one side has for no such reason. pixels, score, mask: largest differences of those that both have, mask of the
    mean over its cells, 0 to 1. torch_seconds, file_seconds: of the median image.
    """

    images: int
    compared: int
    ties: int
    wrong: int
    pixels: float
    score: float
    mask: float
    torch_seconds: float
    file_seconds: float


def check_agreement(model: nn.Module, run: Runner, images: Sequence[NDArray[np.uint8]]) -> Agreement:
    """Compares a detector with its exported file over (H, W, 3) uint8 images of the network's size, on the CPU.

    run: what the format's `load` gives. A detection agrees with one of the same class within 1 px, 0.001 of score and
    0.01 of masks. Raises SynthError where the file cannot be run; what differs is told in the result.
    """
    # Files may fail where nothing is found. Compared it is not: all its places score alike, and any of them may win.
    run(np.full_like(images[0], GREY))
    seconds: tuple[list[float], list[float]] = ([], [])
    pairs = []
    for image in images:
        ours, spent = _timed(partial(_run_torch, model, image))
        theirs, spent_there = _timed(partial(_run_file, run, image))
        seconds[0].append(spent)
        seconds[1].append(spent_there)
        pairs.append((ours, theirs))
    both = [_compare(*pair) for pair in pairs] + [_compare(*pair[::-1]) for pair in pairs]
    compared, ties, wrong, *apart = zip(*both, strict=True)
    largest = (max(differences) for differences in apart)
    medians = (float(np.median(spent)) for spent in seconds)
    return Agreement(len(images), sum(compared), sum(ties), sum(wrong), *largest, *medians)


def _run_file(run: Runner, image: NDArray[np.uint8]) -> Side:
    boxes, labels, scores, *more = run(image)
    # Masks are square.
    corners = more[0] if more and more[0].shape[1:] == CORNER_SHAPE else None
    masks = more[0] if more and corners is None else None
    return Side(Detections(boxes, labels.astype(np.int32), scores, keypoints=corners), masks)


def _run_torch(model: nn.Module, image: NDArray[np.uint8]) -> Side:
    height, width = image.shape[:2]
    masks: list[NDArray[np.float32]] = []

    def keep_masks(heads: nn.Module, inputs: object, outputs: Any) -> None:
        if "masks" in outputs[0][0]:
            masks.append(outputs[0][0]["masks"][:, 0].numpy())

    heads = [child for name, child in model.named_children() if name == "roi_heads"]
    # Afterwards they are pasted over the whole image.
    hooks = [child.register_forward_hook(keep_masks) for child in heads]
    output = forward(model, torch.from_numpy(image[None]))[0]
    for hook in hooks:
        hook.remove()
    return Side(detections_of(output, Letterbox(1.0, width, height)), masks[0] if masks else None)


def _timed(find: Callable[[], Side]) -> tuple[Side, float]:
    start = time.perf_counter()
    found = find()
    return found, time.perf_counter() - start


def _compare(us: Side, them: Side) -> tuple[int, int, int, float, float, float]:
    """Compared, ties, wrong, and the largest differences in pixels, score and masks, of our detections among theirs."""
    ours, theirs = us.found, them.found
    rows = np.flatnonzero(ours.scores > MIN_COMPARED)
    ties = wrong = 0
    largest = np.zeros(3)
    for row in rows:
        apart = np.abs(theirs.boxes - ours.boxes[row]).max(axis=1)
        differs = np.abs(theirs.scores - ours.scores[row])
        same = (theirs.labels == ours.labels[row]) & (differs <= MAX_SCORE)
        partners = np.flatnonzero(same & (apart <= MAX_PIXELS))
        if len(partners):
            best = int(partners[np.argmin(apart[partners])])
            mask = _mask_difference(us, int(row), them, best)
            wrong += mask > MAX_MASK
            largest = np.maximum(largest, [apart[best], differs[best], mask])
        elif _is_tie(ours, int(row), theirs, same):
            ties += 1
        else:
            wrong += 1
    pixels, score, mask = largest.tolist()
    return len(rows), ties, wrong, pixels, score, mask


def _mask_difference(us: Side, row: int, them: Side, other: int) -> float:
    if us.found.keypoints is not None and them.found.keypoints is not None:
        apart = us.found.keypoints[row, :, :2] - them.found.keypoints[other, :, :2]
        far = np.linalg.norm(apart, axis=1) > MAX_PIXELS
        # Single corners have peaks that are about equally near.
        return float(far.mean() > MAX_CORNERS)
    if us.masks is None or them.masks is None:
        return 0.0 if us.masks is them.masks else 1.0
    # The mean, since single cells jump where a box ends at the edge of a map.
    return float(np.abs(us.masks[row] - them.masks[other]).mean())


def _is_tie(ours: Detections, row: int, theirs: Detections, same: NDArray[np.bool_]) -> bool:
    """Whether the other side has a rival of the same score instead, or has cut its list at this score."""
    if len(theirs.scores) >= MAYBE_FULL and ours.scores[row] <= theirs.scores.min() + MAX_SCORE:
        return True
    box = np.broadcast_to(ours.boxes[row].astype(np.float64), theirs.boxes.shape)
    overlap = pair_overlap(box, theirs.boxes.astype(np.float64), np.zeros(len(theirs.boxes), bool))
    return bool((same & (overlap > RIVALS)).any())
