"""CSV and TSV as spreadsheet programs write them, read; and CSV of which they run nothing, written."""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import TextIO

from assets.catalog.column_names import is_read
from assets.catalog.list_table import RowBatch, unreadable
from assets.catalog.problems import Findings, Problem
from assets.errors import SynthError
from assets.limits import LIST_COLUMNS, LIST_LINE

BATCH = 1 << 14
WIDE_ENCODINGS = {codecs.BOM_UTF16_LE: "UTF-16", codecs.BOM_UTF16_BE: "UTF-16", codecs.BOM_UTF32_BE: "UTF-32"}
SAVE_AS = "save it as UTF-8 ('CSV UTF-8' in a spreadsheet program)"


def csv_batches(path: Path, problems: Findings) -> Iterator[RowBatch]:
    """Iterate over the rows of a delimited list; rows with too few or too many cells go to `problems` and are skipped.

    Rows are numbered as in a spreadsheet: a cell with line breaks is one row, an empty row counts. Python's own parser
    reads 170,000 rows per second and, unlike a threaded one, knows the number of a bad row.
    """
    check_text(path)
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            delimiter = detect_delimiter(file.readline(LIST_LINE.maximum), path, is_read)
            file.seek(0)
            reader = csv.reader(_read_lines(file, path), delimiter=delimiter, strict=True)
            header = next(reader, [])
            LIST_COLUMNS.check(len(header), str(path))
            names = _read_header(header, problems)
            yield RowBatch([], {name: [] for name in names})
            first = 2
            while chunk := list(islice(reader, BATCH)):
                yield _make_batch(names, chunk, first, problems)
                first += len(chunk)
    except UnicodeDecodeError as error:
        raise _encoding_error(path) from error
    except csv.Error as error:
        raise unreadable(path, error, "look for a quote that is opened and not closed") from error
    except OSError as error:
        raise unreadable(path, error, "check that the file may be read") from error


def _read_lines(file: TextIO, path: Path) -> Iterator[str]:
    """Iterate over the lines of a text. Raises SynthError if one is too long."""
    while line := file.readline(LIST_LINE.maximum + 1):
        LIST_LINE.check(len(line), str(path))
        yield line


def check_text(path: Path) -> None:
    """Raise SynthError if a text file is UTF-16 or UTF-32."""
    with path.open("rb") as file:
        start = file.read(4)
    encodings = [encoding for mark, encoding in WIDE_ENCODINGS.items() if start.startswith(mark)]
    if encodings or b"\0" in start:
        raise _not_utf8(path, encodings[0] if encodings else "zero bytes, as in UTF-16")


def _encoding_error(path: Path) -> SynthError:
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            try:
                line.decode("utf-8")
            except UnicodeDecodeError as error:
                around = line[max(error.start - 20, 0) : error.start + 20].decode("cp1252", errors="replace")
                return _not_utf8(path, f"byte 0x{line[error.start]:02x} in line {number}, near {around!r}")
    return _not_utf8(path, None)


def _not_utf8(path: Path, found: str | None) -> SynthError:
    what = "the SKU list is not UTF-8"
    return SynthError(what, code="list-not-utf8", where=str(path), found=found, expected="UTF-8", hint=SAVE_AS)


def detect_delimiter(header: str, path: Path, is_known: Callable[[str], bool]) -> str:
    """Detect the delimiter by known columns: with a decimal comma, spreadsheets write ';' into .csv, others tabs."""
    usual = "\t" if path.suffix.lower() == ".tsv" else ","

    def score(delimiter: str) -> tuple[int, bool]:
        cells = {cell.strip().strip('"') for cell in header.split(delimiter)}
        return len(list(filter(is_known, cells))), delimiter == usual

    return max((",", ";", "\t"), key=score)


def _read_header(header: list[str], problems: Findings) -> list[str]:
    """Return the column names; a duplicate is reported, and renamed to "" so that nothing reads it."""
    names: list[str] = []
    for name in (cell.strip() for cell in header):
        if name and name in names:
            problems.add([Problem(1, name[:40], "the column twice", "each column once")])
        names.append(name if name not in names else "")
    return names


def _make_batch(names: list[str], chunk: list[list[str]], first: int, problems: Findings) -> RowBatch:
    rows, kept = [], []
    for row, cells in enumerate(chunk, start=first):
        if not any(map(str.strip, cells)):
            continue  # spreadsheet programs leave empty rows
        if len(cells) != len(names):
            start = ", ".join(cell[:40] for cell in cells[:40])[:40]
            problems.add([Problem(row, "", f"{len(cells)} cells ({start})", f"{len(names)}, as in the header")])
            continue
        rows.append(row)
        kept.append(cells)
    columns = [_strip_apostrophes(column) for column in zip(*kept, strict=True)] if kept else [()] * len(names)
    return RowBatch(rows, dict(zip(names, columns, strict=True)))


# Starts of cells that spreadsheet programs treat as formulas, after any apostrophes that mark the cell as text.
FORMULA = re.compile(r"'*[=+\-@\t\r]")


def formula_safe(cell: str) -> str:
    """Prefix a text with an apostrophe if a spreadsheet program would run it as a formula; undone on reading."""
    return f"'{cell}" if FORMULA.match(cell) else cell


def csv_bytes(rows: Iterable[Iterable[object]]) -> bytes:
    """Return rows as CSV (UTF-8) in which no text is a formula. None is an empty cell."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerows([formula_safe(cell) if isinstance(cell, str) else cell for cell in row] for row in rows)
    return text.getvalue().encode()


def bare_cell(cell: str) -> str:
    """Return the text of a cell written by `formula_safe`."""
    return cell[1:] if cell.startswith("'") and FORMULA.match(cell) else cell


def _strip_apostrophes(column: tuple[str, ...]) -> tuple[str, ...]:
    """Return cells without the apostrophe that kept a spreadsheet program from running them."""
    if not any(cell.startswith("'") for cell in column):
        return column
    return tuple(map(bare_cell, column))
