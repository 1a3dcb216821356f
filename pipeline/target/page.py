"""The report of a fit: one page with the photographs and the renders before and after, and their distributions."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from assets.files.atomic import write_atomic
from detectors.evaluate.page.templates import open_templates
from pipeline.target.fit import RecipeFit
from pipeline.target.measure import Statistic
from pipeline.target.scenes import STATISTICS, Pixels

# Pictures of each kind, and their area in pixels.
SHOWN, SHOWN_AREA = 12, 200 * 150
BINS, CHART_WIDTH, CHART_HEIGHT = 16, 300, 90


@dataclass(frozen=True)
class Histogram:
    """A statistic of photographs and of renders before and after, ready to be drawn. bars, lines: of SVG.

    low, high: values at both ends of the axis, as text. medians: of the three, as text.
    """

    statistic: Statistic
    bars: Sequence[tuple[float, float, float, float]]
    before: str
    after: str
    low: str
    high: str
    medians: tuple[str, str, str]
    distances: tuple[str, str]


def write_page(fit: RecipeFit, path: Path) -> None:
    """Write the report as one HTML file."""
    page = open_templates(__package__).get_template("page.html.j2")
    content = page.render(
        fit=fit,
        rows=[
            ("Photographs", _pictures([photo.pixels for photo in fit.photos])),
            ("Rendered before", _pictures(fit.before.images)),
            ("Rendered after", _pictures(fit.after.images)),
        ],
        histograms=[one for one in (histogram(fit, statistic) for statistic in STATISTICS) if one],
        width=CHART_WIDTH,
        height=CHART_HEIGHT,
    )
    write_atomic(path, content.encode())


def histogram(fit: RecipeFit, statistic: Statistic) -> Histogram | None:
    """Return the drawing of a statistic; None where no photograph has a value."""
    groups = [found.scaled(statistic) for found in (fit.target, fit.before.measured, fit.after.measured)]
    if not all(map(len, groups)):
        return None
    every = np.concatenate(groups)
    low, high = np.percentile(every, (1, 99))
    edges = np.linspace(low, high if high > low else low + 1, BINS + 1)
    shares = [np.histogram(np.clip(values, edges[0], edges[-1]), edges)[0] / len(values) for values in groups]
    top = max(float(share.max()) for share in shares)
    bars, before, after = (share / top * CHART_HEIGHT for share in shares)
    step = CHART_WIDTH / BINS
    distances = next(one for one in fit.distances if one.name == statistic.name)
    return Histogram(
        statistic,
        [(i * step, CHART_HEIGHT - float(bar), step - 1, float(bar)) for i, bar in enumerate(bars)],
        _steps(before, step),
        _steps(after, step),
        shown_value(statistic, edges[0]),
        shown_value(statistic, edges[-1]),
        tuple(shown_value(statistic, float(np.median(values))) for values in groups),  # type: ignore[arg-type]
        (shown_distance(statistic, distances.before), shown_distance(statistic, distances.after)),
    )


def shown_value(statistic: Statistic, scaled: float) -> str:
    """Return a value of the statistic's scale as text."""
    value = float(np.exp2(scaled)) if statistic.log else scaled
    return f"{value:.{statistic.decimals}f}".replace("-", "−") if np.isfinite(value) else "–"


def shown_distance(statistic: Statistic, apart: float) -> str:
    """Return a distance as text: a factor where ratios count, else a difference."""
    if not np.isfinite(apart):
        return "–"
    return f"x {np.exp2(apart):.2f}" if statistic.log else f"{apart:.{statistic.decimals}f}"


def _steps(heights: NDArray, step: float) -> str:
    """Return the points of an SVG polyline over bars."""
    points = [(x, CHART_HEIGHT - height) for i, height in enumerate(heights) for x in (i * step, (i + 1) * step)]
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in points)


def _pictures(images: Sequence[Pixels]) -> list[str]:
    """Return some of the pictures, evenly chosen, as data URLs."""
    chosen = np.unique(np.linspace(0, len(images) - 1, min(SHOWN, len(images))).round().astype(int))
    return [_data_url(images[int(i)]) for i in chosen]


def _data_url(pixels: Pixels) -> str:
    from PIL import Image

    image: Any = Image.fromarray(pixels)
    scale = min(np.sqrt(SHOWN_AREA / (image.width * image.height)), 1.0)
    buffer = io.BytesIO()
    size = max(round(image.width * scale), 1), max(round(image.height * scale), 1)
    image.resize(size, Image.Resampling.LANCZOS).save(buffer, "JPEG", quality=88)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")
