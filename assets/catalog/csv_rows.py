"""Reading CSV and TSV lists, as spreadsheet programs write them."""

from __future__ import annotations

import codecs
import csv
import re
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import TextIO

from assets.catalog.column_names import is_read
from assets.catalog.list_table import RowBatch, unreadable
from assets.catalog.problems import Findings, Problem
from assets.errors import SynthError
from assets.limits import LIST_COLUMNS, LIST_LINE

BATCH = 1 << 14
WIDE_CODES = {codecs.BOM_UTF16_LE: "UTF-16", codecs.BOM_UTF16_BE: "UTF-16", codecs.BOM_UTF32_BE: "UTF-32"}
SAVE_AS = "save it as UTF-8 ('CSV UTF-8' in a spreadsheet program)"


def csv_batches(path: Path, problems: Findings) -> Iterator[RowBatch]:
    """The rows of a delimited list; rows with too few or too many cells are told in `problems` and left out.

    Rows are numbered as a spreadsheet numbers them: a cell with line breaks is one row, an empty row counts. Python's
    own parser reads 170,000 rows in a second and, unlike a threaded one, knows the number of a bad row.
    """
    check_text(path)
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            delimiter = _delimiter(file.readline(LIST_LINE.most), path)
            file.seek(0)
            reader = csv.reader(_lines(file, path), delimiter=delimiter, strict=True)
            header = next(reader, [])
            LIST_COLUMNS.check(len(header), str(path))
            names = _names(header, problems)
            yield RowBatch([], {name: [] for name in names})
            first = 2
            while chunk := list(islice(reader, BATCH)):
                yield _batch(names, chunk, first, problems)
                first += len(chunk)
    except UnicodeDecodeError as error:
        raise _not_utf8(path) from error
    except csv.Error as error:
        raise unreadable(path, error, "look for a quote that is opened and not closed") from error
    except OSError as error:
        raise unreadable(path, error, "check that the file may be read") from error


def _lines(file: TextIO, path: Path) -> Iterator[str]:
    """The lines of a text. Raises SynthError for one that never ends."""
    while line := file.readline(LIST_LINE.most + 1):
        LIST_LINE.check(len(line), str(path))
        yield line


def check_text(path: Path) -> None:
    """Raises SynthError for text in two- or four-byte codes."""
    with path.open("rb") as file:
        start = file.read(4)
    codes = [code for mark, code in WIDE_CODES.items() if start.startswith(mark)]
    if codes or b"\0" in start:
        found = codes[0] if codes else "zero bytes, as in UTF-16"
        raise SynthError(
            "the SKU list is not UTF-8",
            code="list-not-utf8",
            where=str(path),
            found=found,
            expected="UTF-8",
            hint=SAVE_AS,
        )


def _not_utf8(path: Path) -> SynthError:
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            try:
                line.decode("utf-8")
            except UnicodeDecodeError as error:
                around = line[max(error.start - 20, 0) : error.start + 20].decode("cp1252", errors="replace")
                found = f"byte 0x{line[error.start]:02x} in line {number}, near {around!r}"
                return SynthError(
                    "the SKU list is not UTF-8",
                    code="list-not-utf8",
                    where=str(path),
                    found=found,
                    expected="UTF-8",
                    hint=SAVE_AS,
                )
    return SynthError(
        "the SKU list is not UTF-8", code="list-not-utf8", where=str(path), expected="UTF-8", hint=SAVE_AS
    )


def _delimiter(header: str, path: Path) -> str:
    """What the header says: spreadsheets of countries with a decimal comma write ';' into .csv, others tabs."""
    usual = "\t" if path.suffix.lower() == ".tsv" else ","

    def known(delimiter: str) -> tuple[int, bool]:
        cells = {cell.strip().strip('"') for cell in header.split(delimiter)}
        return len(list(filter(is_read, cells))), delimiter == usual

    return max((",", ";", "\t"), key=known)


def _names(header: list[str], problems: Findings) -> list[str]:
    """Column names; a second "mesh" is told, and read under a name that nothing asks for."""
    names: list[str] = []
    for name in (cell.strip() for cell in header):
        if name and name in names:
            problems.add([Problem(1, name[:40], "the column twice", "each column once")])
        names.append(name if name not in names else "")
    return names


def _batch(names: list[str], chunk: list[list[str]], first: int, problems: Findings) -> RowBatch:
    rows, kept = [], []
    for row, cells in enumerate(chunk, start=first):
        if not any(map(str.strip, cells)):
            continue  # spreadsheets leave empty rows behind
        if len(cells) != len(names):
            start = ", ".join(cell[:40] for cell in cells[:40])[:40]
            problems.add([Problem(row, "", f"{len(cells)} cells ({start})", f"{len(names)}, as in the header")])
            continue
        rows.append(row)
        kept.append(cells)
    columns = [_bare(column) for column in zip(*kept, strict=True)] if kept else [()] * len(names)
    return RowBatch(rows, dict(zip(names, columns, strict=True)))


# What spreadsheet programs take for a formula when it starts a cell, after any apostrophes that say "this is text".
FORMULA = re.compile(r"'*[=+\-@\t\r]")


def formula_safe(cell: str) -> str:
    """A text as a cell that no spreadsheet program runs as a formula: an apostrophe before it, undone on reading."""
    return f"'{cell}" if FORMULA.match(cell) else cell


def bare_cell(cell: str) -> str:
    """The text that `formula_safe` made a cell of."""
    return cell[1:] if cell.startswith("'") and FORMULA.match(cell) else cell


def _bare(column: tuple[str, ...]) -> tuple[str, ...]:
    """Cells without the apostrophe that kept a spreadsheet program from running them."""
    if not any(cell.startswith("'") for cell in column):
        return column
    return tuple(map(bare_cell, column))
