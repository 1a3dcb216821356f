"""Textures that go around: a drawn label, an unrolled one, or packshots laid back onto a round body."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from assets.artwork import wrap_sheet
from assets.mesh import Material
from assets.packages.panels import opaque, panel_picture, shot_picture
from assets.packages.plan import PackagePlan

# Sides of the sheet at most, in pixels of a front's longer side.
AROUND, ALONG = 1.6, 1.2
# Packshots are read so far inside their outline: its last pixels are mixed with what was behind.
INSIDE = 0.985
# Columns of the sheet that an invented half is made on, and their share that leads over from the known half.
COARSE, BLEND = 48, 0.22
# A drawn panel goes where the body has at least so much of its girth, and onto so much of its invented half.
STRAIGHT, PASTED = 0.95, 0.62


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

    Rows of the texture are heights, columns steps around. A half that no packshot shows goes on in the colours of the
    other at each height, with a drawn panel on it, or shows the unrolled label.
    """
    width, height = sheet_px(around, float(np.ptp(rings[:, 0, 2])), plan.texture_px)
    half = width // 4 * 2  # columns that face the front
    start = (width - half) // 2
    sources = {
        "front": (np.arange(start, start + half), 1.0),
        "back": (np.arange(start + half, width + start) % width, -1.0),
    }
    halves: dict[str, NDArray[np.uint8] | None] = {"front": None, "back": None}
    for side, (columns, sign) in sources.items():
        if side in plan.art.sides:
            x, y = _places(rings, columns, width, height)
            halves[side] = _laid_back(plan.art.sides[side], x * np.float32(sign), y)
    zone = _straight_zone(rings, height)
    front, back = halves["front"], halves["back"]
    if front is None:
        assert back is not None  # packshots of front or back are what brings one here
        front = _invented(plan, "front", back, half, zone)
    elif back is None:
        back = _invented(plan, "back", front, width - half, zone)
    sheet = np.empty((height, width, 3), np.uint8)
    sheet[:, start : start + half] = front
    sheet[:, start + half :] = back[:, : width - start - half]
    sheet[:, :start] = back[:, width - start - half :]
    if plan.art.strip is not None:
        shown = np.zeros(width, bool)
        shown[start : start + half] = "front" in plan.art.sides
        shown[:start] = shown[start + half :] = "back" in plan.art.sides
        _lay_strip(plan.art.strip, sheet, zone, ~shown)
    return Material(np.ones(4), opaque(sheet), roughness)


def _places(rings: NDArray, steps: NDArray, width: int, height: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Where texels of the columns `steps` (C,) lie, of a texture of width x height pixels.

    x (H, C) in widths from the middle, a little inside the outline; y (H,), share from the top.
    """
    z = rings[:, 0, 2]
    down = (np.arange(height) + 0.5) / height
    place = np.interp(z[-1] - down * (z[-1] - z[0]), z, np.arange(len(z)))
    lower = np.minimum(place.astype(int), len(z) - 2)
    share = (place - lower)[:, None]
    columns = rings[:, :, 0] / np.ptp(rings[:, :, 0])
    middle = (columns.max(axis=1, keepdims=True) + columns.min(axis=1, keepdims=True)) / 2
    columns = middle + (columns - middle) * INSIDE
    rows = columns[lower] * (1 - share) + columns[lower + 1] * share
    spots = (steps + 0.5) / width * (rings.shape[1] - 1)
    # Columns of the texture as mixtures of the two columns of rings beside them.
    mixture = np.maximum(1 - np.abs(np.arange(rings.shape[1])[:, None] - spots), 0).astype(np.float32)
    return rows.astype(np.float32) @ mixture, down.astype(np.float32)


def _laid_back(shot: NDArray[np.uint8], x: NDArray[np.float32], y: NDArray[np.float32]) -> NDArray[np.uint8]:
    import cv2

    # About as many pixels as the texture has where it faces the viewer, so that none are skipped.
    across = round(x.shape[1] * 2 / np.pi)
    picture = shot_picture(shot, (max(across, 2), len(y)))
    map_x = (x + 0.5) * picture.shape[1] - 0.5
    map_y = np.broadcast_to((y * picture.shape[0] - 0.5)[:, None], x.shape)
    found: NDArray[np.uint8] = cv2.remap(
        picture, map_x, np.ascontiguousarray(map_y, np.float32), cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    return found


def _straight_zone(rings: NDArray, height: int) -> tuple[int, int]:
    """The texture's rows, from the top, of the longest stretch where the body has about its full girth."""
    wide = np.linalg.norm(np.diff(rings, axis=1), axis=2).sum(axis=1)
    z = rings[:, 0, 2]
    heights = z[-1] - (np.arange(height) + 0.5) / height * (z[-1] - z[0])
    full = np.interp(heights, z, wide) >= STRAIGHT * wide.max()
    edges = np.flatnonzero(np.diff(np.concatenate([[0], full.astype(np.int8), [0]])))
    spans = edges.reshape(-1, 2)
    first, last = spans[np.argmax(spans[:, 1] - spans[:, 0])]
    return int(first), int(last)


def _invented(
    plan: PackagePlan, side: str, known: NDArray[np.uint8], width: int, zone: tuple[int, int]
) -> NDArray[np.uint8]:
    """The half of a body that nobody photographed, (H, width, 3): each height in its main colour, without a seam."""
    import cv2

    step = max(known.shape[1] // 32, 1)
    main = np.median(known[:, ::step], axis=1)
    edge = max(known.shape[1] // 48, 1)
    # Going round from the known half's right border to its left one.
    first, last = known[:, -edge:].mean(axis=1), known[:, :edge].mean(axis=1)
    spot = np.linspace(0, 1, COARSE)
    lead, trail = (np.clip(1 - way / BLEND, 0, 1)[None, :, None] for way in (spot, 1 - spot))
    coarse = main[:, None] * (1 - lead - trail) + first[:, None] * lead + last[:, None] * trail
    rounded = (coarse + 0.5).astype(np.uint8)
    found: NDArray[np.uint8] = cv2.resize(rounded, (width, len(known)), interpolation=cv2.INTER_LINEAR)
    top, bottom = zone
    size = (round(width * PASTED), round((bottom - top) * 0.9))
    if min(size) >= 32 and plan.art.strip is None:
        panel = panel_picture(plan, "front" if side == "front" else "right", size)
        left, upper = (width - size[0]) // 2, (top + bottom - size[1]) // 2
        found[upper : upper + size[1], left : left + size[0]] = panel
    return found


def _lay_strip(strip: NDArray[np.uint8], sheet: NDArray[np.uint8], zone: tuple[int, int], columns: NDArray) -> None:
    """Puts an unrolled label into the middle of the straight zone, on those columns of the sheet, in place."""
    top, bottom = zone
    width = sheet.shape[1]
    tall = min(round(width * len(strip) / strip.shape[1]), bottom - top)
    if tall < 8:
        return
    label = np.asarray(Image.fromarray(strip).resize((width, tall), Image.Resampling.BOX))
    upper = (top + bottom - tall) // 2
    sheet[upper : upper + tall, columns] = label[:, columns]
