"""A report as a web page that needs nothing but the folder it lies in."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from assets.files.atomic import write_atomic
from assets.pages.templates import open_templates
from detectors.data.image_set import ImageSet, Predictions
from detectors.evaluate.metrics.compare import Comparison
from detectors.evaluate.metrics.curves import Curve
from detectors.evaluate.page.about import About
from detectors.evaluate.page.examples import plot_examples
from detectors.evaluate.page.images import CONFUSED, LEFT_OUT, MISSED, NOTHING, RIGHT
from detectors.evaluate.report import Report

IMAGE_FOLDER = "pictures"
MAX_CLASSES = 200
MAX_CONFUSIONS = 30
MAX_CHANGES = 100
# Of the drawing of the curve, in its own units.
CURVE_SIZE = 300

ERRORS = {
    "Cls": ("wrong SKU", "A product is found where it is, but as another SKU."),
    "Loc": ("bad box", "The right SKU, but the box sits badly."),
    "Both": ("wrong SKU and bad box", "Neither SKU nor box fits."),
    "Dupe": ("found twice", "A second detection of one product."),
    "Bkg": ("nothing there", "A detection where no product is."),
    "Miss": ("missed", "A product that no detection points at."),
}
# What became of each product at the threshold.
COUNTS = (
    ("right SKU", "Found, and as the SKU that it is."),
    ("wrong SKU", "Found, but as another SKU."),
    ("missed", "No detection sits on it."),
)
EXTRA = ("one too many", "Detections where no product is.")
PARTS = {
    "size": ("By size in pixels", "Small is under 32 x 32 pixels, large over 96 x 96."),
    "relative size": ("By size in the image", "The side of the product as a share of the side of the image."),
    "visibility": ("By how much is visible", "The share of the product that nothing hides."),
    "truncation": ("By how much is cut off", "The share of the product outside of the image."),
}


def write_page(
    report: Report,
    out_folder: Path,
    truth: ImageSet,
    found: Predictions,
    *,
    about: About | None = None,
    limit: int = 12,
) -> Path:
    """Writes `index.html` and its `images/` into `out_folder`, returns the page.

    limit: whole images shown, and crops of confusions and of misses. Raises SynthError where an image cannot be read.
    """
    about = about or About()
    out_folder.mkdir(parents=True, exist_ok=True)
    gallery = plot_examples(truth, found, report.operating.threshold, out_folder / IMAGE_FOLDER, limit)
    boxes = {row.key: row.boxes for row in report.classes}
    confusions = [
        {"true": one.true, "found": one.found, "count": one.count, "share": one.count / max(boxes[one.true], 1)}
        for one in report.naming.confusions[:MAX_CONFUSIONS]
    ]
    page = _render(
        "report.html.j2",
        report=report,
        about=about,
        title=about.title(report.name),
        counts=[(*words, count) for words, count in zip(COUNTS, _counts(report)[:-1], strict=True)],
        total=max(report.boxes, 1),
        extra=_counts(report)[-1],
        curve=_polyline(report.curve),
        mark=_place(report.operating.recall, report.operating.precision),
        parts=[(*PARTS[name], parts) for name, parts in report.parts.items()],
        errors=[(*ERRORS[error.name], error) for error in report.errors],
        most_gain=max([error.gain for error in report.errors] + [1e-9]),
        classes=report.classes[:MAX_CLASSES],
        confusions=confusions,
        names={row.key: row.name for row in report.classes},
        gallery=gallery,
    )
    return _write(out_folder, page)


def write_comparison(
    reports: Mapping[str, Report],
    out_folder: Path,
    comparisons: Sequence[Comparison] = (),
    *,
    abouts: Mapping[str, About] | None = None,
    pages: Mapping[str, str] | None = None,
) -> Path:
    """Writes `index.html` with two or more reports side by side, returns the page.

    reports: by the name of the run or image set. comparisons: of runs on the same images. abouts, pages: of each report
    its head, and the URL of its own page.
    """
    abouts = {name: (abouts or {}).get(name) or About(name, report.name) for name, report in reports.items()}
    out_folder.mkdir(parents=True, exist_ok=True)
    tables = [(name, report.metrics) for name, report in reports.items()]
    heads = [place for place, metric in enumerate(tables[0][1]) if metric.head]
    rows = [(tables[0][1][place], [(name, metrics[place]) for name, metrics in tables]) for place in heads]
    runs = reports.items()
    errors = [
        (*ERRORS[kind], [(name, next(error for error in report.errors if error.name == kind)) for name, report in runs])
        for kind in ERRORS
    ]
    pairs = [(comparison, _extremes(comparison)) for comparison in comparisons]
    page = _render(
        "compare.html.j2",
        reports=reports,
        abouts=abouts,
        pages=pages or {},
        title=_comparison_title(list(abouts.values())),
        counts=[
            (*words, list(zip(reports, numbers, strict=True)))
            for words, *numbers in zip((*COUNTS, EXTRA), *map(_counts, reports.values()), strict=True)
        ],
        rows=rows,
        errors=errors,
        curves=[(name, _polyline(report.curve)) for name, report in reports.items()],
        pairs=pairs,
    )
    return _write(out_folder, page)


def _comparison_title(abouts: Sequence[About]) -> str:
    subjects, data, days = (dict.fromkeys(getattr(one, name) for one in abouts) for name in ("subject", "data", "day"))
    return ", ".join(part for part in (f"{' and '.join(subjects)} on {' and '.join(data)}", *days) if part)


def _counts(report: Report) -> tuple[int, int, int, int]:
    """Products found as the right SKU, as a wrong one, and missed; detections too many. All at the threshold."""
    naming = report.naming
    return naming.right, naming.found - naming.right, sum(naming.missed.values()), sum(naming.background.values())


def _polyline(curve: Curve) -> str:
    """The curve as points of an SVG polyline, CURVE_SIZE wide and high."""
    if not len(curve.recall):
        return ""
    # From no recall on, at the precision of the surest detection.
    points = [(0.0, curve.precision[0]), *zip(curve.recall, curve.precision, strict=True)]
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in (_place(*point) for point in points))


def _place(recall: float, precision: float) -> tuple[float, float]:
    return CURVE_SIZE * recall, CURVE_SIZE * (1 - precision)


def _extremes(comparison: Comparison) -> list[Any]:
    """The classes that changed most, worst loss first; all where there are few."""
    changes = [change for change in comparison.classes if change.difference]
    if len(changes) <= MAX_CHANGES:
        return changes
    return [*changes[: MAX_CHANGES // 2], *changes[-MAX_CHANGES // 2 :]]


def _render(template: str, **values: Any) -> str:
    environment = open_templates(__package__)
    environment.filters |= {"share": _share, "grade": _grade, "signed": _signed, "width": _width}
    colors = {"right": RIGHT, "confused": CONFUSED, "missed": MISSED, "nothing": NOTHING, "left_out": LEFT_OUT}
    css = {name: f"rgb({red} {green} {blue})" for name, (red, green, blue) in colors.items()}
    return environment.get_template(template).render(
        colors=css, image_folder=IMAGE_FOLDER, curve_size=CURVE_SIZE, **values
    )


def _write(folder: Path, page: str) -> Path:
    path = folder / "index.html"
    write_atomic(path, page.encode())
    return path


def _defined(value: float | None) -> bool:
    return value is not None and not math.isnan(value)


def _grade(value: float) -> str:
    return f"{value:.3f}" if _defined(value) else "–"


def _share(value: float) -> str:
    return f"{100 * value:.0f} %" if _defined(value) else "–"


def _signed(value: float) -> str:
    # A true minus sign, and none before a zero.
    return f"{np.round(value, 3) + 0.0:+.3f}".replace("-", "−").replace("+0.000", "0.000") if _defined(value) else "–"


def _width(value: float) -> str:
    """Width of a bar, per cent."""
    return f"{100 * min(max(value, 0), 1):.1f}" if _defined(value) else "0"
