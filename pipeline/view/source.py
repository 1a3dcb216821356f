"""The sets that are shown: data sets in any label format, in folders or shards, and photographs without labels."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from assets.errors import SynthError
from dataset.formats import open_labels
from dataset.formats.files import FilePart, FileStore
from dataset.images import find_files
from dataset.store import DataStore
from pipeline.view.settings import Data

PHOTOGRAPHS = "photographs"
# Codes by which readers say that there are no labels at all.
UNLABELLED = ("file-missing", "coco-file-ambiguous", "dataset-missing")


def open_set(place: Data, images: Path | None = None) -> DataStore:
    """Open the data set at a place, finished or not, or the photographs in a folder.

    Raises SynthError if there is neither.
    """
    ways: tuple[Callable[[], DataStore | None], ...] = (
        lambda: open_labels(str(place), images=images),
        # A folder that 'synth render' has not finished has labels of single images alone.
        lambda: open_labels(str(place), images=images, unfinished=True),
        lambda: _photographs(Path(str(place))),
    )
    first: SynthError | None = None
    for way in ways:
        try:
            if (store := way()) is not None:
                return store
        except SynthError as error:
            first = first or error
            if error.code not in UNLABELLED:
                raise
    assert first is not None
    raise first


def _photographs(folder: Path) -> DataStore | None:
    files = find_files(folder) if folder.is_dir() else []
    return FileStore(str(folder), (FilePart(PHOTOGRAPHS, folder, files, lambda image: []),), ()) if files else None
