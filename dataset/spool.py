"""Lines and numbers dealt into files on disk, so that what belongs together can be had together in flat memory."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

# Bytes that wait in memory; more files than can be open at once take turns.
WAITING = 1 << 25
# Ids are dealt into so many files, each sorted on its own: 100 million annotations are 12 MB a file.
PARTS = 64


class LineSpool:
    """Lines by number of their part, in the order they came. `whole` once everything is in."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._waiting: dict[int, list[bytes]] = {}
        self._bytes = 0

    @property
    def whole(self) -> bool:
        """Whether an earlier run has written all of it."""
        return (self.folder / "whole").exists()

    def clear(self) -> None:
        """Begins anew."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)

    def add(self, part: int, line: bytes) -> None:
        """One more line (without a line break) of a part."""
        self._waiting.setdefault(part, []).append(line + b"\n")
        self._bytes += len(line)
        if self._bytes > WAITING:
            self._flush()

    def finish(self) -> None:
        """Everything is in."""
        self._flush()
        (self.folder / "whole").touch()

    def lines(self, part: int) -> Iterator[bytes]:
        """The lines of a part in their order."""
        path = self._path(part)
        if path.exists():
            with path.open("rb") as file:
                yield from file

    def _path(self, part: int) -> Path:
        return self.folder / f"{part:06d}"

    def _flush(self) -> None:
        for part, lines in self._waiting.items():
            with self._path(part).open("ab") as file:
                file.writelines(lines)
        self._waiting, self._bytes = {}, 0


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
        """Adds all numbers of another spool, each with `shift` on top."""
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
