"""Texture sheets: all images of a package on one texture."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from assets.mesh.types import Material
from assets.packages.print.lettering import Rgb
from assets.packages.shapes.panels import opaque_texture, panel_image
from assets.packages.shapes.plan import PackagePlan

# Largest width of a sheet, relative to the pixels of a front's longer side.
MAX_WIDTH = 1.8
MIN_PX, SWATCH_PX = 16, 8
Rectangle = tuple[float, float, float, float]


class Sheet:
    """Panels of given sizes in metres, at the same scale, and swatches of one colour, on one texture."""

    def __init__(
        self, plan: PackagePlan, panels: Mapping[str, tuple[float, float]], swatches: Mapping[str, Rgb] | None = None
    ) -> None:
        self._plan = plan
        swatches = swatches or {}
        widest = max(width for width, _ in panels.values())
        longest = max(max(size) for size in panels.values())
        scale = min(plan.texture_px / longest, MAX_WIDTH * plan.texture_px / widest)
        sizes = {name: (_round_pixels(w * scale), _round_pixels(h * scale)) for name, (w, h) in panels.items()}
        sizes |= dict.fromkeys(swatches, (SWATCH_PX, SWATCH_PX))
        self.boxes = _pack_rows(sizes, round(MAX_WIDTH * plan.texture_px))
        right = max(left + width for left, _, width, _ in self.boxes.values())
        bottom = max(top + height for _, top, _, height in self.boxes.values())
        self._pixels = np.empty((bottom, right, 3), np.uint8)
        self._pixels[0] = plan.colors[0]
        self._pixels[1:] = self._pixels[0]
        for name, color in swatches.items():
            self.paste(name, np.array(color, np.uint8))

    def size(self, name: str) -> tuple[int, int]:
        """Return width and height of a panel in pixels."""
        return self.boxes[name][2:]

    def paste(self, name: str, image: Image.Image | NDArray[np.uint8]) -> None:
        """Copy an image of the panel's size, or one colour (3,), into the panel."""
        self.panel(name)[:] = np.asarray(image)

    def panel(self, name: str) -> NDArray[np.uint8]:
        """Return the pixels of a panel, (height, width, 3), as a view."""
        left, top, width, height = self.boxes[name]
        return self._pixels[top : top + height, left : left + width]

    def render(self, name: str, side: str) -> None:
        """Fill a panel with the image of a side: its packshot or rendered artwork."""
        self.paste(name, panel_image(self._plan, side, self.size(name)))

    def rectangle(self, name: str) -> Rectangle:
        """Return left, bottom, width, height of a panel, 0 to 1, inset by half a pixel to prevent filter bleeding."""
        left, top, width, height = self.boxes[name]
        down, across = self._pixels.shape[:2]
        return (left + 0.5) / across, 1 - (top + height - 0.5) / down, (width - 1) / across, (height - 1) / down

    def uv(self, name: str, share: NDArray) -> NDArray[np.float64]:
        """Return texture coordinates of positions (..., 2) in a panel, 0 to 1 from its lower left corner."""
        left, bottom, width, height = self.rectangle(name)
        return np.array([left, bottom]) + np.clip(share, 0, 1) * [width, height]

    def spread(self, name: str, rows: int, columns: int) -> NDArray[np.float64]:
        """Return a grid of texture coordinates (rows, columns, 2) over a swatch: renderers drop uncovered texels."""
        across, up = np.meshgrid(np.linspace(0, 1, columns), np.linspace(0, 1, rows))
        return self.uv(name, np.stack([across, up], axis=2))

    def material(self, roughness: float) -> Material:
        """Return the material with the sheet as its texture."""
        return Material(np.ones(4), opaque_texture(self._pixels), roughness)


def _round_pixels(length: float) -> int:
    return max(round(length), MIN_PX)


def _pack_rows(sizes: Mapping[str, tuple[int, int]], widest: int) -> dict[str, tuple[int, int, int, int]]:
    """Pack panels in rows, the highest first; return left, top, width, height of each."""
    boxes: dict[str, tuple[int, int, int, int]] = {}
    left = top = shelf = 0
    for name, (width, height) in sorted(sizes.items(), key=lambda item: -item[1][1]):
        if left and left + width > widest:
            left, top, shelf = 0, top + shelf, 0
        boxes[name] = (left, top, width, height)
        left, shelf = left + width, max(shelf, height)
    return boxes
