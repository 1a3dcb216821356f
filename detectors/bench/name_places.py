"""Names beside the dots of a plot, where they cover neither dots nor each other."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

# Left, lower, right and upper edge in pixels.
Area = tuple[float, float, float, float]
# Points: radius around a dot that is kept free, first distance of a name, what is added at each try, tries, and the
# distance from which a line leads to the dot.
RADIUS, NEAREST, STEP, TRIES, FAR = 3.5, 5.0, 5.0, 16, 14.0
LINE = {"arrowstyle": "-", "color": "#8a949c", "linewidth": 0.5, "shrinkA": 0, "shrinkB": 2}


def place_names(
    axes: Any, points: Sequence[tuple[float, float]], names: Sequence[str], bold: Sequence[bool]
) -> list[Area | None]:
    """Write names beside points, the first ones nearest; a thin line leads from a name to its point if that is far.

    Limits and scales of the axes must be set. Returns the area of each name, None for those that found no room and are
    left out.
    """
    axes.figure.draw_without_rendering()
    scale = axes.figure.dpi / 72
    dots = [tuple(map(float, axes.transData.transform(point))) for point in points]
    taken: list[Area] = [_around(x, y, RADIUS * scale) for x, y in dots]
    room = (axes.bbox.x0, axes.bbox.y0, axes.bbox.x1, axes.bbox.y1)
    return [
        _place_name(axes, point, dot, name, strong, taken, room, scale)
        for point, dot, name, strong in zip(points, dots, names, bold, strict=True)
    ]


def _place_name(
    axes: Any,
    point: tuple[float, float],
    dot: tuple[float, ...],
    name: str,
    strong: bool,
    taken: list[Area],
    room: Area,
    scale: float,
) -> Area | None:
    """Write one name and add its area to those that are taken."""
    how = {"fontsize": 7, "fontweight": "bold" if strong else "normal", "parse_math": False}
    text = axes.annotate(name, point, xytext=(0, 0), textcoords="offset points", **how)
    extent = text.get_window_extent()
    found = free_area(dot, extent.width, extent.height, taken, room, scale)
    if found is None:
        text.remove()
        return None
    x, y = found[0] - dot[0], found[1] - dot[1]
    text.set_position((x / scale, y / scale))
    taken.append(found)
    nearest = (min(max(dot[0], found[0]), found[2]), min(max(dot[1], found[1]), found[3]))
    if math.dist(dot, nearest) > FAR * scale:
        offset = ((nearest[0] - dot[0]) / scale, (nearest[1] - dot[1]) / scale)
        axes.annotate("", point, offset, textcoords="offset points", arrowprops=LINE)
    return found


def free_area(
    dot: tuple[float, ...], width: float, height: float, taken: Sequence[Area], room: Area, scale: float
) -> Area | None:
    """Return the nearest area of a size around a dot that lies in the room and covers nothing; None if there is none.

    scale: pixels of a point. Right of the dot is tried first, then left, then above and below.
    """
    for step in range(TRIES):
        out = (NEAREST + STEP * step) * scale
        beside = [(x, y) for x in (out, -out - width) for y in (-height / 2, out / 2, -out / 2 - height)]
        for x, y in [*beside, (-width / 2, out), (-width / 2, -out - height)]:
            area = (dot[0] + x, dot[1] + y, dot[0] + x + width, dot[1] + y + height)
            inside = area[0] >= room[0] and area[1] >= room[1] and area[2] <= room[2] and area[3] <= room[3]
            if inside and not any(_overlap(area, other) for other in taken):
                return area
    return None


def _around(x: float, y: float, radius: float) -> Area:
    return (x - radius, y - radius, x + radius, y + radius)


def _overlap(one: Area, other: Area) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]
