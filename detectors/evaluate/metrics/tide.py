"""What kind of mistakes cost how much: TIDE (Bolya et al. 2020, arXiv 2008.08115)."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from detectors.evaluate.metrics.align import Aligned, Bools, Floats, Ints
from detectors.evaluate.metrics.curves import average_precision, mean_over_classes, rank
from detectors.evaluate.metrics.matching import Matches
from detectors.evaluate.metrics.overlap import overlapping

RIGHT = 0.5
BACKGROUND = 0.1
KINDS = ("Cls", "Loc", "Both", "Dupe", "Bkg", "Miss")


@dataclass(frozen=True)
class ErrorKind:
    """One kind of mistake: how often, and by how much AP50 would rise if it alone were mended."""

    name: str
    count: int
    gain: float


@dataclass(frozen=True)
class NearestTruth:
    """For M detections the box of their class, and of another class, that they overlap most.

    same, other: (M,) overlap, 0 where under BACKGROUND. same_box, other_box: (M,) int64, -1 for none.
    """

    same: Floats
    same_box: Ints
    other: Floats
    other_box: Ints


def error_kinds(data: Aligned, matches: Matches) -> tuple[ErrorKind, ...]:
    """How much AP50 each kind of mistake costs.

    Cls: a box found, wrong name. Loc: right name, badly placed. Both: wrong name and badly placed. Dupe: a second
    detection of one box. Bkg: nothing there. Miss: a box that no Cls or Loc mistake points at either.
    """
    near = _nearest(data, matches.rows)
    kind = _classify(near, matches.wrong[0])
    base = _ap50(data, matches)
    # What a Cls or a Loc mistake meant; both are mended by letting it have that box, if it is free.
    meant = np.where(kind == "Cls", near.other_box, np.where(kind == "Loc", near.same_box, -1))
    missed = _missed(data, matches, meant)
    kinds = []
    for name in KINDS[:-1]:
        mine = kind == name
        mended = _mend(data, matches, mine, meant) if name in ("Cls", "Loc") else _remove(data, matches, mine)
        kinds.append(ErrorKind(name, int(mine.sum()), mended - base))
    gain = _ap50(data, matches, missed) - base
    return (*kinds, ErrorKind("Miss", int(missed.sum()), gain))


def _classify(near: NearestTruth, wrong: Bools) -> NDArray[np.str_]:
    """(M,) the kind of each wrong detection, empty for the others; the first that fits, as in the authors' tool."""
    best = np.maximum(near.same, near.other)
    rules = [
        ~wrong,
        (near.same >= BACKGROUND) & (near.same < RIGHT),
        near.other >= RIGHT,
        near.same >= RIGHT,
        best < BACKGROUND,
    ]
    return np.select(rules, ["", "Loc", "Cls", "Dupe", "Bkg"], "Both")


def _nearest(data: Aligned, rows: Ints) -> NearestTruth:
    found = data.found.take(rows)
    boxes = np.flatnonzero(~data.ignored)
    truth = data.truth.take(boxes)
    pairs = overlapping(found.xyxy, found.image, truth.xyxy, truth.image, np.zeros(len(boxes), bool), BACKGROUND)
    alike = found.label[pairs.first] == truth.label[pairs.second]
    columns: list[NDArray] = []
    for of_kind in (alike, ~alike):
        first, second, overlap = pairs.first[of_kind], pairs.second[of_kind], pairs.overlap[of_kind]
        order = np.lexsort((-second, overlap, first))
        best, box = np.zeros(len(rows)), np.full(len(rows), -1, np.int64)
        # The last one written stays: the largest overlap.
        best[first[order]] = overlap[order]
        box[first[order]] = boxes[second[order]]
        columns += [best, box]
    return NearestTruth(*columns)


def _taken(data: Aligned, matches: Matches) -> Bools:
    taken = np.zeros(len(data.truth), bool)
    taken[matches.box[0, matches.right[0]]] = True
    return taken


def _missed(data: Aligned, matches: Matches, meant: Ints) -> Bools:
    missed = ~data.ignored & ~_taken(data, matches)
    missed[meant[meant >= 0]] = False
    return missed


def _mend(data: Aligned, matches: Matches, mine: Bools, meant: Ints) -> float:
    """AP50 when every such detection gets the box it meant, if that is free and no better scored one meant it too.

    Those that do not get it go. Cls and Loc mistakes compete for a box, as in the authors' tool.
    """
    free = ~np.append(_taken(data, matches), True)[meant]
    places = np.flatnonzero(free)[np.argsort(-data.scores[matches.rows[free]], kind="stable")]
    box, first = np.unique(meant[places], return_index=True)
    winners = places[first]
    box, winners = box[mine[winners]], winners[mine[winners]]
    right = matches.right[:1].copy()
    right[0, winners] = True
    label = data.found.label.copy()
    label[matches.rows[winners]] = data.truth.label[box]
    mended = replace(data, found=replace(data.found, label=label))
    return _ap50(mended, Matches(matches.rows, matches.box[:1], right, matches.wrong[:1] & ~mine))


def _remove(data: Aligned, matches: Matches, mine: Bools) -> float:
    """AP50 without these detections."""
    return _ap50(data, Matches(matches.rows, matches.box[:1], matches.right[:1], matches.wrong[:1] & ~mine))


def _ap50(data: Aligned, matches: Matches, left_out: Bools | None = None) -> float:
    one = Matches(matches.rows, matches.box[:1], matches.right[:1], matches.wrong[:1])
    value = mean_over_classes(average_precision(rank(data, one, left_out)))
    return 0.0 if np.isnan(value) else value
