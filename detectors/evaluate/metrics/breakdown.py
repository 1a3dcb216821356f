"""Average precision by what makes a product hard to see: small, hidden, cut off by the border."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from detectors.data.image_set import ImageSet
from detectors.evaluate.metrics.align import Aligned, Bools, Floats
from detectors.evaluate.metrics.coco_numbers import SIZES
from detectors.evaluate.metrics.curves import average_precision, mean_over_classes, rank
from detectors.evaluate.metrics.matching import Candidates, Matches, match

# Side of a square of the box's area over that of a square of the image's area.
RELATIVE_SIDES = ((0.0, 0.02), (0.02, 0.05), (0.05, 0.1), (0.1, 0.2), (0.2, np.inf))


@dataclass(frozen=True)
class BoxGroup:
    """One kind of boxes: how many, AP and AP50 on them alone, and the share found and named above the threshold."""

    name: str
    boxes: int
    ap: float
    ap50: float
    found: float


def break_down(
    data: Aligned, candidates: Candidates, matches: Matches, truth: ImageSet, threshold: float
) -> dict[str, tuple[BoxGroup, ...]]:
    """AP by size, relative size, visibility and truncation.

    Boxes of another kind count for nothing, found or not, as in COCO's area ranges. Wrong detections count for every
    kind, except for sizes, where only those of that size do: nobody can say how hidden a product is that is not there.
    """
    taken = taken_boxes(data, matches, threshold)

    def part(name: str, inside: Bools, outside: Bools | None = None) -> BoxGroup:
        again = match(data, candidates, left_out=~inside, outside=outside)
        table = average_precision(rank(data, again, ~inside))
        counted = inside & ~data.ignored
        share = float(taken[counted].mean()) if counted.any() else float("nan")
        return BoxGroup(name, int(counted.sum()), mean_over_classes(table), mean_over_classes(table[0]), share)

    return {
        "size": tuple(
            part(name, _inside(data.truth.area, low, high), ~_inside(data.found.area, low, high))
            for name, (low, high) in zip(("small", "medium", "large"), SIZES[1:], strict=True)
        ),
        "relative size": _by_relative_size(data, truth, part),
        "visibility": tuple(part(name, inside) for name, inside in _visibility_bins(truth.visibility)),
        "truncation": tuple(part(name, inside) for name, inside in _truncation_bins(truth.truncation)),
    }


def taken_boxes(data: Aligned, matches: Matches, threshold: float) -> Bools:
    """(A,) boxes that a detection of the right class and at least this score overlaps by 0.5 or more."""
    taken = np.zeros(len(data.truth), bool)
    counted = matches.right[0] & (data.scores[matches.rows] >= threshold)
    taken[matches.box[0, counted]] = True
    return taken


def _by_relative_size(
    data: Aligned, truth: ImageSet, part: Callable[[str, Bools, Bools], BoxGroup]
) -> tuple[BoxGroup, ...]:
    whole = truth.sizes.astype(np.float64).prod(axis=1)
    side = np.sqrt(data.truth.area / whole[data.truth.image])
    found = np.sqrt(data.found.area / whole[data.found.image])
    parts = []
    for low, high in RELATIVE_SIDES:
        name = f"over {100 * low:.0f} %" if np.isinf(high) else f"{100 * low:.0f} to {100 * high:.0f} %"
        parts.append(part(name, (side >= low) & (side < high), (found < low) | (found >= high)))
    return tuple(parts)


def _inside(area: Floats, low: float, high: float) -> Bools:
    return (area >= low) & (area <= high)


def _visibility_bins(visibility: np.ndarray) -> list[tuple[str, Bools]]:
    names = ("under 25 %", "25 to 50 %", "50 to 75 %", "over 75 %")
    place = np.searchsorted([0.25, 0.5, 0.75], visibility, "right")
    unknown = np.isnan(visibility)
    return [*((name, (place == index) & ~unknown) for index, name in enumerate(names)), ("unknown", unknown)]


def _truncation_bins(truncation: np.ndarray) -> list[tuple[str, Bools]]:
    return [
        ("whole", truncation <= 0),
        ("up to 25 % cut", (truncation > 0) & (truncation <= 0.25)),
        ("over 25 % cut", truncation > 0.25),
        ("unknown", np.isnan(truncation)),
    ]
