"""A SKU list of a folder of packshots with GS1 names: `synth catalog from-packshots`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from assets.catalog.check import SIZES
from assets.catalog.gs1_pictures import PictureChoice, choose_pictures, find_files, find_unusable
from assets.catalog.package_kinds import AUTO
from assets.catalog.problems import Problem, list_error
from assets.catalog.read import read_list
from assets.catalog.types import COLUMNS, IMAGES
from assets.errors import SynthError, printable
from assets.files.atomic import write_atomic
from assets.options import Option
from assets.plurals import count_of, counts_of, first_few
from assets.progress import Reporter
from pipeline.products.catalog import check_new_csv, list_csv

# Columns that the images determine, or that have no meaning without a mesh.
OWN_COLUMNS = ("sku", "barcode", "mesh", "up", "units", "front", *IMAGES)
# Files named for each reason.
MAX_NAMED = 20
Row = dict[str, object]


@dataclass(frozen=True)
class PackshotListSettings:
    """Settings of a list made from packshots."""

    folder: Annotated[Path, Option("Folder of the packshots.", "Data", exists="folder", argument=True)]
    out: Annotated[
        Path | None, Option("The list, a CSV in FOLDER or above it.", "Output", shown="skus.csv in FOLDER")
    ] = None
    sizes: Annotated[
        Path | None,
        Option("List with the sizes: gtin or sku, width_mm, height_mm, depth_mm (or cm, m).", "Data", exists="file"),
    ] = None


@dataclass(frozen=True)
class PackshotListSummary:
    """Result of listing packshots. duplicates, refused: by file, with the image taken instead, and the reason.

    not_flat: images that were taken although their names do not promise that only one side shows (orientation C).
    Keys of products without an image of the front or without all three sizes; rows of the sizes without an image.
    """

    out: Path
    files: int
    skus: int
    pictures: int
    not_flat: list[str] = field(default_factory=list)
    duplicates: dict[str, str] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)
    without_front: list[str] = field(default_factory=list)
    without_sizes: list[str] = field(default_factory=list)
    without_pictures: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def list_packshots(settings: PackshotListSettings, reporter: Reporter) -> PackshotListSummary:
    """Write a SKU list of the packshots in a folder, with the sizes of another list where given.

    Raises SynthError if the list exists or cannot name the images, if no image can be used, and for invalid sizes.
    """
    folder, out = settings.folder.resolve(), _check_out(settings)
    known, notes = _read_sizes(settings.sizes) if settings.sizes else ({}, [])
    paths = find_files(folder, skip={out, *([settings.sizes.resolve()] if settings.sizes else [])})
    choice = _choose(folder, paths, reporter)
    if not choice.sides:
        raise _nothing_usable(settings.folder, choice)
    prefix = folder.relative_to(out.parent)
    rows = [
        _row_of(key, {column: (prefix / path).as_posix() for column, path in sides.items()}, known.get(key, {}))
        for key, sides in sorted(choice.sides.items())
    ]
    write_atomic(out, list_csv(rows))
    return PackshotListSummary(
        out=settings.out or settings.folder / "skus.csv",
        files=len(paths),
        skus=len(rows),
        pictures=sum(map(len, choice.sides.values())),
        not_flat=[printable(path) for path in choice.not_flat],
        duplicates={printable(path): printable(taken) for path, taken in choice.duplicates},
        refused={printable(path): reason for path, reason in choice.refused},
        without_front=[str(row["sku"]) for row in rows if "packshot" not in row],
        without_sizes=[str(row["sku"]) for row in rows if any(row.get(name) is None for name in SIZES)],
        without_pictures=[key for key in known if key not in choice.sides],
        notes=notes,
    )


def _check_out(settings: PackshotListSettings) -> Path:
    """Return the resolved path of the list: a new CSV in the folder of the images or above it."""
    path = settings.out or settings.folder / "skus.csv"
    check_new_csv(path, "the list of packshots is a CSV file", hint="give another --out, or delete it")
    out, folder = path.parent.resolve() / path.name, settings.folder.resolve()
    if not folder.is_relative_to(out.parent):
        raise SynthError(
            "the list cannot name the packshots, as its paths lead into its own folder only",
            code="setting-invalid",
            where=str(path),
            expected=f"a file in {settings.folder} or in a folder above it",
        )
    return out


def _read_sizes(path: Path) -> tuple[dict[str, Row], list[str]]:
    """Read the columns that images do not have, by key, and the notes on how the list was read."""
    table = read_list(path)
    names = [name for name in COLUMNS if name not in OWN_COLUMNS]
    known: dict[str, Row] = {}
    for place, (row, sku) in enumerate(zip(table.rows, table.columns["sku"], strict=True)):
        # As SidePicture.key: however many leading zeros a spreadsheet has left.
        key = str(sku).lstrip("0").zfill(13) if str(sku).isdecimal() and str(sku).isascii() else str(sku)
        if key in known:
            table.problems.add([Problem(row, "sku", f"{key!r:.40} again", "each product once")])
        cells = {name: table.columns[name][place] for name in names}
        own_name = cells["name"] if cells["name"] != sku else ""
        known[key] = {name: cell for name, cell in {**cells, "name": own_name}.items() if cell not in ("", None)}
    if table.problems:
        raise list_error(path, table.problems)
    return known, table.notes


def _choose(folder: Path, paths: Sequence[str], reporter: Reporter) -> PictureChoice:
    """Choose the images, with progress: the header of each one that is taken is read."""
    with reporter.scenes(len(paths), 0, doing="reading packshots", noun="file") as progress:

        def unusable(path: str) -> str:
            reason = find_unusable(folder, path)
            progress.advance(failed=bool(reason))
            return reason

        choice = choose_pictures(paths, unusable)
        progress.count(len(paths) - progress.done)
    return choice


def _row_of(key: str, images: Mapping[str, str], known: Row) -> Row:
    return {"sku": key, "name": key, "package": AUTO, **known, **images, "barcode": key}


def _nothing_usable(folder: Path, choice: PictureChoice) -> SynthError:
    return SynthError(
        "the folder contains no packshot that can be used",
        code="folder-empty",
        where=str(folder),
        expected="flat images with GS1 names, such as 04006381333931_C1N1.png",
        problems=first_few([f"{path}: {reason}" for path, reason in choice.refused], MAX_NAMED),
    )


def print_packshots(reporter: Reporter, summary: PackshotListSummary) -> None:
    """Print what was not taken and why, what the list still lacks, and the counts."""
    for note in summary.notes:
        reporter.say(printable(f"note: {note}"))
    reasons: dict[str, list[str]] = {}
    for path, reason in summary.refused.items():
        reasons.setdefault(reason, []).append(path)
    for reason, paths in reasons.items():
        _print_group(reporter, f"refused: {reason}", paths)
    pairs = [f"{path} ({taken} is taken)" for path, taken in summary.duplicates.items()]
    _print_group(
        reporter, "more than one image of a side: N before C, type C before A before B, plain names first", pairs
    )
    _print_group(reporter, "no flat image (N) of the side: these may be taken from above (C)", summary.not_flat)
    _print_group(reporter, "no image of the front", summary.without_front)
    _print_group(reporter, "sizes of products without an image", summary.without_pictures)
    missing = len(summary.without_sizes)
    if missing:
        reporter.say(
            f"{count_of(missing, 'SKU')} without width, height and depth: fill in the columns width_m, height_m and "
            f"depth_m, or write the list again with --sizes; 'synth catalog check {summary.out}' lists them"
        )
    counts = counts_of(SKU=summary.skus, image=summary.pictures, duplicate=len(summary.duplicates))
    reporter.say(f"{summary.out}: {counts}, {count_of(len(summary.refused), 'file')} of {summary.files} refused")


def _print_group(reporter: Reporter, title: str, names: Sequence[str]) -> None:
    if names:
        reporter.say(printable(f"{title} ({len(names)})"))
        for name in first_few(names, MAX_NAMED):
            reporter.say(printable(f"  {name}"))
