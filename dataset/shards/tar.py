"""Reading of the tar files of a sharded data set."""

from __future__ import annotations

import hashlib
import io
import tarfile
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from assets.errors import SynthError
from assets.files.identity import digest_files, file_state
from assets.files.json_input import parse_json
from assets.limits import DATASET_INSTANCES, SHARD_BYTES
from dataset.images import IMAGES
from dataset.records import AnnotationRecord, ImageLabels, ImageRecord, parse_all
from dataset.shards.index import ShardEntry, ShardSample, tar_name
from dataset.storage.path import StoragePath

LABELS = "json"
REPAIR = "'synth verify' lists all problems; copy the shard again from its origin, or render it again"


@dataclass(frozen=True)
class Members:
    """The files of one sample. stem: their name. spans: suffix to first byte and number of bytes in the tar."""

    stem: str
    spans: Mapping[str, tuple[int, int]]


def scan_tar(file: IO[bytes], where: str, *, needed: str = LABELS) -> list[Members]:
    """List the samples of a tar in order, from its headers alone. needed: a suffix that every sample has.

    Raises SynthError if it is damaged, or holds anything but samples: plain files STEM.SUFFIX, labels among them.
    """
    samples: list[Members] = []
    end = file.seek(0, io.SEEK_END)
    file.seek(0)
    try:
        with tarfile.open(fileobj=file, mode="r:") as tar:
            reached = 0
            for member in tar:
                # A negative size, which some headers can state, leads back to files that were there already.
                if member.size < 0 or member.offset_data <= reached:
                    raise tarfile.ReadError("a file of a negative size")
                _take(member, samples, where)
                reached = member.offset_data + member.size
                if reached > end:
                    raise tarfile.ReadError("it ends too early")
    except (tarfile.TarError, EOFError, ValueError, RecursionError) as error:
        raise SynthError(
            "a shard is damaged", code="shard-damaged", where=where, found=str(error), hint=REPAIR
        ) from error
    stems = [sample.stem for sample in samples]
    if len(set(stems)) < len(stems):
        raise _unlike(where, "two samples of one name")
    for sample in samples:
        if needed not in sample.spans:
            raise _unlike(where, f"{sample.stem} without labels")
    return samples


def _take(member: tarfile.TarInfo, samples: list[Members], where: str) -> None:
    folder, _, name = member.name.rpartition("/")
    stem, dot, suffix = name.partition(".")
    if not member.isreg() or folder or not stem or not dot or not suffix:
        raise _unlike(where, repr(member.name[:100]))
    if not samples or samples[-1].stem != stem:
        samples.append(Members(stem, {}))
    spans = samples[-1].spans
    assert isinstance(spans, dict)
    if suffix in spans:
        raise _unlike(where, f"{member.name[:100]!r} twice")
    spans[suffix] = (member.offset_data, member.size)


def _unlike(where: str, found: str) -> SynthError:
    return SynthError(
        "a shard is damaged",
        code="shard-damaged",
        where=where,
        found=found,
        expected="samples of plain files",
        hint=REPAIR,
    )


def read_labels(data: bytes, where: str) -> ImageLabels:
    """Parse the image record and annotations of a sample. Raises SynthError if they are invalid."""
    try:
        labels = ImageLabels.parse(parse_json(data, "the labels of a sample", where, hint=REPAIR))
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        found = f"{type(error).__name__}: {error}"
        raise SynthError(
            "the labels of a sample cannot be read",
            code="shard-labels-damaged",
            where=where,
            found=found,
            hint=REPAIR,
        ) from error
    DATASET_INSTANCES.check(len(labels.annotations), where)
    return labels


def read_foreign_labels(data: bytes, where: str) -> ImageLabels:
    """Parse the labels of a sample of others: the image, which may be left out, and COCO's annotations.

    Raises SynthError if they are invalid.
    """
    content = parse_json(data, "the labels of a sample", where)
    rows = content.get("annotations") if isinstance(content, dict) else content
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        what, expected = "the labels of a sample cannot be read", "a list of annotations as COCO has them"
        raise SynthError(what, code="records-invalid", where=where, found=type(content).__name__, expected=expected)
    image = content.get("image") if isinstance(content, dict) else None
    DATASET_INSTANCES.check(len(rows), where)
    return ImageLabels(ImageRecord.parse(image if isinstance(image, dict) else {}), parse_all(AnnotationRecord, rows))


def image_suffix(suffixes: Collection[str], image: ImageRecord, where: str) -> str:
    """Return the suffix of the image file of a sample, preferably that of its name. Raises SynthError without one."""
    named = (image.file_name or "").rpartition(".")[2].lower()
    found = [suffix for suffix in (named, *IMAGES) if suffix in suffixes and suffix != LABELS]
    if not found:
        raise SynthError(
            "a sample has no image",
            code="shard-image-missing",
            where=where,
            expected=f"one of {', '.join(IMAGES)}",
            hint=REPAIR,
        )
    return found[0]


def read_samples(location: StoragePath, entry: ShardEntry) -> Iterator[ShardSample]:
    """Iterate over the samples of a shard, read whole.

    Raises SynthError if it is missing, too large or damaged, or not what the index says.
    """
    yield from samples_of(read_tar(location, entry), location.locate(tar_name(entry.name)))


def read_tar(location: StoragePath, entry: ShardEntry) -> bytes:
    """Read the tar of a shard. Raises SynthError if it is missing, too large or not what the index says."""
    where = location.locate(tar_name(entry.name))
    try:
        data = read_whole(location, tar_name(entry.name))
    except FileNotFoundError as error:
        raise SynthError("a shard is missing", code="shard-missing", where=where, hint=REPAIR) from error
    check_bytes(len(data), hashlib.sha256(data).hexdigest(), entry, where)
    return data


def check_tar(path: Path, entry: ShardEntry, where: str) -> None:
    """Raise SynthError if a file on disk is not the tar of a shard; read once, then known by size, time and inode."""
    [digest] = digest_files([path])
    state = file_state(path)
    check_bytes(-1 if state is None else state[0], digest, entry, where)


def check_bytes(size: int, digest: str, entry: ShardEntry, where: str) -> None:
    """Raise SynthError if a shard is not what the index says."""
    if (size, digest) != (entry.tar_bytes, entry.tar_sha256):
        found = f"{size} bytes, SHA-256 {digest[:12]}..."
        expected = f"{entry.tar_bytes} bytes, SHA-256 {entry.tar_sha256[:12]}..., as index.json says"
        raise SynthError(
            "a shard is damaged", code="shard-damaged", where=where, found=found, expected=expected, hint=REPAIR
        )


def read_whole(location: StoragePath, name: str) -> bytes:
    """Read a file of a shard. Raises FileNotFoundError if it is missing, SynthError if it is too large."""
    SHARD_BYTES.check(location.size(name), location.locate(name))
    return location.read(name)


def samples_of(data: bytes, where: str) -> Iterator[ShardSample]:
    """Iterate over the samples of a tar. Raises SynthError if it is damaged."""
    for members in scan_tar(io.BytesIO(data), where):
        files = {suffix: data[first : first + size] for suffix, (first, size) in members.spans.items()}
        labels = read_labels(files.pop(LABELS), f"{where}: {members.stem}.json")
        yield ShardSample(members.stem, files, labels.image, labels.annotations)
