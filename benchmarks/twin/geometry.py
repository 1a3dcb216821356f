"""Masks traced from a rebuilt arrangement against those that came with the photographs, and against the photographs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from assets.color import linear_from_srgb
from assets.library import Library
from benchmarks.twin.color import lab_from_linear
from benchmarks.twin.measure import edge_strength, outline_offset, overlap
from benchmarks.twin.scenes import Arrangement
from benchmarks.twin.stage import build_scene
from benchmarks.twin.work import GREY, read_photo
from render.labels import annotate, trace_geometry
from render.scene import Environment

# A product whose given mask misses more than this of what neither scans nor proxies hide lies behind something that has
# no pose at all (a bag, a box).
UNKNOWN = 0.05


@dataclass(frozen=True)
class MaskMatch:
    """One product. raw: overlap of its traced visible mask with the given one. restricted: the same without the pixels

    that products without a scan cover. behind_unknown: something without a pose hides a part of it. box_offset: of the
    amodal boxes' sides at most, pixels. outline: how far the photograph's edges lie from the mask's outline, pixels of
    the photograph; NaN where too little of it is seen.
    """

    sku: str
    raw: float
    restricted: float
    visibility: float
    behind_unknown: bool
    box_offset: float
    outline: float


def match_masks(library: Library, arrangement: Arrangement) -> list[MaskMatch]:
    """Every scanned product of an arrangement, at the size of the photographs."""
    scene = build_scene(library, arrangement, arrangement.width, color=GREY, environment=Environment("even.hdr"))
    geometry = trace_geometry(scene, library)
    boxes = {found.instance: found.amodal_box for found in annotate(scene, geometry)}
    unscanned = np.zeros(geometry.ids.shape, bool)
    for product in arrangement.products:
        if not product.scanned:
            unscanned |= product.mask
    photos = [read_photo(path, arrangement.width, arrangement.height) for path in arrangement.photos]
    edges = edge_strength([lab_from_linear(linear_from_srgb(photo)) for photo in photos])
    matches = []
    for number, product in enumerate(arrangement.scanned, start=1):
        ours = geometry.ids == number
        seen = ours & ~unscanned
        unexplained = (seen & ~product.mask).sum() / max(seen.sum(), 1)
        box = np.abs(np.subtract(boxes[number], product.amodal_box)).max() if number in boxes else np.nan
        matches.append(
            MaskMatch(
                sku=product.sku,
                raw=overlap(ours, product.mask),
                restricted=overlap(seen, product.mask),
                visibility=product.visibility,
                behind_unknown=bool(unexplained > UNKNOWN),
                box_offset=float(box),
                outline=float(np.hypot(*outline_offset(edges, seen & product.mask))),
            )
        )
    return matches
