"""Files that appear whole or not at all, and folders that one run at a time writes into."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from assets.errors import SynthError

TEMPORARY = ".tmp"


@contextmanager
def whole_file(path: Path) -> Iterator[IO[bytes]]:
    """A file beside `path` to write into, which takes its name only once everything is written.

    Nobody ever sees half a file, and where writing fails nothing is left.
    """
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=TEMPORARY)
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).chmod(0o644)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def write_whole(path: Path, data: bytes) -> None:
    """`data` as the file `path`, whole or not at all."""
    with whole_file(path) as file:
        file.write(data)


def remove_leftovers(folder: Path) -> int:
    """Deletes what killed runs left half written in `folder`; returns how many files."""
    leftovers = [file for file in folder.glob(f".*{TEMPORARY}") if file.is_file()] if folder.is_dir() else []
    for file in leftovers:
        file.unlink(missing_ok=True)
    return len(leftovers)


@contextmanager
def lock_folder(folder: Path) -> Iterator[None]:
    """Keeps a second run out of the folder; the lock ends with the process, however it ends."""
    import fcntl

    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = (folder / ".lock").open("a+")
    except OSError as error:
        hint = "check that the disk is not full and that you may write there"
        raise SynthError(
            "the output folder cannot be written", where=str(folder), found=str(error), hint=hint
        ) from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            hint = "wait until it has ended, or give another --out"
            raise SynthError("another run is writing into this folder", where=str(folder), hint=hint) from error
        yield
