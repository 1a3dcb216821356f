"""Validation scores of a detector during training."""

from __future__ import annotations

import math

from detectors.data.image_set import ImageSet, Predictions
from detectors.evaluate.metrics.align import align
from detectors.evaluate.metrics.coco_numbers import run_coco
from detectors.evaluate.metrics.curves import pooled_curve, rank
from detectors.evaluate.metrics.matching import find_candidates, match


def score_detector(truth: ImageSet, found: Predictions) -> dict[str, float]:
    """Return COCO's AP, AP50 and AP75, the best F1 and its score threshold; 0 if there is no ground truth."""
    data = align(truth, found)
    candidates = find_candidates(data)
    numbers = run_coco(data, candidates).numbers()
    threshold, f1 = pooled_curve(rank(data, match(data, candidates))).best()
    scores = {name: numbers[name] for name in ("AP", "AP50", "AP75")} | {"F1": f1, "threshold": threshold}
    return {name: 0.0 if math.isnan(value) else float(value) for name, value in scores.items()}
