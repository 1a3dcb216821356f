"""Storage that fails for a while is asked again: a job of days must not end over one refused request."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from assets.errors import SynthError
from assets.limits import Limit
from dataset.storage.path import StoragePath, StoredFile

T = TypeVar("T")
S = TypeVar("S")
# 0.5 + 1 + 2 + 4 + 8 s: a storage that is out for longer ends the job, which is resumed.
WAITS_S = (0.5, 1.0, 2.0, 4.0, 8.0)
# Requests side by side: a bucket answers each after some 20 ms, and takes thousands a second.
REQUESTS = 16


@dataclass(frozen=True)
class RetryingPath(StoragePath):
    """A place whose storage is asked again where it refuses; a disk's errors come at once, as waiting mends none."""

    def exists(self, name: str) -> bool:
        return patiently(lambda: StoragePath.exists(self, name))

    def size(self, name: str) -> int:
        return patiently(lambda: StoragePath.size(self, name))

    def read(self, name: str) -> bytes:
        return patiently(lambda: StoragePath.read(self, name))

    def write(self, name: str, data: bytes) -> None:
        patiently(lambda: StoragePath.write(self, name, data))

    def delete(self, name: str) -> None:
        patiently(lambda: StoragePath.delete(self, name))

    def put(self, name: str, file: Path) -> None:
        patiently(lambda: StoragePath.put(self, name, file))

    def look(self, name: str) -> StoredFile:
        return patiently(lambda: StoragePath.look(self, name))

    def is_empty(self) -> bool:
        return patiently(lambda: StoragePath.is_empty(self))

    def files(self, limit: Limit) -> list[StoredFile]:
        return patiently(lambda: StoragePath.files(self, limit))

    def names(self, folder: str = "") -> list[str]:
        return patiently(lambda: StoragePath.names(self, folder))


def patiently(action: Callable[[], T]) -> T:
    """What `action` gives, tried again after each SynthError until WAITS_S are used up."""
    for wait in WAITS_S:
        try:
            return action()
        except SynthError:
            time.sleep(wait)
    return action()


def side_by_side(action: Callable[[S], T], items: Iterable[S]) -> list[T]:
    """`action` of each item, in order, several requests to a storage at a time."""
    with ThreadPoolExecutor(REQUESTS) as pool:
        return list(pool.map(action, items))
