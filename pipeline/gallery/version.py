"""Assembly of the next version of a gallery from rendered and embedded SKUs: ids, parts, manifest, switch."""

from __future__ import annotations

import io
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from assets.catalog.category_ids import CategoryIds, ids_of, ids_path
from assets.catalog.types import Catalog
from assets.errors import SynthError
from detectors.recognition.gallery.decision import first_decision, inherit_decision, read_decision, write_decision
from detectors.recognition.gallery.embedders import learned_threshold
from detectors.recognition.gallery.index import build_index, inherit_index
from detectors.recognition.gallery.open import Gallery, open_gallery
from detectors.recognition.gallery.parts import GallerySku, map_vectors, read_front, read_skus, write_part
from detectors.recognition.gallery.versions import (
    EmbedderInfo,
    Manifest,
    PartEntry,
    Precision,
    add_version,
    use_version,
)
from pipeline.gallery.task import TaskResult
from render.views import VIEWS_FORMAT

# Parts less than half full before they are joined: each added SKU makes one.
MAX_SMALL = 32
# A SKU with its vectors and its front as a JPEG.
Record = tuple[GallerySku, NDArray, bytes]


@dataclass(frozen=True)
class VectorSpec:
    """Common properties of all vectors of a version. views: per SKU."""

    embedder: EmbedderInfo
    views: int
    precision: Precision


def assign_ids(catalog: Catalog, keys: Collection[str], parent: Gallery | None) -> tuple[dict[str, int], int]:
    """Return the category id of each key, and the next free id.

    A registry beside the list decides if there is one. Else known SKUs keep their ids, the first version follows the
    sorted order, and new SKUs get the next ids. Raises SynthError if registry and gallery disagree.
    """
    known_ids = dict(zip(parent.keys, parent.category_ids.tolist(), strict=True)) if parent else {}
    next_free = parent.manifest.next_id if parent else 1
    if ids_path(catalog.source).exists() or parent is None:
        ids = ids_of(catalog)
        _check_registry(ids, known_ids, catalog)
        return {key: ids.of(key) for key in keys}, max(next_free, len(ids) + 1)
    new = sorted(set(keys) - known_ids.keys())
    numbers = {**known_ids, **{key: next_free + place for place, key in enumerate(new)}}
    return {key: numbers[key] for key in keys}, next_free + len(new)


def _check_registry(ids: CategoryIds, known_ids: Mapping[str, int], catalog: Catalog) -> None:
    problems = [
        f"{key!r}: {number} in the gallery, {ids.of(key)} in the registry"
        for key, number in known_ids.items()
        if key in ids and ids.of(key) != number
    ]
    if problems:
        where, hint = str(ids_path(catalog.source)), "use one registry for all, or build the gallery again elsewhere"
        raise SynthError(
            "the gallery uses other category ids",
            code="category-ids-conflict",
            where=where,
            hint=hint,
            problems=problems[:20],
        )


def gallery_records(
    results: Iterable[TaskResult], catalog: Catalog, digests: Mapping[str, str], ids: Mapping[str, int], views: int
) -> Iterator[Record]:
    """Yield each SKU that was made, with its vectors."""
    for result in results:
        vectors, fronts = result.read_vectors(), io.BytesIO(result.read_fronts())
        for place, (key, size) in enumerate(zip(result.made, result.fronts, strict=True)):
            sku = GallerySku(key, catalog.find(key).name, ids[key], digests[key], views, size)
            yield sku, vectors[place * views : (place + 1) * views], fronts.read(size)


def write_parts(folder: Path, records: Iterable[Record], *, most: int, precision: Precision) -> tuple[PartEntry, ...]:
    """Write parts of up to `most` SKUs each, in the order of the records."""
    remaining, parts = iter(records), []
    while batch := list(islice(remaining, most)):
        skus, vectors, fronts = zip(*batch, strict=True)
        made = write_part(folder, skus, np.concatenate(vectors).astype(precision), b"".join(fronts))
        parts.append(PartEntry(digest=made.digest, skus=made.skus, rows=made.rows, bytes=made.bytes))
    return tuple(parts)


def parts_without(parent: Gallery, keys: Collection[str]) -> tuple[PartEntry, ...]:
    """Return the parts of a version without some SKUs; empty parts are dropped."""
    rows = parent.first[[parent.positions[key] for key in keys if key in parent.positions]]
    touched = set((np.searchsorted(parent.starts, rows, side="right") - 1).tolist())
    kept = []
    for number, part in enumerate(parent.manifest.parts):
        if number in touched:
            skus = read_skus(parent.folder, part.digest)
            gone = {place for place, sku in enumerate(skus) if sku.sku in keys} | set(part.gone)
            part = part.model_copy(update={"gone": tuple(sorted(gone))})
        if len(part.gone) < part.skus:
            kept.append(part)
    return tuple(kept)


def join_small(
    folder: Path, parts: tuple[PartEntry, ...], *, most: int, dim: int
) -> tuple[tuple[PartEntry, ...], list[Record]]:
    """Return the parts to keep, and the SKUs of small parts once there are too many of them."""
    small = [part for part in parts if (part.skus - len(part.gone)) * 2 < most]
    if len(small) <= MAX_SMALL:
        return parts, []
    return tuple(part for part in parts if part not in small), [
        record for part in small for record in _read_remaining(folder, part, dim)
    ]


def _read_remaining(folder: Path, part: PartEntry, dim: int) -> Iterator[Record]:
    vectors, row = map_vectors(folder, part.file, dim), 0
    for place, sku in enumerate(read_skus(folder, part.digest)):
        if place not in part.gone:
            yield sku, np.array(vectors[row : row + sku.rows]), read_front(folder, part.digest, place)
        row += sku.rows


def make_manifest(
    folder: Path,
    parts: tuple[PartEntry, ...],
    spec: VectorSpec,
    *,
    next_id: int,
    parent: Gallery | None,
) -> Manifest:
    """Return the manifest of the new version. Raises SynthError if it would be empty."""
    rows = sum(part.rows - (_count_removed_rows(folder, part) if part.gone else 0) for part in parts)
    if not rows:
        raise SynthError("no SKU is left for the gallery", code="gallery-empty", where=str(folder))
    return Manifest(
        embedder=spec.embedder,
        views=spec.views,
        views_format=VIEWS_FORMAT,
        precision=spec.precision,
        next_id=next_id,
        skus=sum(part.skus - len(part.gone) for part in parts),
        rows=rows,
        parts=parts,
        parent=parent.version if parent else None,
    )


def _count_removed_rows(folder: Path, part: PartEntry) -> int:
    skus = read_skus(folder, part.digest)
    return sum(skus[place].rows for place in part.gone)


def publish_version(folder: Path, manifest: Manifest, parent: Gallery | None, *, index: str | None) -> None:
    """Store the version with its index and its decision, then make it the current one.

    index: of INDEXES; None copies that of the parent.
    """
    version = add_version(folder, manifest)
    made = open_gallery(folder, version)
    if parent is not None and parent.manifest.embedder == manifest.embedder and parent.version != version:
        inherit_decision(made, parent)
        if index is None:
            inherit_index(made, parent)
    if index is not None:
        build_index(made, index)
    if read_decision(made) is None:
        write_decision(made, first_decision(made, learned_threshold(made)))
    use_version(folder, version)
