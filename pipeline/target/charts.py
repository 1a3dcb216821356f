"""Drawings that pages on distributions share: histograms as SVG, strips of pictures, values as text."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.target.measure import Statistic

Pixels = NDArray[np.uint8]
# Pictures of each kind, and their area in pixels.
SHOWN, SHOWN_AREA = 12, 200 * 150
BINS, CHART_WIDTH, CHART_HEIGHT = 16, 300, 90


def bin_shares(groups: Sequence[NDArray[np.float64]]) -> tuple[NDArray[np.float64], list[NDArray[np.float64]]]:
    """Return the edges (BINS + 1,) of bins over all values, and the heights (BINS,) of each group in a chart."""
    low, high = np.percentile(np.concatenate(groups), (1, 99))
    edges = np.linspace(low, high if high > low else low + 1, BINS + 1)
    shares = [np.histogram(np.clip(values, edges[0], edges[-1]), edges)[0] / len(values) for values in groups]
    top = max(float(share.max()) for share in shares)
    return edges, [share / top * CHART_HEIGHT for share in shares]


def svg_bars(heights: NDArray) -> list[tuple[float, float, float, float]]:
    """Return x, y, width and height of an SVG rectangle for each bin."""
    step = CHART_WIDTH / BINS
    return [(i * step, CHART_HEIGHT - float(height), step - 1, float(height)) for i, height in enumerate(heights)]


def svg_steps(heights: NDArray) -> str:
    """Return the points of an SVG polyline over bins."""
    step = CHART_WIDTH / BINS
    points = [(x, CHART_HEIGHT - height) for i, height in enumerate(heights) for x in (i * step, (i + 1) * step)]
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in points)


def shown_value(statistic: Statistic, scaled: float) -> str:
    """Return a value of the statistic's scale as text."""
    value = float(np.exp2(scaled)) if statistic.log else scaled
    return f"{value:.{statistic.decimals}f}".replace("-", "−") if np.isfinite(value) else "–"


def shown_distance(statistic: Statistic, apart: float) -> str:
    """Return a distance as text: a factor where ratios count, else a difference."""
    if not np.isfinite(apart):
        return "–"
    return f"x {np.exp2(apart):.2f}" if statistic.log else f"{apart:.{statistic.decimals}f}"


def data_urls(images: Sequence[Pixels]) -> list[str]:
    """Return some of the pictures, evenly chosen, as data URLs."""
    chosen = np.unique(np.linspace(0, len(images) - 1, min(SHOWN, len(images))).round().astype(int))
    return [data_url(images[int(i)]) for i in chosen]


def data_url(pixels: Pixels, area: int = SHOWN_AREA) -> str:
    """Return a picture as a JPEG in a URL, shrunk to an area in pixels."""
    from PIL import Image

    image: Any = Image.fromarray(pixels)
    scale = min(np.sqrt(area / (image.width * image.height)), 1.0)
    buffer = io.BytesIO()
    size = max(round(image.width * scale), 1), max(round(image.height * scale), 1)
    image.resize(size, Image.Resampling.LANCZOS).save(buffer, "JPEG", quality=88)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")
