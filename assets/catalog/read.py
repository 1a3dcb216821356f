"""Reading of a SKU list (CSV, TSV, JSON Lines or Parquet) into columns, in any order."""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from assets.catalog.column_names import ColumnSource, column_sources, front_side, is_read, units_of
from assets.catalog.list_table import Columns, ListTable, RowBatch, unreadable
from assets.catalog.package_kinds import package_kind
from assets.catalog.problems import Findings, Problem
from assets.catalog.types import COLUMNS, IMAGES, NUMBERS
from assets.errors import SynthError
from assets.limits import LIST_BYTES, LIST_CELL, LIST_COLUMNS, LIST_ROWS, check_file

DELIMITED, JSON_LINES, PARQUET = (".csv", ".tsv"), (".jsonl", ".ndjson"), (".parquet",)
FORMATS = (*DELIMITED, *JSON_LINES, *PARQUET)
# Columns with few distinct texts: equal ones share one string.
REPEATED = (
    "category",
    "licence",
    "package",
    "unit_package",
    "brand",
    "colors",
    "up",
    "units",
    "front",
    "rests",
    *IMAGES,
)


def read_list(path: Path) -> ListTable:
    """Read all known columns of a list, with the problems of its header and cells.

    Raises SynthError if the file is missing, unreadable or not in the format of its extension.
    """
    suffix = path.suffix.lower()
    if suffix not in FORMATS:
        found, expected = suffix or "no ending", f"a file ending in {', '.join(FORMATS)}"
        hint = "save it as 'CSV UTF-8' from the spreadsheet program" if suffix in (".xlsx", ".xls", ".ods") else None
        raise SynthError(
            "unknown format of the SKU list",
            code="list-format-unknown",
            where=str(path),
            found=found,
            expected=expected,
            hint=hint,
        )
    check_file(path, LIST_BYTES, "the SKU list")
    problems = Findings()
    table = _Collector(problems, path)
    if suffix in DELIMITED:
        from assets.catalog.csv_rows import csv_batches as batches
    elif suffix in JSON_LINES:
        from assets.catalog.jsonl_rows import jsonl_batches as batches
    else:
        batches = _parquet_batches
    for batch in batches(path, problems):
        table.add(batch)
    return table.finished()


def _parquet_batches(path: Path, problems: Findings) -> Iterator[RowBatch]:
    import pyarrow as pa
    import pyarrow.parquet as parquet

    try:
        about = parquet.read_metadata(path)
        LIST_COLUMNS.check(about.num_columns, str(path))
        LIST_ROWS.check(about.num_rows, str(path))
        leaves = {about.schema.column(index).path for index in range(about.num_columns)}
        with parquet.ParquetFile(path, metadata=about, read_dictionary=sorted(filter(is_read, leaves))) as file:
            names = list(file.schema_arrow.names)
            doubled = {name for name in names if names.count(name) > 1}
            problems.add(Problem(1, name, "the column twice", "each column once") for name in sorted(doubled))
            known = [name for name in names if is_read(name) and name not in doubled]
            yield RowBatch([], {name: [] for name in names if name not in doubled})
            first = 2
            for piece in file.iter_batches(batch_size=1 << 14, columns=known):
                cells: dict[str, Sequence[Any]] = {name: _parquet_cells(piece.column(name), path) for name in known}
                yield RowBatch(range(first, first + piece.num_rows), cells)
                first += piece.num_rows
    except (OSError, ValueError, pa.ArrowException) as error:
        raise unreadable(path, error, "write the file again") from error


def _parquet_cells(column: Any, path: Path) -> list[Any]:
    """Return the cells of a column as Python values; repeated texts share one value, as a few bytes can encode many."""
    import pyarrow as pa
    import pyarrow.compute as compute

    if not isinstance(column, pa.DictionaryArray):
        return list(column.to_pylist())
    texts = column.dictionary
    if pa.types.is_string(texts.type) or pa.types.is_binary(texts.type):
        LIST_CELL.check(compute.max(compute.binary_length(texts)).as_py() or 0, str(path))
    values = [*texts.to_pylist(), None]
    return [values[index] for index in compute.fill_null(column.indices, len(texts)).to_pylist()]


class _Collector:
    """Columns collected batch by batch."""

    def __init__(self, problems: Findings, path: Path) -> None:
        self._problems, self._path = problems, path
        self._columns: Columns = {name: [] for name in COLUMNS}
        self._rows: list[int] = []
        self._names: dict[str, None] = {}
        self._pool: dict[str, str] = {}

    def add(self, batch: RowBatch) -> None:
        self._names |= dict.fromkeys(batch.cells)
        self._rows.extend(batch.rows)
        LIST_ROWS.check(len(self._rows), str(self._path))
        LIST_COLUMNS.check(len(self._names), str(self._path))
        sources = column_sources(batch.cells)
        for name, values in self._columns.items():
            source = sources.get(name)
            if source is None:
                values.extend([None if name in NUMBERS else ""] * len(batch.rows))
            elif name in NUMBERS:
                values.extend(self._parse_numbers(batch, name, source))
            else:
                texts = [
                    cell.strip() if type(cell) is str else self._parse_text(cell, row, source.name)
                    for row, cell in zip(batch.rows, batch.cells[source.name], strict=True)
                ]
                values.extend(map(self._pool.setdefault, texts, texts) if name in REPEATED else texts)

    def finished(self) -> ListTable:
        columns = self._columns
        columns["name"] = [name or sku for name, sku in zip(columns["name"], columns["sku"], strict=True)]
        sources = column_sources(self._names)
        notes = _check_header(list(self._names), sources, self._problems)
        for name in ("package", "unit_package"):
            kinds = {str(text): package_kind(str(text)) or str(text) for text in set(columns[name])}
            columns[name] = [kinds[str(text)] for text in columns[name]]
            read = [f"{text!r:.40} as {kind}" for text, kind in sorted(kinds.items()) if text != kind]
            notes += [f"column {name}: read {_join_words(read)}"] if read else []
        columns["front"] = [front_side(str(text)) for text in columns["front"]]
        return ListTable(columns, self._rows, self._problems, notes, has_keys="sku" in sources)

    def _parse_numbers(self, batch: RowBatch, name: str, source: ColumnSource) -> Iterator[float | None]:
        """Iterate over the cells of a numeric column, converted to its own unit."""
        cells = batch.cells[source.name]
        units = batch.cells[source.unit_name] if source.unit_name else [None] * len(cells)
        for row, cell, unit in zip(batch.rows, cells, units, strict=True):
            number = self._parse_number(cell, row, source.name)
            if number is None:
                yield None
            elif source.unit_name:
                factor = units_of(name).get(str(unit).strip().lower())
                if factor is None:
                    expected = f"one of {', '.join(units_of(name))}"
                    self._problems.add([Problem(row, source.unit_name, f"{unit!r:.40}", expected)])
                yield None if factor is None else _convert_unit(number, factor)
            else:
                yield number if source.factor == 1 else _convert_unit(number, source.factor)

    def _parse_text(self, value: object, row: int, name: str) -> str:
        if value is None or (isinstance(value, float) and math.isnan(value)):  # pandas writes missing text as NaN
            return ""
        if isinstance(value, int) and not isinstance(value, bool):
            return str(value)
        self._problems.add([Problem(row, name, f"{value!r:.40} ({type(value).__name__})", "text in quotes")])
        return "?"

    def _parse_number(self, value: object, row: int, name: str) -> float | None:
        text = value.strip() if isinstance(value, str) else value
        if text is None or text == "" or text != text:
            return None
        try:
            if not isinstance(text, bool):
                return float(text)  # type: ignore[arg-type]
        except (TypeError, ValueError, OverflowError):
            pass
        hint = " (a decimal point, no unit)" if any(character.isdigit() for character in str(text)) else ""
        self._problems.add([Problem(row, name, f"{text!r:.40}", f"a number{hint} or nothing")])
        return None


def _convert_unit(number: float, factor: float) -> float:
    """Convert a number to another unit without binary rounding noise: 70 mm is 0.07 m."""
    return float(f"{number * factor:.12g}")


def _check_header(names: list[str], sources: dict[str, ColumnSource], problems: Findings) -> list[str]:
    """Add missing and misspelled columns to `problems`; return notes on renamed and unused columns."""
    if "sku" not in sources:
        problems.add([Problem(1, "sku", f"columns {', '.join(names)[:200] or 'none'}", "a column named sku")])
    renamed = {source.name[:40]: column for column, source in sources.items() if source.name != column}
    used = {source.name for source in sources.values()} | {source.unit_name for source in sources.values()}
    ignored = []
    for name in names:
        if name in used:
            continue
        close = difflib.get_close_matches(name[:40].lower(), COLUMNS, n=1, cutoff=0.75)
        if close and close[0] not in sources:
            problems.add([Problem(1, name[:40], f"unknown column {name[:40]!r}", f"did you mean {close[0]!r}?")])
        elif name:
            ignored.append(name[:40])
    notes = (
        [f"columns read: {_join_words([f'{name} as {column}' for name, column in renamed.items()])}"] if renamed else []
    )
    return [*notes, f"columns not used: {_join_words(ignored)}"] if ignored else notes


def _join_words(words: list[str]) -> str:
    """Join at most 20 words."""
    return ", ".join(words[:20]) + " …" * (len(words) > 20)
