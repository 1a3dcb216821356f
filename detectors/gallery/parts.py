"""Parts of a gallery: the vectors of some hundred SKUs with what they belong to, named by their content.

    parts/DIGEST.npy     (rows, dim) float16 or float32, the views of one SKU behind one another
    parts/DIGEST.fronts  of each SKU its front as a small JPEG, for people
    parts/DIGEST.jsonl   one SKU a line: key, name, category id, digest of what it was rendered from, rows

A part is never changed: versions that have it in common share its files.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from assets.atomic import write_whole
from assets.errors import SynthError
from assets.file_identity import MAX_NAMED, check_once

PARTS = "parts"
REPAIR = "'synth gallery verify' tells everything that is wrong; roll back, or build the gallery again"
# Digests become names of files.
PHOTO = re.compile(r"[0-9a-f]{64}")
# In the order in which they are written, the vectors last.
SUFFIXES = (".jsonl", ".fronts", ".npy")


@dataclass(frozen=True)
class GallerySku:
    """One SKU of a part. digest: of all that its views follow from. rows: how many vectors it has.

    front: bytes of its front among the pictures, 0 for none. photos: digests of the photographs that its last vectors
    are of (detectors/gallery/photos.py).
    """

    sku: str
    name: str
    category_id: int
    digest: str
    rows: int
    front: int = 0
    photos: tuple[str, ...] = ()


@dataclass(frozen=True)
class PartFile:
    """A part that is on disk. digest: SHA-256 over its files, and their name. bytes: of all together."""

    digest: str
    skus: int
    rows: int
    bytes: int


def write_part(folder: Path, skus: Sequence[GallerySku], vectors: NDArray, fronts: bytes = b"") -> PartFile:
    """Stores a part, whole or not at all; one that is there already is left alone.

    vectors: (rows, dim), float16 or float32, fronts: JPEG files behind one another, both in the order of the SKUs.
    Raises ValueError where they do not fit.
    """
    rows, pictured = sum(sku.rows for sku in skus), sum(sku.front for sku in skus)
    if rows != len(vectors) or pictured != len(fronts):
        raise ValueError(f"{len(vectors)} vectors and {len(fronts)} bytes for SKUs of {rows} and {pictured}")
    buffer = io.BytesIO()
    np.save(buffer, np.ascontiguousarray(vectors), allow_pickle=False)
    data, lines = buffer.getvalue(), _lines_of(skus)
    size = len(lines) + len(fronts) + len(data)
    part = PartFile(_digest_of(lines, fronts, data), len(skus), len(vectors), size)
    path = vectors_path(folder, part.digest)
    path.parent.mkdir(parents=True, exist_ok=True)
    for suffix, content in zip(SUFFIXES, (lines, fronts, data), strict=True):
        file = path.with_suffix(suffix)
        if not file.exists():
            write_whole(file, content)
    return part


def vectors_path(folder: Path, digest: str) -> Path:
    """Where the vectors of a part lie; its SKUs lie beside them."""
    return folder / PARTS / f"{digest}.npy"


def read_skus(folder: Path, digest: str) -> list[GallerySku]:
    """The SKUs of a part. Raises SynthError where they are missing or damaged."""
    path = vectors_path(folder, digest).with_suffix(".jsonl")
    try:
        # As one text: line by line it took twice as long.
        rows = json.loads(b"[" + b",".join(path.read_bytes().splitlines()) + b"]")
        return [GallerySku(**_checked(row)) for row in rows]
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise damaged(path, error) from error


def read_front(folder: Path, digest: str, place: int) -> bytes:
    """The front of the SKU at a place of a part as a JPEG, empty where it has none.

    Raises SynthError where the pictures are missing or damaged.
    """
    sizes = [sku.front for sku in read_skus(folder, digest)]
    path = vectors_path(folder, digest).with_suffix(".fronts")
    try:
        with path.open("rb") as file:
            file.seek(sum(sizes[:place]))
            return file.read(sizes[place])
    except OSError as error:
        raise damaged(path, error) from error


def map_vectors(folder: Path, part: PartFile, dim: int) -> NDArray:
    """The vectors of a part, (rows, dim), read-only and left on disk until they are looked at.

    Raises SynthError where they are missing or damaged.
    """
    path = vectors_path(folder, part.digest)
    try:
        vectors: NDArray = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise damaged(path, error) from error
    if vectors.shape != (part.rows, dim) or vectors.dtype not in (np.float16, np.float32):
        raise damaged(path, f"{vectors.dtype} {vectors.shape}")
    return vectors


def check_files(folder: Path, part: PartFile) -> None:
    """Raises SynthError where a file of a part is missing, or they are not as long as they were."""
    path = vectors_path(folder, part.digest)
    try:
        size = sum(path.with_suffix(suffix).stat().st_size for suffix in SUFFIXES)
    except OSError as error:
        raise damaged(path, error) from error
    if size != part.bytes:
        raise damaged(path, f"{size} bytes, {part.bytes} were written")


def check_contents(folder: Path, parts: Sequence[PartFile]) -> None:
    """Raises SynthError where files of these parts are not what was written; each is read once, until it changes.

    1.4 GB take about a second the first time (two cores, files in memory), milliseconds from then on.
    """
    by_digest = {part.digest: part for part in parts}
    paths = {digest: vectors_path(folder, digest) for digest in by_digest}
    groups = {digest: [path.with_suffix(suffix) for suffix in SUFFIXES] for digest, path in paths.items()}
    problems = check_once(groups, lambda digest: _content_problems(folder, by_digest[digest]))
    if problems:
        raise SynthError(
            "the gallery's files are not what was written",
            where=str(folder / PARTS),
            found=f"{len(problems)} of {len(parts)} parts",
            problems=sorted(problems)[:MAX_NAMED],
            hint=REPAIR,
        )


def _content_problems(folder: Path, part: PartFile) -> list[str]:
    path = vectors_path(folder, part.digest)
    try:
        right = _digest_of(*(path.with_suffix(suffix).read_bytes() for suffix in SUFFIXES)) == part.digest
    except OSError as error:
        return [f"{path.name}: {error.strerror or error}"]
    return [] if right else [f"{path.name}: the content is not what was written"]


def check_part(folder: Path, part: PartFile) -> list[str]:
    """What is wrong with the files of a part, none if they are as they were written."""
    path = vectors_path(folder, part.digest)
    try:
        lines, fronts, data = (path.with_suffix(suffix).read_bytes() for suffix in SUFFIXES)
    except OSError as error:
        return [f"{path.name}: {error.strerror or error}"]
    if _digest_of(lines, fronts, data) != part.digest:
        return [f"{path.name}: the content is not what was written"]
    norms = np.linalg.norm(np.load(io.BytesIO(data), allow_pickle=False).astype(np.float32), axis=1)
    wrong = int((~(np.abs(norms - 1) < 0.01)).sum())
    return [f"{path.name}: {wrong} vectors are not of length 1"] if wrong else []


def damaged(path: Path, error: object) -> SynthError:
    """The error for a file of a gallery that cannot be used."""
    return SynthError("a file of the gallery is missing or damaged", where=str(path), found=str(error), hint=REPAIR)


def _lines_of(skus: Sequence[GallerySku]) -> bytes:
    return "".join(json.dumps(_fields_of(sku), ensure_ascii=False) + "\n" for sku in skus).encode()


def _fields_of(sku: GallerySku) -> dict[str, Any]:
    """As earlier versions wrote it where there are no photographs: parts that are equal keep one name."""
    fields = asdict(sku)
    if not sku.photos:
        del fields["photos"]
    return fields


def _checked(row: dict[str, Any]) -> dict[str, Any]:
    if not isinstance(row["sku"], str) or not isinstance(row["rows"], int):
        raise TypeError("a SKU's key is a text, its rows a number")
    if "photos" not in row:
        return row
    photos = tuple(row["photos"])
    if not all(isinstance(digest, str) and PHOTO.fullmatch(digest) for digest in photos) or len(photos) > row["rows"]:
        raise TypeError("photos are digests, one for each of the last vectors")
    return {**row, "photos": photos}


def _digest_of(*contents: bytes) -> str:
    digest = hashlib.sha256()
    for content in contents:
        digest.update(len(content).to_bytes(8, "big"))
        digest.update(content)
    return digest.hexdigest()
