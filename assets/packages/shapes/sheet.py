"""Texture sheets: the pictures of a package side by side on one texture."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from assets.mesh.types import Material
from assets.packages.print.lettering import Rgb
from assets.packages.shapes.panels import opaque, panel_picture
from assets.packages.shapes.plan import PackagePlan

# The widest sheet, in pixels of a front's longer side.
WIDEST = 1.8
MIN_PX, SWATCH_PX = 16, 8
Rectangle = tuple[float, float, float, float]


class Sheet:
    """Panels of stated sizes in metres, all to one scale, and swatches of one colour, on one texture."""

    def __init__(
        self, plan: PackagePlan, panels: Mapping[str, tuple[float, float]], swatches: Mapping[str, Rgb] | None = None
    ) -> None:
        self._plan = plan
        swatches = swatches or {}
        widest = max(width for width, _ in panels.values())
        longest = max(max(size) for size in panels.values())
        scale = min(plan.texture_px / longest, WIDEST * plan.texture_px / widest)
        sizes = {name: (_pixels(w * scale), _pixels(h * scale)) for name, (w, h) in panels.items()}
        sizes |= dict.fromkeys(swatches, (SWATCH_PX, SWATCH_PX))
        self.places = _shelves(sizes, round(WIDEST * plan.texture_px))
        right = max(left + width for left, _, width, _ in self.places.values())
        bottom = max(top + height for _, top, _, height in self.places.values())
        self._pixels = np.empty((bottom, right, 3), np.uint8)
        self._pixels[0] = plan.colors[0]
        self._pixels[1:] = self._pixels[0]
        for name, color in swatches.items():
            self.paste(name, np.array(color, np.uint8))

    def size(self, name: str) -> tuple[int, int]:
        """Width and height of a panel in pixels."""
        return self.places[name][2:]

    def paste(self, name: str, picture: Image.Image | NDArray[np.uint8]) -> None:
        """Puts a picture of that panel's size, or one colour (3,), into its place."""
        self.panel(name)[:] = np.asarray(picture)

    def panel(self, name: str) -> NDArray[np.uint8]:
        """What is in a panel so far, (height, width, 3)."""
        left, top, width, height = self.places[name]
        return self._pixels[top : top + height, left : left + width]

    def draw(self, name: str, side: str) -> None:
        """Fills a panel with that side's picture: the packshot, or a drawn one."""
        self.paste(name, panel_picture(self._plan, side, self.size(name)))

    def rectangle(self, name: str) -> Rectangle:
        """Left, bottom, width, height of a panel, 0 to 1; half a pixel inside: filtering mixes no neighbours."""
        left, top, width, height = self.places[name]
        down, across = self._pixels.shape[:2]
        return (left + 0.5) / across, 1 - (top + height - 0.5) / down, (width - 1) / across, (height - 1) / down

    def uv(self, name: str, share: NDArray) -> NDArray[np.float64]:
        """Texture coordinates of places (..., 2) in a panel, 0 to 1 from its lower left corner."""
        left, bottom, width, height = self.rectangle(name)
        return np.array([left, bottom]) + np.clip(share, 0, 1) * [width, height]

    def spread(self, name: str, rows: int, columns: int) -> NDArray[np.float64]:
        """Texture coordinates (rows, columns, 2) of a grid over a swatch: renderers drop texels that no face covers."""
        across, up = np.meshgrid(np.linspace(0, 1, columns), np.linspace(0, 1, rows))
        return self.uv(name, np.stack([across, up], axis=2))

    def material(self, roughness: float) -> Material:
        """The material that shows the sheet."""
        return Material(np.ones(4), opaque(self._pixels), roughness)


def _pixels(length: float) -> int:
    return max(round(length), MIN_PX)


def _shelves(sizes: Mapping[str, tuple[int, int]], widest: int) -> dict[str, tuple[int, int, int, int]]:
    """Left, top, width, height of each, in rows from the highest panel to the lowest."""
    places: dict[str, tuple[int, int, int, int]] = {}
    left = top = shelf = 0
    for name, (width, height) in sorted(sizes.items(), key=lambda item: -item[1][1]):
        if left and left + width > widest:
            left, top, shelf = 0, top + shelf, 0
        places[name] = (left, top, width, height)
        left, shelf = left + width, max(shelf, height)
    return places
