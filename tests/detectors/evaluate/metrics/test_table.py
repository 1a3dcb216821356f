"""What every metric of the table must keep, and that one which is added shows wherever metrics are shown."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from detectors.data.image_set import ImageSet, Predictions
from detectors.evaluate.metrics.align import align
from detectors.evaluate.metrics.coco_numbers import NAMES
from detectors.evaluate.metrics.evidence import Totals, gather
from detectors.evaluate.metrics.table import METRICS, MetricKind, measure, measure_totals
from detectors.evaluate.page.write import write_comparison, write_page
from detectors.evaluate.print_report import print_report
from detectors.evaluate.report import evaluate
from support.evaluate_cases import classes_of, image_set, predictions, random_case

# A box of each size in each of twelve images: every metric is defined.
SIDES = (20, 60, 110)
BOXES = [(image, place, [5.0, 5.0, 5.0 + side, 5.0 + side]) for image in range(12) for place, side in enumerate(SIDES)]
TRUTH = image_set(12, BOXES, classes_of(3))
PERFECT = predictions([(image, label, box, 0.9) for image, label, box in BOXES], classes_of(3))
NOTHING = predictions([], classes_of(3))


def value_of(kind: MetricKind, truth: ImageSet, found: Predictions) -> float:
    return float(kind.compute(gather(align(truth, found), 0.5)))


@pytest.mark.parametrize("name", METRICS)
def test_a_metric_says_what_it_is(name: str) -> None:
    kind = METRICS[name]
    assert re.fullmatch(r"[A-Z][^.]+\.", kind.meaning), "one sentence"
    assert kind.limits[0] < kind.limits[1] and kind.lower_is_better == np.isinf(kind.limits[1])


@pytest.mark.parametrize("name", METRICS)
def test_perfect_detections_have_the_best_value_and_none_never_a_better_one(name: str) -> None:
    kind = METRICS[name]
    best = kind.limits[0] if kind.lower_is_better else kind.limits[1]
    assert value_of(kind, TRUTH, PERFECT) == pytest.approx(best)
    nothing = value_of(kind, TRUTH, NOTHING)
    assert np.isnan(nothing) or (nothing > best if kind.lower_is_better else nothing == 0)


@pytest.mark.parametrize("name", METRICS)
@pytest.mark.parametrize("boxes", [0, 40])
def test_values_stay_within_limits_and_weights_of_one_change_nothing(name: str, boxes: int) -> None:
    kind = METRICS[name]
    for seed in range(4):
        evidence = gather(align(*random_case(rng=np.random.default_rng(seed), images=8, boxes=boxes)), None)
        value = float(kind.compute(evidence))
        assert np.isnan(value) or kind.limits[0] <= value <= kind.limits[1] + 1e-12
        if kind.weighted is not None:
            again = kind.weighted(evidence)(np.ones(8, np.int64))
            assert again == pytest.approx(value, abs=1e-12, nan_ok=True)


def test_metrics_of_totals_need_nothing_else() -> None:
    evidence = gather(align(*random_case(rng=np.random.default_rng(1))), None)
    whole = measure(evidence, METRICS, evidence.data.groups, rng=np.random.default_rng(0), resamples=10)
    totals = measure_totals(Totals(evidence.coco, evidence.operating), METRICS)
    values = {metric.name: metric.value for metric in whole}
    assert {metric.name: metric.value for metric in totals} == {metric.name: values[metric.name] for metric in totals}
    assert set(NAMES) <= {metric.name for metric in totals}


def test_a_metric_that_is_added_is_shown_everywhere(tmp_path: Path) -> None:
    added = {**METRICS, "answer": MetricKind("The same whatever is found.", lambda found: 0.4242, head=True)}
    truth, found = image_set(0, [], classes_of(1)), predictions([], classes_of(1))
    report = evaluate(truth, found, threshold=None, rng=np.random.default_rng(0), metrics=added)
    written = {metric["name"]: metric for metric in json.loads(report.to_json())["metrics"]}
    assert list(written) == list(added) and written["answer"]["value"] == 0.4242
    console = Console(width=120)
    with console.capture() as capture:
        print_report(console, report)
    pages = [write_page(report, tmp_path / "one", truth, found), write_comparison({"a": report}, tmp_path / "two")]
    for text in (capture.get(), *(page.read_text(encoding="utf-8") for page in pages)):
        assert "answer" in text and "0.424" in text and "The same whatever is found." in text
