"""Checks, contact sheets and exports of a catalogue: `synth catalog check|show|export`."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from urllib.parse import quote

import numpy as np
from rich.console import Console
from rich.progress import track
from rich.table import Table

from assets.catalog.csv_rows import csv_bytes
from assets.catalog.load import check_catalog, load_catalog
from assets.catalog.problems import Problem, problem_groups
from assets.catalog.sku_lists import SkuSource
from assets.catalog.types import IMAGES, Catalog, Sku
from assets.console import PlainConsole
from assets.errors import SynthError, printable
from assets.files.atomic import write_atomic
from assets.plurals import count_of, join_few
from pipeline.products.build import note_lines
from pipeline.workers.mesh_process import MeshProcess

MAX_ROWS = 200
# Shared names to list.
MAX_NAMES = 5
MAX_STEM = 180
# Columns about how a product is made or its file read, which do not apply to an exported mesh.
SOURCE_COLUMNS = ("package", "unit_package", "pack_count", "up", "units", *IMAGES)
# Device names on Windows, with any extension.
RESERVED = {"CON", "PRN", "AUX", "NUL", *(f"{name}{number}" for name in ("COM", "LPT") for number in range(10))}


def check_list(path: SkuSource, *, meshes: bool = True, console: Console | None = None) -> int:
    """Print every problem of a list and, if wanted, of its meshes; return 0 if it is valid, else 1. Notes are no
    problems."""
    console = console or PlainConsole()
    problems = check_catalog(path)
    if problems:
        _print_problems(console, path, problems)
        return 1
    catalog = load_catalog(path)
    notes, errors = _check_meshes(catalog, console) if meshes else ([], [])
    list_notes = [*catalog.notes, *equal_names(catalog)]
    for note in (*list_notes, *note_lines(notes)):
        console.print(f"note: {note}", style="yellow", highlight=False, markup=False)
    for error in errors:
        console.print(error, style="red", highlight=False, markup=False)
    made = sum(1 for sku in catalog if not sku.mesh)
    what = f"{count_of(len(catalog), 'SKU')}, {len(catalog) - made} with meshes, {made} made from sizes"
    verdict = f"cannot use {len(errors)} of the meshes" if errors else "good"
    console.print(
        f"{path}: {verdict}: {what}, {count_of(len(list_notes) + len(notes), 'note')}",
        style="red" if errors else "green",
        highlight=False,
        markup=False,
    )
    return 1 if errors else 0


def equal_names(catalog: Catalog) -> list[str]:
    """Return a note if SKUs share a name: label files need unique names."""
    skus: dict[str, list[str]] = {}
    for sku in catalog:
        skus.setdefault(sku.name, []).append(sku.sku)
    shared = {name: keys for name, keys in skus.items() if len(keys) > 1}
    if not shared:
        return []
    examples = [
        printable(f"{name!r} ({', '.join(keys[:3])}{', ...' * (len(keys) > 3)})") for name, keys in shared.items()
    ]
    count = sum(map(len, shared.values()))
    return [
        f"{count} SKUs share a name with another: {join_few(examples, MAX_NAMES, separator='; ')}; categories "
        f"of COCO files get the SKU appended to tell them apart, the name itself is in display_name"
    ]


def _print_problems(console: Console, path: SkuSource, problems: list[Problem]) -> None:
    several = any(problem.file for problem in problems)
    title = f"{path}: {count_of(len(problems), 'problem')}"
    table = Table(*(["list"] if several else []), "row", "column", "found", "expected", title=title)
    groups = problem_groups(problems)
    for rows, problem in groups[:MAX_ROWS]:
        cells = (rows.removeprefix("row ").replace("file", "0"), problem.column, problem.found, problem.expected)
        table.add_row(*([problem.file, *cells] if several else cells))
    console.print(table)
    if len(groups) > MAX_ROWS:
        console.print(f"and {len(groups) - MAX_ROWS} more")


def _check_meshes(catalog: Catalog, console: Console) -> tuple[list[tuple[str, str]], list[str]]:
    """Load all products; return notes with their SKUs, and errors of unusable ones."""
    from assets.packages.facts import package_doubts
    from assets.packages.packshots.art import read_art

    notes: list[tuple[str, str]] = []
    errors = []
    with MeshProcess() as load:
        for sku in track(catalog, "loading meshes", total=len(catalog), console=console, transient=True):
            try:
                root = catalog.root_of(sku.sku)
                found = load(sku, root).notes if sku.mesh else package_doubts(sku, read_art(sku, root))
                notes += [(sku.sku, note) for note in found]
            except SynthError as error:
                errors.append(f"{sku.sku}: {error}")
    return notes, errors


def export_list(path: SkuSource, folder: Path, *, console: Console | None = None) -> Path:
    """Write every product's normalised mesh as GLB into `folder`, and a skus.csv that lists them; return its path.

    SKU keys become file names, with forbidden characters percent-encoded.
    """
    from assets.backdrops.collection import Backdrops
    from assets.library import Library
    from assets.machine import cache_folder
    from assets.mesh.export_glb import glb_of

    console = console or PlainConsole()
    catalog = load_catalog(path)
    (folder / "meshes").mkdir(parents=True, exist_ok=True)
    rows: list[dict[str, object]] = []
    used: set[str] = set()
    with MeshProcess() as load:
        library = Library(catalog, Backdrops.open(), cache_dir=cache_folder(), memory_mb=64, load=load)
        for sku in track(catalog, "exporting", total=len(catalog), console=console, transient=True):
            mesh = library.product(sku.sku)
            name = f"meshes/{_file_stem(sku.sku, used)}.glb"
            write_atomic(folder / name, glb_of(mesh))
            width, depth, height = (round(float(side), 6) for side in mesh.size)
            own = {"mesh": name, "width_m": width, "depth_m": depth, "height_m": height, **_orientation_columns(sku)}
            rows.append({**_row_values(sku), **own, **dict.fromkeys(SOURCE_COLUMNS, "")})
    write_atomic(folder / "skus.csv", list_csv(rows))
    console.print(
        f"{count_of(len(rows), 'mesh')} in {folder}; the list is {folder / 'skus.csv'}", highlight=False, markup=False
    )
    return folder / "skus.csv"


def _orientation_columns(sku: Sku) -> dict[str, object]:
    """Return the front of an exported mesh, if known, and its resting poses, which no package kind implies any more."""
    from assets.catalog.resting import rests_of

    weights = rests_of(sku, defaults=True)
    return {"front": "-y" if sku.front or not sku.mesh else "", "rests": str(weights or "")}


def _file_stem(key: str, used: set[str]) -> str:
    """Return a SKU key as a file name valid on any system: percent-encoded, also its first character if special.

    Ends with a hash if it would be too long or equal another name in `used` (ignoring case); it is added to `used`.
    """
    encoded = quote(key, safe=" ()+,;=@")
    if encoded.startswith((".", " ")) or encoded.partition(".")[0].strip().upper() in RESERVED:
        encoded = f"%{ord(encoded[0]):02X}{encoded[1:]}"
    if len(encoded) > MAX_STEM or encoded.casefold() in used:  # some file systems ignore case
        encoded = f"{encoded[: MAX_STEM - 13]}-{hashlib.sha256(key.encode()).hexdigest()[:12]}"
    used.add(encoded.casefold())
    return encoded


def _row_values(sku: Sku) -> dict[str, object]:
    values = {field.name: getattr(sku, field.name) for field in fields(Sku)}
    return {name: "" if value is None else value for name, value in values.items()}


def list_csv(rows: Sequence[Mapping[str, object]]) -> bytes:
    """Return the bytes of a CSV list with all columns; columns that a row lacks are empty."""
    names = [field.name for field in fields(Sku)]
    return csv_bytes([names, *([row.get(name, "") for name in names] for row in rows)])


def show_list(path: SkuSource, out: Path, *, limit: int, console: Console | None = None) -> Path:
    """Write a contact sheet of a catalogue with three views of each product at one scale; return `out`.

    A list longer than `limit` is shown in evenly spaced samples.
    """
    from pipeline.preview.sheet import save_sheet, sheet_of
    from pipeline.products.tiles import product_tiles

    console = console or PlainConsole()
    catalog = load_catalog(path)
    positions = sorted({int(position) for position in np.linspace(0, len(catalog) - 1, min(limit, len(catalog)))})
    tiles = list(_track_progress(product_tiles(catalog, positions), len(positions), console))
    sheet = sheet_of(tiles, 3, f"{path.name}: {len(positions)} of {len(catalog)} products, all to one scale")
    save_sheet(sheet, out)
    console.print(f"wrote {out}", highlight=False, markup=False)
    return out


def _track_progress(tiles: Iterator, total: int, console: Console) -> Iterator:
    yield from track(tiles, "drawing", total=total, console=console, transient=True)


def register_ids(path: SkuSource, *, console: Console | None = None) -> Path:
    """Write or extend the registry of category ids beside a list, and print the changes.

    Raises SynthError for an invalid list or a damaged registry.
    """
    from assets.catalog.category_ids import CategoryIds, ids_path, read_ids, save_ids

    console = console or PlainConsole()
    catalog = load_catalog(path)
    target = ids_path(catalog.source)
    before = read_ids(target) if target.exists() else CategoryIds()
    after = before.extended(catalog.keys)
    save_ids(target, after)
    removed = len(set(after.keys) - set(catalog.keys))
    text = f"{count_of(len(before), 'id')} kept ({removed} of delisted SKUs), {len(after) - len(before)} new"
    console.print(f"{target}: {text}", highlight=False, markup=False)
    return target


def check_new_csv(path: Path, what: str, *, hint: str) -> None:
    """Raise SynthError if a path is not that of a new CSV file. what: says that it must be one."""
    if path.suffix.lower() != ".csv":
        raise SynthError(what, code="output-name-invalid", where=str(path), expected="a name that ends in .csv")
    if path.exists() or path.is_symlink():
        raise SynthError("the file exists already", code="output-exists", where=str(path), hint=hint)


def generate_list(path: Path, *, count: int, seed: int, console: Console | None = None) -> Path:
    """Write an invented catalogue as CSV. Raises SynthError if the file exists already."""
    from assets.catalog.generate import generate_csv

    console = console or PlainConsole()
    check_new_csv(path, "a generated catalogue is a CSV file", hint="give another name, or delete it")
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path, generate_csv(count, seed=seed))
    console.print(f"{path}: {count} invented SKUs, seed {seed}", highlight=False, markup=False)
    return path
