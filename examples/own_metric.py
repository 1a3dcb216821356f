"""A metric of one's own: how many of the images show no product that is missed or called by another name.

python examples/own_metric.py data/real/annotations/instances_test.json runs/a/evaluation/predictions.json OUT
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from detectors.data.prepare import read_one
from detectors.data.settings import DataSettings
from detectors.evaluate.metrics.breakdown import taken_boxes
from detectors.evaluate.metrics.evidence import Evidence
from detectors.evaluate.metrics.table import METRICS, MetricKind
from detectors.evaluate.page.write import write_page
from detectors.evaluate.report import Report, evaluate
from detectors.evaluate.results import read_results


def complete_images(found: Evidence) -> float:
    """The share of images in which every product is found as the SKU that it is."""
    taken = taken_boxes(found.data, found.matches, found.operating.threshold)
    lacking = found.data.truth.image[~taken & ~found.data.ignored]
    return 1 - len(np.unique(lacking)) / found.data.images


OWN = MetricKind("Images in which every product is found as the SKU that it is.", complete_images, head=True)


def main(labels: Path, results: Path, out: Path) -> Report:
    """Evaluate COCO results on labelled images, with one metric more, and write the page."""
    truth = read_one(labels, labels.stem, DataSettings(), splits=("test", "val"), print_line=print)
    found = read_results(results, truth, dict(zip(truth.classes.keys, truth.category_ids, strict=True)))
    metrics = {**METRICS, "complete images": OWN}
    report = evaluate(truth, found, threshold=0.5, rng=np.random.default_rng(0), metrics=metrics)
    print(f"page: {write_page(report, out, truth, found)}")
    return report


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:4]))
