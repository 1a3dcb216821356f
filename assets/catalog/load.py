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

from assets.catalog.sku_lists import Root, Roots, SkuLists, SkuSource, as_lists
from assets.errors import SynthError, unknown_name
from assets.limits import LIST_PROBLEMS

if TYPE_CHECKING:
    from assets.catalog.read import ListTable


@dataclass(frozen=True, slots=True)
class Sku:
    """One row of the list. Sizes in metres: width along x, depth along y, height along z of the normalised mesh.

    mesh, packshot: paths relative to the list ("" if none). package: a kind of assets/catalog/package_kinds.py, another name or
    a GS1 code of one, "auto" (chosen from the packshot's silhouette), or "" (with a mesh).
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
MOST_COMPARED = 5000


@dataclass(frozen=True)
class Problem:
    """One thing wrong with a list. row: as a spreadsheet counts (the header is row 1); 0 = the file as a whole.

    file: the list, where there are several.
    """

    row: int
    column: str
    found: str
    expected: str
    file: str = ""

    def __str__(self) -> str:
        place = f"row {self.row}" if self.row else "file"
        return _sentence(self, place)


def _sentence(problem: Problem, place: str) -> str:
    place += f", column {problem.column}" if problem.row and problem.column else ""
    list_name = f"{problem.file}, " if problem.file else ""
    return f"{list_name}{place}: found {problem.found}, expected {problem.expected}"


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
            raise unknown_name("SKU", key, self._candidates(key), where=str(self.source))
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


def load_catalog(source: SkuSource | str) -> Catalog:
    """The catalogue in a CSV, TSV, JSON Lines or Parquet file, or in several of them.

    Raises one SynthError that lists every bad row: row, column, found, expected.
    """
    lists = as_lists(source)
    tables, problems = _read_all(lists)
    if problems:
        raise list_error(lists, problems)
    if len(tables) == 1:
        (table,) = tables
        return Catalog(table.columns, lists.paths[0], rows=table.rows, notes=table.notes, mesh_roots=lists.mesh_roots)
    columns = {name: [cell for table in tables for cell in table.columns[name]] for name in COLUMNS}
    notes = [f"{path}: {note}" for path, table in zip(lists.paths, tables, strict=True) for note in table.notes]
    return Catalog(
        columns,
        lists.paths[0],
        rows=[row for table in tables for row in table.rows],
        notes=notes,
        sources=lists.paths,
        origins=[number for number, table in enumerate(tables) for _ in table.rows],
        mesh_roots=lists.mesh_roots,
    )


def check_catalog(source: SkuSource | str) -> list[Problem]:
    """Every problem of a list or several, none if all is good. Raises SynthError where one cannot be read at all."""
    return _read_all(as_lists(source))[1]


def _read_all(lists: SkuLists) -> tuple[list[ListTable], list[Problem]]:
    """The lists as tables, and what is wrong with each and with all of them together."""
    from assets.catalog.check import check_keys_of_lists

    same = [path for path in lists.paths if [other.resolve() for other in lists.paths].count(path.resolve()) > 1]
    if same:
        raise SynthError("a SKU list is given twice", where=str(same[0]), hint="give each list once")
    tables = [_read_checked(path, lists.mesh_roots) for path in lists.paths]
    if len(tables) == 1:
        return tables, list(tables[0].problems)
    problems = Findings()
    for path, table in zip(lists.paths, tables, strict=True):
        problems.add(replace(problem, file=str(path)) for problem in table.problems)
    problems.add(check_keys_of_lists([(path, table) for path, table in zip(lists.paths, tables, strict=True)]))
    return tables, list(problems)


def _read_checked(source: Path, mesh_roots: Sequence[Path]) -> ListTable:
    from assets.catalog.check import check_columns
    from assets.catalog.read import read_list

    table = read_list(source)
    if table.has_keys:
        table.problems.add(check_columns(table.columns, table.rows, Roots(source.parent, tuple(mesh_roots))))
    return replace(table, problems=Findings(sorted(table.problems, key=lambda problem: problem.row)))


MOST_TOLD = 50


# So many rows or more with one problem are one line, with the first few of their numbers and of what was found.
GROUPED, ROWS_TOLD, FOUND_TOLD = 4, 5, 2


def problem_groups(problems: Sequence[Problem]) -> list[tuple[str, Problem]]:
    """Problems for people, those of many rows as one: words for the rows, and a problem that speaks for all of them."""
    groups: dict[tuple[str, str, str], list[Problem]] = {}
    for problem in problems:
        groups.setdefault((problem.file, problem.column, problem.expected), []).append(problem)
    told = []
    for group in groups.values():
        if len(group) < GROUPED or not group[0].row:
            told += [(f"row {problem.row}" if problem.row else "file", problem) for problem in group]
            continue
        rows = ", ".join(str(problem.row) for problem in group[:ROWS_TOLD]) + ", ..." * (len(group) > ROWS_TOLD)
        found = list(dict.fromkeys(problem.found for problem in group))
        words = ", ".join(found[:FOUND_TOLD]) + f" and {len(found) - FOUND_TOLD} others" * (len(found) > FOUND_TOLD)
        told.append((f"{len(group)} rows ({rows})", replace(group[0], found=words)))
    return sorted(told, key=lambda item: (item[1].file, item[1].row))


def list_error(source: SkuSource, problems: Sequence[Problem]) -> SynthError:
    """One error for all problems of a list or several; past MOST_TOLD lines they are counted only."""
    groups = problem_groups(problems)
    told = [_sentence(problem, rows) for rows, problem in groups[:MOST_TOLD]]
    if len(groups) > MOST_TOLD:
        told.append(f"and {len(groups) - MOST_TOLD} more")
    more = MORE_PROBLEMS in problems
    count = MORE_PROBLEMS.found if more else f"{len(problems)} problem" + ("s" if len(problems) != 1 else "")
    lists = as_lists(source)
    hint = f"'synth catalog check {' '.join(map(str, lists.paths))}' lists them all"
    what = f"the SKU list has {count}" if len(lists.paths) == 1 else f"the SKU lists have {count}"
    return SynthError(what, where=str(lists), problems=told, hint=hint)
