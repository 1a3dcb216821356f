"""Reviewed photographs as views of their SKUs (`synth gallery add --reviewed`)."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from assets.errors import SynthError
from assets.limits import GALLERY_PHOTOS
from assets.plurals import first_few
from dataset.images import read_image
from dataset.review.table import BY_PEOPLE, Reviewed, ReviewedBox, missing_images, read_reviewed
from detectors.recognition.embedder.crops import prepare_crop
from detectors.recognition.gallery.embedders import embedder_info, embedder_path, load_embedder_of, load_on_one_thread
from detectors.recognition.gallery.open import Gallery, open_gallery
from detectors.recognition.gallery.parts import GallerySku
from detectors.recognition.gallery.photos import keep_photo, read_photo
from detectors.recognition.gallery.versions import EmbedderInfo, write_gallery
from pipeline.gallery.version import (
    Record,
    VectorSpec,
    join_small,
    make_manifest,
    parts_without,
    publish_version,
    write_parts,
)

if TYPE_CHECKING:
    from pipeline.gallery.summary import GallerySummary

WRONG = "the review does not fit the gallery"


def add_photos(
    folder: Path, file: Path, *, images: Path | None = None, embedder: Path | None = None, device: str = "auto"
) -> GallerySummary:
    """Make a version in which reviewed boxes (decisions accept and other) are views of their SKUs.

    The photographs are stored in the gallery; duplicates are skipped. images: current folder of the images. embedder:
    a run, None for the gallery's own. Raises SynthError for unusable decisions, SKUs that the gallery lacks, and
    another embedder.
    """
    from pipeline.gallery.settings import PART_SKUS
    from pipeline.gallery.summary import summary_of

    started = time.monotonic()
    reviewed = read_reviewed(file)
    rows = [row for row in reviewed.rows if row.decision in BY_PEOPLE]
    if not rows:
        raise SynthError(
            "the review has no decisions",
            code="review-undecided",
            where=str(file),
            expected="decisions 'accept' or 'other' with a SKU",
        )
    with write_gallery(folder):
        parent = open_gallery(folder)
        _check_rows(parent, reviewed, rows, images)
        loaded = load_embedder_of(parent, embedder, device=device)
        crops = _read_crops(reviewed, rows, images, loaded.margin)
        new_photos = _new_photos(parent, ((sku, keep_photo(folder, crop)) for sku, crop in crops))
        if not new_photos:
            return summary_of(folder, started, parent, [])
        added = [digest for photos in new_photos.values() for digest in photos]
        vectors = loaded.embed(read_photo(folder, digest) for digest in added)
        records = _extend_skus(parent, new_photos, dict(zip(added, vectors, strict=True)))
        before = parent.manifest
        old, joined = join_small(folder, parts_without(parent, new_photos.keys()), most=PART_SKUS, dim=parent.dim)
        parts = write_parts(folder, [*joined, *records], most=PART_SKUS, precision=before.precision)
        spec = VectorSpec(before.embedder, before.views, before.precision)
        manifest = make_manifest(folder, (*old, *parts), spec, next_id=before.next_id, parent=parent)
        publish_version(folder, manifest, parent, index=None)
        return replace(summary_of(folder, started, parent, []), photos=len(added))


def with_photos(
    records: Iterable[Record], parent: Gallery | None, info: EmbedderInfo, *, device: str
) -> Iterator[Record]:
    """Yield re-rendered SKUs with the photographs that the previous version has of them.

    info: of the embedder of the records; photographs are embedded again if it differs from the previous one.
    """
    embedder = None
    for sku, vectors, front in records:
        photos = parent.photos_of(sku.sku) if parent is not None else ()
        if parent is None or not photos:
            yield sku, vectors, front
            continue
        if parent.manifest.embedder.fingerprint == info.fingerprint:
            seen = parent.vectors(parent.rows_of(parent.positions[sku.sku])[-len(photos) :])
        else:
            embedder = embedder or load_on_one_thread(embedder_path(parent.folder, info.fingerprint), device=device)
            assert embedder_info(embedder) == info
            seen = embedder.embed(read_photo(parent.folder, digest) for digest in photos)
        yield replace(sku, rows=sku.rows + len(photos), photos=photos), np.concatenate([vectors, seen]), front


def _check_rows(parent: Gallery, reviewed: Reviewed, rows: Sequence[ReviewedBox], images: Path | None) -> None:
    unknown = sorted({row.sku for row in rows} - parent.positions.keys())
    if unknown:
        hint = "'synth gallery add GALLERY SKU_LIST' adds SKUs of a list first"
        found = f"{len(unknown)} SKUs that the gallery does not have"
        problems = first_few(unknown, 20)
        raise SynthError(WRONG, code="unknown-sku", where=str(reviewed.file), found=found, hint=hint, problems=problems)
    error = missing_images(reviewed, (row.image for row in rows), images, "reviewed images are missing")
    if error:
        raise error


def _read_crops(
    reviewed: Reviewed, rows: Sequence[ReviewedBox], images: Path | None, margin: float
) -> Iterator[tuple[str, NDArray[np.uint8]]]:
    """Yield SKU and crop of each box; every image is read once."""
    by_image: dict[str, list[ReviewedBox]] = {}
    for row in rows:
        by_image.setdefault(row.image, []).append(row)
    for name, boxes in by_image.items():
        image = read_image(reviewed.path(name, images), boxes[0].image_width, boxes[0].image_height)
        for box in boxes:
            yield box.sku, prepare_crop(image, np.array(box.xyxy), margin=margin)


def _new_photos(parent: Gallery, named: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    """Return digests by SKU of the photographs that the gallery does not have of it, in a fixed order."""
    new_photos: dict[str, set[str]] = {}
    for sku, digest in named:
        if digest not in parent.photos_of(sku):
            new_photos.setdefault(sku, set()).add(digest)
    for sku, digests in new_photos.items():
        GALLERY_PHOTOS.check(len(digests) + len(parent.photos_of(sku)), f"SKU {sku!r}")
    return {sku: sorted(digests) for sku, digests in sorted(new_photos.items())}


def _extend_skus(
    parent: Gallery, new_photos: dict[str, list[str]], vectors: dict[str, NDArray[np.float32]]
) -> Iterator[Record]:
    """Yield the SKUs with more photographs, after their existing views."""
    for key, digests in new_photos.items():
        place = parent.positions[key]
        rows, front = parent.rows_of(place), parent.front(place)
        sku = GallerySku(
            sku=key,
            name=parent.names[place],
            category_id=int(parent.category_ids[place]),
            digest=parent.digests[place],
            rows=len(rows) + len(digests),
            front=len(front),
            photos=(*parent.photos_of(key), *digests),
        )
        yield sku, np.concatenate([parent.vectors(rows), np.stack([vectors[digest] for digest in digests])]), front
