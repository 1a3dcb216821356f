"""Where a detector fails on a rendered scene: products that it misses and boxes that it makes up."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from render.frame import Annotation

# A detection is right if it overlaps its product by so much and names it.
OVERLAP = 0.5


@dataclass(frozen=True, eq=False)
class NamedBoxes:
    """Detections of one image, those that are shown. boxes: (D, 4) xyxy pixels. names: SKU of each, None if untold.

    scores: (D,).
    """

    boxes: NDArray[np.float64]
    names: Sequence[str | None]
    scores: NDArray[np.float64]


# Finds and names the products in an image (H, W, 3).
NameBoxes = Callable[[NDArray[np.uint8]], NamedBoxes]


@dataclass(frozen=True, eq=False)
class Failures:
    """Failures on one scene. skus, missed: of each product that counts. made_up: places of detections of nothing."""

    skus: Sequence[str]
    missed: Sequence[bool]
    made_up: Sequence[int]

    @property
    def count(self) -> int:
        """How many products are missed and how many boxes are made up."""
        return sum(self.missed) + len(self.made_up)


def find_failures(annotations: Sequence[Annotation], found: NamedBoxes, known: frozenset[str] | None) -> Failures:
    """Match detections with products, best scores first.

    Products that labels mark as ignored, and those that the detector was not trained on, count neither as missed nor
    as made up. known: SKUs of the detector; None where it does not tell products apart.
    """
    counts = [not item.ignore and (known is None or item.sku in known) for item in annotations]
    overlaps = _overlaps(found.boxes, np.array([item.box for item in annotations], np.float64).reshape(-1, 4))
    taken = np.zeros(len(annotations), bool)
    made_up = []
    for place in np.argsort(-found.scores, kind="stable"):
        name = found.names[place]
        fits = [
            overlaps[place, other] >= OVERLAP
            and not taken[other]
            and (not counts[other] or name is None or name == item.sku)
            for other, item in enumerate(annotations)
        ]
        if not any(fits):
            made_up.append(int(place))
            continue
        # Products that count come first, so that an ignored one takes no detection from them.
        order = [overlaps[place, other] + counts[other] if fit else -1.0 for other, fit in enumerate(fits)]
        best = int(np.argmax(order))
        taken[best] = counts[best]
    kept = [place for place, counted in enumerate(counts) if counted]
    return Failures([annotations[i].sku for i in kept], [not taken[i] for i in kept], made_up)


def _overlaps(first: NDArray[np.float64], second: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return intersection over union (D, A) of boxes."""
    low = np.maximum(first[:, None, :2], second[None, :, :2])
    high = np.minimum(first[:, None, 2:], second[None, :, 2:])
    shared = np.clip(high - low, 0, None).prod(axis=2)
    areas = [(boxes[:, 2:] - boxes[:, :2]).prod(axis=1) for boxes in (first, second)]
    return np.asarray(shared / np.maximum(areas[0][:, None] + areas[1][None, :] - shared, 1e-9))
