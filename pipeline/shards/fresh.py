"""A data set that appears once everything is in it, on disk or in a storage; interrupted calls are resumed."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

from rich.console import Console

from assets.errors import SynthError
from assets.files.atomic import lock_folder, write_atomic
from assets.interrupt import until_interrupted
from assets.limits import STORED_FILES
from assets.machine import cache_folder
from assets.progress import StepProgress
from dataset.formats.remote import UNFINISHED, RemoteStore, remote_location
from dataset.images import IMAGES
from dataset.shards.index import CATEGORIES, INDEX
from dataset.storage.path import StoragePath
from dataset.storage.retry import REQUESTS, side_by_side
from dataset.store import CocoStore, DataStore, ShardStore
from pipeline.workers.disk_errors import disk_error, takes_no_more

# What Ctrl-C does to commands that write a folder.
IMAGES_KEPT, IMAGE_STEP = "finished images are kept: the same command resumes there", "this image"
MADE_BY, SET, UPLOADED = "made_by", "set", "uploaded"


@contextmanager
def fresh_set(out: str | Path, made_by: str, console: Console, image_folders: Collection[str] = ()) -> Iterator[Path]:
    """Give a folder to fill, which becomes `out` at the end, or is uploaded there.

    made_by: names what decides the content. What an interrupted or killed call of the same has left is there again:
    images in `image_folders`, all other files if there are none; nothing is left after an error. Raises SynthError if
    `out` is not empty.
    """
    location = remote_location(out if isinstance(out, Path) else str(out))
    if location is not None:
        partial = cache_folder() / "outputs" / hashlib.sha256(location.url.encode()).hexdigest()[:32]
        claim_upload(location, made_by, uploaded=_is_made_by(partial / UPLOADED, made_by))
        with _partial_set(partial, made_by, image_folders, location.url) as made:
            yield made
            upload(made, location, console)
            write_atomic(partial / UPLOADED, made_by.encode())
            location.delete(UNFINISHED)
        return
    path = Path(StoragePath(str(out)).local or out)
    partial = path.with_name(f".{path.name}.partial")
    if path.is_dir() and _is_made_by(partial / MADE_BY, made_by) and not (partial / SET).exists():
        path.replace(partial / SET)  # this command was killed after its last step
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        hint = "give the name of a folder that is not there yet"
        raise SynthError("the output folder is not empty", code="output-not-empty", where=str(path), hint=hint)
    with _partial_set(partial, made_by, image_folders, str(path)) as made:
        yield made
        path.parent.mkdir(parents=True, exist_ok=True)
        made.replace(path)


def _is_made_by(file: Path, made_by: str) -> bool:
    return file.is_file() and file.read_bytes() == made_by.encode()


@contextmanager
def _partial_set(partial: Path, made_by: str, image_folders: Collection[str], where: str) -> Iterator[Path]:
    with lock_folder(partial):
        made, identity = partial / SET, partial / MADE_BY
        if _is_made_by(identity, made_by) and made.is_dir():
            _keep_images(made, image_folders)
        else:
            for left in partial.iterdir():
                if left.name != ".lock":
                    shutil.rmtree(left) if left.is_dir() else left.unlink()
            made.mkdir()
            write_atomic(identity, made_by.encode())
        try:
            yield made
        except OSError as error:
            shutil.rmtree(partial, ignore_errors=True)
            # Files that are read have errors of their own.
            if takes_no_more(error, partial):
                raise disk_error(Path(where), error, kept=False) from error
            raise
        except SynthError as error:
            if error.code != "storage-failed":  # the upload is resumed
                shutil.rmtree(partial, ignore_errors=True)
            raise
        except Exception:
            shutil.rmtree(partial, ignore_errors=True)
            raise
        shutil.rmtree(partial, ignore_errors=True)


def _keep_images(folder: Path, image_folders: Collection[str]) -> None:
    """Delete all but images in some folders: labels are written again, and some of them may be half written."""
    if not image_folders:
        return
    kept = [folder / name for name in image_folders]
    for file in sorted(folder.rglob("*"), reverse=True):
        image = file.suffix.lower().removeprefix(".") in IMAGES and any(file.is_relative_to(one) for one in kept)
        if file.is_dir() and not any(file.iterdir()):
            file.rmdir()
        elif not file.is_dir() and not image:
            file.unlink()


def put_file(path: Path, content: bytes) -> None:
    """Write a file unless it is there with this very content, from a call that was interrupted."""
    if not is_there(path, content):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def is_there(path: Path, content: bytes) -> bool:
    """Whether a file has this content."""
    try:
        return path.stat().st_size == len(content) and path.read_bytes() == content
    except FileNotFoundError:
        return False


def identity_of(
    command: str, settings: Sequence[object], sources: Sequence[str | Path], stores: Sequence[DataStore]
) -> str:
    """Name what decides the output of a command: settings (dataclasses) and the files of its sources."""
    states = [_state_of(source, store) for source, store in zip(sources, stores, strict=True)]
    return hashlib.sha256(repr([command, *settings, *states]).encode(errors="replace")).hexdigest()


def _state_of(source: str | Path, store: DataStore) -> str:
    """What changes with the files of a data set: their sizes and times on disk, checksums of shards, versions."""
    if isinstance(store, ShardStore):
        return hashlib.sha256(store.location.read(INDEX) + store.location.read(CATEGORIES)).hexdigest()
    if isinstance(store, RemoteStore):
        return store.version
    if remote_location(source) is not None:
        return store.where  # a copy that is named by its files
    folders = [part.source.images for part in store.parts] if isinstance(store, CocoStore) else []
    digest = hashlib.sha256()
    for path in dict.fromkeys([Path(source), *folders]):
        digest.update(repr([str(path.absolute()), *_files_below(path)]).encode(errors="replace"))
    return digest.hexdigest()


def _files_below(path: Path) -> Iterator[tuple[str, int, int]]:
    """Name, size and time of change of a file, or of all files below a folder, in order."""
    if path.is_file():
        status = path.stat()
        yield path.name, status.st_size, status.st_mtime_ns
        return
    with os.scandir(path) as found:
        entries = sorted(found, key=lambda entry: entry.name)
    for entry in entries:
        if entry.is_dir(follow_symlinks=False):  # links may go round in circles
            below = _files_below(Path(entry.path))
            yield from ((f"{entry.name}/{name}", size, changed) for name, size, changed in below)
        elif not entry.name.startswith(".") and Path(entry.path).is_file():  # False for links that lead to themselves
            status = entry.stat()
            yield entry.name, status.st_size, status.st_mtime_ns


def claim_upload(location: StoragePath, made_by: str, *, uploaded: bool = False) -> None:
    """Make a location this command's own. Raises SynthError if it is not empty, unless the same command began there.

    uploaded: whether that has uploaded everything already.
    """
    if location.exists(UNFINISHED):
        if location.read(UNFINISHED) == made_by.encode():
            return
    elif uploaded or location.is_empty():
        location.write(UNFINISHED, made_by.encode())
        return
    hint = "give a location without files, or the same command as before to resume"
    raise SynthError("the output location is not empty", code="output-not-empty", where=location.url, hint=hint)


def upload(folder: Path, location: StoragePath, console: Console) -> None:
    """Upload all files of a folder, images first; what an interrupted call has uploaded is there already."""
    there = {file.name: file.size for file in location.files(STORED_FILES)}
    files = sorted((file for file in folder.rglob("*") if file.is_file()), key=_upload_order)
    missing = [file for file in files if there.get(file.relative_to(folder).as_posix()) != file.stat().st_size]
    waiting = iter(missing)
    groups = iter(lambda: list(islice(waiting, REQUESTS)), [])
    kept, step = "uploaded files are kept: the same command resumes there", "these files"
    progress = StepProgress(console, "uploading", total=len(files), done=len(files) - len(missing), unit="files")
    with progress:
        for some in until_interrupted(groups, kept, step=step):
            side_by_side(lambda file: location.put(file.relative_to(folder).as_posix(), file), some)
            progress.advance(count=len(some))


def _upload_order(file: Path) -> tuple[bool, Path]:
    return file.suffix.lower().removeprefix(".") not in IMAGES, file
