"""Rows of a list as they are read."""

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
    problems: Findings
    notes: list[str] = field(default_factory=list)
    has_keys: bool = True


def unreadable(path: Path, error: Exception, hint: str) -> SynthError:
    """The error for a list that its format's parser gives up on."""
    found = " ".join(str(error).split())[:300]
    return SynthError("the SKU list cannot be read", code="list-unreadable", where=str(path), found=found, hint=hint)
