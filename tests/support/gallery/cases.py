"""Galleries of invented vectors: look-alikes in clusters, one SKU several views."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from detectors.recognition.gallery.open import Gallery, open_gallery
from detectors.recognition.gallery.parts import GallerySku, write_part
from detectors.recognition.gallery.versions import (
    EmbedderInfo,
    Manifest,
    PartEntry,
    Precision,
    add_version,
    use_version,
)

DIM, VIEWS = 16, 3
NOTE = EmbedderInfo(fingerprint="made-up", dim=DIM, side=64, margin=0.05)


def unit(vectors: NDArray) -> NDArray[np.float32]:
    """The vectors with length 1."""
    return (vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)).astype(np.float32)


def vectors_of(numbers: Sequence[int], views: int = VIEWS, dim: int = DIM) -> NDArray[np.float32]:
    """(len(numbers) * views, dim): SKUs of one ten look alike, views of one SKU more so."""
    rows = []
    for number in numbers:
        family = np.random.default_rng([1, number // 10]).standard_normal(dim)
        own = np.random.default_rng([2, number]).standard_normal(dim)
        turns = np.random.default_rng([3, number]).standard_normal((views, dim))
        rows.append(unit(family + 0.8 * own + 0.3 * turns))
    return np.concatenate(rows)


def part_of(folder: Path, numbers: Sequence[int], *, views: int = VIEWS, precision: Precision = "float32") -> PartEntry:
    """A part with these SKUs on disk."""
    fronts = [f"front of {number}".encode() for number in numbers]
    skus = [
        GallerySku(f"sku-{number:04d}", f"Product {number}", number + 1, f"digest-{number}", views, len(front))
        for number, front in zip(numbers, fronts, strict=True)
    ]
    made = write_part(folder, skus, vectors_of(numbers, views).astype(precision), b"".join(fronts))
    return PartEntry(digest=made.digest, skus=made.skus, rows=made.rows, bytes=made.bytes)


def manifest_of(
    parts: Sequence[PartEntry], *, views: int = VIEWS, precision: Precision = "float32", parent: str | None = None
) -> Manifest:
    """A version of these parts."""
    skus = sum(part.skus - len(part.gone) for part in parts)
    return Manifest(
        embedder=NOTE,
        views=views,
        views_format=1,
        precision=precision,
        next_id=10_000,
        skus=skus,
        rows=skus * views,
        parts=tuple(parts),
        parent=parent,
    )


def make_gallery(
    folder: Path, count: int = 60, *, part: int = 20, precision: Precision = "float32", views: int = VIEWS
) -> Gallery:
    """A gallery of `count` SKUs, in use."""
    starts = range(0, count, part)
    parts = [
        part_of(folder, range(start, min(start + part, count)), views=views, precision=precision) for start in starts
    ]
    use_version(folder, add_version(folder, manifest_of(parts, views=views, precision=precision)))
    return open_gallery(folder)


def without(part: PartEntry, *places: int) -> PartEntry:
    """A part of which a version lacks the SKUs at these places."""
    return part.model_copy(update={"gone": places})
