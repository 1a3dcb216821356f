"""The SKU list: read, checked whole, and sorted into a Catalog."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Sku:
    """One row of the list. Sizes in metres: width along x, depth along y, height along z of the normalised mesh.

    mesh, packshot: paths relative to the list ("" if none). package: "carton", "can", "bottle" or "" (then mesh is set).
    brand, colors, barcode: for the artwork of a package; colors: hex, separated by spaces ("#d81e2c #ffffff").
    up: "z" or "y", units: "m", "cm", "mm" or "in": how the mesh file is to be read ("" = by its format).
    """

    sku: str
    name: str
    category: str = ""
    mesh: str = ""
    width_m: float | None = None
    height_m: float | None = None
    depth_m: float | None = None
    mass_kg: float | None = None
    licence: str = ""
    package: str = ""
    packshot: str = ""
    brand: str = ""
    colors: str = ""
    barcode: str = ""
    up: str = ""
    units: str = ""
