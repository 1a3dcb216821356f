"""What the data sets of a training hold, so that it is resumed only on what it began with."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from assets.errors import SynthError
from assets.files.atomic import write_atomic
from assets.files.identity import describe_changes, digest_files, read_listing, write_listing
from assets.plurals import first_few
from dataset.find import CocoSource
from dataset.shards.index import ShardEntry, coco_name, tar_name
from dataset.shards.tar import REPAIR
from dataset.storage.path import StoragePath
from dataset.values import short

# Before digests of content: runs of earlier versions know their data by names and sizes.
CONTENT = "content:"


@dataclass(frozen=True)
class DataIdentity:
    """What a data set is known by. digest: of the content of all its files. sizes: of their names and sizes alone.

    files: SHA-256 of each file by name, none where the data set lies in shards, whose index has them.
    """

    digest: str
    sizes: str
    files: Mapping[str, str] = field(default_factory=dict)

    def is_known_as(self, earlier: str | None) -> bool:
        """Whether a run that knew its data as `earlier` may be resumed on this."""
        return earlier in (self.digest, self.sizes)


def identify(source: CocoSource) -> DataIdentity:
    """What a COCO file and its images hold; the images are read, unless it is remembered what they hold."""
    names = [name for image in source.content.images if isinstance(name := image.value("file_name"), str)]
    digests = digest_files([source.file, *(source.images / name for name in names)])
    files = dict(zip([source.file.name, *names], digests, strict=True))
    content = hashlib.sha256(digests[0].encode())
    for name, digest in zip(names, digests[1:], strict=True):
        content.update(f"{short(name)}\0{digest}\0".encode(errors="replace"))
    return DataIdentity(CONTENT + content.hexdigest(), fingerprint(source), files)


def fingerprint(source: CocoSource) -> str:
    """SHA-256 over the COCO file and the names and sizes of its images."""
    digest = hashlib.sha256(source.file.read_bytes())
    for image in source.content.images:
        name = image.value("file_name")
        size = _file_size(source.images / name) if isinstance(name, str) else -1
        digest.update(f"{short(name)}\0{size}\0".encode(errors="replace"))
    return digest.hexdigest()


def _file_size(path: Path) -> int:
    try:
        return path.stat().st_size
    except (OSError, ValueError):
        return -1


def check_shards(location: StoragePath, shards: Sequence[ShardEntry]) -> None:
    """Raise SynthError if shards on this machine's disk are not what their index says.

    Those that lie elsewhere are checked as they are fetched.
    """
    if location.local is None:
        return
    expected = {tar_name(entry.name): entry.tar_sha256 for entry in shards}
    expected |= {coco_name(entry.name): entry.coco_sha256 for entry in shards}
    found = dict(zip(expected, digest_files([location.local / name for name in expected]), strict=True))
    wrong = [name for name, digest in expected.items() if found[name] != digest]
    if wrong:
        raise SynthError(
            f"shards differ from the index: {len(wrong)} of {len(expected)} files",
            code="shard-damaged",
            where=str(location),
            problems=first_few([name if found[name] else f"{name} is missing" for name in wrong]),
            hint=REPAIR,
        )


def claim_data(out: Path, data: Mapping[str, DataIdentity], earlier: Mapping[str, str] | None) -> None:
    """Note in the run's folder what its data hold.

    data: by the name of the data set. earlier: what the last checkpoint knows them by, None before the first one.
    Raises SynthError that names the files where they are others by now.
    """
    if earlier is not None:
        _check(out, data, earlier)
    for name, one in data.items():
        if one.files:
            _listing(out, name).parent.mkdir(exist_ok=True)
            write_atomic(_listing(out, name), write_listing(one.files))


def _check(out: Path, data: Mapping[str, DataIdentity], earlier: Mapping[str, str]) -> None:
    problems = [
        f"{name}: {'; '.join(_changes(_listing(out, name), one))}"
        for name, one in data.items()
        if not one.is_known_as(earlier.get(name))
    ]
    problems += [f"{name} is no longer part of the data" for name in earlier if name not in data]
    if problems:
        hint = "restore the files, or give another --out to train on the data as it is now"
        raise SynthError(
            "the data has changed since the run was started",
            code="data-changed",
            where=str(out),
            problems=problems,
            hint=hint,
        )


def _changes(listing: Path, now: DataIdentity) -> list[str]:
    try:
        changes = describe_changes(read_listing(listing.read_bytes()), now.files)
    except (OSError, ValueError):
        changes = []
    return changes or ["its files are not those that it was known by"]


def _listing(out: Path, name: str) -> Path:
    return out / "data" / f"{name}.sha256"
