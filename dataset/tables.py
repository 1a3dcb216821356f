"""Tables of many rows as files: CSV or Parquet."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from numpy.typing import NDArray

from assets.catalog.csv_rows import formula_safe
from assets.files.atomic import write_atomic

Column: TypeAlias = Sequence[object] | NDArray[Any]


def write_table(path: Path, columns: Mapping[str, Column]) -> None:
    """Write columns as CSV (unknown values are empty, no cell is a formula) or Parquet, by the suffix of the path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix.lower() == ".parquet":
        import pyarrow
        import pyarrow.parquet

        buffer = io.BytesIO()
        pyarrow.parquet.write_table(pyarrow.table(dict(columns)), buffer)
        write_atomic(path, buffer.getvalue())
        return
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(_rows(columns))
    write_atomic(path, text.getvalue().encode())


def _rows(columns: Mapping[str, Column]) -> Iterator[list[object]]:
    for row in zip(*columns.values(), strict=True):
        yield [formula_safe(value) if isinstance(value, str) else "" if value != value else value for value in row]
