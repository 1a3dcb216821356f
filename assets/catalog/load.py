"""Loading of a catalogue from SKU lists, validated as a whole and sorted by SKU."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from assets.catalog.problems import Findings, Problem, list_error
from assets.catalog.sku_lists import Roots, SkuLists, SkuSource, as_lists
from assets.catalog.types import COLUMNS, Catalog
from assets.errors import SynthError

if TYPE_CHECKING:
    from assets.catalog.list_table import ListTable


def load_catalog(source: SkuSource | str) -> Catalog:
    """Load the catalogue from one or more CSV, TSV, JSON Lines or Parquet files.

    Raises one SynthError that lists every bad row: row, column, found, expected.
    """
    lists = as_lists(source)
    tables, problems = _read_all(lists)
    if problems:
        raise list_error(lists, problems)
    if len(tables) == 1:
        (table,) = tables
        return Catalog(table.columns, lists.paths[0], rows=table.rows, notes=table.notes, mesh_roots=lists.mesh_roots)
    columns = {name: [cell for table in tables for cell in table.columns[name]] for name in COLUMNS}
    notes = [f"{path}: {note}" for path, table in zip(lists.paths, tables, strict=True) for note in table.notes]
    return Catalog(
        columns,
        lists.paths[0],
        rows=[row for table in tables for row in table.rows],
        notes=notes,
        sources=lists.paths,
        origins=[number for number, table in enumerate(tables) for _ in table.rows],
        mesh_roots=lists.mesh_roots,
    )


def check_catalog(source: SkuSource | str) -> list[Problem]:
    """Find all problems of one or more lists. Raises SynthError if one cannot be read at all."""
    return _read_all(as_lists(source))[1]


def _read_all(lists: SkuLists) -> tuple[list[ListTable], list[Problem]]:
    """Read the lists as tables, and find the problems of each and of their combination."""
    from assets.catalog.check import check_keys_of_lists

    same = [path for path in lists.paths if [other.resolve() for other in lists.paths].count(path.resolve()) > 1]
    if same:
        raise SynthError(
            "a SKU list was given twice", code="input-duplicate", where=str(same[0]), hint="give each list once"
        )
    tables = [_read_checked(path, lists.mesh_roots) for path in lists.paths]
    if len(tables) == 1:
        return tables, list(tables[0].problems)
    problems = Findings()
    for path, table in zip(lists.paths, tables, strict=True):
        problems.add(replace(problem, file=str(path)) for problem in table.problems)
    problems.add(check_keys_of_lists([(path, table) for path, table in zip(lists.paths, tables, strict=True)]))
    return tables, list(problems)


def _read_checked(source: Path, mesh_roots: Sequence[Path]) -> ListTable:
    from assets.catalog.check import check_columns
    from assets.catalog.read import read_list

    table = read_list(source)
    if table.has_keys:
        table.problems.add(check_columns(table.columns, table.rows, Roots(source.parent, tuple(mesh_roots))))
    return replace(table, problems=Findings(sorted(table.problems, key=lambda problem: problem.row)))
