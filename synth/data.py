"""Data sets: images with their labels, whatever they are stored in."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from assets.errors import unknown_name
from dataset.formats import open_labels
from dataset.records import CategoryRecord
from dataset.store import StoredImage


def read_dataset(
    source: str | Path, *, split: str | None = None, images: str | Path | None = None
) -> Iterator[StoredImage]:
    """Read the images of a data set with their labels, one after the other, in flat memory.

    source: a COCO file, a folder in any label format, or shards on any storage ("s3://bucket/set"). split: such as
    "train"; all splits by default. images: where images lie that are not beside their labels. Each image has
    `labels.image`, `labels.annotations` and `read()`, the bytes of its file. Raises SynthError where there is no such
    set or split.
    """
    store = open_labels(source, images=None if images is None else Path(images))
    splits = {part.split for part in store.parts}
    if split is not None and split not in splits:
        raise unknown_name("split", split, splits, where=store.where)
    return (image for part in store.parts if split in (None, part.split) for image in part.stored_images())


def read_categories(source: str | Path, *, images: str | Path | None = None) -> Sequence[CategoryRecord]:
    """Read the categories of a data set: `id` as annotations refer to it, `key` the SKU, `shown` the name for people.

    source, images: as for `read_dataset`. Raises SynthError where there is no such set.
    """
    return open_labels(source, images=None if images is None else Path(images)).categories
