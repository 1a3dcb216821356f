"""CSV planograms: a row for each block of facings; bays are built around what stands in them.

Columns: shelf (1 is the lowest) and sku; if wanted planogram, position, facings, stack, rows_deep and orientation.
"""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from itertools import pairwise
from pathlib import Path

from assets.catalog.csv_rows import bare_cell, csv_bytes, detect_delimiter
from assets.catalog.problems import Findings, Problem
from assets.catalog.types import Catalog
from assets.errors import SynthError
from assets.limits import PLANOGRAM_BYTES, PLANOGRAM_ROWS, read_file
from assets.planogram.bay_sizes import STANDARDS, build_bay
from assets.planogram.products import sizes_of
from assets.planogram.reading import checked, planogram_error, unreadable_planogram
from assets.planogram.types import Planogram, PlanogramPosition, PlanogramProduct, PlanogramSet, PlanogramShelf

SUFFIXES = (".csv", ".tsv")
# Of files that are written.
MAX_BYTES, STATES_SIZES = PLANOGRAM_BYTES, False
REQUIRED = ("shelf", "sku")
COLUMNS = (*REQUIRED, "planogram", "position", "facings", "stack", "rows_deep", "orientation")
MAX_SHELF = 100
Cells = Mapping[str, str]
# The positions of each shelf of each planogram.
Shelves = dict[str, dict[int, list[PlanogramPosition]]]


def read_planograms(path: Path, catalog: Catalog | None = None) -> PlanogramSet:
    """Read a CSV. It needs the catalogue: bays get the usual European sizes that their products need.

    Raises one SynthError that lists every bad row.
    """
    if catalog is None:
        what, hint = "a planogram in CSV states no sizes", "give the SKU list as well: the bay is built from its sizes"
        raise SynthError(what, code="planogram-sizes-missing", where=str(path), hint=hint)
    problems = Findings()
    size_of = sizes_of(PlanogramSet(()), catalog)
    plans: list[Planogram] = []
    for name, shelves in _read_shelves(path, problems).items():
        rows = [shelves.get(number, []) for number in range(1, max(shelves) + 1)]
        plan = checked(problems, 0, partial(build_bay, name or path.stem, rows, size_of, STANDARDS["eu"]))
        plans += [plan] if plan else []
    if not plans and not problems:
        problems.add([Problem(0, "", "no rows", "at least one")])
    if problems:
        raise planogram_error(path, problems)
    return PlanogramSet(tuple(plans))


def write_planograms(planograms: Iterable[Planogram], products: Iterable[PlanogramProduct] = ()) -> Iterator[bytes]:
    """Return the parts of a CSV, one for each planogram, with the columns that every planogram has.

    Planograms of one name become one when it is read: their names must differ.
    """
    yield csv_bytes([COLUMNS])
    for planogram in planograms:
        rows = []
        for number, shelf in enumerate(_from_below(planogram), start=1):
            positions = sorted(shelf.positions, key=lambda one: one.x or 0.0)
            for place, one in enumerate(positions, start=1):
                cells = (number, one.sku, planogram.name, place, one.wide, one.high, one.deep, one.orientation)
                rows.append([str(cell) for cell in cells])
        yield csv_bytes(rows)


def losses(planograms: Iterable[Planogram]) -> Counter[str]:
    """Return what a CSV cannot carry, and how often: places, caps, trays, kinds and sizes of shelves."""
    lost: Counter[str] = Counter()
    for planogram in planograms:
        shelves = _from_below(planogram)
        lost["bay size"] += 1
        lost["side-by-side shelf"] += sum(upper.y < lower.y + lower.thickness for lower, upper in pairwise(shelves))
        lost["shelf kind"] += sum(shelf.kind != "shelf" for shelf in shelves)
        lost["shelf slope"] += sum(shelf.slope != 0 for shelf in shelves)
        for _, one in planogram.positions():
            lost["block place"] += one.x is not None or one.y != 0 or bool(one.z)
            lost["cap"] += sum(cap is not None for cap in (one.x_cap, one.y_cap, one.z_cap))
            lost["tray"] += one.tray is not None
    return +lost


def _from_below(planogram: Planogram) -> list[PlanogramShelf]:
    """Return the shelves that carry something, from below."""
    carrying = [shelf for shelf in planogram.shelves if shelf.positions]
    return sorted(carrying, key=lambda shelf: (shelf.surface, shelf.x))


def _read_shelves(path: Path, problems: Findings) -> Shelves:
    numbered: dict[str, dict[int, list[tuple[int, PlanogramPosition]]]] = {}
    for row, cells in _read_rows(path, problems):
        shelf, order = (_whole(cells, name, row, problems) for name in ("shelf", "position"))
        position = _read_position(cells, order, row, problems)
        if shelf > MAX_SHELF:
            problems.add([Problem(row, "shelf", f"{shelf}", f"a number from 1, the lowest shelf, to {MAX_SHELF}")])
        elif position is not None:
            numbered.setdefault(cells.get("planogram", ""), {}).setdefault(shelf, []).append((order, position))
    # Python's sort is stable: positions without numbers keep the order of the file.
    return {
        name: {shelf: [one for _, one in sorted(found, key=lambda item: item[0])] for shelf, found in shelves.items()}
        for name, shelves in numbered.items()
    }


def _read_position(cells: Cells, order: int, row: int, problems: Findings) -> PlanogramPosition | None:
    wide, high, deep = (_whole(cells, name, row, problems) for name in ("facings", "stack", "rows_deep"))
    make = partial(
        PlanogramPosition,
        id=str(order) if cells.get("position") else f"row {row}",
        sku=cells["sku"],
        wide=wide,
        high=high,
        deep=deep,
        orientation=cells.get("orientation") or "front",
        row=row,
    )
    return checked(problems, row, make)


def _whole(cells: Cells, name: str, row: int, problems: Findings) -> int:
    """Return a whole number over 0; 1 where the cell is empty, missing or wrong."""
    text = cells.get(name, "")
    if not text and name not in REQUIRED:
        return 1
    if text.isascii() and text.isdecimal() and len(text) <= 6 and int(text) > 0:
        return int(text)
    problems.add([Problem(row, name, f"{text!r:.40}", "a whole number over 0")])
    return 1


def _read_rows(path: Path, problems: Findings) -> Iterator[tuple[int, Cells]]:
    """Iterate over the numbers and cells of the rows, as in a spreadsheet: the header is row 1."""
    text = _text_of(path)
    delimiter = detect_delimiter(text.partition("\n")[0], path, lambda name: name.strip().lower() in COLUMNS)
    reader = csv.reader(io.StringIO(text, newline=""), strict=True, delimiter=delimiter)
    try:
        header = [cell.strip().lower() for cell in next(reader, [])]
        if not _has_columns(header, problems):
            return
        for row, cells in enumerate(reader, start=2):
            PLANOGRAM_ROWS.check(row, str(path))
            if not any(map(str.strip, cells)):
                continue  # spreadsheet programs leave empty rows
            if len(cells) == len(header):
                yield row, {name: bare_cell(cell.strip()) for name, cell in zip(header, cells, strict=True)}
            else:
                problems.add([Problem(row, "", f"{len(cells)} cells", f"{len(header)}, as in the header")])
    except csv.Error as error:
        raise unreadable_planogram(path, str(error), "CSV; look for a quote that is opened and not closed") from error


def _has_columns(header: list[str], problems: Findings) -> bool:
    found = f"columns {', '.join(header)[:200] or 'none'}"
    problems.add(Problem(1, name, found, "a column of this name") for name in REQUIRED if name not in header)
    twice = sorted({name for name in header if name in COLUMNS and header.count(name) > 1})
    problems.add(Problem(1, name, "the column twice", "each column once") for name in twice)
    return not problems


def _text_of(path: Path) -> str:
    data = read_file(path, PLANOGRAM_BYTES, "the planogram")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        found = f"byte 0x{data[error.start]:02x} in line {line}"
        raise unreadable_planogram(path, found, "UTF-8 ('CSV UTF-8' in a spreadsheet program)") from error
