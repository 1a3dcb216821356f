"""A part of a data set as a data set: some of its images, under the same or other splits, with changed labels."""

from __future__ import annotations

import hashlib
from array import array
from bisect import bisect_left
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from assets.limits import IMAGE_LIST, read_file
from dataset.records import CategoryRecord, Head, ImageLabels
from dataset.spool import hash64
from dataset.store import DataPart, DataStore, StoredImage

Change = Callable[[ImageLabels], ImageLabels]
# Columns of `SeenImages`, with their types.
COLUMNS = {"part": "i", "place": "q", "annotations": "i", "name": "q", "group": "Q", "draw": "Q"}
# Of an image and an annotation.
Ids = tuple[int, int]


@dataclass(frozen=True)
class ImageList:
    """Images by name. lines: SPLIT/NAME, or NAME for the images of that name in all splits."""

    lines: frozenset[str]

    @property
    def digest(self) -> str:
        """SHA-256 of the lines, in whatever order they stand."""
        return hashlib.sha256("\n".join(sorted(self.lines)).encode(errors="replace")).hexdigest()

    def has(self, split: str, name: str | None) -> bool:
        """Whether an image is listed. name: as its record gives it."""
        return name is not None and (name in self.lines or f"{split}/{name}" in self.lines)


def read_list(file: Path) -> ImageList:
    """Read a list of images, a line for each, such as `synth view` exports. Raises SynthError if it cannot be read."""
    # Names may hold what `splitlines` takes for ends of lines, such as U+2028.
    lines = read_file(file, IMAGE_LIST, "the list of images").decode(errors="replace").split("\n")
    return ImageList(frozenset(line.strip(" \t\r") for line in lines) - {""})


def unchanged(labels: ImageLabels) -> ImageLabels:
    """Return the labels as they are."""
    return labels


class ChosenPlaces(Collection[int]):
    """Rising positions of images in a part, eight bytes each."""

    def __init__(self, places: NDArray[np.int64]) -> None:
        self._places = array("q", places.tobytes())

    def __len__(self) -> int:
        return len(self._places)

    def __iter__(self) -> Iterator[int]:
        return iter(self._places)

    def __contains__(self, place: object) -> bool:
        if not isinstance(place, int):
            return False
        found = bisect_left(self._places, place)
        return found < len(self._places) and self._places[found] == place


@dataclass(frozen=True)
class ChosenPart:
    """Some images of a part. split: the one they come into. places: of the images. change: of their labels.

    prefix: before the names of some places, which images of other splits have as well. first: ids of the first image
    and annotation, where they are given anew.
    """

    part: DataPart
    split: str
    places: ChosenPlaces
    change: Change = unchanged
    prefix: str = ""
    renamed: ChosenPlaces | frozenset[int] = frozenset()
    first: Ids | None = None

    @property
    def count(self) -> int:
        return len(self.places)

    def labels(self) -> Iterator[ImageLabels]:
        """Iterate over the labels without reading the images."""
        ids = self.first
        chosen = (labels for place, labels in enumerate(self.part.labels()) if place in self.places)
        for place, labels in zip(self.places, chosen, strict=True):
            labels, ids = self._next(place, labels, ids)
            yield labels

    def stored_images(self, only: Collection[int] | None = None) -> Iterator[StoredImage]:
        """Iterate over the images; `only` counts among those of this part."""
        stored, ids = self.part.stored_images(self.places), self.first
        for number, (place, image) in enumerate(zip(self.places, stored, strict=True)):
            labels, ids = self._next(place, image.labels, ids)
            if only is None or number in only:
                yield replace(image, labels=labels)

    def _next(self, place: int, labels: ImageLabels, ids: Ids | None) -> tuple[ImageLabels, Ids | None]:
        """Return the labels of an image as they become, and the ids of the next one."""
        labels = self.change(labels)
        image, records = labels.image, labels.annotations
        if place in self.renamed and image.file_name is not None:
            image = replace(image, file_name=f"{self.prefix}_{image.file_name.replace('/', '_')}")
        if ids is not None:
            image = replace(image, id=ids[0])
            rows = enumerate(records, start=ids[1])
            records = [replace(record, id=one, image_id=ids[0]) for one, record in rows]
            ids = ids[0] + 1, ids[1] + len(records)
        return replace(labels, image=image, annotations=records), ids


@dataclass(frozen=True)
class ChosenStore:
    """A data set of chosen parts. heads: split to one of the source's."""

    store: DataStore
    parts: tuple[ChosenPart, ...]
    heads: Mapping[str, str]

    @property
    def where(self) -> str:
        return self.store.where

    @property
    def categories(self) -> Sequence[CategoryRecord]:
        return self.store.categories

    def head(self, split: str) -> Head:
        return self.store.head(self.heads[split])


class SeenImages:
    """What is remembered of the images of a data set while some are chosen, about 50 bytes and 12 for each SKU.

    Columns of (N,) numbers: part, place: where an image is. annotations: how many it has. name: hash of its name
    without suffix. group: of what is never divided. draw: a number drawn for it.
    """

    def __init__(self) -> None:
        self._columns = {name: array(kind) for name, kind in COLUMNS.items()}
        self._ends = array("q", [0])
        self._skus, self._counts = array("q"), array("i")

    def __len__(self) -> int:
        return len(self._ends) - 1

    def add(
        self, part: int, place: int, name: str, annotations: int, group: int, draw: int, skus: Mapping[int, int]
    ) -> None:
        """Remember an image. skus: how many of each it shows."""
        row = (part, place, annotations, hash64(stem_key(name)), group, draw)
        for column, value in zip(self._columns.values(), row, strict=True):
            column.append(value)
        self._skus.extend(skus)
        self._counts.extend(skus.values())
        self._ends.append(len(self._skus))

    def column(self, name: str) -> NDArray[Any]:
        """Return a column."""
        values = self._columns[name]
        return np.frombuffer(values, values.typecode) if len(values) else np.zeros(0, values.typecode)

    @property
    def skus(self) -> NDArray[np.int64]:
        """All SKUs that are shown, (S,), image by image."""
        return np.frombuffer(self._skus, np.int64) if len(self._skus) else np.zeros(0, np.int64)

    @property
    def counts(self) -> NDArray[np.int32]:
        """How often each of `skus` is shown, (S,)."""
        return np.frombuffer(self._counts, np.int32) if len(self._counts) else np.zeros(0, np.int32)

    @property
    def ends(self) -> NDArray[np.int64]:
        """Where the SKUs of image i are: from ends[i] to ends[i + 1], (N + 1,)."""
        return np.frombuffer(self._ends, np.int64)


def stem_key(name: str) -> str:
    """Return what labels are named by: a name without its suffix, as file systems that ignore case tell it."""
    return name.rpartition(".")[0].casefold()


def choose(
    store: DataStore, seen: SeenImages, names: Sequence[str], splits: NDArray[np.int64], change: Change = unchanged
) -> ChosenStore:
    """Return the data set of these images. names: of its splits. splits: (N,) place in `names`, -1 to leave one out.

    Where images of several splits come together ids are given anew, and images get the name of their old split before
    theirs if another one has it.
    """
    sources = store.parts
    old = [part.split for part in sources]
    of, places, stems = seen.column("part"), seen.column("place"), seen.column("name")
    annotations = seen.column("annotations").astype(np.int64)
    parts: list[tuple[int, ChosenPart]] = []
    heads: dict[str, str] = {}
    for number, split in enumerate(names):
        chosen = np.flatnonzero(splits == number)
        used = np.unique(of[chosen]).tolist()
        mixed = len({old[part] for part in used}) > 1
        hashes, times = np.unique(stems[chosen], return_counts=True) if mixed else (stems[:0], stems[:0])
        twice, first = hashes[times > 1], (1, 1)
        for part in used:
            own = chosen[of[chosen] == part]
            renamed = ChosenPlaces(places[own[np.isin(stems[own], twice)]]) if len(twice) else frozenset[int]()
            start = first if mixed else None
            taken = ChosenPart(sources[part], split, ChosenPlaces(places[own]), change, old[part], renamed, start)
            parts.append((part, taken))
            first = (first[0] + len(own), first[1] + int(annotations[own].sum()))
            heads.setdefault(split, old[part])
    # In the order of the source, as its parts are read.
    parts.sort(key=lambda one: one[0])
    return ChosenStore(store, tuple(part for _, part in parts), heads)
