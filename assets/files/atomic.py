"""Files that appear whole or not at all, and folders that one run at a time writes into."""

from __future__ import annotations

import hashlib
import json
import os
import re
import socket
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from functools import cache
from io import FileIO
from pathlib import Path
from typing import IO

from assets.errors import SynthError

TEMPORARY = ".tmp"
SIGNED = re.compile(r"\.(?P<process>\d{1,9})@(?P<machine>[0-9a-f]{8})\.[^.]*\.tmp$")
# A file that does not say whose it is, and was not written to for so many seconds, belongs to no process any more.
LEFTOVER_S = 86_400.0
# Folders below a locked one that are looked through for what killed runs left: images/0012.
SWEPT_DEPTH = 2
# Seconds that the processes of a run that died may take to follow it.
ORPHANS_S = 5.0
DEAD = "what is left of a run that died"


@contextmanager
def atomic_file(path: Path) -> Iterator[IO[bytes]]:
    """A file beside `path` to write into, which takes its name only once everything is written.

    Nobody ever sees half a file, and where writing fails nothing is left.
    """
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=temporary_prefix(path.name), suffix=TEMPORARY)
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


def write_atomic(path: Path, data: bytes) -> None:
    """`data` as the file `path`, whole or not at all."""
    with atomic_file(path) as file:
        file.write(data)


def sweep_cache(folder: Path) -> int:
    """Deletes what killed runs left half written in a cache, which has no lock; returns how many files."""
    return remove_leftovers(folder, depth=SWEPT_DEPTH, unsigned=False)


def temporary_prefix(name: str) -> str:
    """How a temporary file for `name` begins: it says which process writes it, so that others know when it has gone."""
    return f".{name[:40]}.{os.getpid()}@{_machine()}."


def remove_leftovers(folder: Path, *, depth: int = 0, unsigned: bool = True) -> int:
    """Deletes what killed runs left half written in `folder`; returns how many files.

    What a living process or another machine writes is left alone. depth: of folders in it that are looked through.
    unsigned: also files that do not say whose they are, as earlier versions wrote them: only where the folder's lock is
    held; elsewhere those that are a day old.
    """
    try:
        with os.scandir(folder) as found:
            entries = list(found)
    except OSError:
        return 0
    count = 0
    for entry in entries:
        if entry.name.startswith(".") and entry.name.endswith(TEMPORARY) and entry.is_file(follow_symlinks=False):
            if _is_left(entry, unsigned):
                Path(entry.path).unlink(missing_ok=True)
                count += 1
        elif depth and entry.is_dir(follow_symlinks=False):
            count += remove_leftovers(Path(entry.path), depth=depth - 1, unsigned=unsigned)
    return count


def _is_left(entry: os.DirEntry[str], unsigned: bool) -> bool:
    owner = SIGNED.search(entry.name)
    if owner is None:
        return unsigned or time.time() - entry.stat(follow_symlinks=False).st_mtime > LEFTOVER_S
    return is_orphaned(owner["process"], owner["machine"])


def is_orphaned(process: str, machine: str) -> bool:
    """Whether what is signed so belongs to a process of this machine that has ended."""
    return machine == _machine() and not _is_alive(int(process))


@cache
def _machine() -> str:
    """This machine, or this container on it, where numbers of processes mean something."""
    spaces = Path("/proc/self/ns/pid")
    inside = str(spaces.readlink()) if spaces.is_symlink() else ""
    return hashlib.sha256(f"{socket.gethostname()} {inside}".encode()).hexdigest()[:8]


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

    What killed runs left half written in it is taken away.

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
            "the output folder cannot be written",
            code="output-unwritable",
            where=str(folder),
            found=str(error),
            hint=hint,
        ) from error
    with file:
        _take_lock(file, folder)
        _sign(file)
        remove_leftovers(folder, depth=SWEPT_DEPTH)
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
            hint = "wait until it has finished, or give another --out"
            raise SynthError(
                "another run is writing into this folder",
                code="output-locked",
                where=str(folder),
                found=holder or None,
                hint=hint,
            ) from error
        except OSError as error:
            hint = "write to a local disk and move the folder afterwards, or mount this one with locks"
            raise SynthError(
                "the file system has no locks: two runs could write into one folder unnoticed",
                code="locks-unsupported",
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
