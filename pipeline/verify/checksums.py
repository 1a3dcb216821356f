"""Whether the files of a data set are those that were written: each digest of checksums.sha256, and no other file."""

from __future__ import annotations

import io
import os
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

from assets.errors import SynthError
from assets.files.atomic import TEMPORARY
from assets.limits import COCO_BYTES, IMAGE_BYTES, Limit, check_file
from dataset.checksums import CHECKSUMS, OUTLINE, read_checksums, sha256, sha256_of, shard_digests
from dataset.shards.index import ShardEntry
from dataset.storage.path import StoragePath
from pipeline.verify.records import Violation

NO_CHECKSUMS = (
    f"that the files are those that were written: the set has no {CHECKSUMS}; the command that made it adds it"
)
CHANGED = f"has a different checksum than in {CHECKSUMS}"


def check_checksums(root: Path, folders: Collection[str], *, may_lack: str = "") -> Iterator[list[Violation]]:
    """What is wrong with each file of the data set in `root`, compared with its line, and with files that have none.

    may_lack: a folder whose files need no line. Memory: the names in one of the folders at a time.
    """
    listed: set[str] = set()
    top, left = "", set(folders) - {may_lack}
    try:
        check_file(root / CHECKSUMS, COCO_BYTES, "the list of checksums", CHECKSUMS)
        with (root / CHECKSUMS).open("rb") as file:
            for path, digest in read_checksums(file):
                above, _, name = path.partition("/")
                if above != top:
                    yield list(_unlisted(root, top, listed, left))
                    top, listed = above, set()
                listed.add(name)
                yield list(_check_file(root, path, digest, COCO_BYTES if above == "annotations" else IMAGE_BYTES))
    except (SynthError, OSError) as error:
        yield [Violation(CHECKSUMS, str(error))]
        return
    yield list(_unlisted(root, top, listed, left))
    for other in sorted(left):
        yield list(_unlisted(root, other, set(), left))


def _check_file(root: Path, path: str, digest: str, limit: Limit) -> Iterator[Violation]:
    try:
        check_file(root / path, limit, "the file", path)
        if sha256_of(root / path) != digest:
            yield Violation(path, CHANGED)
    except (SynthError, OSError) as error:
        yield Violation(path, str(error))


def _unlisted(root: Path, top: str, listed: set[str], left: set[str]) -> Iterator[Violation]:
    """Files of a folder of the data set that no line names. left: folders that have not been looked at."""
    if top not in left:
        return
    left.discard(top)
    for above, folders, names in os.walk(root / top):
        folders.sort()
        for name in sorted(names):
            path = (Path(above) / name).relative_to(root).as_posix()
            if path.partition("/")[2] not in listed and not is_leftover(name):
                yield Violation(path, f"is not in {CHECKSUMS}")


def check_location_checksums(location: StoragePath, shards: Sequence[ShardEntry]) -> Iterator[Violation]:
    """Whether the list of a sharded data set names the digests of its index, and those of the files beside the shards.

    The shards themselves are held against the index where they are read.
    """
    expected = shard_digests(shards)
    try:
        COCO_BYTES.check(location.size(CHECKSUMS), CHECKSUMS)
        listed = dict(read_checksums(io.BytesIO(location.read(CHECKSUMS))))
    except FileNotFoundError:
        yield Violation(CHECKSUMS, "is missing")
        return
    except (SynthError, OSError) as error:
        yield Violation(CHECKSUMS, str(error))
        return
    for name in sorted(expected.keys() | listed.keys()):
        if name not in listed:
            yield Violation(name, f"is not in {CHECKSUMS}")
        elif name in expected:
            if listed[name] != expected[name]:
                yield Violation(name, f"index.json and {CHECKSUMS} have different checksums of it")
        elif name not in OUTLINE:
            yield Violation(name, f"is in {CHECKSUMS}, but belongs to no shard of index.json")
        elif not location.exists(name):
            yield Violation(name, "is missing")
        elif sha256(location.read(name)) != listed[name]:
            yield Violation(name, CHANGED)
    for name in OUTLINE:
        if name not in listed and location.exists(name):
            yield Violation(name, f"is not in {CHECKSUMS}")


def is_leftover(name: str) -> bool:
    """Whether a file was left half written by a run that was killed."""
    return name.startswith(".") and name.endswith(TEMPORARY)
