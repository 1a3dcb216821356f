"""Value types of a catalogue: one SKU, and all of them together."""

from __future__ import annotations

import hashlib
import json
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from itertools import islice
from pathlib import Path

from assets.catalog.sku_lists import Root, Roots
from assets.errors import unknown_name


@dataclass(frozen=True, slots=True)
class Sku:
    """Row of the SKU list. Sizes in metres: width along x, depth along y, height along z of the normalised mesh.

    mesh, packshot: paths relative to the list ("" if none). package: a kind (package_kinds.py), an alias or a GS1 code
    of one, "auto" (chosen from the packshot's silhouette), or "" (with a mesh).
    brand, colors, barcode: for the artwork of a package; colors: hex, separated by spaces ("#d81e2c #ffffff").
    up: "z" or "y", units: "m", "cm", "mm" or "in": axes and units of the mesh file ("" = those of its format).
    packshot: the front; packshot_back ... packshot_bottom: the other sides; label_strip: the label unrolled.
    unit_package: kind of one unit of a multipack; pack_count: units in it.
    front: the side of a mesh, once Z is up, that faces the shopper: "-y" (same as ""), "+y", "-x" or "+x". rests:
    weights of its resting poses (assets/catalog/resting.py), "" for those of its kind.
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


# Columns with paths of images of a package, the front first.
IMAGES = (
    "packshot",
    "packshot_back",
    "packshot_left",
    "packshot_right",
    "packshot_top",
    "packshot_bottom",
    "label_strip",
)


# Columns added later: left out of the hash if all their cells are empty, so the hashes of old lists do not change.
LATER = (*IMAGES[1:], "unit_package", "pack_count", "front", "rests")


# Products that Jupyter shows.
SHOWN = 12

# A mistyped key is compared with at most this many others (0.1 s).
MAX_COMPARED = 5000


class Catalog:
    """All SKUs of one or more lists, sorted by key: category id = position + 1.

    Stored as columns, so that 170,000 rows take some tens of megabytes; Sku values are created on access.
    source: the (first) list. root: the folder that its paths are relative to. rows: the row of each SKU in its list,
    as in a spreadsheet. notes: remarks on unused content of the lists. sources: all lists. origins: the index of the
    list of each row of the columns. mesh_roots: folders that files may be in besides those of the lists.
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

    def _repr_html_(self) -> str:
        """Return what Jupyter shows: the first products, drawn and as a table."""
        from assets.catalog.show import ShownProduct, products_html

        some = [
            ShownProduct(
                one.sku,
                one.name,
                one.category,
                one.package or one.mesh,
                (one.width_m, one.depth_m, one.height_m),
                one.colors,
                one.packshot,
                self.root_of(one.sku),
            )
            for one in islice(self, SHOWN)
        ]
        return products_html(f"{len(self):,} products" + (f", the first {SHOWN}" if len(self) > SHOWN else ""), some)

    def position(self, key: str) -> int:
        """Return the index of a SKU in the sorted catalogue, from 0. Raises SynthError if it is not in it."""
        if key not in self._positions:
            raise unknown_name("SKU", key, self._candidates(key), code="unknown-sku", where=str(self.source))
        return self._positions[key]

    def find(self, key: str) -> Sku:
        """Return the row of a SKU. Raises SynthError if it is not in the catalogue."""
        return self[self.position(key)]

    def root_of(self, key: str) -> Root:
        """Return the folder or folders that the paths in the row of a SKU are relative to."""
        folder = self._source_of(key).parent if len(self.sources) > 1 else self.root
        return Roots(folder, self.mesh_roots) if self.mesh_roots else folder

    def place_of(self, key: str) -> str:
        """Return the row of a SKU and its list, for messages."""
        return f"row {self.rows[self.position(key)]} of {self._source_of(key)}"

    def _source_of(self, key: str) -> Path:
        return self.sources[self._origins[self.position(key)]] if self._origins else self.source

    @cached_property
    def _positions(self) -> dict[str, int]:
        return {key: position for position, key in enumerate(self.keys)}

    def _candidates(self, key: str) -> Sequence[str]:
        """Return the keys to compare a mistyped one with: its neighbours, as comparing 170,000 would take seconds."""
        if len(self.keys) <= MAX_COMPARED:
            return self.keys
        middle = bisect_left(self.keys, key)
        return self.keys[max(middle - MAX_COMPARED // 2, 0) : middle + MAX_COMPARED // 2]

    @cached_property
    def hash(self) -> str:
        """SHA-256 over all rows in order: equal lists have equal hashes, whatever their format."""
        digest = hashlib.sha256()
        for name in COLUMNS:
            if name in LATER and all(cell in ("", None) for cell in self._columns[name]):
                continue
            digest.update(json.dumps([name, self._columns[name]], ensure_ascii=False).encode())
        return digest.hexdigest()
