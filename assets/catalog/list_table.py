"""Rows and columns of a list as they are read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from assets.catalog.problems import Findings
from assets.errors import SynthError

Columns = dict[str, list[str | float | None]]


@dataclass(frozen=True)
class RowBatch:
    """Batch of rows as read: cells by column name, as text or as the file's own values. rows: their numbers."""

    rows: Sequence[int]
    cells: dict[str, Sequence[Any]]


@dataclass(frozen=True)
class ListTable:
    """SKU list as columns of plain values. rows: the number of each row as in a spreadsheet (JSON Lines: its line).

    problems: those of the header and of single cells; combinations of cells are checked elsewhere. notes: harmless
    remarks. has_keys: whether there is a column of keys, without which rows cannot be identified.
    """

    columns: Columns
    rows: list[int]
    problems: Findings
    notes: list[str] = field(default_factory=list)
    has_keys: bool = True


def unreadable(path: Path, error: Exception, hint: str) -> SynthError:
    """Return the error for a list that cannot be parsed."""
    found = " ".join(str(error).split())[:300]
    return SynthError("the SKU list cannot be read", code="list-unreadable", where=str(path), found=found, hint=hint)
