"""The catalogue: what the SKU list says, checked whole and sorted by SKU."""

from __future__ import annotations

import hashlib
import json
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from assets.errors import SynthError, unknown_name
from assets.limits import LIST_PROBLEMS

if TYPE_CHECKING:
    from assets.catalog_file import ListTable


@dataclass(frozen=True, slots=True)
class Sku:
    """One row of the list. Sizes in metres: width along x, depth along y, height along z of the normalised mesh.

    mesh, packshot: paths relative to the list ("" if none). package: a kind of assets/package_types.py, another name or
    a GS1 code of one, "auto" (chosen from the packshot's silhouette), or "" (with a mesh).
    brand, colors, barcode: for the artwork of a package; colors: hex, separated by spaces ("#d81e2c #ffffff").
    up: "z" or "y", units: "m", "cm", "mm" or "in": how the mesh file is to be read ("" = by its format).
    packshot: the front; packshot_back ... packshot_bottom: the other sides; label_strip: the label unrolled.
    unit_package: kind of one unit of a multipack; pack_count: units in it.
    front: the side of a mesh, once Z is up, that faces the shopper: "-y" (as "" is), "+y", "-x" or "+x". rests: weights
    of how it rests where it is put down (assets/resting.py), "" as its kind does.
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
MOST_COMPARED = 5000


@dataclass(frozen=True)
class Problem:
    """One thing wrong with a list. row: as a spreadsheet counts (the header is row 1); 0 = the file as a whole."""

    row: int
    column: str
    found: str
    expected: str

    def __str__(self) -> str:
        place = f"row {self.row}, column {self.column}" if self.column else f"row {self.row}"
        return f"{place if self.row else 'file'}: found {self.found}, expected {self.expected}"


class Findings(list[Problem]):
    """The problems of a list, as many as are told at most: of a million bad rows nobody reads each."""

    def add(self, problems: Iterable[Problem]) -> None:
        """Takes problems in until there are enough; one more then says that there were more."""
        for problem in problems:
            if len(self) > LIST_PROBLEMS.most:
                return
            self.append(problem if len(self) < LIST_PROBLEMS.most else MORE_PROBLEMS)


MORE_PROBLEMS = Problem(0, "", f"more than {LIST_PROBLEMS.most:,} problems", "the rest is told once these are mended")


class Catalog:
    """All SKUs of a list, sorted by their key: category id = position + 1.

    Kept as columns, so that 170,000 rows take some tens of megabytes; rows become Sku values when asked for.
    root: the folder that paths in the list are relative to. source: the list itself. rows: for each SKU, its row in
    the list as a spreadsheet counts. notes: what the list holds that is not used.
    """

    def __init__(
        self,
        columns: Mapping[str, Sequence[str | float | None]],
        source: Path,
        *,
        rows: Sequence[int] | None = None,
        notes: Sequence[str] = (),
    ) -> None:
        order = sorted(range(len(columns["sku"])), key=columns["sku"].__getitem__)  # type: ignore[arg-type]
        self._columns = {name: [values[i] for i in order] for name, values in columns.items()}
        self.source = source
        self.root = source.parent
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
            raise unknown_name("SKU", key, self._candidates(key), where=str(self.source))
        return self._positions[key]

    def find(self, key: str) -> Sku:
        """The row of a SKU. Raises SynthError for one that is not in the catalogue."""
        return self[self.position(key)]

    @cached_property
    def _positions(self) -> dict[str, int]:
        return {key: position for position, key in enumerate(self.keys)}

    def _candidates(self, key: str) -> Sequence[str]:
        """Keys that a mistyped one may mean; comparing it with all 170,000 would take seconds: then its neighbours."""
        if len(self.keys) <= MOST_COMPARED:
            return self.keys
        middle = bisect_left(self.keys, key)
        return self.keys[max(middle - MOST_COMPARED // 2, 0) : middle + MOST_COMPARED // 2]

    @cached_property
    def hash(self) -> str:
        """SHA-256 over all rows in order: equal lists have equal hashes, however they are stored."""
        digest = hashlib.sha256()
        for name in COLUMNS:
            if name in LATER and all(cell in ("", None) for cell in self._columns[name]):
                continue
            digest.update(json.dumps([name, self._columns[name]], ensure_ascii=False).encode())
        return digest.hexdigest()


def load_catalog(path: Path | str) -> Catalog:
    """The catalogue in a CSV, TSV, JSON Lines or Parquet file.

    Raises one SynthError that lists every bad row: row, column, found, expected.
    """
    table = _read_checked(Path(path))
    if table.problems:
        raise list_error(Path(path), table.problems)
    return Catalog(table.columns, Path(path), rows=table.rows, notes=table.notes)


def check_catalog(path: Path | str) -> list[Problem]:
    """Every problem of a list, none if it is good. Raises SynthError only where the file cannot be read at all."""
    return _read_checked(Path(path)).problems


def _read_checked(source: Path) -> ListTable:
    from assets.catalog_check import check_columns
    from assets.catalog_file import read_list

    table = read_list(source)
    if table.has_keys:
        table.problems.add(check_columns(table.columns, table.rows, source.parent))
    return replace(table, problems=Findings(sorted(table.problems, key=lambda problem: problem.row)))


MOST_TOLD = 50


def list_error(source: Path, problems: Sequence[Problem]) -> SynthError:
    """One error for all problems of a list; past MOST_TOLD they are counted only."""
    told = [str(problem) for problem in problems[:MOST_TOLD]]
    if len(problems) > MOST_TOLD:
        told.append(f"and {len(problems) - MOST_TOLD} more")
    more = MORE_PROBLEMS in problems
    count = MORE_PROBLEMS.found if more else f"{len(problems)} problem" + ("s" if len(problems) != 1 else "")
    hint = f"'synth catalog check {source}' lists them all"
    return SynthError(f"the SKU list has {count}", where=str(source), problems=told, hint=hint)
