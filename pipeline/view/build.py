"""Building of the pages: pictures read in order, pieces made by worker processes, the index written last."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from rich.console import Console

from assets.errors import SynthError
from assets.files.atomic import lock_folder
from assets.machine import usable_cores
from assets.plurals import count_of, counts_of
from assets.progress import StepProgress
from dataset.store import DataStore, StoredImage
from pipeline.shards.workers import map_shards
from pipeline.view.index import CategoryTable, SetIndex
from pipeline.view.page import PAGE, has_scripts, write_page, write_scripts
from pipeline.view.pieces import FILES, PICTURES, PieceTask, make_piece
from pipeline.view.predictions import find_results, judge_detections, write_detections
from pipeline.view.rows import BoxFacets
from pipeline.view.settings import ViewSettings
from pipeline.view.source import open_set

# Processes: more than these wait for the one that reads the labels.
MAX_USEFUL = 8
SHOWN_PROBLEMS = 10
# Of which brightness and sharpness are measured: that takes longer than all else.
MEASURED_PICTURES = 256
REAL = "real"


@dataclass(frozen=True)
class SetSummary:
    """What was shown of a set. made: pieces that were not there before. problems: pictures that cannot be read.

    folders: that files of its pictures lie in.
    """

    where: str
    images: int
    annotations: int
    pieces: int
    made: int
    problems: tuple[str, ...]
    folders: tuple[Path, ...]


@dataclass(frozen=True)
class ViewSummary:
    """The pages that were built. page: the first one."""

    page: Path
    sets: tuple[SetSummary, ...]

    @property
    def folders(self) -> tuple[Path, ...]:
        """The folders that files of pictures lie in."""
        return tuple(folder for one in self.sets for folder in one.folders)


def build_view(settings: ViewSettings, console: Console) -> ViewSummary:
    """Write the pages of a data set, or bring those of an earlier call up to date.

    Raises SynthError if there is nothing to show, or the folder holds something else.
    """
    out = settings.out
    stores = {"a": open_set(settings.data, settings.images)}
    if settings.other is not None:
        stores["b"] = open_set(settings.other)
    if settings.real is not None:
        stores[REAL] = open_set(settings.real)
    results = find_results(settings.predictions) if settings.predictions else []
    _check_folder(out)
    with lock_folder(out):
        write_scripts(out)
        sets = tuple(
            _build_set(key, store, settings, console, results if key == "a" else ()) for key, store in stores.items()
        )
        write_page(out, list(stores), settings.predictions.name if settings.predictions else "")
    return ViewSummary(out / PAGE, sets)


def _check_folder(out: Path) -> None:
    if out.is_dir() and any(out.iterdir()) and not has_scripts(out):
        raise SynthError(
            "the output folder holds something else",
            code="output-not-empty",
            where=str(out),
            expected="a new folder, or one of 'synth view'",
            hint="give another --out",
        )


def _build_set(
    key: str, store: DataStore, settings: ViewSettings, console: Console, results: Sequence[Path]
) -> SetSummary:
    folder = settings.out / "data" / key
    folder.mkdir(parents=True, exist_ok=True)
    total = sum(part.count for part in store.parts)
    if not total:
        raise SynthError("the data set has no images", code="dataset-empty", where=store.where)
    index, made, problems, files = SetIndex(CategoryTable(store.categories)), 0, list[str](), set[str]()
    tasks = _tasks(key, store, index, settings)
    workers = settings.workers or min(usable_cores(), MAX_USEFUL)
    with StepProgress(console, f"showing {store.where}", total=total, unit="images") as progress:
        for piece in map_shards(make_piece, tasks, min(workers, -(-total // PICTURES))):
            index.add_piece(piece)
            made += piece.made
            problems += piece.problems
            files.update(piece.files)
            progress.advance(count=len(piece.sizes))
    _remove_others(folder, files)
    boxes = BoxFacets.join(index.boxes)
    if results:
        write_detections(folder, key, judge_detections(results, index, boxes))
    else:
        (folder / "found.js").unlink(missing_ok=True)
    index.write(folder, key, Path(store.where).name or store.where, boxes)
    return SetSummary(
        store.where,
        len(index.names),
        int(boxes.counts.sum()),
        len(index.sizes),
        made,
        tuple(problems),
        tuple(sorted(index.folders)),
    )


def _tasks(key: str, store: DataStore, index: SetIndex, settings: ViewSettings) -> Iterator[PieceTask]:
    """Yield the pieces of a set in order, and take each image into the index."""
    every = _every(sum(part.count for part in store.parts))
    make = partial(PieceTask, settings.out, key, copy=settings.copy, every=every)
    number, images, labels = 0, list[StoredImage](), list[list[int]]()
    for part in store.parts:
        for stored in part.stored_images():
            images.append(stored)
            labels.append(index.add(part.split, stored))
            if len(images) == PICTURES:
                yield make(number, images, labels)
                number, images, labels = number + 1, [], []
    if images:
        yield make(number, images, labels)


def _every(pictures: int) -> int:
    """Return of how many pictures one is measured: a power of two, so that most sets that grow are not made again."""
    every = 1
    while every < PICTURES and pictures > MEASURED_PICTURES * every:
        every *= 2
    return every


def _remove_others(folder: Path, files: Collection[str]) -> None:
    """Delete what was shown before and is not any more: pieces of a larger set, copies of pictures."""
    for file in folder.iterdir():
        if FILES.fullmatch(file.name) and file.name not in files:
            file.unlink()


@dataclass(frozen=True)
class ViewNumbers:
    """What --json prints of the pages. unreadable: pictures that cannot be read."""

    page: str
    images: int
    annotations: int
    pieces: int
    made: int
    unreadable: int


def summarize_view(summary: ViewSummary) -> ViewNumbers:
    """Return the numbers of all sets together."""
    counts = [(one.images, one.annotations, one.pieces, one.made, len(one.problems)) for one in summary.sets]
    return ViewNumbers(str(summary.page), *(sum(column) for column in zip(*counts, strict=True)))


def print_view(summary: ViewSummary, console: Console) -> None:
    """Print what was built, and which pictures cannot be read."""
    for one in summary.sets:
        for line in one.problems[:SHOWN_PROBLEMS]:
            console.print(f"cannot be read: {line}", highlight=False, markup=False)
        if len(one.problems) > SHOWN_PROBLEMS:
            rest = f"and {len(one.problems) - SHOWN_PROBLEMS} more: 'synth verify' lists all"
            console.print(rest, highlight=False, markup=False)
        kept = "" if one.made == one.pieces else f"; {one.pieces - one.made} of {count_of(one.pieces, 'piece')} existed"
        counts = counts_of(image=one.images, annotation=one.annotations)
        console.print(f"{one.where}: {counts}{kept}", highlight=False, markup=False)
    console.print(f"open {summary.page}", highlight=False, markup=False)
