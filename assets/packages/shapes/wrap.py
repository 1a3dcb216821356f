"""Textures that go around: a rendered label, an unrolled one, or packshots projected onto a round body."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from assets.mesh.types import Material
from assets.packages.print.artwork import render_panel, render_wrap
from assets.packages.shapes.panels import background_color, opaque_texture, scale_packshot
from assets.packages.shapes.plan import PackagePlan

# Largest sides of the sheet, relative to the pixels of a front's longer side.
AROUND, ALONG = 1.6, 1.2
# Packshots are sampled slightly inside their outline, whose last pixels are blended with the background.
INSIDE = 0.985
# Columns on which a gap between packshots is painted, and the fraction that blends with the adjacent packshot.
COARSE, BLEND = 48, 0.22
# A rendered panel goes where the body has at least this fraction of its girth, and covers this fraction of a gap.
STRAIGHT, PASTED = 0.9, 0.62
# Side -> the axis that its viewer sees to the right, and its sign; weight by which the front is preferred.
VIEWS = {"front": (0, 1.0), "right": (1, 1.0), "back": (0, -1.0), "left": (1, -1.0)}
PREFERRED = 1.2


def sheet_px(around: float, along: float, texture_px: int) -> tuple[int, int]:
    """Return width and height in pixels of a texture for `around` x `along` metres at the same scale."""
    scale = min(AROUND * texture_px / around, ALONG * texture_px / along)
    return max(round(around * scale), 16), max(round(along * scale), 16)


def label_material(plan: PackagePlan, around: float, along: float, roughness: float) -> Material:
    """Return a label of `around` x `along` metres: the unrolled one of the list, or rendered: text, front, barcode."""
    size = sheet_px(around, along, plan.texture_px)
    if plan.art.strip is not None:
        image = Image.fromarray(plan.art.strip).resize(size, Image.Resampling.LANCZOS, reducing_gap=2.0)
    else:
        image = render_wrap(plan.sku, size)
    return Material(np.ones(4), opaque_texture(np.asarray(image)), roughness)


def body_material(plan: PackagePlan, rings: NDArray, around: float, roughness: float) -> Material:
    """Project packshots onto rings (R, N + 1, 3), so that a viewer in front of the body sees them as they were taken.

    Rows of the texture are heights, columns steps around. What no packshot shows continues in the adjacent colours at
    each height, with a rendered panel on it, or shows the unrolled label.
    """
    width, height = sheet_px(around, float(np.ptp(rings[:, 0, 2])), plan.texture_px)
    source = _choose_views(plan, rings, width)
    sheet = np.empty((height, width, 3), np.uint8)
    for number, (side, (axis, sign)) in enumerate(VIEWS.items()):
        columns = np.flatnonzero(source == number)
        if len(columns):
            x, y = _texel_positions(rings[:, :, axis] * sign, rings[:, 0, 2], columns, (width, height))
            _set_columns(sheet, columns, _sample_packshot(plan.art.sides[side], x, y, round(width / np.pi)))
    zone = _straight_zone(rings, height)
    hidden = source < 0
    if hidden.any():
        _fill_hidden(plan, sheet, hidden, zone)
    if plan.art.strip is not None:
        _paste_strip(plan.art.strip, sheet, zone, hidden)
    return Material(np.ones(4), opaque_texture(sheet), roughness)


def _choose_views(plan: PackagePlan, rings: NDArray, width: int) -> NDArray[np.int64]:
    """Return for each column of a texture the index of the packshot's view that it faces most; -1 for none."""
    widest = rings[np.ptp(rings[:, :, 0], axis=1).argmax()]
    spots = ((np.arange(width) + 0.5) / width * (len(widest) - 1)).astype(int)
    along = np.diff(widest[:, :2], axis=0)[spots]
    # Outward normals of a counter-clockwise loop.
    facing = {"front": along[:, 0], "right": along[:, 1], "back": -along[:, 0], "left": -along[:, 1]}
    scores = np.stack([facing[side] if side in plan.art.sides else np.full(width, -np.inf) for side in VIEWS])
    scores[0] *= PREFERRED
    best: NDArray[np.int64] = scores.argmax(axis=0)
    return np.where(scores.max(axis=0) > 0, best, -1)


def _texel_positions(
    lateral: NDArray, z: NDArray, steps: NDArray, size: tuple[int, int]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the positions of the texels of the columns `steps` (C,) of a texture of `size` pixels in a view's image.

    lateral: (R, N + 1), positions of the rings' points to the right; z: (R,) their heights. Returns x (H, C) in
    widths from the middle, slightly inside the outline, and y (H,), fraction from the top.
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
    # Each column of the texture interpolates the two adjacent columns of the rings.
    mixture = np.maximum(1 - np.abs(np.arange(lateral.shape[1])[:, None] - spots), 0).astype(np.float32)
    return rows.astype(np.float32) @ mixture, down.astype(np.float32)


def _sample_packshot(
    shot: NDArray[np.uint8], x: NDArray[np.float32], y: NDArray[np.float32], across: int
) -> NDArray[np.uint8]:
    """Sample texels (H, C, 3) of a packshot scaled to `across` pixels, about the resolution of the texture."""
    import cv2

    image = scale_packshot(shot, (max(across, 2), len(y)))
    map_x = (x + 0.5) * image.shape[1] - 0.5
    map_y = np.broadcast_to((y * image.shape[0] - 0.5)[:, None], x.shape)
    found: NDArray[np.uint8] = cv2.remap(
        image, map_x, np.ascontiguousarray(map_y, np.float32), cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    return found


def _set_columns(sheet: NDArray[np.uint8], columns: NDArray, texels: NDArray[np.uint8]) -> None:
    """Set columns of a sheet in place, in runs of neighbours: fifty times as fast as by index."""
    ends = [0, *(np.flatnonzero(np.diff(columns) != 1) + 1).tolist(), len(columns)]
    for start, stop in pairwise(ends):
        sheet[:, columns[start] : columns[start] + stop - start] = texels[:, start:stop]


def _straight_zone(rings: NDArray, height: int) -> tuple[int, int]:
    """Return the texture's rows, from the top, of the longest span where the body has about its full girth."""
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
    """Paint the columns that no packshot shows, in place: each height in its main colour, without a seam."""
    known = np.flatnonzero(~hidden)
    main = np.median(sheet[:, known[:: max(len(known) // 32, 1)]], axis=1)
    width = len(hidden)
    # Gaps between known columns, starting from the first known one.
    turned = np.roll(hidden, -known[0])
    edges = np.flatnonzero(np.diff(np.concatenate([turned, [False]]).astype(np.int8), prepend=0)).reshape(-1, 2)
    for first, last in edges + known[0]:
        columns = np.arange(first, last) % width
        _set_columns(sheet, columns, _fill_gap(sheet, main, int(first), int(last)))
        _paste_panel(plan, sheet, columns, zone, "front" if width // 2 in columns else "right")


def _fill_gap(sheet: NDArray[np.uint8], main: NDArray, first: int, last: int) -> NDArray[np.uint8]:
    """Return the filling (H, C, 3) of columns first ... last - 1: from one border over `main` (H, 3) to the other."""
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
    """Paste a rendered panel in the middle of the columns, where the body is straight, unless there is a label."""
    top, bottom = zone
    size = (round(len(columns) * PASTED), round((bottom - top) * 0.9))
    if min(size) < 32 or plan.art.strip is not None:
        return
    left, upper = (len(columns) - size[0]) // 2, (top + bottom - size[1]) // 2
    panel = render_panel(side, plan.sku, size, background_color(plan))
    sheet[upper : upper + size[1], columns[left : left + size[0]]] = np.asarray(panel)


def _paste_strip(strip: NDArray[np.uint8], sheet: NDArray[np.uint8], zone: tuple[int, int], hidden: NDArray) -> None:
    """Paste an unrolled label onto the hidden columns, in place, at the height that best fits the adjacent columns."""
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
