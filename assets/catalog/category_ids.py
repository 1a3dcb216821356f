"""Stable category ids across catalogue changes: an append-only registry.

The registry is a CSV file (id, sku) beside the SKU list. It starts as the sorted order of the list, so a list without
a registry has the same ids. New SKUs get the next ids in sorted order; ids of delisted SKUs are never reused.
"""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from assets.catalog.csv_rows import bare_cell, csv_bytes
from assets.catalog.types import Catalog
from assets.errors import SynthError
from assets.files.atomic import write_atomic
from assets.limits import LIST_BYTES, read_file

HEADER = ["id", "sku"]
MAX_LISTED = 20


@dataclass(frozen=True)
class CategoryIds:
    """Category ids of SKUs: keys[i] has id i + 1. Holds every SKU that was ever listed, each once."""

    keys: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if len(self._ids) < len(self.keys):
            raise ValueError("a SKU has two ids")

    def __len__(self) -> int:
        return len(self.keys)

    @cached_property
    def _ids(self) -> dict[str, int]:
        return {key: number for number, key in enumerate(self.keys, start=1)}

    def __contains__(self, key: str) -> bool:
        return key in self._ids

    def of(self, key: str) -> int:
        """Return the id of a SKU. Raises KeyError if it was never in the catalogue."""
        return self._ids[key]

    def key_of(self, number: int) -> str:
        """Return the SKU of an id. Raises IndexError if the id was never assigned."""
        if not 0 < number <= len(self.keys):
            raise IndexError(number)
        return self.keys[number - 1]

    def extended(self, keys: Iterable[str]) -> CategoryIds:
        """Return these ids plus the next ones for the new SKUs in `keys`, in sorted order."""
        return CategoryIds(self.keys + tuple(sorted(set(keys) - self._ids.keys())))


def ids_path(sku_list: Path) -> Path:
    """Return the path of a list's registry: skus.ids.csv beside skus.csv."""
    return sku_list.with_name(f"{sku_list.stem}.ids.csv")


def ids_of(catalog: Catalog) -> CategoryIds:
    """Return the ids of a catalogue's SKUs from the registry beside its list, or from sorted order if there is none.

    SKUs missing from the registry get the ids that `save_ids` would assign. Raises SynthError for a damaged registry.
    """
    path = ids_path(catalog.source)
    known = read_ids(path) if path.exists() else CategoryIds()
    return known.extended(catalog.keys)


def ids_hash(catalog: Catalog, ids: CategoryIds) -> str:
    """Return the SHA-256 of the ids of the catalogue's SKUs, or "" if they are those of the sorted order."""
    numbers = [ids.of(key) for key in catalog.keys]
    if numbers == list(range(1, len(numbers) + 1)):
        return ""
    return hashlib.sha256(",".join(map(str, numbers)).encode()).hexdigest()


def in_order(catalog: Catalog, ids: CategoryIds) -> Iterator[tuple[int, int]]:
    """Iterate over (id, position in the catalogue) of all SKUs in ascending id."""
    return iter(sorted((ids.of(key), position) for position, key in enumerate(catalog.keys)))


def ids_csv(ids: CategoryIds) -> bytes:
    """Return the registry as the bytes of its file."""
    return csv_bytes([HEADER, *enumerate(ids.keys, start=1)])


def save_ids(path: Path, ids: CategoryIds) -> None:
    """Write the registry atomically.

    Raises SynthError if an existing entry would change, because two copies of a registry have diverged.
    """
    if path.exists():
        known = read_ids(path)
        if known.keys != ids.keys[: len(known)]:
            at = next(
                i
                for i, pair in enumerate(zip(known.keys, (*ids.keys, *known.keys), strict=False))
                if len(set(pair)) > 1
            )
            raise SynthError(
                "category ids would change",
                code="category-ids-conflict",
                where=str(path),
                found=f"id {at + 1} belongs to {known.keys[at]!r} there",
                expected="only new ids at the end",
                hint="use one registry for all versions of the catalogue",
            )
        if known.keys == ids.keys:
            return
    write_atomic(path, ids_csv(ids))


def read_ids(path: Path) -> CategoryIds:
    """Read a registry file. Raises SynthError if it is damaged."""
    return parse_ids(read_file(path, LIST_BYTES, "the registry of category ids"), str(path))


def parse_ids(content: bytes, where: str) -> CategoryIds:
    """Parse the bytes of a registry file. Raises SynthError if it is damaged."""
    try:
        read = csv.reader(io.StringIO(content.decode("utf-8-sig")), strict=True)
        rows = [[bare_cell(cell) for cell in row] for row in read]
    except (UnicodeDecodeError, csv.Error) as error:
        raise SynthError(
            "the registry of category ids cannot be read", code="category-ids-damaged", where=where, found=str(error)
        ) from error
    problems = list(_find_problems(rows))
    if problems:
        hint = "restore the file from a backup: data sets and trained models rely on its ids"
        raise SynthError(
            "the registry of category ids is damaged",
            code="category-ids-damaged",
            where=where,
            problems=problems[:MAX_LISTED],
            hint=hint,
        )
    return CategoryIds(tuple(row[1] for row in rows[1:]))


def _find_problems(rows: list[list[str]]) -> Iterator[str]:
    if not rows or rows[0] != HEADER:
        yield f"row 1: found {rows[0] if rows else 'nothing'}, expected id,sku"
        return
    first: dict[str, int] = {}
    for number, row in enumerate(rows[1:], start=1):
        if len(row) != 2 or row[0] != str(number) or not row[1]:
            yield f"row {number + 1}: found {','.join(row)[:60]!r}, expected {number},SKU"
        elif row[1] in first:
            yield f"row {number + 1}: {row[1]!r} again, it has id {first[row[1]]}"
        else:
            first[row[1]] = number
