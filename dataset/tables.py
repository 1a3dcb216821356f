"""Tables of many rows as files: CSV or Parquet."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias

from numpy.typing import NDArray

from assets.catalog.csv_rows import csv_bytes
from assets.files.atomic import atomic_file, write_atomic

# Rows of a Parquet file that are written together.
ROWS_AT_ONCE = 10_000
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
    write_atomic(path, csv_bytes([columns, *map(_known, zip(*columns.values(), strict=True))]))


@contextmanager
def stream_table(path: Path, columns: Sequence[str]) -> Iterator[Callable[[Sequence[object]], None]]:
    """Give a function that adds a row to a table of any length, atomically; cells of Parquet are texts."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_file(path) as file:
        if path.suffix.lower() != ".parquet":

            def write(row: Iterable[object]) -> None:
                file.write(csv_bytes([_known(row)]))

            write(columns)
            yield write
            return
        import pyarrow
        import pyarrow.parquet

        schema = pyarrow.schema([(name, pyarrow.string()) for name in columns])
        waiting: list[Sequence[object]] = []
        with pyarrow.parquet.ParquetWriter(file, schema) as table:

            def flush() -> None:
                cells = [[str(row[place]) for row in waiting] for place in range(len(columns))]
                table.write_table(pyarrow.table(cells, schema=schema))
                waiting.clear()

            def add(row: Sequence[object]) -> None:
                waiting.append(row)
                if len(waiting) >= ROWS_AT_ONCE:
                    flush()

            yield add
            flush()


def _known(row: Iterable[object]) -> Iterator[object]:
    """Iterate over a row's values, "" for those that are not known (nan)."""
    return ("" if value != value else value for value in row)
