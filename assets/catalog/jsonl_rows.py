"""Reading of JSON Lines lists: one object per line."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any

from assets.catalog.column_names import is_read
from assets.catalog.csv_rows import check_text
from assets.catalog.list_table import RowBatch, unreadable
from assets.catalog.problems import Findings, Problem
from assets.limits import LIST_LINE

BATCH = 1 << 14
BATCH_BYTES = 1 << 24


def _reject_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    item = dict(pairs)
    if len(item) < len(pairs):
        raise ValueError("a name twice")
    return item


DECODER = json.JSONDecoder(object_pairs_hook=_reject_duplicates)


def jsonl_batches(path: Path, problems: Findings) -> Iterator[RowBatch]:
    """Iterate over the objects of a JSON Lines list, numbered by line; lines without an object go to `problems`."""
    check_text(path)
    first = 1
    try:
        with path.open("rb") as file:
            while chunk := _read_lines(file, str(path)):
                yield _make_batch(chunk, first, problems)
                first += len(chunk)
    except OSError as error:
        raise unreadable(path, error, "check that the file may be read") from error


def _read_lines(file: IO[bytes], where: str) -> list[bytes]:
    """Read the next lines, up to BATCH or about BATCH_BYTES. Raises SynthError if one is too long."""
    lines: list[bytes] = []
    size = 0
    while len(lines) < BATCH and size < BATCH_BYTES and (line := file.readline(LIST_LINE.maximum + 1)):
        LIST_LINE.check(len(line), where)
        lines.append(line)
        size += len(line)
    return lines


def _make_batch(lines: list[bytes], first: int, problems: Findings) -> RowBatch:
    rows: list[int] = []
    objects: list[dict[str, Any]] = []
    for row, line in enumerate(lines, start=first):
        if not line.strip():
            continue
        try:
            objects.append(_parse_object(line.removeprefix(b"\xef\xbb\xbf") if row == 1 else line))
            rows.append(row)
        except (ValueError, RecursionError) as error:
            found = f"{line[:40].decode('utf-8', errors='replace').strip()!r} ({' '.join(str(error).split())[:80]})"
            problems.add([Problem(row, "", found, "a JSON object in UTF-8, each name once")])
    names = dict.fromkeys(name for item in objects for name in item)
    # Each line may have different unused names: the names are reported, their cells are not kept.
    cells: dict[str, Sequence[Any]] = {
        name: [item.get(name) for item in objects] if is_read(name) else [] for name in names
    }
    return RowBatch(rows, cells)


def _parse_object(line: bytes) -> dict[str, Any]:
    value = DECODER.decode(line.decode("utf-8"))
    if not isinstance(value, dict):
        raise ValueError("no object")
    if b"\\ud" in line.lower():
        json.dumps(value, ensure_ascii=False).encode()  # raises ValueError for a lone surrogate
    return value
