"""Inputs of a package shape."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from assets.catalog.types import Sku
from assets.mesh.types import Material
from assets.packages.packshots.art import PackageArt
from assets.packages.packshots.silhouette import profile_of
from assets.packages.print.label_colors import label_colors
from assets.packages.print.lettering import Rgb

# Roughness of printed board and paper, plastic film, sheet metal.
PAPER, FILM, METAL = 0.55, 0.35, 0.32
SEGMENTS = 48
# From the frame of a standing package (front to -Y, up +Z) to that of the same one lying: front up, its up to +Y.
FACE_UP = np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]])
# The inverse: what faces up turns to -Y.
FACE_FRONT = FACE_UP.T


@dataclass(frozen=True, eq=False)
class PackagePlan:
    """Package to build. size: (3,) float64 metres, width (x), depth (y), height (z). art: its images.

    texture_px: pixels of the longer side of a front; determines the texture's bytes and rendering time.
    segments: steps around a round body, a multiple of 4.
    """

    sku: Sku
    size: NDArray[np.float64]
    art: PackageArt
    texture_px: int
    segments: int = SEGMENTS

    @property
    def colors(self) -> tuple[Rgb, Rgb, Rgb]:
        """Background, second and third colour, sRGB."""
        return label_colors(self.sku)


def solid_material(color: Rgb, roughness: float, metallic: float = 0.0) -> Material:
    """Return a material of one sRGB colour."""
    linear = (np.array(color) / 255.0) ** 2.2
    return Material(np.array([*linear, 1.0]), None, roughness, metallic)


def lying_plan(plan: PackagePlan) -> PackagePlan:
    """Return the plan of the same package standing, before it is laid down with FACE_UP.

    Its front is the image from above, or else the front's, since lists often use it that way.
    """
    width, depth, height = plan.size
    sides = plan.art.sides
    named = {"front": "top" if "top" in sides else "front", "back": "bottom" if "bottom" in sides else "back"}
    shown = {side: sides[name] for side, name in named.items() if name in sides}
    face = shown.get("front")
    profile = None if face is None else profile_of(face[..., 3] >= 128)
    return replace(plan, size=np.array([width, height, depth]), art=PackageArt(shown, plan.art.strip, profile, None))
