"""Textures that go around: a drawn label, an unrolled one, or packshots laid back onto a round body."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from assets.mesh.types import Material
from assets.packages.print.artwork import render_panel, wrap_sheet
from assets.packages.shapes.panels import ground_color, opaque, shot_picture
from assets.packages.shapes.plan import PackagePlan

# Sides of the sheet at most, in pixels of a front's longer side.
AROUND, ALONG = 1.6, 1.2
# Packshots are read so far inside their outline: its last pixels are mixed with what was behind.
INSIDE = 0.985
# Columns that a gap between packshots is painted on, and their share that leads over from what is beside it.
COARSE, BLEND = 48, 0.22
# A drawn panel goes where the body has at least so much of its girth, and onto so much of a gap.
STRAIGHT, PASTED = 0.9, 0.62
# Side -> the axis that its viewer sees to the right, and its sign; the front is taken rather than a side as good.
VIEWS = {"front": (0, 1.0), "right": (1, 1.0), "back": (0, -1.0), "left": (1, -1.0)}
PREFERRED = 1.2


def sheet_px(around: float, along: float, texture_px: int) -> tuple[int, int]:
    """Width and height in pixels of a texture for `around` x `along` metres, the same scale both ways."""
    scale = min(AROUND * texture_px / around, ALONG * texture_px / along)
    return max(round(around * scale), 16), max(round(along * scale), 16)


def label_material(plan: PackagePlan, around: float, along: float, roughness: float) -> Material:
    """A label of `around` x `along` metres: the unrolled one of the list, or drawn: text, front, barcode."""
    size = sheet_px(around, along, plan.texture_px)
    if plan.art.strip is not None:
        picture = Image.fromarray(plan.art.strip).resize(size, Image.Resampling.LANCZOS, reducing_gap=2.0)
    else:
        picture = wrap_sheet(plan.sku, size)
    return Material(np.ones(4), opaque(np.asarray(picture)), roughness)


def body_material(plan: PackagePlan, rings: NDArray, around: float, roughness: float) -> Material:
    """Packshots laid back onto rings (R, N + 1, 3): whoever stands before the body sees them as they were taken.

    Rows of the texture are heights, columns steps around. What no packshot shows goes on in the colours beside it at
    each height, with a drawn panel on it, or shows the unrolled label.
    """
    width, height = sheet_px(around, float(np.ptp(rings[:, 0, 2])), plan.texture_px)
    source = _sources(plan, rings, width)
    sheet = np.empty((height, width, 3), np.uint8)
    for number, (side, (axis, sign)) in enumerate(VIEWS.items()):
        columns = np.flatnonzero(source == number)
        if len(columns):
            x, y = _places(rings[:, :, axis] * sign, rings[:, 0, 2], columns, (width, height))
            _put(sheet, columns, _laid_back(plan.art.sides[side], x, y, round(width / np.pi)))
    zone = _straight_zone(rings, height)
    hidden = source < 0
    if hidden.any():
        _fill_hidden(plan, sheet, hidden, zone)
    if plan.art.strip is not None:
        _lay_strip(plan.art.strip, sheet, zone, hidden)
    return Material(np.ones(4), opaque(sheet), roughness)


def _sources(plan: PackagePlan, rings: NDArray, width: int) -> NDArray[np.int64]:
    """For each column of a texture the number of the view it faces most, of those with a packshot; -1 for none."""
    widest = rings[np.ptp(rings[:, :, 0], axis=1).argmax()]
    spots = ((np.arange(width) + 0.5) / width * (len(widest) - 1)).astype(int)
    along = np.diff(widest[:, :2], axis=0)[spots]
    # Outwards of a loop that goes counter-clockwise.
    facing = {"front": along[:, 0], "right": along[:, 1], "back": -along[:, 0], "left": -along[:, 1]}
    scores = np.stack([facing[side] if side in plan.art.sides else np.full(width, -np.inf) for side in VIEWS])
    scores[0] *= PREFERRED
    best: NDArray[np.int64] = scores.argmax(axis=0)
    return np.where(scores.max(axis=0) > 0, best, -1)


def _places(
    lateral: NDArray, z: NDArray, steps: NDArray, size: tuple[int, int]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Where texels of the columns `steps` (C,) of a texture of `size` pixels are in the picture of a view.

    lateral: (R, N + 1), how far to the right the viewer sees the rings' points; z: (R,) their heights. Returns x (H, C)
    in widths from the middle, a little inside the outline, and y (H,), share from the top.
    """
    width, height = size
    down = (np.arange(height) + 0.5) / height
    place = np.interp(z[-1] - down * (z[-1] - z[0]), z, np.arange(len(z)))
    lower = np.minimum(place.astype(int), len(z) - 2)
    share = (place - lower)[:, None]
    low, high = float(lateral.min()), float(lateral.max())
    columns = (lateral - (low + high) / 2) / (high - low)
    middle = (columns.max(axis=1, keepdims=True) + columns.min(axis=1, keepdims=True)) / 2
    columns = middle + (columns - middle) * INSIDE
    rows = columns[lower] * (1 - share) + columns[lower + 1] * share
    spots = (steps + 0.5) / width * (lateral.shape[1] - 1)
    # Columns of the texture as mixtures of the two columns of rings beside them.
    mixture = np.maximum(1 - np.abs(np.arange(lateral.shape[1])[:, None] - spots), 0).astype(np.float32)
    return rows.astype(np.float32) @ mixture, down.astype(np.float32)


def _laid_back(
    shot: NDArray[np.uint8], x: NDArray[np.float32], y: NDArray[np.float32], across: int
) -> NDArray[np.uint8]:
    """Texels (H, C, 3) of a packshot scaled to `across` pixels: about as many as the texture has where it faces one."""
    import cv2

    picture = shot_picture(shot, (max(across, 2), len(y)))
    map_x = (x + 0.5) * picture.shape[1] - 0.5
    map_y = np.broadcast_to((y * picture.shape[0] - 0.5)[:, None], x.shape)
    found: NDArray[np.uint8] = cv2.remap(
        picture, map_x, np.ascontiguousarray(map_y, np.float32), cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    return found


def _put(sheet: NDArray[np.uint8], columns: NDArray, texels: NDArray[np.uint8]) -> None:
    """Sets columns of a sheet, in place, a run of neighbours at a time: fifty times as fast as by their numbers."""
    ends = [0, *(np.flatnonzero(np.diff(columns) != 1) + 1).tolist(), len(columns)]
    for start, stop in pairwise(ends):
        sheet[:, columns[start] : columns[start] + stop - start] = texels[:, start:stop]


def _straight_zone(rings: NDArray, height: int) -> tuple[int, int]:
    """The texture's rows, from the top, of the longest stretch where the body has about its full girth."""
    wide = np.linalg.norm(np.diff(rings, axis=1), axis=2).sum(axis=1)
    z = rings[:, 0, 2]
    heights = z[-1] - (np.arange(height) + 0.5) / height * (z[-1] - z[0])
    girth = np.interp(heights, z, wide)
    full = girth >= STRAIGHT * girth.max()
    edges = np.flatnonzero(np.diff(np.concatenate([[0], full.astype(np.int8), [0]])))
    spans = edges.reshape(-1, 2)
    first, last = spans[np.argmax(spans[:, 1] - spans[:, 0])]
    return int(first), int(last)


def _fill_hidden(plan: PackagePlan, sheet: NDArray[np.uint8], hidden: NDArray, zone: tuple[int, int]) -> None:
    """Paints, in place, the columns that nobody photographed: each height in its main colour, without a seam."""
    known = np.flatnonzero(~hidden)
    main = np.median(sheet[:, known[:: max(len(known) // 32, 1)]], axis=1)
    width = len(hidden)
    # Each gap between known columns, going around from the first known one.
    turned = np.roll(hidden, -known[0])
    edges = np.flatnonzero(np.diff(np.concatenate([turned, [False]]).astype(np.int8), prepend=0)).reshape(-1, 2)
    for first, last in edges + known[0]:
        columns = np.arange(first, last) % width
        _put(sheet, columns, _gap(sheet, main, int(first), int(last)))
        _paste_panel(plan, sheet, columns, zone, "front" if width // 2 in columns else "right")


def _gap(sheet: NDArray[np.uint8], main: NDArray, first: int, last: int) -> NDArray[np.uint8]:
    """What fills the columns first ... last - 1, (H, C, 3), from one of its borders over `main` (H, 3) to the other."""
    import cv2

    width = sheet.shape[1]
    edge = np.arange(max(width // 96, 1))
    before, after = sheet[:, (first - 1 - edge) % width].mean(axis=1), sheet[:, (last + edge) % width].mean(axis=1)
    spot = np.linspace(0, 1, COARSE)
    lead, trail = (np.clip(1 - way / BLEND, 0, 1)[None, :, None] for way in (spot, 1 - spot))
    coarse = main[:, None] * (1 - lead - trail) + before[:, None] * lead + after[:, None] * trail
    rounded = (coarse + 0.5).astype(np.uint8)
    found: NDArray[np.uint8] = cv2.resize(rounded, (last - first, len(sheet)), interpolation=cv2.INTER_LINEAR)
    return found


def _paste_panel(
    plan: PackagePlan, sheet: NDArray[np.uint8], columns: NDArray, zone: tuple[int, int], side: str
) -> None:
    """A drawn panel in the middle of the columns, where the body is straight; none over an unrolled label."""
    top, bottom = zone
    size = (round(len(columns) * PASTED), round((bottom - top) * 0.9))
    if min(size) < 32 or plan.art.strip is not None:
        return
    left, upper = (len(columns) - size[0]) // 2, (top + bottom - size[1]) // 2
    panel = render_panel(side, plan.sku, size, ground_color(plan))
    sheet[upper : upper + size[1], columns[left : left + size[0]]] = np.asarray(panel)


def _lay_strip(strip: NDArray[np.uint8], sheet: NDArray[np.uint8], zone: tuple[int, int], hidden: NDArray) -> None:
    """Puts an unrolled label onto the hidden columns, in place: as high as it continues what is shown beside them."""
    width = sheet.shape[1]
    tall = min(round(width * len(strip) / strip.shape[1]), len(sheet))
    if tall < 8 or not hidden.any():
        return
    label = np.asarray(Image.fromarray(strip).resize((width, tall), Image.Resampling.BOX))
    beside = np.flatnonzero(~hidden & (np.roll(hidden, 1) | np.roll(hidden, -1)))
    upper = (zone[0] + zone[1] - tall) // 2
    if len(beside):
        shown, wanted = sheet[:, beside].astype(np.int32), label[:, beside].astype(np.int32)
        starts = range(0, len(sheet) - tall + 1, max(len(sheet) // 256, 1))
        off = {start: int(np.abs(shown[start : start + tall] - wanted).sum()) for start in starts}
        upper = min(off, key=lambda start: (off[start], abs(start - upper)))
    upper = min(max(upper, 0), len(sheet) - tall)
    sheet[upper : upper + tall, hidden] = label[:, hidden]
