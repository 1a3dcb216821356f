"""Parts of a gallery: the vectors of some hundred SKUs with their metadata, in files named by their content.

    parts/DIGEST.npy     (rows, dim) float16 or float32, grouped by SKU
    parts/DIGEST.fronts  the front of each SKU as a small JPEG, for display
    parts/DIGEST.jsonl   one SKU per line: key, name, category id, digest of what it was rendered from, rows

Parts are immutable, and versions share them.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ConfigDict, Field, TypeAdapter, ValidationError

from assets.errors import SynthError
from assets.files.atomic import write_atomic
from assets.files.identity import check_once
from assets.files.json_input import JsonScan
from assets.files.models import Model, Sha256, parse_model
from assets.limits import (
    GALLERY_FILE,
    GALLERY_ROWS,
    IMAGE_BYTES,
    JSON_VALUES,
    LIST_TEXT,
    TENSOR_FILE_BYTES,
    check_file,
    read_file,
)
from assets.plurals import first_few

PARTS = "parts"
REPAIR = "'synth gallery verify' lists all problems; roll back, or build the gallery again"
# In the order of writing, the vectors last.
SUFFIXES = (".jsonl", ".fronts", ".npy")


@dataclass(frozen=True)
class GallerySku:
    """One SKU of a part. digest: of everything that determines its views. rows: number of its vectors.

    front: size of its front in bytes, 0 for none. photos: digests of the photos that its last vectors are of
    (detectors/recognition/gallery/photos.py).
    """

    # Validated strictly because files may be untrusted; earlier versions wrote neither fronts nor photos.
    __pydantic_config__ = ConfigDict(strict=True, extra="forbid")

    sku: Annotated[str, Field(min_length=1, max_length=LIST_TEXT.maximum)]
    name: Annotated[str, Field(max_length=LIST_TEXT.maximum)]
    category_id: Annotated[int, Field(ge=0, lt=2**63)]
    digest: Annotated[str, Field(max_length=200)]
    rows: Annotated[int, Field(ge=1, le=GALLERY_ROWS.maximum)]
    front: Annotated[int, Field(ge=0, le=IMAGE_BYTES.maximum)] = 0
    photos: tuple[Sha256, ...] = ()


SKUS = TypeAdapter(list[GallerySku])


@dataclass(frozen=True)
class PartFile:
    """A part on disk. digest: SHA-256 over its files, which are named by it. bytes: total size of its files."""

    digest: str
    skus: int
    rows: int
    bytes: int


def write_part(folder: Path, skus: Sequence[GallerySku], vectors: NDArray, fronts: bytes = b"") -> PartFile:
    """Store a part atomically, unless it exists already.

    vectors: (rows, dim) float16 or float32. fronts: concatenated JPEG files. Both are in the order of the SKUs. Raises
    ValueError if they do not match the SKUs.
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
            write_atomic(file, content)
    return part


def vectors_path(folder: Path, digest: str) -> Path:
    """Return the file of a part's vectors; its other files are beside it."""
    return folder / PARTS / f"{digest}.npy"


def read_skus(folder: Path, digest: str) -> list[GallerySku]:
    """Read the SKUs of a part. Raises SynthError if they are missing or damaged."""
    path = vectors_path(folder, digest).with_suffix(".jsonl")
    # Parsed as one list, since parsing line by line took twice as long.
    text = b"[" + b",".join(read_part_file(path).splitlines()) + b"]"
    try:
        JsonScan(str(path), JSON_VALUES).feed(text)
        skus = SKUS.validate_json(text)
    except (SynthError, ValidationError) as error:
        raise damaged(path, _brief(error)) from error
    for sku in skus:
        if len(sku.photos) > sku.rows:
            raise damaged(path, f"{len(sku.photos)} photos among {sku.rows} views of {sku.sku!r}")
    return skus


def read_front(folder: Path, digest: str, place: int) -> bytes:
    """Read the front of the SKU at index `place` of a part as a JPEG, b"" if it has none.

    Raises SynthError if the file is missing or damaged.
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
    """Memory-map the (rows, dim) vectors of a part, read-only. Raises SynthError if they are missing or damaged."""
    path = vectors_path(folder, part.digest)
    try:
        with path.open("rb") as file:
            np.lib.format.read_magic(file)
            shape, by_columns, dtype = np.lib.format.read_array_header_1_0(file)
            start = file.tell()
    except Exception as error:  # numpy's header parser passes on exceptions of Python's parser
        raise damaged(path, error) from error
    size = start + part.rows * dim * dtype.itemsize
    if shape != (part.rows, dim) or dtype not in (np.float16, np.float32) or by_columns or path.stat().st_size != size:
        raise damaged(path, f"{dtype} {shape}"[:200])
    return np.memmap(path, dtype, "r", start, shape)


def check_files(folder: Path, part: PartFile) -> None:
    """Raise SynthError if a file of a part is missing, or if their total size has changed."""
    path = vectors_path(folder, part.digest)
    size = sum(part_file_size(path.with_suffix(suffix)) for suffix in SUFFIXES)
    if size != part.bytes:
        raise damaged(path, f"{size} bytes, {part.bytes} were written")


def check_contents(folder: Path, parts: Sequence[PartFile]) -> None:
    """Raise SynthError if files of these parts were changed; a file is only read again after it was modified.

    1.4 GB take about a second the first time (two cores, files in memory), and milliseconds later.
    """
    by_digest = {part.digest: part for part in parts}
    paths = {digest: vectors_path(folder, digest) for digest in by_digest}
    groups = {digest: [path.with_suffix(suffix) for suffix in SUFFIXES] for digest, path in paths.items()}
    for part in by_digest.values():
        check_files(folder, part)
    problems = check_once(groups, lambda digest: _content_problems(folder, by_digest[digest]))
    if problems:
        raise SynthError(
            "files of the gallery have changed",
            code="gallery-damaged",
            where=str(folder / PARTS),
            found=f"{len(problems)} of {len(parts)} parts",
            problems=first_few(sorted(problems)),
            hint=REPAIR,
        )


def _content_problems(folder: Path, part: PartFile) -> list[str]:
    path = vectors_path(folder, part.digest)
    try:
        right = _digest_of(*(path.with_suffix(suffix).read_bytes() for suffix in SUFFIXES)) == part.digest
    except OSError as error:
        return [f"{path.name}: {error.strerror or error}"]
    return [] if right else [f"{path.name}: the content has changed since it was written"]


def check_part(folder: Path, part: PartFile, dim: int) -> list[str]:
    """Return the problems of a part's files, [] if they are intact."""
    path = vectors_path(folder, part.digest)
    try:
        check_files(folder, part)
        problems = _content_problems(folder, part)
        vectors = map_vectors(folder, part, dim) if not problems else None
    except SynthError as error:
        return [f"{path.name}: {error.found}"]
    if vectors is None:
        return problems
    norms = np.linalg.norm(np.asarray(vectors, np.float32), axis=1)
    wrong = int((~(np.abs(norms - 1) < 0.01)).sum())
    return [f"{path.name}: {wrong} vectors are not of length 1"] if wrong else []


def read_part_file(path: Path) -> bytes:
    """Read a small file of a gallery. Raises SynthError if it is missing, too large or not a regular file."""
    try:
        return read_file(path, GALLERY_FILE, "the file")
    except SynthError as error:
        raise damaged(path, _brief(error)) from error


def part_file_size(path: Path) -> int:
    """Return the size of a gallery's file in bytes. Raises SynthError if it is missing or not a regular file."""
    try:
        return check_file(path, TENSOR_FILE_BYTES, "the file")
    except SynthError as error:
        raise damaged(path, _brief(error)) from error


def read_gallery_model(model: type[Model], path: Path) -> Model | None:
    """Read a JSON file of a gallery, None if it does not exist. Raises SynthError if it is damaged."""
    if not os.path.lexists(path):
        return None
    data = read_part_file(path)
    try:
        return parse_model(model, data, "the file", str(path))
    except SynthError as error:
        raise damaged(path, _brief(error)) from error


def _brief(error: SynthError | ValidationError) -> str:
    if isinstance(error, ValidationError):
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        return f"{'.'.join(str(part)[:60] for part in first['loc'])}: {first['msg'][:200]}"
    return "; ".join([f"{error.what}{f': {error.found}' if error.found else ''}", *error.problems])[:2000]


def damaged(path: Path, error: object) -> SynthError:
    """Return the error for a gallery file that cannot be used."""
    return SynthError(
        "a file of the gallery is missing or damaged",
        code="gallery-damaged",
        where=str(path),
        found=str(error),
        hint=REPAIR,
    )


def _lines_of(skus: Sequence[GallerySku]) -> bytes:
    return "".join(json.dumps(_fields_of(sku), ensure_ascii=False) + "\n" for sku in skus).encode()


def _fields_of(sku: GallerySku) -> dict[str, Any]:
    """Return the fields as JSON values; without photos as in earlier versions, so that equal parts have equal names."""
    fields = asdict(sku)
    if not sku.photos:
        del fields["photos"]
    return fields


def _digest_of(*contents: bytes) -> str:
    digest = hashlib.sha256()
    for content in contents:
        digest.update(len(content).to_bytes(8, "big"))
        digest.update(content)
    return digest.hexdigest()
