"""Versions of a gallery: immutable lists of parts; a file that is replaced atomically names the one in use.

current                     the version in use, and those before it
versions/ID/gallery.json    the parts of the version; ID is the hash of its content
parts/, indexes/            files that versions share
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from assets.errors import SynthError, unknown_name
from assets.files.atomic import lock_folder, remove_leftovers, sync_folder, write_atomic
from assets.files.models import Count, FileModel
from assets.limits import GALLERY_ROWS
from detectors.recognition.gallery.parts import (
    PARTS,
    PartFile,
    check_files,
    check_part,
    damaged,
    read_gallery_model,
    read_skus,
)
from detectors.recognition.gallery.photos import PHOTOS, check_photo

FORMAT = 1
CURRENT, VERSIONS, MANIFEST = "current", "versions", "gallery.json"
# Number of earlier versions remembered for rolling back.
MAX_REMEMBERED = 100
Precision = Literal["float32", "float16"]
DIGEST = r"^[0-9a-f]{64}$"
VERSION = r"^[0-9a-f]{16}$"


class EmbedderInfo(FileModel):
    """The embedder of the vectors and its crops. side: pixels. margin: around a box, as a fraction of its sides."""

    # Restricted, because it is part of a file name.
    fingerprint: str = Field(pattern=r"^[0-9A-Za-z_-]{1,200}$")
    dim: int = Field(ge=1, le=1 << 16)
    side: int = Field(ge=1, le=1 << 16)
    margin: float = Field(ge=0, lt=1)


class PartEntry(FileModel):
    """A part of a version. gone: positions in the part of SKUs that this version lacks."""

    digest: str = Field(pattern=DIGEST)
    skus: int = Field(ge=1, le=GALLERY_ROWS.maximum)
    rows: int = Field(ge=1, le=GALLERY_ROWS.maximum)
    bytes: Count
    gone: tuple[Count, ...] = ()

    @property
    def file(self) -> PartFile:
        return PartFile(self.digest, self.skus, self.rows, self.bytes)


class Manifest(FileModel):
    """The content of gallery.json. views: number per SKU. views_format: version of the rendering of views.

    next_id: next free category id. skus, rows: in this version. parent: its origin, which is not part of its identity.
    """

    format: int = Field(FORMAT, ge=FORMAT, le=FORMAT)
    embedder: EmbedderInfo
    views: int = Field(ge=1, le=10_000)
    views_format: Count
    precision: Precision
    next_id: int = Field(ge=1, le=2**53)
    skus: Count
    rows: int = Field(ge=0, le=GALLERY_ROWS.maximum)
    parts: tuple[PartEntry, ...]
    parent: str | None = None

    @property
    def id(self) -> str:
        """First 16 digits of the SHA-256 over everything but the parent, so that equal galleries have equal ids."""
        content = json.dumps(self.model_dump(exclude={"parent"}), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(content.encode()).hexdigest()[:16]


class Pointer(FileModel):
    """The content of `current`. version: the one in use. before: earlier ones, the latest first."""

    version: str = Field(pattern=VERSION)
    before: tuple[Annotated[str, Field(pattern=VERSION)], ...]


def is_gallery(folder: Path) -> bool:
    """Return whether a folder holds a gallery with a version in use."""
    return (folder / CURRENT).is_file()


def current_version(folder: Path) -> str:
    """Return the version in use. Raises SynthError if the folder is not a gallery."""
    return _pointer(folder)[0]


def read_manifest(folder: Path, version: str | None = None) -> Manifest:
    """Read the manifest of a version, by default the one in use. Raises SynthError if it is missing or damaged."""
    version = version or current_version(folder)
    path = folder / VERSIONS / version / MANIFEST
    manifest = read_gallery_model(Manifest, path)
    if manifest is None:
        raise unknown_name("version", version, version_ids(folder), where=str(folder))
    if manifest.id != version:
        raise damaged(path, f"its content is that of version {manifest.id}")
    return manifest


def version_ids(folder: Path) -> list[str]:
    """Return the ids of all versions of a gallery, sorted."""
    found = (folder / VERSIONS).iterdir() if (folder / VERSIONS).is_dir() else ()
    return sorted(path.name for path in found if not path.name.startswith(".") and (path / MANIFEST).is_file())


def add_version(folder: Path, manifest: Manifest) -> str:
    """Store a version whose parts exist, unless it is stored already; returns its id."""
    target = folder / VERSIONS / manifest.id
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        sync_folder(folder / PARTS)
        # Written under a temporary name and renamed when complete, so that readers never see half a version.
        made = Path(tempfile.mkdtemp(dir=target.parent, prefix=".new-"))
        write_atomic(made / MANIFEST, (manifest.model_dump_json(indent=1) + "\n").encode())
        made.chmod(0o755)
        made.rename(target)
        sync_folder(target.parent)
    return manifest.id


def use_version(folder: Path, version: str) -> None:
    """Make a version the one in use, for everyone who opens the gallery from now on.

    Raises SynthError if the version or one of its parts is missing.
    """
    for part in read_manifest(folder, version).parts:
        check_files(folder, part.file)
    now, before = _pointer(folder) if is_gallery(folder) else ("", [])
    if now != version:
        _point(folder, version, [now, *before] if now else before)


def roll_back(folder: Path) -> str:
    """Return to the version in use before; returns its id. Raises SynthError if there is none."""
    now, before = _pointer(folder)
    if not before:
        hint = "'synth gallery versions' lists all; 'synth gallery use' takes any of them"
        raise SynthError(
            "no version to return to",
            code="version-missing",
            where=str(folder),
            found=f"{now} is the first",
            hint=hint,
        )
    read_manifest(folder, before[0])
    _point(folder, before[0], before[1:])
    return before[0]


def forget_versions(folder: Path, keep: int) -> list[str]:
    """Limit rolling back to the last `keep` versions; returns the ids of the one in use and of these."""
    now, before = _pointer(folder)
    _point(folder, now, before[:keep])
    return [now, *before[:keep]]


@contextmanager
def write_gallery(folder: Path) -> Iterator[int]:
    """Lock a gallery against other writers, but not readers, and remove leftovers of killed writers.

    Yields the file descriptor of the lock, for worker processes.
    """
    with lock_folder(folder) as lock:
        for inner in (folder, folder / PARTS, folder / PHOTOS):
            remove_leftovers(inner)
        for left in (folder / VERSIONS).glob(".new-*"):
            shutil.rmtree(left, ignore_errors=True)
        yield lock


def verify_gallery(folder: Path, version: str | None = None) -> list[str]:
    """Return all problems of a version, by default the one in use: checksums, counts, lengths of vectors."""
    manifest = read_manifest(folder, version)
    problems = [problem for part in manifest.parts for problem in check_part(folder, part.file, manifest.embedder.dim)]
    if problems:
        return problems
    seen: set[str] = set()
    skus = rows = 0
    for part in manifest.parts:
        for position, sku in enumerate(read_skus(folder, part.digest)):
            if position in part.gone:
                continue
            if sku.sku in seen:
                problems.append(f"SKU {sku.sku!r} is repeated")
            seen.add(sku.sku)
            skus, rows = skus + 1, rows + sku.rows
            problems += filter(None, (check_photo(folder, digest) for digest in sku.photos))
    if (skus, rows) != (manifest.skus, manifest.rows):
        problems.append(f"{skus} SKUs with {rows} views found, {manifest.skus} with {manifest.rows} expected")
    return problems


def _pointer(folder: Path) -> tuple[str, list[str]]:
    path = folder / CURRENT
    pointer = read_gallery_model(Pointer, path)
    if pointer is None:
        hint = "'synth gallery build LIST --embedder RUN --out FOLDER' makes one"
        raise SynthError("not a gallery", code="gallery-missing", where=str(folder), hint=hint)
    return pointer.version, list(pointer.before)


def _point(folder: Path, version: str, before: list[str]) -> None:
    content = {"version": version, "before": before[:MAX_REMEMBERED]}
    write_atomic(folder / CURRENT, (json.dumps(content) + "\n").encode())
    sync_folder(folder)
