"""Pieces of HTML that values show themselves with in Jupyter: every text is escaped, nothing is fetched."""

from __future__ import annotations

import base64
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape

from assets.errors import printable

MAX_TEXT = 200
AXIS, INK, PALE = "#888", "#225", "#dde"
STYLE = "font-family:sans-serif;font-size:12px"


def text(value: object) -> str:
    """Return a value as text of HTML: escaped, without control codes, at most 200 characters."""
    words = f"{value:.6g}" if isinstance(value, float) else str(value)
    return escape(printable(words if len(words) <= MAX_TEXT else words[:MAX_TEXT] + "…"))


def table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a table. Cells that are `Markup` stand as they are."""
    head = "".join(f"<th style='text-align:left'>{text(name)}</th>" for name in columns)
    cells = (
        "".join(f"<td style='text-align:left'>{one if isinstance(one, Markup) else text(one)}</td>" for one in row)
        for row in rows
    )
    body = "".join(f"<tr>{row}</tr>" for row in cells)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


class Markup(str):
    """HTML whose texts are escaped already."""


def block(title: str, *parts: str) -> str:
    """Return a title with parts of HTML below it."""
    return f"<div style='{STYLE}'><b>{text(title)}</b><div>{''.join(parts)}</div></div>"


def picture(png: bytes, about: str, width: int) -> Markup:
    """Return an image, given as the content of a PNG file, that is part of the page. width: pixels on the page."""
    data = base64.b64encode(png).decode()
    return Markup(f"<img alt='{text(about)}' title='{text(about)}' width='{width}' src='data:image/png;base64,{data}'>")


def drawing(width: float, height: float, shapes: Iterable[str]) -> Markup:
    """Return a drawing (SVG) of shapes in pixels, y down."""
    size = f"width='{width:g}' height='{height:g}' viewBox='0 0 {width:g} {height:g}'"
    return Markup(f"<svg xmlns='http://www.w3.org/2000/svg' {size} style='{STYLE}'>{''.join(shapes)}</svg>")


def rectangle(x: float, y: float, width: float, height: float, fill: str, about: str = "") -> str:
    """Return a rectangle of a drawing. fill: a colour. about: shown when one points at it."""
    place = f"x='{x:.1f}' y='{y:.1f}' width='{max(width, 0.0):.1f}' height='{max(height, 0.0):.1f}'"
    return f"<rect {place} fill='{text(fill)}' stroke='{AXIS}'><title>{text(about)}</title></rect>"


def dot(x: float, y: float, radius: float, fill: str, about: str = "") -> str:
    """Return a dot of a drawing."""
    place = f"cx='{x:.1f}' cy='{y:.1f}' r='{radius:.1f}'"
    return f"<circle {place} fill='{text(fill)}' stroke='{AXIS}'><title>{text(about)}</title></circle>"


def line(points: Iterable[tuple[float, float]], color: str = INK) -> str:
    """Return a line of a drawing through points; those that are not finite are left out."""
    places = " ".join(f"{x:.1f},{y:.1f}" for x, y in points if math.isfinite(x) and math.isfinite(y))
    return f"<polyline points='{places}' fill='none' stroke='{text(color)}'/>"


def words(x: float, y: float, what: object) -> str:
    """Return words of a drawing, beginning at a point on their line."""
    return f"<text x='{x:.1f}' y='{y:.1f}' font-size='11' fill='{INK}'>{text(what)}</text>"


@dataclass(frozen=True)
class Dots:
    """Points of one colour in a `plan`, each with its name."""

    color: str
    points: Sequence[tuple[float, float]]
    names: Sequence[str]


def plan(low: tuple[float, float], high: tuple[float, float], groups: Iterable[Dots], longer: float) -> Markup:
    """Draw points in the rectangle between two corners, x to the right, y down; others are left out.

    longer: pixels of its longer side.
    """
    scale = longer / max(high[0] - low[0], high[1] - low[1], 1e-6)
    width, height = ((end - begin) * scale for begin, end in zip(low, high, strict=True))
    shapes = [rectangle(0, 0, width, height, "#fff")]
    for group in groups:
        for (x, y), name in zip(group.points, group.names, strict=True):
            if low[0] <= x <= high[0] and low[1] <= y <= high[1]:
                shapes.append(dot((x - low[0]) * scale, (y - low[1]) * scale, 4, group.color, name))
    return drawing(width, height, shapes)
