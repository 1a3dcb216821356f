"""Shards from elsewhere on this machine's disk: fetched once for all processes, the least used make room."""

from __future__ import annotations

import fcntl
import hashlib
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from assets.errors import SynthError
from assets.files.atomic import atomic_file, remove_leftovers
from assets.machine import cache_folder
from dataset.shards.index import ShardEntry, tar_name
from dataset.shards.tar import REPAIR, check_bytes, check_tar
from dataset.storage.path import StoragePath

DEFAULT_BYTES = 20 * 10**9
PIECE = 1 << 22


def shards_folder() -> Path:
    """Where shards are kept between runs."""
    return cache_folder() / "shards"


@dataclass(frozen=True)
class ShardCache:
    """A folder of shards, named by their checksums. most: bytes it may take; one shard always has room."""

    folder: Path
    most: int = DEFAULT_BYTES

    def fetch(self, location: StoragePath, entry: ShardEntry) -> Path:
        """The shard as a file on disk. Raises SynthError if it is missing, or is not what the index says.

        What was fetched before is read once more, as the disk may have changed it; it is remembered by size and time.
        """
        path = self.folder / f"{entry.tar_sha256}.tar"
        if not _is_sound(path, entry):
            self.folder.mkdir(parents=True, exist_ok=True)
            with _locked(self.folder / f".{entry.tar_sha256[:2]}.lock"):  # not two processes the same one
                if not _is_sound(path, entry):
                    with _locked(self.folder / ".lock"):
                        self._make_room(entry.tar_bytes)
                    _download(location, entry, path)
        return path

    def _make_room(self, needed: int) -> None:
        """Delete what was not used for longest. A process that reads it keeps what it has open."""
        files = []
        remove_leftovers(self.folder, unsigned=False)
        for path in self.folder.glob("*.tar"):
            with suppress(FileNotFoundError):
                status = path.stat()
                files.append((status.st_atime_ns, path.name, status.st_size))
        total = sum(size for _, _, size in files) + needed
        for _, name, size in sorted(files):
            if total <= self.most:
                break
            (self.folder / name).unlink(missing_ok=True)
            total -= size


def _is_sound(path: Path, entry: ShardEntry) -> bool:
    """Whether the file is there and whole; it counts as used now."""
    try:
        check_tar(path, entry, str(path))
    except SynthError:
        return False
    with suppress(FileNotFoundError):
        os.utime(path, ns=(time.time_ns(), path.stat().st_mtime_ns))
    return True


def _download(location: StoragePath, entry: ShardEntry, path: Path) -> None:
    name = tar_name(entry.name)
    digest, size = hashlib.sha256(), 0
    try:
        with location.open(name) as source, atomic_file(path) as target:
            while piece := source.read(PIECE):
                digest.update(piece)
                size += len(piece)
                target.write(piece)
            check_bytes(size, digest.hexdigest(), entry, location.locate(name))
    except FileNotFoundError as error:
        raise SynthError(
            "a shard is missing", code="shard-missing", where=location.locate(name), hint=REPAIR
        ) from error


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
