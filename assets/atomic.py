"""Files that appear whole or not at all, and folders that one run at a time writes into."""

from __future__ import annotations

import json
import os
import socket
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from io import FileIO
from pathlib import Path
from typing import IO

from assets.errors import SynthError

TEMPORARY = ".tmp"
# Seconds that the processes of a run that died may take to follow it.
ORPHANS_S = 5.0
DEAD = "what is left of a run that died"


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


def sync_folder(folder: Path) -> None:
    """Makes the names of the files in `folder` outlast a loss of power; their contents do so from the start."""
    with suppress(OSError):  # some file systems know no such thing
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


@contextmanager
def lock_folder(folder: Path) -> Iterator[int]:
    """Keeps a second run out of the folder; the lock ends with the process, however it ends.

    Yields the descriptor that holds it: a process that is given it keeps the folder locked until it has ended too.
    Raises SynthError that names the run that has the lock.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        # Unbuffered: what a full disk does not take is not tried again when the file is closed.
        file = (folder / ".lock").open("a+b", buffering=0)
    except OSError as error:
        hint = "check that the disk is not full and that you may write there"
        raise SynthError(
            "the output folder cannot be written", where=str(folder), found=str(error), hint=hint
        ) from error
    with file:
        _take_lock(file, folder)
        _sign(file)
        try:
            yield file.fileno()
        finally:
            with suppress(OSError):
                file.truncate(0)  # a finished folder tells nothing of when and where it was made


def _take_lock(file: FileIO, folder: Path) -> None:
    import fcntl

    deadline = time.monotonic() + ORPHANS_S
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError as error:
            holder = _holder(file)
            if holder.startswith(DEAD) and time.monotonic() < deadline:
                time.sleep(0.05)
                continue
            hint = "wait until it has ended, or give another --out"
            raise SynthError(
                "another run is writing into this folder", where=str(folder), found=holder or None, hint=hint
            ) from error
        except OSError as error:
            hint = "write to a local disk and move the folder afterwards, or mount this one with locks"
            raise SynthError(
                "the file system has no locks: two runs could write into one folder unnoticed",
                where=str(folder),
                found=str(error),
                hint=hint,
            ) from error


def _sign(file: FileIO) -> None:
    """Says in the lock file who holds it; for people only, so a full disk does not matter."""
    since = datetime.now(UTC).isoformat(timespec="seconds")
    with suppress(OSError):
        file.truncate(0)
        file.write(json.dumps({"process": os.getpid(), "host": socket.gethostname(), "since": since}).encode())


def _holder(file: FileIO) -> str:
    """Who holds the lock, in words; "" where that is not on record."""
    try:
        file.seek(0)
        note = json.loads(file.read())
        text = f"process {note['process']} on {note['host']} since {note['since']}"
        here = note["host"] == socket.gethostname()
        return f"{DEAD}: {text}" if here and not _is_alive(int(note["process"])) else text
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except OSError as error:
        return not isinstance(error, ProcessLookupError)  # another user's may not be asked, and lives
    return True
