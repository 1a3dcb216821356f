"""Reading a SKU list: CSV, TSV, JSON Lines or Parquet into columns, whatever their order."""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from assets.catalog import COLUMNS, NUMBERS, Problem
from assets.errors import SynthError

Columns = dict[str, list[str | float | None]]
DELIMITED, JSON_LINES, PARQUET = (".csv", ".tsv"), (".jsonl", ".ndjson"), (".parquet",)
FORMATS = (*DELIMITED, *JSON_LINES, *PARQUET)
# A list of 170,000 rows has some 30 MB; a hundred times that is another file by mistake.
MOST_BYTES = 4 << 30
# Cells that hold the same few texts again and again: equal ones are kept once.
REPEATED = ("category", "licence", "package", "packshot", "brand", "colors", "up", "units")


@dataclass(frozen=True)
class Batch:
    """Some rows as read: cells by column name, as text or as the file's own values. rows: their numbers for people."""

    rows: Sequence[int]
    cells: dict[str, Sequence[Any]]


@dataclass(frozen=True)
class ListTable:
    """A list as columns of plain values. rows: the number of each row as a spreadsheet counts (JSON Lines: its line).

    problems: of the header and of single cells; what cells mean together is checked elsewhere. notes: of no harm.
    has_keys: whether there is a column of keys, without which no row can be told from another.
    """

    columns: Columns
    rows: list[int]
    problems: list[Problem]
    notes: list[str] = field(default_factory=list)
    has_keys: bool = True


def read_list(path: Path) -> ListTable:
    """All known columns of a list, with what is wrong with its header and its cells.

    Raises SynthError where the file is not there, not readable or not of the format that its name says.
    """
    suffix = path.suffix.lower()
    if suffix not in FORMATS:
        found, expected = suffix or "no ending", f"a file ending in {', '.join(FORMATS)}"
        hint = "save it as 'CSV UTF-8' from the spreadsheet program" if suffix in (".xlsx", ".xls", ".ods") else None
        raise SynthError("unknown format of the SKU list", where=str(path), found=found, expected=expected, hint=hint)
    _check_file(path)
    problems: list[Problem] = []
    table = _Collector(problems)
    if suffix in DELIMITED:
        from assets.catalog_csv import csv_batches as batches
    elif suffix in JSON_LINES:
        from assets.catalog_jsonl import jsonl_batches as batches
    else:
        batches = _parquet_batches
    for batch in batches(path, problems):
        table.add(batch)
    return table.finished()


def _check_file(path: Path) -> None:
    if not path.exists():
        hint = "check the path; it is relative to where you are"
        raise SynthError("the SKU list is not there", where=str(path), hint=hint)
    if not path.is_file():
        raise SynthError("the SKU list is no file", where=str(path), expected=f"a file ending in {', '.join(FORMATS)}")
    if path.stat().st_size > MOST_BYTES:
        raise SynthError("the SKU list is too large", where=str(path), expected=f"at most {MOST_BYTES >> 30} GiB")


def unreadable(path: Path, error: Exception, hint: str) -> SynthError:
    """The error for a list that its format's parser gives up on."""
    found = " ".join(str(error).split())[:300]
    return SynthError("the SKU list cannot be read", where=str(path), found=found, hint=hint)


def _parquet_batches(path: Path, problems: list[Problem]) -> Iterator[Batch]:
    import pyarrow as pa
    import pyarrow.parquet as parquet

    try:
        with parquet.ParquetFile(path) as file:
            names = list(file.schema_arrow.names)
            doubled = {name for name in names if names.count(name) > 1}
            problems += [Problem(1, name, "the column twice", "each column once") for name in sorted(doubled)]
            known = [name for name in COLUMNS if name in names and name not in doubled]
            yield Batch([], {name: [] for name in names if name not in doubled})
            first = 2
            for piece in file.iter_batches(batch_size=1 << 14, columns=known):
                cells = {name: piece.column(name).to_pylist() for name in known}
                yield Batch(range(first, first + piece.num_rows), cells)
                first += piece.num_rows
    except (OSError, pa.ArrowException) as error:
        raise unreadable(path, error, "write the file anew") from error


class _Collector:
    """Columns that grow batch by batch."""

    def __init__(self, problems: list[Problem]) -> None:
        self._problems = problems
        self._columns: Columns = {name: [] for name in COLUMNS}
        self._rows: list[int] = []
        self._names: dict[str, None] = {}
        self._pool: dict[str, str] = {}

    def add(self, batch: Batch) -> None:
        self._names |= dict.fromkeys(batch.cells)
        self._rows.extend(batch.rows)
        for name, values in self._columns.items():
            cells = batch.cells.get(name)
            if cells is None:
                values.extend([None if name in NUMBERS else ""] * len(batch.rows))
            elif name in NUMBERS:
                values.extend(self._number(cell, row, name) for row, cell in zip(batch.rows, cells, strict=True))
            else:
                texts = [
                    cell.strip() if type(cell) is str else self._text(cell, row, name)
                    for row, cell in zip(batch.rows, cells, strict=True)
                ]
                values.extend(map(self._pool.setdefault, texts, texts) if name in REPEATED else texts)

    def finished(self) -> ListTable:
        columns = self._columns
        columns["name"] = [name or sku for name, sku in zip(columns["name"], columns["sku"], strict=True)]
        notes = _header_findings(list(self._names), self._problems)
        return ListTable(columns, self._rows, self._problems, notes, has_keys="sku" in self._names)

    def _text(self, value: object, row: int, name: str) -> str:
        if value is None or (isinstance(value, float) and math.isnan(value)):  # pandas writes a missing text as NaN
            return ""
        if isinstance(value, int) and not isinstance(value, bool):
            return str(value)
        self._problems.append(Problem(row, name, f"{value!r:.40} ({type(value).__name__})", "text in quotes"))
        return "?"

    def _number(self, value: object, row: int, name: str) -> float | None:
        text = value.strip() if isinstance(value, str) else value
        if text is None or text == "" or text != text:
            return None
        try:
            if not isinstance(text, bool):
                return float(text)  # type: ignore[arg-type]
        except (TypeError, ValueError, OverflowError):
            pass
        hint = " (a decimal point, no unit)" if any(sign.isdigit() for sign in str(text)) else ""
        self._problems.append(Problem(row, name, f"{text!r:.40}", f"a number{hint} or nothing"))
        return None


def _header_findings(names: list[str], problems: list[Problem]) -> list[str]:
    """Adds missing and misspelt columns to `problems`; returns a note on other columns, which do no harm."""
    if "sku" not in names:
        problems.append(Problem(1, "sku", f"columns {', '.join(names)[:200] or 'none'}", "a column named sku"))
    ignored = []
    for name in names:
        if name in COLUMNS:
            continue
        close = difflib.get_close_matches(name.lower(), COLUMNS, n=1, cutoff=0.75)
        if close and close[0] not in names:
            problems.append(Problem(1, name[:40], f"unknown column {name[:40]!r}", f"did you mean {close[0]!r}?"))
        elif name:
            ignored.append(name[:40])
    return [f"columns not used: {', '.join(ignored[:20])}{' …' * (len(ignored) > 20)}"] if ignored else []
