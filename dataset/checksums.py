"""checksums.sha256: the SHA-256 of every file of a data set, as `sha256sum` writes and checks it.

One line for each file, sorted by path, relative to the data set. Written last, from digests that were taken when the
files were written: what happens to a file afterwards is found. Millions of lines are sorted on disk, in flat memory.
"""

from __future__ import annotations

import hashlib
import heapq
import re
import shutil
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, Any, Final

from assets.errors import SynthError
from assets.files.atomic import atomic_file
from dataset.shards.index import (
    CATEGORIES,
    FORMAT,
    INDEX,
    ShardEntry,
    ShardIndex,
    coco_name,
    index_json,
    tar_name,
    write_index,
)
from dataset.storage.path import StoragePath

CHECKSUMS: Final = "checksums.sha256"
# Of a sharded data set: what speaks for all of it.
OUTLINE = (CATEGORIES, "dataset.json", INDEX)
SPOOL = f".{CHECKSUMS}.spool"
# Lines that are sorted in memory at a time: 20 MB of them.
MAX_WAITING = 100_000
# Longer lines name no file: paths end at 4096 bytes, each of which may be escaped.
MAX_LINE = 10_000
LINE = re.compile(r"(\\?)([0-9a-f]{64}) [ *](.+)", re.DOTALL)
DIGEST = re.compile(r"[0-9a-f]{64}")
# As sha256sum has it since coreutils 8.32: a line that begins with a backslash has these written out.
ESCAPES = {"\\": "\\\\", "\n": "\\n", "\r": "\\r"}


class ChecksumSpool:
    """Paths with their digests, added in any order to files in `folder` and written sorted."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._waiting: list[bytes] = []
        self._runs: list[Path] = []

    def add(self, path: str, digest: str, *, known_before: bool = False) -> None:
        """Add a file. path: relative, with forward slashes. digest: 64 hexadecimal digits.

        known_before: of an earlier list, for a file that is not written now; where it is, the newer digest counts.
        """
        # A zero byte is in no path and before all that is: lines sort as their paths do.
        line = f"{path.translate(_ESCAPING)}\0{int(known_before)}{digest}\n"
        self._waiting.append(line.encode(errors="surrogateescape"))
        if len(self._waiting) >= MAX_WAITING:
            self._flush()

    def write(self, file: IO[bytes]) -> None:
        """Write all lines, sorted, each path once."""
        self._flush()
        before: bytes | None = None
        with ExitStack() as stack:
            for line in heapq.merge(*[stack.enter_context(run.open("rb")) for run in self._runs]):
                path, _, digest = line.rstrip(b"\n").partition(b"\0")
                if path != before:
                    file.write((b"\\" if b"\\" in path else b"") + digest[1:] + b"  " + path + b"\n")
                before = path

    def _flush(self) -> None:
        if not self._waiting:
            return
        self._waiting.sort()
        run = self._folder / f"{len(self._runs):06d}"
        with run.open("wb") as file:
            file.writelines(self._waiting)
        self._runs.append(run)
        self._waiting = []


_ESCAPING = str.maketrans(ESCAPES)


def write_checksums(folder: Path, spool: ChecksumSpool) -> None:
    """Write the list of a data set on disk, atomically."""
    with atomic_file(folder / CHECKSUMS) as file:
        spool.write(file)


@contextmanager
def spool_checksums(folder: Path) -> Iterator[ChecksumSpool]:
    """A spool inside a data set, where there is room for it; what a killed run left of one goes first."""
    spool = folder / SPOOL
    shutil.rmtree(spool, ignore_errors=True)
    spool.mkdir()
    try:
        yield ChecksumSpool(spool)
    finally:
        shutil.rmtree(spool, ignore_errors=True)


def read_checksums(file: IO[bytes], where: str = CHECKSUMS) -> Iterator[tuple[str, str]]:
    """Path and digest of each line. Raises SynthError for lines of another form, and paths out of order or the folder.

    Paths are taken for granted nowhere: they are relative and stay inside the data set.
    """
    before = b""
    for number in range(1, 1 << 62):
        line = file.readline(MAX_LINE)
        if not line:
            return
        found = LINE.fullmatch(line.decode(errors="surrogateescape").removesuffix("\n"))
        place = f"{where} line {number}"
        if found is None or not line.endswith(b"\n"):
            raise SynthError(
                "malformed line of checksums", code="checksums-invalid", where=place, found=ascii(line[:100])
            )
        path = _unescaped(found[3]) if found[1] else found[3]
        if not is_inside(path):
            raise SynthError(
                "a path points outside the data set", code="path-unsafe", where=place, found=repr(path[:100])
            )
        key = found[3].encode(errors="surrogateescape")
        if key <= before:
            raise SynthError(
                "the lines are not sorted by path without duplicates",
                code="checksums-invalid",
                where=place,
                found=repr(path[:100]),
            )
        before = key
        yield path, found[2]


def _unescaped(path: str) -> str:
    names = {text: sign for sign, text in ESCAPES.items()}
    return re.sub(r"\\.", lambda found: names.get(found[0], found[0]), path)


def is_inside(path: str) -> bool:
    """Whether a relative path stays below its root."""
    parts = PurePosixPath(path).parts
    return bool(parts) and not path.startswith("/") and ".." not in parts and "\0" not in path


def shard_digests(shards: Iterable[ShardEntry]) -> dict[str, str]:
    """Return the digests of the files of shards, as they were written."""
    tars = {tar_name(shard.name): shard.tar_sha256 for shard in shards}
    return tars | {coco_name(shard.name): shard.coco_sha256 for shard in shards}


def write_signed_index(location: StoragePath, entries: Iterable[ShardEntry]) -> ShardIndex:
    """Write the checksums of a sharded data set, then its index, which marks the set as complete.

    No shard is read for it; categories and dataset.json must be there already.
    """
    index = ShardIndex(format=FORMAT, shards=tuple(sorted(entries, key=lambda entry: entry.name)))
    write_location_checksums(location, index)
    return write_index(location, index.shards)


def write_location_checksums(location: StoragePath, index: ShardIndex) -> None:
    """Write the list of a sharded data set with that index."""
    digests = {**shard_digests(index.shards), INDEX: sha256(index_json(index))}
    digests |= {name: sha256(location.read(name)) for name in OUTLINE if name != INDEX and location.exists(name)}
    lines = [f"{digest}  {name}\n" for name, digest in sorted(digests.items())]
    location.write(CHECKSUMS, "".join(lines).encode())


def sha256(data: bytes) -> str:
    """Return the digest of a file's content."""
    return hashlib.sha256(data).hexdigest()


def sha256_of(file: Path) -> str:
    """Return the digest of a file on disk, read in pieces. Raises OSError if it cannot be read."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def sound_digests(value: Any, names: Iterable[str]) -> dict[str, str] | None:
    """Name to digest where `value` holds one for each of `names` and no other, else None."""
    if not isinstance(value, dict) or set(value) != set(names):
        return None
    return value if all(isinstance(item, str) and DIGEST.fullmatch(item) for item in value.values()) else None
