"""Versions of a gallery: each an immutable list of parts, the one in use named by a pointer that is replaced whole.

current                     which version is in use, and those before it
versions/ID/gallery.json    what the version consists of; ID is the hash of its content
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
# Of the versions in use before, for rolling back.
MAX_REMEMBERED = 100
Precision = Literal["float32", "float16"]
DIGEST = r"^[0-9a-f]{64}$"
VERSION = r"^[0-9a-f]{16}$"


class EmbedderInfo(FileModel):
    """Which embedder made the vectors, and how crops are shown to it. side: pixels. margin: share of a box's sides."""

    # It names the embedder's file.
    fingerprint: str = Field(pattern=r"^[0-9A-Za-z_-]{1,200}$")
    dim: int = Field(ge=1, le=1 << 16)
    side: int = Field(ge=1, le=1 << 16)
    margin: float = Field(ge=0, lt=1)


class PartEntry(FileModel):
    """A part of a version. gone: positions in the part of SKUs that this version does not have."""

    digest: str = Field(pattern=DIGEST)
    skus: int = Field(ge=1, le=GALLERY_ROWS.most)
    rows: int = Field(ge=1, le=GALLERY_ROWS.most)
    bytes: Count
    gone: tuple[Count, ...] = ()

    @property
    def file(self) -> PartFile:
        return PartFile(self.digest, self.skus, self.rows, self.bytes)


class Manifest(FileModel):
    """gallery.json. views: per SKU. views_format: of the pictures that were embedded. next_id: of categories.

    skus, rows: that the version has. parent: the version that it was made from; no part of its identity.
    """

    format: int = Field(FORMAT, ge=FORMAT, le=FORMAT)
    embedder: EmbedderInfo
    views: int = Field(ge=1, le=10_000)
    views_format: Count
    precision: Precision
    next_id: int = Field(ge=1, le=2**53)
    skus: Count
    rows: int = Field(ge=0, le=GALLERY_ROWS.most)
    parts: tuple[PartEntry, ...]
    parent: str | None = None

    @property
    def id(self) -> str:
        """The first 16 digits of the SHA-256 over everything but the parent: equal galleries have equal ids."""
        content = json.dumps(self.model_dump(exclude={"parent"}), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(content.encode()).hexdigest()[:16]


class Pointer(FileModel):
    """The file `current`. version: in use. before: those before it, the last first."""

    version: str = Field(pattern=VERSION)
    before: tuple[Annotated[str, Field(pattern=VERSION)], ...]


def is_gallery(folder: Path) -> bool:
    """Whether a folder holds a gallery with a version in use."""
    return (folder / CURRENT).is_file()


def current_version(folder: Path) -> str:
    """The version in use. Raises SynthError where the folder is no gallery."""
    return _pointer(folder)[0]


def read_manifest(folder: Path, version: str | None = None) -> Manifest:
    """What a version consists of, by default the one in use. Raises SynthError where it cannot be had."""
    version = version or current_version(folder)
    path = folder / VERSIONS / version / MANIFEST
    manifest = read_gallery_model(Manifest, path)
    if manifest is None:
        raise unknown_name("version", version, version_ids(folder), where=str(folder))
    if manifest.id != version:
        raise damaged(path, f"its content is that of version {manifest.id}")
    return manifest


def version_ids(folder: Path) -> list[str]:
    """All versions of a gallery, in the order of their ids."""
    found = (folder / VERSIONS).iterdir() if (folder / VERSIONS).is_dir() else ()
    return sorted(path.name for path in found if not path.name.startswith(".") and (path / MANIFEST).is_file())


def add_version(folder: Path, manifest: Manifest) -> str:
    """Stores a version whose parts are there, and returns its id; one that is there already is left alone."""
    target = folder / VERSIONS / manifest.id
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        sync_folder(folder / PARTS)
        # A folder under another name, renamed when it is complete: nobody sees half a version.
        made = Path(tempfile.mkdtemp(dir=target.parent, prefix=".new-"))
        write_atomic(made / MANIFEST, (manifest.model_dump_json(indent=1) + "\n").encode())
        made.chmod(0o755)
        made.rename(target)
        sync_folder(target.parent)
    return manifest.id


def use_version(folder: Path, version: str) -> None:
    """Makes a version the one in use, at once for whoever opens the gallery from now on.

    Raises SynthError where it is not there or one of its parts is not.
    """
    for part in read_manifest(folder, version).parts:
        check_files(folder, part.file)
    now, before = _pointer(folder) if is_gallery(folder) else ("", [])
    if now != version:
        _point(folder, version, [now, *before] if now else before)


def roll_back(folder: Path) -> str:
    """Goes back to the version in use before, and returns its id. Raises SynthError where there was none."""
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
    """Rolling back can go `keep` versions back from now on; those and the one in use."""
    now, before = _pointer(folder)
    _point(folder, now, before[:keep])
    return [now, *before[:keep]]


@contextmanager
def write_gallery(folder: Path) -> Iterator[int]:
    """Keeps other writers out of a gallery, and takes away what killed ones left. Readers are not kept out.

    Yields the descriptor of the lock, for worker processes.
    """
    with lock_folder(folder) as lock:
        for inner in (folder, folder / PARTS, folder / PHOTOS):
            remove_leftovers(inner)
        for left in (folder / VERSIONS).glob(".new-*"):
            shutil.rmtree(left, ignore_errors=True)
        yield lock


def verify_gallery(folder: Path, version: str | None = None) -> list[str]:
    """Everything that is wrong with a version, by default the one in use: checksums, counts, lengths of vectors."""
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
                problems.append(f"SKU {sku.sku!r} is there twice")
            seen.add(sku.sku)
            skus, rows = skus + 1, rows + sku.rows
            problems += filter(None, (check_photo(folder, digest) for digest in sku.photos))
    if (skus, rows) != (manifest.skus, manifest.rows):
        problems.append(f"{skus} SKUs with {rows} views are there, {manifest.skus} with {manifest.rows} are on record")
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
