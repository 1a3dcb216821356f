"""A version of a gallery opened for reading: SKUs and their rows in memory, vectors memory-mapped."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from assets.errors import SynthError
from dataset.categories import unique_names
from detectors.recognition.gallery.parts import (
    GallerySku,
    check_contents,
    damaged,
    map_vectors,
    read_front,
    read_skus,
    vectors_path,
)
from detectors.recognition.gallery.versions import Manifest, current_version, read_manifest

MISSING = -1


@dataclass(frozen=True, eq=False)
class Gallery:
    """One version of a gallery, unaffected by later changes of its folder.

    Rows are numbered across all parts, including those of SKUs that the version lacks. keys, names, category_ids,
    digests: of each SKU, in the order of rows. first, counts: (S,) int64, first row and number of rows of each SKU.
    owners: (R,) int32, the SKU of each row, MISSING if the version lacks it. blocks: the vectors of each part. starts:
    (P + 1,) int64, first row of each part. photos: digests of photos by key, for SKUs that have some.
    """

    folder: Path
    version: str
    manifest: Manifest
    keys: tuple[str, ...]
    names: tuple[str, ...]
    category_ids: NDArray[np.int64]
    digests: tuple[str, ...]
    first: NDArray[np.int64]
    counts: NDArray[np.int64]
    owners: NDArray[np.int32]
    blocks: tuple[NDArray, ...]
    starts: NDArray[np.int64]
    photos: Mapping[str, tuple[str, ...]]

    def __len__(self) -> int:
        return len(self.keys)

    @property
    def dim(self) -> int:
        return self.manifest.embedder.dim

    @cached_property
    def positions(self) -> dict[str, int]:
        """Positions of SKUs by key."""
        return {key: position for position, key in enumerate(self.keys)}

    @cached_property
    def category_names(self) -> tuple[str, ...]:
        """Names of the SKUs for COCO categories, made unique."""
        order = np.argsort(self.category_ids, kind="stable").tolist()
        names = unique_names((self.keys[position], self.names[position]) for position in order)
        return tuple(names[key] for key in self.keys)

    def vectors(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return (N, dim) float32 vectors of some rows."""
        found = np.empty((len(rows), self.dim), np.float32)
        order = np.argsort(rows, kind="stable")
        ends = np.searchsorted(rows[order], self.starts)
        for part in np.flatnonzero(np.diff(ends)):
            mine = order[ends[part] : ends[part + 1]]
            found[mine] = self.blocks[part][rows[mine] - self.starts[part]]
        return found

    def rows_of(self, position: int) -> NDArray[np.int64]:
        """Return the rows of a SKU."""
        return np.arange(self.first[position], self.first[position] + self.counts[position])

    @cached_property
    def most_rows(self) -> int:
        """The largest number of rows (rendered views and photos) of a SKU."""
        return int(self.counts.max(initial=1))

    def photos_of(self, key: str) -> tuple[str, ...]:
        """Return digests of the photos of a SKU, whose vectors are its last ones; () if it has none or is not here."""
        return self.photos.get(key, ())

    def photo_of_view(self, position: int, view: int) -> str:
        """Return the digest of the photo behind a view of a SKU, "" for a rendered view."""
        photos = self.photos_of(self.keys[position])
        place = view - (int(self.counts[position]) - len(photos))
        return photos[place] if photos and place >= 0 else ""

    def front(self, position: int) -> bytes:
        """Return the front of a SKU as a small JPEG, b"" if the gallery has none."""
        row = int(self.first[position])
        part = int(np.searchsorted(self.starts, row, side="right")) - 1
        digest, before = self.manifest.parts[part].digest, int(self.starts[part])
        for place, sku in enumerate(read_skus(self.folder, digest)):
            if before == row:
                return read_front(self.folder, digest, place)
            before += sku.rows
        return b""

    def check_embedder(self, fingerprint: str, where: str) -> None:
        """Raise SynthError if the gallery was built with another embedder, as distances would be meaningless."""
        if fingerprint != self.manifest.embedder.fingerprint:
            raise SynthError(
                "the gallery was built with another embedder",
                code="embedder-mismatch",
                where=f"{self.folder}, version {self.version}",
                found=f"{fingerprint[:16]} ({where})",
                expected=self.manifest.embedder.fingerprint[:16],
                hint="give the embedder that the gallery was built with, or build a gallery with this one",
            )


def open_gallery(folder: Path, version: str | None = None) -> Gallery:
    """Open a version of a gallery, by default the one in use; its files are verified on first use.

    Raises SynthError if it cannot be used, or if its files were changed.
    """
    version = version or current_version(folder)
    manifest = read_manifest(folder, version)
    check_contents(folder, [part.file for part in manifest.parts])
    blocks = tuple(map_vectors(folder, part.file, manifest.embedder.dim) for part in manifest.parts)
    skus: list[GallerySku] = []
    first: list[int] = []
    starts = np.concatenate([[0], np.cumsum([part.rows for part in manifest.parts], dtype=np.int64)])
    owners = np.full(int(starts[-1]), MISSING, np.int32)
    for part, start in zip(manifest.parts, starts.tolist(), strict=False):
        row, gone = start, set(part.gone)
        held = read_skus(folder, part.digest)
        if (len(held), sum(sku.rows for sku in held)) != (part.skus, part.rows):
            raise damaged(vectors_path(folder, part.digest), "its numbers of SKUs and vectors do not match")
        for position, sku in enumerate(held):
            if position not in gone:
                owners[row : row + sku.rows] = len(skus)
                skus.append(sku)
                first.append(row)
            row += sku.rows
    return Gallery(
        folder=folder,
        version=version,
        manifest=manifest,
        keys=tuple(sku.sku for sku in skus),
        names=tuple(sku.name for sku in skus),
        category_ids=np.array([sku.category_id for sku in skus], np.int64),
        digests=tuple(sku.digest for sku in skus),
        first=np.array(first, np.int64),
        counts=np.array([sku.rows for sku in skus], np.int64),
        owners=owners,
        blocks=blocks,
        starts=starts,
        photos={sku.sku: sku.photos for sku in skus if sku.photos},
    )
