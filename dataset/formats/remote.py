"""Data sets in folders of a storage, such as s3://bucket/set: COCO is read there, other formats are copied first.

COCO files are copied to the cache folder and images are read when they are due. Of other formats the whole set is
copied. A copy is named by the names, sizes and versions of its files, and made once.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

from rich.console import Console

from assets.console import PlainConsole
from assets.errors import SynthError
from assets.files.atomic import atomic_file, lock_folder
from assets.limits import COCO_BYTES, IMAGE_BYTES, SHARD_BYTES, STORED_FILES, Limit
from assets.machine import cache_folder
from assets.progress import StepProgress
from dataset.checksums import is_inside
from dataset.find import NO_LABELS, USUAL, find_splits
from dataset.layout import BESIDE
from dataset.storage.path import RemoteFile, StoragePath, StoredFile
from dataset.storage.retry import REQUESTS, RetryingPath, side_by_side
from dataset.store import CocoPart, CocoStore, StoredImage

# A file of a set that is being written: its readers wait until it is gone.
UNFINISHED = ".synth-unfinished"
# Copies that were not used for so long are deleted.
KEPT_S = 7 * 86_400.0
PIECE = 1 << 22
CONTROL = {chr(code) for code in range(32)} | {"\x7f"}


def remote_location(source: str | Path) -> StoragePath | None:
    """Return the location that a URL names; None for paths of this machine's disk."""
    if isinstance(source, Path) or "://" not in source:
        return None
    location = RetryingPath(source)
    return None if location.local is not None else location


@dataclass(frozen=True)
class RemoteStore(CocoStore):
    """COCO files at a location. version: changes with them."""

    location: StoragePath
    version: str

    @property
    def where(self) -> str:
        return self.location.url


@dataclass(frozen=True)
class RemotePart(CocoPart):
    """A COCO file with its images at a location. copy: folder that stands for it. folders: of files beside images."""

    location: StoragePath
    copy: Path
    folders: frozenset[str]

    def stored_images(self, only: Collection[int] | None = None) -> Iterator[StoredImage]:
        labels = self.chosen_labels(only)
        while some := list(islice(labels, REQUESTS)):
            yield from side_by_side(self._read, [self.stored(one) for one in some])

    def _read(self, stored: StoredImage) -> StoredImage:
        assert isinstance(stored.data, Path)
        # Most readers ask for none of them.
        beside = {
            folder: RemoteFile(self.location, _name_in(path, self.copy))
            for folder, path in stored.beside.items()
            if folder in self.folders and isinstance(path, Path)
        }
        name = _name_in(stored.data, self.copy)
        where = self.location.locate(name)
        try:
            IMAGE_BYTES.check(self.location.size(name), where)
            return replace(stored, data=self.location.read(name), where=where, beside=beside)
        except FileNotFoundError as error:
            raise SynthError("an image is missing", code="file-missing", where=where) from error


def _name_in(path: Path, copy: Path) -> str:
    return path.relative_to(copy).as_posix()


def open_remote_coco(location: StoragePath, images: Path | None = None) -> RemoteStore | None:
    """Open the COCO files of a location, without copying images; None if there are none.

    images: folder of the images on disk, if they are not at the location.
    """
    _refuse_unfinished(location)
    files = _coco_files(location)
    if not files:
        return None
    copy, version = _copied(location, files, COCO_BYTES, None)

    def is_file(path: Path) -> bool:
        if path.is_relative_to(copy) and is_inside(path.relative_to(copy).as_posix()):
            return location.exists(_name_in(path, copy))
        return images is not None and path.is_relative_to(images) and path.is_file()

    folders = frozenset(folder for folder in BESIDE.values() if location.exists(folder))
    parts = tuple(
        RemotePart(split, location, copy, folders) if split.images.is_relative_to(copy) else CocoPart(split)
        for split in find_splits(copy, images, is_file=is_file)
    )
    return RemoteStore(copy, parts, location, version)


def _coco_files(location: StoragePath) -> list[StoredFile]:
    """The COCO files of a location, found as on disk: ours, beside the images, or in folders of splits."""
    beside = [name for name in location.names() if name.endswith(".json") and name not in NO_LABELS]
    annotations = location.names("annotations")
    choices = (
        [f"annotations/{name}" for name in annotations if name.startswith("instances_") and name.endswith(".json")],
        [name for name in beside if name.startswith("instances_")],
        [name for split in USUAL if location.exists(name := f"{split}/_annotations.coco.json")],
        [name for name in beside if name.removesuffix(".json") in USUAL],
    )
    found = next((names for names in choices if names), [])
    return [location.look(name) for name in found]


def copy_set(location: StoragePath, console: Console | None = None) -> Path:
    """Copy all files below a location to the cache folder, or find an earlier copy; resumes. Returns the folder.

    Raises SynthError for names that lead out of it, for too many files, and for a set that is still being written.
    """
    _refuse_unfinished(location)
    files = location.files(STORED_FILES)
    if not files:
        raise SynthError("no such data set", code="dataset-missing", where=location.url)
    return _copied(location, files, SHARD_BYTES, console)[0]


def _refuse_unfinished(location: StoragePath) -> None:
    if location.exists(UNFINISHED):
        hint = "wait until the command that writes it has ended, or give that command again"
        raise SynthError("the data set is not complete", code="dataset-unfinished", where=location.url, hint=hint)


def _copied(
    location: StoragePath, files: Sequence[StoredFile], limit: Limit, console: Console | None
) -> tuple[Path, str]:
    """Return the folder with these files, and its name. What an interrupted call has copied is not copied again."""
    for file in files:
        if not is_inside(file.name) or CONTROL & set(file.name) or "\\" in file.name:
            where, found = location.url, ascii(file.name[:100])
            raise SynthError("the name of a file cannot be used", code="path-unsafe", where=where, found=found)
        limit.check(file.size, location.locate(file.name))
    listed = [location.url, *((file.name, file.size, file.version) for file in files)]
    version = hashlib.sha256(json.dumps(listed).encode()).hexdigest()[:32]
    folder = cache_folder() / "sets" / version
    _sweep(folder.parent)
    with lock_folder(folder):
        if not all(file.version for file in files):  # what was copied may have changed
            shutil.rmtree(folder / "set", ignore_errors=True)
        for file in files:
            (folder / "set" / file.name).parent.mkdir(parents=True, exist_ok=True)
        missing = [file for file in files if not _has(folder / "set" / file.name, file.size)]
        done, quiet = len(files) - len(missing), console or PlainConsole(quiet=True)
        waiting = iter(missing)
        with StepProgress(quiet, "copying", total=len(files), done=done, unit="files") as progress:
            while some := list(islice(waiting, REQUESTS)):
                side_by_side(lambda file: _copy(location, file, folder / "set" / file.name), some)
                progress.advance(count=len(some))
    os.utime(folder)
    return folder / "set", version


def _has(path: Path, size: int) -> bool:
    try:
        return path.stat().st_size == size
    except FileNotFoundError:
        return False


def _copy(location: StoragePath, file: StoredFile, path: Path) -> None:
    try:
        with location.open(file.name) as source, atomic_file(path) as target:
            shutil.copyfileobj(source, target, PIECE)
    except FileNotFoundError as error:
        where = location.locate(file.name)
        raise SynthError("a file of the data set is missing", code="file-missing", where=where) from error


def _sweep(folder: Path) -> None:
    """Delete copies that were not used for long."""
    for copy in folder.glob("[0-9a-f]" * 32) if folder.is_dir() else ():
        with suppress(OSError):
            if time.time() - copy.stat().st_mtime > KEPT_S:
                shutil.rmtree(copy, ignore_errors=True)
