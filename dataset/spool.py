"""Blocks of bytes and numbers, sorted into files on disk: what belongs together is read at once in flat memory."""

from __future__ import annotations

import shutil
from array import array
from collections.abc import Iterator
from hashlib import blake2b
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

# Bytes that wait in memory; more files than can be open at once take turns.
WAITING = 1 << 25
# Ids are dealt into so many files, each sorted on its own: 100 million annotations are 12 MB a file.
PARTS = 64
# Bytes of the length that stands before each block.
SIZE = 4


class BlockSpool:
    """Blocks of bytes by the number of their part, in the order in which they came."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._waiting: dict[int, list[bytes]] = {}
        self._bytes = 0

    @property
    def complete(self) -> bool:
        """Whether this or an earlier run has written all of it."""
        return (self.folder / "complete").exists()

    def clear(self) -> None:
        """Delete what is there."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)

    def add(self, part: int, block: bytes) -> None:
        """Append a block to a part."""
        self._waiting.setdefault(part, []).append(len(block).to_bytes(SIZE, "little") + block)
        self._bytes += len(block)
        if self._bytes > WAITING:
            self._flush()

    def finish(self) -> None:
        """Write what waits in memory, and mark the spool as complete."""
        self._flush()
        (self.folder / "complete").touch()

    def blocks(self, part: int) -> Iterator[bytes]:
        """The blocks of a part in their order."""
        path = self._path(part)
        if path.exists():
            with path.open("rb") as file:
                while size := file.read(SIZE):
                    yield file.read(int.from_bytes(size, "little"))

    def _path(self, part: int) -> Path:
        return self.folder / f"{part:06d}"

    def _flush(self) -> None:
        for part, blocks in self._waiting.items():
            with self._path(part).open("ab") as file:
                file.writelines(blocks)
        self._waiting, self._bytes = {}, 0


class BlockFile:
    """Blocks of bytes in one file, read in any order by their numbers."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("w+b")
        self._ends = array("q", [0])

    def __len__(self) -> int:
        return len(self._ends) - 1

    def add(self, block: bytes) -> None:
        """Append a block."""
        self._file.seek(0, 2)
        self._file.write(block)
        self._ends.append(self._ends[-1] + len(block))

    def read(self, number: int) -> bytes:
        """Return a block by its number, from 0."""
        self._file.seek(self._ends[number])
        return self._file.read(self._ends[number + 1] - self._ends[number])

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class IdSpool:
    """Whole numbers on disk, to be asked for those that come twice."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self._waiting: list[NDArray[np.int64]] = []
        self._count = 0

    def add(self, ids: NDArray[np.int64]) -> None:
        """(N,) int64 more numbers."""
        self._waiting.append(ids)
        self._count += len(ids)
        if self._count * 8 > WAITING:
            self._flush()

    def take_in(self, other: IdSpool, shift: int = 0) -> None:
        """Add all numbers of another spool, each with `shift` on top."""
        for ids in other._parts():
            self.add(ids + shift)

    def twice(self) -> Iterator[int]:
        """Numbers that were added more than once."""
        for ids in self._parts():
            numbers, counts = np.unique(ids, return_counts=True)
            yield from numbers[counts > 1].tolist()

    def distinct(self) -> Iterator[NDArray[np.int64]]:
        """The numbers, each once, in several arrays."""
        yield from map(np.unique, self._parts())

    def shares_any(self, other: IdSpool) -> bool:
        """Whether a number is in both."""
        return any(
            len(np.intersect1d(mine, theirs)) for mine, theirs in zip(self._parts(), other._parts(), strict=True)
        )

    def _parts(self) -> Iterator[NDArray[np.int64]]:
        self._flush()
        for part in range(PARTS):
            path = self.folder / f"{part:02d}"
            yield np.fromfile(path, np.int64) if path.exists() else np.zeros(0, np.int64)

    def _flush(self) -> None:
        if not self._waiting:
            return
        ids = np.concatenate(self._waiting)
        for part in range(PARTS):
            chosen = ids[ids % PARTS == part]
            if len(chosen):
                with (self.folder / f"{part:02d}").open("ab") as file:
                    chosen.tofile(file)
        self._waiting, self._count = [], 0


def hash64(content: str | bytes) -> int:
    """Return a signed 64-bit hash of a text or of bytes, the same in every process."""
    data = content if isinstance(content, bytes) else content.encode(errors="surrogatepass")
    return int.from_bytes(blake2b(data, digest_size=8).digest(), "little", signed=True)
