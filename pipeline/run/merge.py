"""Merging of the labels of single images into COCO files, one per split, and of their digests into the checksums."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from assets.catalog.category_ids import ids_of
from assets.catalog.types import Catalog
from assets.errors import SynthError
from assets.files.json_input import parse_json
from assets.limits import DATASET_JSON, read_file
from dataset.categories import catalog_categories
from dataset.checksums import ChecksumSpool, sha256, sha256_of, sound_digests, write_checksums
from dataset.coco_writer import CocoCounts, numbered, write_coco
from dataset.layout import SHOP, Layout, split_of, stem_of
from dataset.records import Head, ImageLabels, InfoRecord
from dataset.shop import CATEGORIES, ShopRecords, numbered_marks
from pipeline.run.settings import RunSettings, recipe_text

RETRY_HINT = "delete the file and run the same command again: the image is then rendered again"


def merge_labels(
    settings: RunSettings, layout: Layout, catalog: Catalog, checksums: ChecksumSpool
) -> tuple[CocoCounts, int]:
    """Write the COCO files of each split from the images' own labels, in the order of the scenes, then all checksums.

    Returns the counts of the files of products, and the number of SKUs in them. Raises SynthError for damaged labels.
    """
    categories = catalog_categories(catalog, ids_of(catalog), keypoints=settings.keypoints)
    licenses = ({"id": 1, "name": settings.licence, "url": ""},) if settings.licence else ()
    seen: set[str] = set()
    written, files = [], [layout.info]
    for name, _ in settings.splits:
        said = f"synthetic scenes, recipe {recipe_text(settings.recipe)}, {name}"
        head = Head(categories, InfoRecord(description=said, version="1.0", contributor=settings.creator), licenses)
        images = _images(settings, layout, name, seen, checksums)
        written.append(write_coco(layout.annotations(name), _numbered(images, head), head))
        files.append(layout.annotations(name))
        if SHOP in settings.extras:
            marks = numbered_marks(_with_marks(settings, layout, name, head))
            write_coco(layout.shop(name), marks, Head(CATEGORIES, head.info, licenses), linked=True)
            files.append(layout.shop(name))
    for file in files:
        checksums.add(file.relative_to(layout.root).as_posix(), sha256_of(file))
    write_checksums(layout.root, checksums)
    return CocoCounts(sum(one.images for one in written), sum(one.annotations for one in written)), len(seen)


def _numbered(images: Iterator[ImageLabels], head: Head) -> Iterator[ImageLabels]:
    return numbered(images, head.categories, licensed=bool(head.licenses))


def _images(
    settings: RunSettings, layout: Layout, split: str, seen: set[str], checksums: ChecksumSpool
) -> Iterator[ImageLabels]:
    """The labels of the images of a split; their SKUs and digests are added to `seen` and `checksums`."""
    for file in _label_files(settings, layout, split):
        data, fragment, labels = _read_labels(file)
        seen.update(record.sku for record in labels.annotations if record.sku is not None)
        _add_checksums(layout, file.stem, data, fragment, settings.extras, checksums)
        yield labels


def _with_marks(
    settings: RunSettings, layout: Layout, split: str, head: Head
) -> Iterator[tuple[ImageLabels, ShopRecords]]:
    """The images of a split, numbered as in the file of products, with their labels of shops.

    They are read a second time: both files at once would need all of them in memory.
    """
    labels = (_read_labels(file)[2] for file in _label_files(settings, layout, split))
    for one, file in zip(_numbered(labels, head), _label_files(settings, layout, split), strict=True):
        shop = layout.file(SHOP, file.stem)
        data = read_file(shop, DATASET_JSON, "labels of a shop")
        yield one, ShopRecords.parse(data, str(shop), RETRY_HINT)


def _label_files(settings: RunSettings, layout: Layout, split: str) -> Iterator[Path]:
    for index in range(settings.scenes):
        if split_of(index, settings.splits) != split:
            continue
        files = (layout.labels(stem_of(index, view)) for view in range(settings.views))
        # Those of a failed scene are missing: it is reported, and not part of the set.
        yield from (file for file in files if file.exists())


def _read_labels(file: Path) -> tuple[bytes, dict[str, Any], ImageLabels]:
    """An image's own labels: as stored, as JSON, and their records. Raises SynthError if they are damaged."""
    try:
        data = read_file(file, DATASET_JSON, "an image's labels")
        fragment: dict[str, Any] = parse_json(data, "an image's labels", str(file), hint=RETRY_HINT)
        return data, fragment, ImageLabels.parse(fragment)
    except (ValueError, KeyError, TypeError) as error:
        raise SynthError(
            "the labels of an image are damaged",
            code="labels-damaged",
            where=str(file),
            found=str(error),
            hint=RETRY_HINT,
        ) from error


def _add_checksums(
    layout: Layout, stem: str, labels: bytes, fragment: dict[str, Any], extras: Sequence[str], checksums: ChecksumSpool
) -> None:
    """Add the digests of an image's files, stored when they were written; earlier versions are hashed now."""
    folders = ("images", "scenes", *extras)
    digests = sound_digests(fragment.get("sha256"), folders) or {
        folder: sha256_of(file) for folder in folders if (file := layout.file(folder, stem)).is_file()
    }
    for folder, digest in {**digests, "labels": sha256(labels)}.items():
        checksums.add(layout.file(folder, stem).relative_to(layout.root).as_posix(), digest)
