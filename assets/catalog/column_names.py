"""Column names used by retailers' systems, and the units of their numbers."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from assets.catalog.types import COLUMNS

# Column -> its aliases, each with the unit it implies, if any. Spaces, underscores and case are ignored.
ALIASES: dict[str, dict[str, str]] = {
    "sku": dict.fromkeys(("gtin", "ean", "article number", "item number"), ""),
    "name": dict.fromkeys(("tradeItemDescription", "product name", "description"), ""),
    "category": dict.fromkeys(("gpcCategoryName", "gpcCategoryCode"), ""),
    "brand": {"brandName": ""},
    "width_m": {"width_mm": "mm", "width_cm": "cm"},
    "height_m": {"height_mm": "mm", "height_cm": "cm"},
    "depth_m": {"depth_mm": "mm", "depth_cm": "cm"},
    "mass_kg": {"mass_g": "g", "weight_g": "g", "weight_kg": "kg", "gross_weight_g": "g", "gross_weight_kg": "kg"},
    "package": dict.fromkeys(("packagingTypeCode", "packageTypeCode", "packaging type", "package type"), ""),
    "packshot": dict.fromkeys(("packshot_front", "image_front"), ""),
    **{f"packshot_{side}": {f"image_{side}": ""} for side in ("back", "left", "right", "top", "bottom")},
    "pack_count": {"units_per_pack": ""},
    "front": dict.fromkeys(("front side", "front axis", "facing"), ""),
    "rests": dict.fromkeys(("rest", "resting", "rest poses"), ""),
}
# The sides of a mesh with Z up as seen by a viewer at -y, and their aliases.
FRONTS = {
    "-y": ("front",),
    "+y": ("y", "back"),
    "-x": ("left",),
    "+x": ("x", "right"),
}
_FRONT_OF = {name: side for side, names in FRONTS.items() for name in (side, *names)}


def front_side(text: str) -> str:
    """Return the side that a cell of the column `front` names, or the cell itself if it names none."""
    return _FRONT_OF.get(text.lower().replace(" ", "").replace("−", "-"), text)


# Column -> its name in exports that give the unit in a separate column: width with widthUnit or width_uom.
MEASURED = {"width_m": "width", "height_m": "height", "depth_m": "depth", "mass_kg": "grossWeight"}
UNIT_ENDINGS = ("unit", "uom", "unitcode", "measurementunitcode")
# In metres or kilograms; the second name of each is its code in UN/ECE Recommendation 20, which GS1 uses.
LENGTHS = {"m": 1.0, "mtr": 1.0, "cm": 0.01, "cmt": 0.01, "mm": 0.001, "mmt": 0.001, "in": 0.0254, "inh": 0.0254}
MASSES = {"kg": 1.0, "kgm": 1.0, "g": 0.001, "grm": 0.001, "lb": 0.45359237, "lbr": 0.45359237}
MASSES |= {"oz": 0.028349523125, "onz": 0.028349523125}


@dataclass(frozen=True)
class ColumnSource:
    """Source of a column's cells. name: the column's name in the list. factor: converts to the column's own unit.

    unit_name: the column that gives the unit of each cell, "" if `name` implies it.
    """

    name: str
    factor: float = 1.0
    unit_name: str = ""


def units_of(column: str) -> dict[str, float]:
    """Return the units allowed for a column, each with its factor to metres or kilograms."""
    return MASSES if column == "mass_kg" else LENGTHS


def column_sources(names: Iterable[str]) -> dict[str, ColumnSource]:
    """Map each known column in a list with these names to its source. A column's own name takes precedence."""
    found = {_normalize_name(name): name for name in reversed(list(names))}
    sources: dict[str, ColumnSource] = {}
    for column in COLUMNS:
        if column in found.values():
            sources[column] = ColumnSource(column)
            continue
        for alias, unit in ALIASES.get(column, {}).items():
            if _normalize_name(alias) in found:
                sources[column] = ColumnSource(found[_normalize_name(alias)], units_of(column)[unit] if unit else 1.0)
                break
        else:
            measured = _normalize_name(MEASURED.get(column, ""))
            units = [found[measured + ending] for ending in UNIT_ENDINGS if measured + ending in found]
            if measured in found and units:
                sources[column] = ColumnSource(found[measured], unit_name=units[0])
    return sources


def is_read(name: str) -> bool:
    """Return whether a column with this name is used."""
    return name in COLUMNS or _normalize_name(name) in _READ


def _normalize_name(name: str) -> str:
    return name.lower().replace("_", "").replace(" ", "")


_READ = {_normalize_name(alias) for aliases in ALIASES.values() for alias in aliases} | {
    _normalize_name(name) + ending for name in MEASURED.values() for ending in ("", *UNIT_ENDINGS)
}
