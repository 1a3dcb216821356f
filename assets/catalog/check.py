"""Validation of a SKU list: finds every bad cell of every row, in passes over whole columns."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING

from assets.catalog.column_names import FRONTS
from assets.catalog.package_kinds import AUTO, KINDS, closest_kind
from assets.catalog.problems import Problem
from assets.catalog.sku_lists import LEAVES, Roots, resolve_cell
from assets.catalog.types import IMAGES, NUMBERS
from assets.errors import UNPRINTABLE
from assets.limits import LIST_KEY, LIST_TEXT

if TYPE_CHECKING:
    from assets.catalog.list_table import Columns, ListTable

SIZES = ("width_m", "height_m", "depth_m")
TEXTS = ("name", "category", "licence", "brand", "colors", "barcode")
CHOICES = {
    "package": ("", AUTO, *KINDS),
    "unit_package": ("", AUTO, *(kind for kind in KINDS if kind != "multipack")),
    "up": ("", "y", "z"),
    "units": ("", "m", "cm", "mm", "in"),
    "front": ("", *FRONTS),
}
# Larger or smaller than any product on a shelf: the number must be in another unit.
MIN_METRES, MAX_METRES = 0.0005, 5.0
# Heavier than anything a customer carries home: the number must be in grams.
MAX_KG = 200.0
# More units than any retail multipack holds; more would be a pallet.
MAX_UNITS = 144
Rows = Sequence[int]


def check_columns(columns: Columns, rows: Rows, roots: Roots) -> Iterator[Problem]:
    """Find problems in the cells of a list. rows: the number of each row. roots: the folders its files may be in."""
    if not columns["sku"]:
        yield Problem(0, "", "no rows", "at least one SKU")
        return
    checks = (_check_keys, _check_texts, _check_choices, _check_numbers, _check_shapes, _check_colors, _check_rests)
    for check in checks:
        yield from check(columns, rows)
    for name in ("mesh", *IMAGES):
        yield from _check_paths(name, columns[name], rows, roots)


def _check_keys(columns: Columns, rows: Rows) -> Iterator[Problem]:
    first: dict[str, int] = {}
    decomposed: dict[str, int] = {}  # keys with accents look the same in composed and decomposed form
    for row, key in zip(rows, map(str, columns["sku"]), strict=True):
        plain = key if key.isascii() else unicodedata.normalize("NFC", key[: LIST_KEY.maximum + 1])
        if not key:
            yield Problem(row, "sku", "nothing", "a unique key")
        elif len(key) > LIST_KEY.maximum or not key.isprintable():
            yield Problem(row, "sku", repr(key[:40]), f"at most {LIST_KEY.maximum} printable characters")
        elif key in first:
            yield Problem(row, "sku", f"{key!r} again, as in row {first[key]}", "a unique key")
        elif first.get(plain, decomposed.get(plain)) is not None:
            other = first.get(plain, decomposed.get(plain))
            yield Problem(row, "sku", f"{key!a}, which looks the same as the key of row {other}", "a key of its own")
        else:
            first[key] = row
            if plain != key:
                decomposed[plain] = row


def _check_texts(columns: Columns, rows: Rows) -> Iterator[Problem]:
    """Check that texts have a reasonable length and no control characters."""
    for name in TEXTS:
        good: set[str] = set()
        for row, value in zip(rows, map(str, columns[name]), strict=True):
            if value in good:
                continue
            if len(value) > LIST_TEXT.maximum:
                yield Problem(row, name, f"{len(value)} characters, {value[:40]!r} …", f"at most {LIST_TEXT.maximum}")
            elif not value.isprintable() and UNPRINTABLE.search(value.replace("\r\n", "\n")):
                yield Problem(row, name, f"{value!a:.60}", "text without control characters")
            elif name != "name":  # names hardly repeat
                good.add(value)


def _check_choices(columns: Columns, rows: Rows) -> Iterator[Problem]:
    for name, allowed in CHOICES.items():
        for row, value in zip(rows, columns[name], strict=True):
            if value not in allowed:
                close = closest_kind(str(value)) if "package" in name else None
                hint = f" (did you mean {close!r}?)" if close in allowed else ""
                expected = f"one of {', '.join(filter(None, allowed))} or nothing{hint}"
                yield Problem(row, name, f"{value!r:.40}", expected)


def _check_numbers(columns: Columns, rows: Rows) -> Iterator[Problem]:
    for name in NUMBERS:
        for row, value in zip(rows, columns[name], strict=True):
            if not isinstance(value, float):
                continue
            if not isfinite(value) or value <= 0:
                yield Problem(row, name, f"{value:g}", "a number over 0")
            elif name == "pack_count" and (value != int(value) or value > MAX_UNITS):
                yield Problem(row, name, f"{value:g}", f"a whole number of units, at most {MAX_UNITS}")
            elif name == "mass_kg" and value > MAX_KG:
                yield Problem(row, name, f"{value:g}", f"kilograms, at most {MAX_KG:g} (are these grams?)")
            elif name in SIZES and value > MAX_METRES:
                unit = "millimetres" if value >= 50 else "centimetres"
                yield Problem(row, name, f"{value:g}", f"metres, at most {MAX_METRES:g} (are these {unit}?)")
            elif name in SIZES and value < MIN_METRES:
                yield Problem(row, name, f"{value:g}", f"metres, at least {MIN_METRES:g}")


def _check_shapes(columns: Columns, rows: Rows) -> Iterator[Problem]:
    """Check that each product has a mesh, or a package with all three sizes."""
    sizes = zip(*(columns[name] for name in SIZES), strict=True)
    shapes = zip(rows, columns["mesh"], columns["package"], columns["front"], sizes, strict=True)
    for row, mesh, package, front, size in shapes:
        if not mesh and not package:
            yield Problem(
                row, "mesh", "neither mesh nor package", f"a mesh file, or a package ({', '.join((*KINDS, AUTO))})"
            )
        elif mesh and package:
            yield Problem(row, "package", f"{package!r:.40} beside a mesh", "a mesh or a package, not both")
        elif package:
            if front in FRONTS and front != "-y":
                yield Problem(row, "front", f"{front!r:.40} beside a package", "nothing: packages have it at -y")
            for name, value in zip(SIZES, size, strict=True):
                if value is None:
                    yield Problem(row, name, "nothing", "metres: a package is made from its sizes")


def _check_colors(columns: Columns, rows: Rows) -> Iterator[Problem]:
    known: dict[str, bool] = {"": True}
    for row, value in zip(rows, map(str, columns["colors"]), strict=True):
        if value not in known:
            known[value] = all(map(_is_color, value.replace(",", " ").split()))
        if not known[value]:
            yield Problem(row, "colors", f"{value!r:.40}", "hex colours separated by spaces, such as #d81e2c #ffffff")


def _check_rests(columns: Columns, rows: Rows) -> Iterator[Problem]:
    from assets.catalog.resting import SAMPLE, parse_rests

    known: dict[str, str] = {"": ""}
    for row, value in zip(rows, map(str, columns["rests"]), strict=True):
        if value not in known:
            try:
                parse_rests(value)
                known[value] = ""
            except ValueError as error:
                known[value] = str(error)
        if known[value]:
            yield Problem(row, "rests", f"{value!r:.40}: {known[value]}", f"weights {SAMPLE}")


def _is_color(text: str) -> bool:
    from PIL import ImageColor

    try:
        return bool(ImageColor.getrgb(text))
    except ValueError:
        return False


def check_keys_of_lists(tables: Sequence[tuple[Path, ListTable]]) -> Iterator[Problem]:
    """Find keys that an earlier list has already, or that look the same as one of its keys."""
    first: dict[str, tuple[str, Path, int]] = {}
    for path, table in tables:
        own: dict[str, tuple[str, Path, int]] = {}
        for row, key in zip(table.rows, map(str, table.columns["sku"]), strict=True):
            plain = key if key.isascii() else unicodedata.normalize("NFC", key[: LIST_KEY.maximum + 1])
            if key and plain in first:
                other, where, number = first[plain]
                again = f"{key!r} again, as" if other == key else f"{key!a}, which looks the same as the key"
                found = f"{again} in row {number} of {where}"
                yield Problem(row, "sku", found, "a key that no other list has", str(path))
            elif plain not in own:
                own[plain] = key, path, row
        first |= own


def _check_paths(name: str, values: list[str | float | None], rows: Rows, roots: Roots) -> Iterator[Problem]:
    """Check that paths stay in the list's folders and exist; listing folders is faster than checking each file."""
    root = roots.folder
    known: dict[str, frozenset[str]] = {}
    spelled: dict[str, dict[str, str]] = {}  # folder -> lower-case name -> name, for folders with missing files
    outside: list[tuple[int, str]] = []
    for row, value in zip(rows, map(str, values), strict=True):
        if not value:
            continue
        if LEAVES.search(value):
            if not (roots.others and roots.find(value)):
                outside.append((row, value))
            continue
        folder, _, file = value.rpartition("/")  # pathlib would dominate the time for a long list
        if folder not in known:
            known[folder] = _list_files(root / folder)
        if file not in known[folder] and not (roots.others and roots.find(value)):
            if folder not in spelled:
                spelled[folder] = {other.lower(): other for other in sorted(known[folder], reverse=True)}
            yield Problem(row, name, f"no file {value[:200]!r}", _expected_file(value, spelled[folder], root))
    expected = _expected_inside([value for _, value in outside], roots)
    yield from (Problem(row, name, repr(value[:80]), expected) for row, value in outside)


def _expected_inside(values: Sequence[str], roots: Roots) -> str:
    """Describe the expected form of paths that leave the list's folder, suggesting a --mesh-root that allows them."""
    allowed = " or of --mesh-root" if roots.others else ""
    expected = f"a path inside the list's folder{allowed}, relative to it"
    folders = {resolve_cell(roots.folder, value).parent for value in values if "\0" not in value and "\\" not in value}
    existing = sorted(folder for folder in folders if folder.is_dir())
    if not existing:
        return expected
    common = Path(os.path.commonpath(existing))
    root = common if common != Path(common.anchor) else existing[0]
    return f"{expected}; for files elsewhere add --mesh-root {root}"


def _expected_file(value: str, spelled: Mapping[str, str], root: Path) -> str:
    if "\\" in value:
        return f"a file under {root}, with / between folders"
    alike = spelled.get(value.rpartition("/")[2].lower())
    return f"{alike!r}, as the file is spelt" if alike else f"a file under {root}"


def _list_files(folder: Path) -> frozenset[str]:
    try:
        with os.scandir(folder) as entries:
            return frozenset(entry.name for entry in entries if entry.is_file())
    except (OSError, ValueError):
        return frozenset()
