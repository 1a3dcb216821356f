"""The report of a curve: a table, a plot, one page and a JSON file."""

from __future__ import annotations

import base64
import io
import math
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.table import Table

from assets.files.atomic import write_atomic
from assets.pages.templates import open_templates
from assets.plurals import count_of, counts_of
from detectors.evaluate.metrics.bootstrap import Interval
from detectors.evaluate.report import json_text
from pipeline.experiments.curve import PhotoCurve
from pipeline.experiments.points import CurvePoint

NAMES = {"synthetic": "synthetic only", "real": "photos alone", "both": "synthetic + photos"}
COLORS = {"real": "#d9822b", "both": "#2e7d9e"}
FILE, PLOT, PAGE = "curve.json", "curve.png", "curve.html"


def write_curve(curve: PhotoCurve) -> Path:
    """Write curve.json, curve.png and curve.html into the folder of the experiment, and return the page."""
    write_atomic(curve.out / FILE, json_text({**asdict(curve), "out": str(curve.out)}).encode())
    plot = plot_curve(curve)
    write_atomic(curve.out / PLOT, plot)
    page = open_templates(__package__).get_template("curve.html.j2")
    content = page.render(
        curve=curve,
        headline=headline(curve),
        plot="data:image/png;base64," + base64.b64encode(plot).decode("ascii"),
        points=[(point_name(point), point) for point in curve.points],
        gains=[(f"synthetic + {photos_text(gain.photos)}", gain) for gain in curve.gains],
        value=value_text,
        range=range_text,
        notes=notes_of(curve),
    )
    write_atomic(curve.out / PAGE, content.encode())
    return curve.out / PAGE


def plot_curve(curve: PhotoCurve) -> bytes:
    """Return a PNG: AP by number of photos, alone and with synthetic images, with intervals and single trainings."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.5, 4.2), layout="constrained")
    axes = figure.subplots()
    counts = sorted({point.photos for point in curve.points})
    place = {count: number for number, count in enumerate(counts)}
    for kind, color in COLORS.items():
        points = [point for point in curve.points if point.kind in (kind, "synthetic" if kind == "both" else kind)]
        points.sort(key=lambda point: point.photos)
        if points:
            x = [place[point.photos] for point in points]
            means = [point.ap.value for point in points]
            axes.plot(x, means, marker="o", color=color, label=NAMES[kind])
            for at, point in zip(x, points, strict=True):
                if math.isfinite(point.ap.low):
                    axes.plot([at, at], [point.ap.low, point.ap.high], color=color, alpha=0.35, linewidth=6)
                axes.plot([at, at], [point.low, point.high], color=color, linewidth=1)
    axes.set_xticks(range(len(counts)), [str(count) for count in counts])
    axes.set_xlabel("labelled photos")
    axes.set_ylabel("AP")
    axes.set_ylim(bottom=0)
    axes.grid(alpha=0.3)
    if curve.points:
        axes.legend()
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110, metadata={"Software": None})
    return buffer.getvalue()


def headline(curve: PhotoCurve) -> str:
    """Return one sentence: how few photos with synthetic images do as well as all of them alone."""
    whole = [point for point in curve.points if point.kind == "real"]
    if not whole or not any(math.isfinite(gain.times_all.value) for gain in curve.gains):
        return "There is nothing to compare yet: photos alone have no AP."
    every = max(whole, key=lambda point: point.photos)
    ahead = [gain for gain in sorted(curve.gains, key=lambda gain: gain.photos) if gain.times_all.value >= 1]
    if not ahead:
        best = max(curve.gains, key=lambda gain: gain.times_all.value)
        return (
            f"No number of photos with synthetic images reaches the AP of all {every.photos} photos alone "
            f"({value_text(every.ap.value)}); synthetic + {photos_text(best.photos)} comes to "
            f"{value_text(best.times_all.value)} of it."
        )
    least = ahead[0]
    sure = least.over_all.low > 0
    return (
        f"Synthetic images with {photos_text(least.photos)} reach {value_text(least.times_all.value)} times the AP of "
        f"all {every.photos} photos alone ({value_text(every.ap.value)})"
        + ("." if sure else ", but the interval of the difference includes zero.")
    )


def notes_of(curve: PhotoCurve) -> list[str]:
    """Return what has to be known to read a curve."""
    notes = []
    if not curve.finished:
        notes.append(f"{curve.done} of {count_of(curve.planned, 'training')} are done: the same command goes on")
    rough = next((point.ap.note for point in curve.points if point.ap.note), None)
    if rough:
        notes.append(f"intervals are {rough}")
    return notes


def print_curve(console: Console, curve: PhotoCurve, page: Path) -> None:
    """Print the points and what synthetic images add."""
    judged = counts_of(photo=curve.judged_photos, group=curve.judged_groups, box=curve.judged_boxes)
    table = Table(title=f"judged on {judged} that taught nothing", title_justify="left", box=None, padding=(0, 2, 0, 0))
    for name in ("", "subsets", "trainings", "AP", "95 %", "median", "worst to best", "AP50"):
        table.add_column(name, justify="left" if name in ("", "95 %") else "right", no_wrap=True)
    for point in curve.points:
        spread = f"{value_text(point.low)} to {value_text(point.high)}"
        values = (value_text(point.ap.value), range_text(point.ap), value_text(point.median), spread)
        numbers = (str(point.subsets), str(point.trainings))
        table.add_row(point_name(point), *numbers, *values, value_text(point.ap50.value))
    console.print(table, highlight=False)
    gains = Table(box=None, padding=(0, 2, 0, 0))
    for name in ("AP, difference to", "the same photos alone", "all photos alone", "times all photos alone"):
        gains.add_column(name)
    for gain in curve.gains:
        cells = [_signed(gain.over_same), _signed(gain.over_all)]
        gains.add_row(
            f"synthetic + {photos_text(gain.photos)}",
            *cells,
            f"{value_text(gain.times_all.value)} ({range_text(gain.times_all)})",
        )
    if curve.gains:
        console.print(gains, highlight=False)
    for line in (headline(curve), *notes_of(curve), f"wrote {page}, {curve.out / PLOT}, {curve.out / FILE}"):
        console.print(line, highlight=False, markup=False)


def point_name(point: CurvePoint) -> str:
    """Return the name of a row, such as "synthetic + 5 photos"."""
    if point.kind == "synthetic":
        return NAMES[point.kind]
    return photos_text(point.photos) + " alone" if point.kind == "real" else f"synthetic + {photos_text(point.photos)}"


def photos_text(photos: int) -> str:
    """Return a number of photos as text."""
    return count_of(photos, "photo") if photos else "no photo"


def value_text(value: float) -> str:
    """Return an AP or ratio as text."""
    return f"{value:.3f}" if math.isfinite(value) else "–"


def range_text(interval: Interval) -> str:
    """Return the ends of an interval as text."""
    if not math.isfinite(interval.low) or not math.isfinite(interval.high):
        return "–"
    return f"{interval.low:.3f} to {interval.high:.3f}"


def _signed(interval: Interval | None) -> str:
    if interval is None or not math.isfinite(interval.value):
        return "–"
    return f"{interval.value:+.3f} ({range_text(interval)})"
