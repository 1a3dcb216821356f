"""Reading a SKU list: CSV, TSV, JSON Lines or Parquet into columns, whatever their order."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import TYPE_CHECKING

from assets.catalog import COLUMNS, NUMBERS, Problem
from assets.errors import SynthError

if TYPE_CHECKING:
    import pyarrow as pa

Columns = dict[str, list[str | float | None]]
FORMATS = {".csv": ",", ".tsv": "\t", ".jsonl": "", ".ndjson": "", ".parquet": ""}
# A list of 170,000 rows has some 30 MB; a hundred times that is another file by mistake.
MOST_BYTES = 4 << 30


def read_columns(path: Path) -> tuple[Columns, list[Problem]]:
    """All known columns of a list as plain Python values, and what is wrong with its header and its numbers.

    Raises SynthError where the file is not there, not readable or not of the format that its name says.
    """
    suffix = path.suffix.lower()
    if suffix not in FORMATS:
        expected = f"a file ending in {', '.join(FORMATS)}"
        raise SynthError(
            "unknown format of the SKU list", where=str(path), found=suffix or "no ending", expected=expected
        )
    try:
        if path.stat().st_size > MOST_BYTES:
            raise SynthError("the SKU list is too large", where=str(path), expected=f"at most {MOST_BYTES >> 30} GiB")
        table = _read_table(path, suffix)
    except (OSError, UnicodeDecodeError, ValueError) as error:
        raise _unreadable(path, error) from error
    return _columns_of(table)


def _read_table(path: Path, suffix: str) -> pa.Table:
    if suffix == ".parquet":
        import pyarrow.parquet as parquet

        return parquet.read_table(path)
    if suffix in (".jsonl", ".ndjson"):
        import pyarrow.json as json_lines

        return json_lines.read_json(path)
    return _read_delimited(path, FORMATS[suffix])


def _read_delimited(path: Path, delimiter: str) -> pa.Table:
    """All cells as text (an SKU such as 00123 keeps its zeros); quoted line breaks are allowed."""
    import pyarrow as pa
    import pyarrow.csv as csv

    with path.open(encoding="utf-8-sig", newline="") as file:
        import csv as plain

        header = next(plain.reader(file, delimiter=delimiter), [])
    names = _unique(header)
    return csv.read_csv(
        path,
        read_options=csv.ReadOptions(column_names=names, skip_rows=1, encoding="utf8"),
        parse_options=csv.ParseOptions(delimiter=delimiter, newlines_in_values=True),
        convert_options=csv.ConvertOptions(
            column_types={name: pa.string() for name in names},
            strings_can_be_null=False,
            quoted_strings_can_be_null=False,
        ),
    )


def _unique(header: list[str]) -> list[str]:
    """Names of the columns; a second "mesh" becomes "mesh#2", which is reported as an unknown column."""
    seen: dict[str, int] = {}
    names = []
    for name in (cell.strip() for cell in header):
        seen[name] = seen.get(name, 0) + 1
        names.append(name if seen[name] == 1 else f"{name}#{seen[name]}")
    return names


def _unreadable(path: Path, error: Exception) -> SynthError:
    if isinstance(error, FileNotFoundError):
        return SynthError(
            "the SKU list is not there", where=str(path), hint="check the path; it is relative to where you are"
        )
    found = " ".join(str(error).split())[:300]
    hint = "save the file anew: text as UTF-8, the same number of cells in every row"
    return SynthError("the SKU list cannot be read", where=str(path), found=found, hint=hint)


def _columns_of(table: pa.Table) -> tuple[Columns, list[Problem]]:
    problems = _header_problems(table.column_names)
    columns: Columns = {}
    for name in COLUMNS:
        if name not in table.column_names:
            columns[name] = [None if name in NUMBERS else ""] * table.num_rows
        elif name in NUMBERS:
            columns[name], wrong = _numbers(name, table.column(name))
            problems += wrong
        else:
            columns[name] = _texts(table.column(name))
    columns["name"] = [name or sku for name, sku in zip(columns["name"], columns["sku"], strict=True)]
    return columns, problems


def _header_problems(names: list[str]) -> list[Problem]:
    """Missing and doubled columns, and unknown ones that look like a typing error; other extra columns are fine."""
    problems = []
    if "sku" not in names:
        problems.append(Problem(1, "sku", f"columns {', '.join(names) or 'none'}", "a column named sku"))
    for name in names:
        base = name.split("#")[0]
        if base in COLUMNS and name != base:
            problems.append(Problem(1, base, "the column twice", "each column once"))
        close = difflib.get_close_matches(name.lower(), COLUMNS, n=1, cutoff=0.75)
        if name not in COLUMNS and base not in COLUMNS and close and close[0] not in names:
            problems.append(Problem(1, name, f"unknown column {name!r}", f"{close[0]!r}, if that is meant"))
    return problems


def _texts(column: pa.ChunkedArray) -> list[str | float | None]:
    import pyarrow as pa

    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    return ["" if value is None else str(value).strip() for value in column.to_pylist()]


def _numbers(name: str, column: pa.ChunkedArray) -> tuple[list[str | float | None], list[Problem]]:
    values: list[str | float | None] = []
    problems = []
    for row, cell in enumerate(column.to_pylist(), start=2):
        text = "" if cell is None else str(cell).strip()
        try:
            values.append(float(text) if text else None)
        except ValueError:
            values.append(None)
            hint = " (a decimal point, no unit)" if any(sign.isdigit() for sign in text) else ""
            problems.append(Problem(row, name, repr(text[:40]), f"a number{hint} or nothing"))
    return values, problems
