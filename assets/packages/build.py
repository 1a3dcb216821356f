"""Package models generated from sizes and artwork, for products without a 3D model.

The front of a package faces -Y: a viewer there who looks along +Y sees it, with +X to the right.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from assets.catalog.sku_lists import Root
from assets.catalog.types import Sku
from assets.errors import SynthError
from assets.mesh.types import Mesh
from assets.packages.facts import resolve_kind
from assets.packages.kinds import builder_of
from assets.packages.packshots.art import PackageArt, read_art
from assets.packages.shapes.panels import image_colors
from assets.packages.shapes.plan import PackagePlan

# Pixels of the longer side of a front: 2 mm print stays legible in a close-up.
TEXTURE_PX = 640


def make_package(sku: Sku, root: Root, *, texture_px: int = TEXTURE_PX) -> Mesh:
    """Build the normalised package of a SKU from its sizes, colours, texts and images (paths relative to `root`).

    texture_px: pixels of the longer side of a front; determines time and bytes.
    Raises SynthError if a size is missing, the kind is unknown or an image cannot be read.
    """
    if sku.width_m is None or sku.depth_m is None or sku.height_m is None:
        expected = "width_m, depth_m and height_m"
        raise SynthError(
            "a package needs its dimensions", code="package-size-missing", where=f"SKU {sku.sku!r}", expected=expected
        )
    return build_package(sku, read_art(sku, root), texture_px=texture_px)


def build_package(sku: Sku, art: PackageArt, *, texture_px: int = TEXTURE_PX) -> Mesh:
    """Build the package of a SKU with all its sizes from loaded images, which also resolve the kind "auto".

    Raises SynthError if the kind is unknown.
    """
    sku = resolve_kind(sku, art)
    build = builder_of(sku.package)
    shot = art.sides.get("front", art.sides.get("back"))
    if shot is not None and not sku.colors:
        sku = replace(sku, colors=" ".join("#{:02x}{:02x}{:02x}".format(*color) for color in image_colors(shot)))
    size = np.array([sku.width_m, sku.depth_m, sku.height_m], dtype=np.float64)
    return build(PackagePlan(sku, size, art, texture_px))
