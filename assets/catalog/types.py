"""What a catalogue is: rows, and all of them together."""

from __future__ import annotations

import hashlib
import json
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from assets.catalog.sku_lists import Root, Roots
from assets.errors import unknown_name

if TYPE_CHECKING:
    pass


@dataclass(frozen=True, slots=True)
class Sku:
    """One row of the list. Sizes in metres: width along x, depth along y, height along z of the normalised mesh.

    mesh, packshot: paths relative to the list ("" if none). package: a kind (package_kinds.py), another name or a
    GS1 code of one, "auto" (chosen from the packshot's silhouette), or "" (with a mesh).
    brand, colors, barcode: for the artwork of a package; colors: hex, separated by spaces ("#d81e2c #ffffff").
    up: "z" or "y", units: "m", "cm", "mm" or "in": how the mesh file is to be read ("" = by its format).
    packshot: the front; packshot_back ... packshot_bottom: the other sides; label_strip: the label unrolled.
    unit_package: kind of one unit of a multipack; pack_count: units in it.
    front: the side of a mesh, once Z is up, that faces the shopper: "-y" (as "" is), "+y", "-x" or "+x". rests: weights
    of how it rests where it is put down (assets/catalog/resting.py), "" as its kind does.
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
    packshot_back: str = ""
    packshot_left: str = ""
    packshot_right: str = ""
    packshot_top: str = ""
    packshot_bottom: str = ""
    label_strip: str = ""
    unit_package: str = ""
    pack_count: float | None = None
    front: str = ""
    rests: str = ""


COLUMNS = tuple(field.name for field in fields(Sku))


NUMBERS = ("width_m", "height_m", "depth_m", "mass_kg", "pack_count")


# Columns that hold paths of pictures of a package, the front's first.
PICTURES = (
    "packshot",
    "packshot_back",
    "packshot_left",
    "packshot_right",
    "packshot_top",
    "packshot_bottom",
    "label_strip",
)


# Later columns: where all their cells are empty a list has the hash that it had before they were known.
LATER = (*PICTURES[1:], "unit_package", "pack_count", "front", "rests")


# A mistyped key is compared with at most so many others: 0.1 s.
MAX_COMPARED = 5000


class Catalog:
    """All SKUs of one or several lists, sorted by their key: category id = position + 1.

    Kept as columns, so that 170,000 rows take some tens of megabytes; rows become Sku values when asked for.
    source: the (first) list. root: the folder that its paths are relative to. rows: for each SKU, its row in its list
    as a spreadsheet counts. notes: what the lists hold that is not used. sources: all lists. origins: of each row of
    the columns, the number of its list. mesh_roots: folders that files may lie in beside those of the lists.
    """

    def __init__(
        self,
        columns: Mapping[str, Sequence[str | float | None]],
        source: Path,
        *,
        rows: Sequence[int] | None = None,
        notes: Sequence[str] = (),
        sources: Sequence[Path] = (),
        origins: Sequence[int] = (),
        mesh_roots: Sequence[Path] = (),
    ) -> None:
        order = sorted(range(len(columns["sku"])), key=columns["sku"].__getitem__)  # type: ignore[arg-type]
        self._columns = {name: [values[i] for i in order] for name, values in columns.items()}
        self.source = source
        self.root = source.parent
        self.sources = tuple(sources) or (source,)
        self.mesh_roots = tuple(mesh_roots)
        self._origins = [origins[i] for i in order] if len(self.sources) > 1 else []
        self.keys: tuple[str, ...] = tuple(self._columns["sku"])  # type: ignore[arg-type]
        numbers = range(2, len(order) + 2) if rows is None else rows
        self.rows: tuple[int, ...] = tuple(numbers[i] for i in order)
        self.notes = tuple(notes)

    def __len__(self) -> int:
        return len(self.keys)

    def __getitem__(self, position: int) -> Sku:
        return Sku(**{name: values[position] for name, values in self._columns.items()})  # type: ignore[arg-type]

    def __iter__(self) -> Iterator[Sku]:
        return (self[position] for position in range(len(self)))

    def position(self, key: str) -> int:
        """Where a SKU stands in the sorted catalogue, from 0. Raises SynthError for one that is not in it."""
        if key not in self._positions:
            raise unknown_name("SKU", key, self._candidates(key), code="unknown-sku", where=str(self.source))
        return self._positions[key]

    def find(self, key: str) -> Sku:
        """The row of a SKU. Raises SynthError for one that is not in the catalogue."""
        return self[self.position(key)]

    def root_of(self, key: str) -> Root:
        """What the paths in the row of a SKU are relative to."""
        folder = self._list_of(key).parent if len(self.sources) > 1 else self.root
        return Roots(folder, self.mesh_roots) if self.mesh_roots else folder

    def place_of(self, key: str) -> str:
        """The row of a SKU, for people."""
        return f"row {self.rows[self.position(key)]} of {self._list_of(key)}"

    def _list_of(self, key: str) -> Path:
        return self.sources[self._origins[self.position(key)]] if self._origins else self.source

    @cached_property
    def _positions(self) -> dict[str, int]:
        return {key: position for position, key in enumerate(self.keys)}

    def _candidates(self, key: str) -> Sequence[str]:
        """Keys that a mistyped one may mean; comparing it with all 170,000 would take seconds: then its neighbours."""
        if len(self.keys) <= MAX_COMPARED:
            return self.keys
        middle = bisect_left(self.keys, key)
        return self.keys[max(middle - MAX_COMPARED // 2, 0) : middle + MAX_COMPARED // 2]

    @cached_property
    def hash(self) -> str:
        """SHA-256 over all rows in order: equal lists have equal hashes, however they are stored."""
        digest = hashlib.sha256()
        for name in COLUMNS:
            if name in LATER and all(cell in ("", None) for cell in self._columns[name]):
                continue
            digest.update(json.dumps([name, self._columns[name]], ensure_ascii=False).encode())
        return digest.hexdigest()
