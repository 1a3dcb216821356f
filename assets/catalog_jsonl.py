"""Reading JSON Lines lists: one object a line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from assets.catalog import Problem
from assets.catalog_csv import check_text
from assets.catalog_file import Batch, unreadable

BATCH = 1 << 14


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    item = dict(pairs)
    if len(item) < len(pairs):
        raise ValueError("a name twice")
    return item


DECODER = json.JSONDecoder(object_pairs_hook=_once)


def jsonl_batches(path: Path, problems: list[Problem]) -> Iterator[Batch]:
    """The objects of a JSON Lines list, rows numbered by line; lines that are no object are told in `problems`."""
    check_text(path)
    first = 1
    try:
        with path.open("rb") as file:
            while chunk := list(islice(file, BATCH)):
                yield _batch(chunk, first, problems)
                first += len(chunk)
    except OSError as error:
        raise unreadable(path, error, "check that the file may be read") from error


def _batch(lines: list[bytes], first: int, problems: list[Problem]) -> Batch:
    rows: list[int] = []
    objects: list[dict[str, Any]] = []
    for row, line in enumerate(lines, start=first):
        if not line.strip():
            continue
        try:
            objects.append(_object(line.removeprefix(b"\xef\xbb\xbf") if row == 1 else line))
            rows.append(row)
        except (ValueError, RecursionError) as error:
            found = f"{line[:40].decode('utf-8', errors='replace').strip()!r} ({' '.join(str(error).split())[:80]})"
            problems.append(Problem(row, "", found, "a JSON object in UTF-8, each name once"))
    names = dict.fromkeys(name for item in objects for name in item)
    return Batch(rows, {name: [item.get(name) for item in objects] for name in names})


def _object(line: bytes) -> dict[str, Any]:
    value = DECODER.decode(line.decode("utf-8"))
    if not isinstance(value, dict):
        raise ValueError("no object")
    if b"\\ud" in line.lower():
        json.dumps(value, ensure_ascii=False).encode()  # half a surrogate pair is no text: raises ValueError
    return value
