"""Planograms: what stands where on the shelves of a shop, read, checked, made up and expanded into single units.

A file format is one module and one line in FORMATS. The module defines SUFFIXES, the endings of its files, and
read_planograms(path, catalog) -> PlanogramSet; one that is also written defines write_planograms and losses as those of
csv_rows.py, MAX_BYTES, and STATES_SIZES: whether its files state the sizes of bays. Installed packages add formats
through the entry-point group `synth.planograms`.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from assets.errors import SynthError
from assets.plugins import PluginTable

if TYPE_CHECKING:
    from assets.catalog.types import Catalog
    from assets.planogram.types import PlanogramSet

FORMATS = PluginTable(
    "planogram format",
    {
        "psa": "assets.planogram.psa",
        "toml": "assets.planogram.toml_layout",
        "csv": "assets.planogram.csv_rows",
    },
    "synth.planograms",
    requires=("SUFFIXES", "read_planograms"),
)


def load_planograms(path: Path, catalog: Catalog | None = None) -> PlanogramSet:
    """Read the planograms of a file in the format that its ending says.

    catalog: where the products are looked up, so that positions have its keys; formats without sizes need it. Raises
    SynthError for an unknown ending, and one for all problems of the file.
    """
    from assets.planogram.products import match_catalog

    suffix = path.suffix.lower()
    modules = [FORMATS.load(name) for name in FORMATS.names()]
    reader = next((module for module in modules if suffix in module.SUFFIXES), None)
    if reader is None:
        known = ", ".join(ending for module in modules for ending in module.SUFFIXES)
        raise SynthError(
            "unknown format of the planogram",
            code="planogram-format-unknown",
            where=str(path),
            found=suffix or "no ending",
            expected=f"a file ending in {known}",
        )
    found: PlanogramSet = reader.read_planograms(path, catalog)
    return found if catalog is None else match_catalog(found, catalog)
