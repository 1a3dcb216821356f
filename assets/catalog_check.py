"""Checking a SKU list: every bad cell of every row, in passes over whole columns."""

from __future__ import annotations

import os
from collections.abc import Iterator
from math import isfinite
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import TYPE_CHECKING

from assets.catalog import NUMBERS, Problem

if TYPE_CHECKING:
    from assets.catalog_file import Columns

PACKAGES = ("carton", "can", "bottle")
SIZES = ("width_m", "height_m", "depth_m")
CHOICES = {"package": ("", *PACKAGES), "up": ("", "y", "z"), "units": ("", "m", "cm", "mm", "in")}
# Larger than any product on a shelf: the number is meant in another unit.
MOST_METRES = 5.0
LONGEST_KEY = 200


def check_columns(columns: Columns, root: Path) -> list[Problem]:
    """Every problem in the rows of a list whose paths are relative to `root`, ordered by row."""
    if not columns["sku"]:
        return [Problem(0, "", "no rows", "at least one SKU")]
    problems = [*_check_keys(columns), *_check_choices(columns), *_check_numbers(columns), *_check_forms(columns)]
    for name in ("mesh", "packshot"):
        problems += _check_paths(name, columns[name], root)
    return sorted(problems, key=lambda problem: problem.row)


def _check_keys(columns: Columns) -> Iterator[Problem]:
    first: dict[str, int] = {}
    for row, key in enumerate(map(str, columns["sku"]), start=2):
        if not key:
            yield Problem(row, "sku", "nothing", "a unique key")
        elif len(key) > LONGEST_KEY or not key.isprintable():
            yield Problem(row, "sku", repr(key[:40]), f"at most {LONGEST_KEY} printable characters")
        elif key in first:
            yield Problem(row, "sku", f"{key!r} again, as in row {first[key]}", "a unique key")
        else:
            first[key] = row


def _check_choices(columns: Columns) -> Iterator[Problem]:
    for name, allowed in CHOICES.items():
        for row, value in enumerate(columns[name], start=2):
            if value not in allowed:
                yield Problem(row, name, repr(value), f"one of {', '.join(filter(None, allowed))} or nothing")


def _check_numbers(columns: Columns) -> Iterator[Problem]:
    for name in NUMBERS:
        for row, value in enumerate(columns[name], start=2):
            if not isinstance(value, float):
                continue
            if not isfinite(value) or value <= 0:
                yield Problem(row, name, f"{value:g}", "a number over 0")
            elif name in SIZES and value > MOST_METRES:
                unit = "millimetres" if value >= 50 else "centimetres"
                yield Problem(row, name, f"{value:g}", f"metres, at most {MOST_METRES:g} (are these {unit}?)")


def _check_forms(columns: Columns) -> Iterator[Problem]:
    """A product has a mesh, or a package with all three sizes."""
    sizes = zip(*(columns[name] for name in SIZES), strict=True)
    rows = zip(columns["mesh"], columns["package"], sizes, strict=True)
    for row, (mesh, package, size) in enumerate(rows, start=2):
        if not mesh and not package:
            yield Problem(row, "mesh", "neither mesh nor package", f"a mesh file, or a package ({', '.join(PACKAGES)})")
        elif package and not mesh:
            for name, value in zip(SIZES, size, strict=True):
                if value is None:
                    yield Problem(row, name, "nothing", f"metres: a {package} is made from its sizes")


def _check_paths(name: str, values: list[str | float | None], root: Path) -> Iterator[Problem]:
    """Paths stay in the list's folder and are there; folders are listed once instead of asking file by file."""
    known: dict[str, set[str]] = {}
    for row, value in enumerate(map(str, values), start=2):
        if not value:
            continue
        path = PurePosixPath(value)
        if path.is_absolute() or PureWindowsPath(value).drive or ".." in path.parts or "\0" in value:
            yield Problem(row, name, repr(value[:80]), "a path inside the list's folder, relative to it")
            continue
        folder = str(path.parent)
        if folder not in known:
            known[folder] = _files_in(root / folder)
        if path.name not in known[folder]:
            yield Problem(row, name, f"no file {value!r}", f"a file under {root}")


def _files_in(folder: Path) -> set[str]:
    try:
        with os.scandir(folder) as entries:
            return {entry.name for entry in entries if entry.is_file()}
    except OSError:
        return set()
