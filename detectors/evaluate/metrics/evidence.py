"""What metrics are computed from, gathered once for all of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from detectors.evaluate.metrics.align import Aligned
from detectors.evaluate.metrics.checkout import Checkout, Counts, checkout, count_products
from detectors.evaluate.metrics.coco_numbers import CocoRun, run_coco
from detectors.evaluate.metrics.confusion import Localization, Naming, find_products, judge, name_products
from detectors.evaluate.metrics.curves import Curve, OperatingPoint, Ranked, operate, pooled_curve, rank
from detectors.evaluate.metrics.matching import Candidates, Matches, find_candidates, match


@dataclass(frozen=True)
class Totals:
    """What every evaluation has, also that of a set too large for memory. coco: the twelve COCO numbers by name."""

    coco: Mapping[str, float]
    operating: OperatingPoint


@dataclass(frozen=True)
class Evidence(Totals):
    """What the evaluation of a set in memory has: everything about truth and detections, image by image.

    matches, ranked, curve: of the right classes. finding: of all classes as one.
    """

    data: Aligned
    candidates: Candidates
    matches: Matches
    ranked: Ranked
    curve: Curve
    by_class: CocoRun
    finding: Localization
    naming: Naming
    counts: Counts
    checkout: Checkout


def gather(data: Aligned, threshold: float | None) -> Evidence:
    """Match and count everything once. threshold: the score to believe; None takes the best F1 on this set."""
    candidates = find_candidates(data)
    matches = match(data, candidates)
    ranked = rank(data, matches)
    curve = pooled_curve(ranked)
    operating = operate(curve, threshold)
    finding = find_products(data)
    by_class = run_coco(data, candidates)
    counts = count_products(data, matches, operating.threshold)
    return Evidence(
        coco=by_class.numbers(),
        operating=operating,
        data=data,
        candidates=candidates,
        matches=matches,
        ranked=ranked,
        curve=curve,
        by_class=by_class,
        finding=finding,
        naming=name_products(data, judge(data, finding, operating.threshold)),
        counts=counts,
        checkout=checkout(data, counts),
    )
