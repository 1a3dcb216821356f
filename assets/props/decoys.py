"""Packs of fictitious brands, as distractors between the products."""

from __future__ import annotations

from dataclasses import replace
from itertools import count
from pathlib import Path

from assets.catalog.generate import generate_row
from assets.catalog.types import Sku
from assets.mesh.types import Mesh
from assets.packages.build import make_package
from assets.props.look import Shape

# Kinds that stand upright.
KINDS = ("carton", "can", "bottle", "jar", "gable_top")
# Pixels of a front: half of a product's, since it is not learned.
TEXTURE_PX = 320


def decoy_shape(seed: int) -> Shape:
    """Return the size of the pack with this seed."""
    sku = decoy_sku(seed)
    assert sku.width_m and sku.depth_m and sku.height_m
    return Shape("pack", sku.width_m, sku.depth_m, sku.height_m)


def make_decoy(shape: Shape, seed: int) -> Mesh:
    """Make the mesh of the pack with this seed, in the size of `shape`."""
    sku = replace(decoy_sku(seed), width_m=shape.width, depth_m=shape.depth, height_m=shape.height)
    return make_package(sku, Path(), texture_px=TEXTURE_PX)


def decoy_sku(seed: int) -> Sku:
    """Generate products with seeds derived from this one; return the first that stands upright."""
    for number in count():
        row = generate_row(seed * 1000 + number)
        if row["package"] in KINDS:
            break
    return Sku(
        row["sku"],
        row["name"],
        category=row["category"],
        width_m=float(row["width_m"]),
        height_m=float(row["height_m"]),
        depth_m=float(row["depth_m"]),
        package=row["package"],
        brand=row["brand"],
        colors=row["colors"],
        barcode=row["barcode"],
    )
