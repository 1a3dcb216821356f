"""Atomic file writes, removal of leftovers of killed runs, and exclusive locks on output folders."""

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
# A temporary file without an owner in its name that is older than this many seconds is abandoned.
LEFTOVER_S = 86_400.0
# Depth of subfolders that are searched for leftovers of killed runs: images/0012.
SWEPT_DEPTH = 2
# Seconds that child processes of a dead run may take to end.
ORPHAN_TIMEOUT_S = 5.0
DEAD = "remaining processes of a run that died"


@contextmanager
def atomic_file(path: Path) -> Iterator[IO[bytes]]:
    """Open a temporary file beside `path` that is renamed to `path` once everything is written.

    No one ever sees a partial file, and if writing fails nothing is left.
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
    """Write `data` to `path` atomically."""
    with atomic_file(path) as file:
        file.write(data)


def sweep_cache(folder: Path) -> int:
    """Delete partial files of killed runs in a cache, which has no lock; return their number."""
    return remove_leftovers(folder, depth=SWEPT_DEPTH, unsigned=False)


def temporary_prefix(name: str) -> str:
    """Return the prefix of a temporary file for `name`, with the id of the writing process to detect leftovers."""
    return f".{name[:40]}.{os.getpid()}@{_machine_id()}."


def remove_leftovers(folder: Path, *, depth: int = 0, unsigned: bool = True) -> int:
    """Delete partial files of killed runs in `folder`; return their number.

    Files of living processes or other machines are kept. depth: levels of subfolders to search. unsigned: also delete
    files without an owner in their name, as earlier versions wrote them; only safe while the folder's lock is held,
    otherwise only those older than a day are deleted.
    """
    try:
        with os.scandir(folder) as found:
            entries = list(found)
    except OSError:
        return 0
    count = 0
    for entry in entries:
        if entry.name.startswith(".") and entry.name.endswith(TEMPORARY) and entry.is_file(follow_symlinks=False):
            if _is_abandoned(entry, unsigned):
                Path(entry.path).unlink(missing_ok=True)
                count += 1
        elif depth and entry.is_dir(follow_symlinks=False):
            count += remove_leftovers(Path(entry.path), depth=depth - 1, unsigned=unsigned)
    return count


def _is_abandoned(entry: os.DirEntry[str], unsigned: bool) -> bool:
    owner = SIGNED.search(entry.name)
    if owner is None:
        return unsigned or time.time() - entry.stat(follow_symlinks=False).st_mtime > LEFTOVER_S
    return is_orphaned(owner["process"], owner["machine"])


def is_orphaned(process: str, machine: str) -> bool:
    """Return whether a process of this machine has ended."""
    return machine == _machine_id() and not process_exists(int(process))


@cache
def _machine_id() -> str:
    """Return an id of this machine and its PID namespace, within which process ids are unique."""
    spaces = Path("/proc/self/ns/pid")
    inside = str(spaces.readlink()) if spaces.is_symlink() else ""
    return hashlib.sha256(f"{socket.gethostname()} {inside}".encode()).hexdigest()[:8]


def sync_folder(folder: Path) -> None:
    """Flush the directory entries of `folder` to disk; `atomic_file` flushes the contents."""
    with suppress(OSError):  # some file systems do not support it
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


@contextmanager
def lock_folder(folder: Path) -> Iterator[int]:
    """Lock the folder against other runs until the process ends, and delete partial files of killed runs.

    Yields the descriptor that holds the lock: a process that inherits it keeps the folder locked until it ends too.
    Raises SynthError that names the run holding the lock.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        # Unbuffered: a write that fails on a full disk is not repeated on close.
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
        _write_holder(file)
        remove_leftovers(folder, depth=SWEPT_DEPTH)
        try:
            yield file.fileno()
        finally:
            with suppress(OSError):
                file.truncate(0)  # a finished folder does not reveal when and where it was made


def _take_lock(file: FileIO, folder: Path) -> None:
    import fcntl

    deadline = time.monotonic() + ORPHAN_TIMEOUT_S
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError as error:
            holder = _read_holder(file)
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
            hint = "write to a local disk and move the folder afterwards, or mount this one with lock support"
            raise SynthError(
                "the file system has no locks: two runs could write into the same folder unnoticed",
                code="locks-unsupported",
                where=str(folder),
                found=str(error),
                hint=hint,
            ) from error


def _write_holder(file: FileIO) -> None:
    """Record the holder in the lock file; informational only, so a full disk does not matter."""
    since = datetime.now(UTC).isoformat(timespec="seconds")
    with suppress(OSError):
        file.truncate(0)
        file.write(json.dumps({"process": os.getpid(), "host": socket.gethostname(), "since": since}).encode())


def _read_holder(file: FileIO) -> str:
    """Describe the holder of the lock; "" if it is not recorded."""
    try:
        file.seek(0)
        note = json.loads(file.read())
        text = f"process {note['process']} on {note['host']} since {note['since']}"
        here = note["host"] == socket.gethostname()
        return f"{DEAD}: {text}" if here and not process_exists(int(note["process"])) else text
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def process_exists(process: int) -> bool:
    """Return whether a process of this machine runs."""
    try:
        os.kill(process, 0)
    except OSError as error:
        return not isinstance(error, ProcessLookupError)  # no permission: another user's process, alive
    return True
