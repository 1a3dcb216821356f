"""Data sets: images with their labels, whatever they are stored in."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from assets.errors import SynthError, unknown_name
from assets.notebook import block, picture, table
from assets.notebook import text as html_text
from dataset.formats import open_labels
from dataset.records import CategoryRecord
from dataset.store import DataStore, StoredImage

if TYPE_CHECKING:
    from PIL.Image import Image

# Images of a data set that Jupyter shows, and pixels of their width together.
SHOWN, SHEET_PX = 6, 960


@dataclass(frozen=True)
class DataSet:
    """A data set of any format: iterate over its images as often as you like; Jupyter shows some of them.

    where: location, for messages.
    """

    _store: DataStore

    @property
    def where(self) -> str:
        return self._store.where

    @property
    def categories(self) -> Sequence[CategoryRecord]:
        """Categories: `id` as annotations refer to it, `key` the SKU, `shown` the name for people."""
        return self._store.categories

    @property
    def splits(self) -> Mapping[str, int]:
        """Number of images by split."""
        counts = Counter[str]()
        for part in self._store.parts:
            counts[part.split] += part.count
        return counts

    def __len__(self) -> int:
        return sum(part.count for part in self._store.parts)

    def __iter__(self) -> Iterator[StoredImage]:
        return (image for part in self._store.parts for image in part.stored_images())

    def images(self, split: str) -> Iterator[StoredImage]:
        """Iterate over the images of a split. Raises SynthError if there is no such split."""
        if split not in self.splits:
            raise unknown_name("split", split, self.splits, where=self.where)
        return (image for part in self._store.parts if part.split == split for image in part.stored_images())

    def plot(self, count: int = SHOWN) -> Image:
        """Draw some images with their labels on one sheet, evenly spread. Raises SynthError if there are none."""
        from pipeline.preview.draw import chosen_images, sheet_of_images
        from pipeline.preview.types import PreviewSettings

        settings = PreviewSettings(count=count)
        return sheet_of_images(chosen_images(self._store, settings), settings)

    def _repr_html_(self) -> str:
        """Return what Jupyter shows: some images with their labels, and counts. Without images the counts alone."""
        counts = table(("split", "images"), sorted(self.splits.items()))
        title = f"{len(self):,} images, {len(self.categories):,} categories"
        try:
            sheet = self.plot()
        except SynthError as error:
            return block(title, counts, html_text(error))
        sheet.thumbnail((SHEET_PX, 10 * SHEET_PX))
        file = io.BytesIO()
        sheet.save(file, "PNG")
        return block(title, picture(file.getvalue(), "images with their labels", sheet.width), counts)


def open_dataset(source: str | Path, *, images: str | Path | None = None) -> DataSet:
    """Open a data set: a COCO file, a folder in any label format, or shards, on disk or any storage.

    images: where images lie that are not beside their labels. Raises SynthError where there is no such set.
    """
    return DataSet(open_labels(source, images=None if images is None else Path(images)))


def read_dataset(
    source: str | Path, *, split: str | None = None, images: str | Path | None = None
) -> Iterator[StoredImage]:
    """Read the images of a data set with their labels, one after the other, in flat memory.

    source: a COCO file, a folder in any label format, or shards, on disk or any storage ("s3://bucket/set"). split:
    such as "train"; all splits by default. images: where images lie that are not beside their labels. Each image has
    `labels.image`, `labels.annotations` and `read()`, the bytes of its file. Raises SynthError where there is no such
    set or split.
    """
    found = open_dataset(source, images=images)
    return iter(found) if split is None else found.images(split)


def read_categories(source: str | Path, *, images: str | Path | None = None) -> Sequence[CategoryRecord]:
    """Read the categories of a data set: `id` as annotations refer to it, `key` the SKU, `shown` the name for people.

    source, images: as for `read_dataset`. Raises SynthError where there is no such set.
    """
    return open_dataset(source, images=images).categories
