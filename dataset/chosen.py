"""A part of a data set as a data set: some of its images, under the same or other splits, with changed labels."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from assets.limits import IMAGE_LIST, read_file
from dataset.records import CategoryRecord, Head, ImageLabels
from dataset.store import DataPart, DataStore, StoredImage

Change = Callable[[ImageLabels], ImageLabels]
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
    lines = read_file(file, IMAGE_LIST, "the list of images").decode(errors="replace").splitlines()
    return ImageList(frozenset(line.strip() for line in lines if line.strip()))


def unchanged(labels: ImageLabels) -> ImageLabels:
    """Return the labels as they are."""
    return labels


@dataclass(frozen=True)
class ChosenPart:
    """Some images of a part. split: the one they come into. places: of the images, rising. change: of their labels.

    prefix: before the names of some places, which images of other splits have as well. first: ids of the first image
    and annotation, where they are given anew.
    """

    part: DataPart
    split: str
    places: Sequence[int]
    change: Change = unchanged
    prefix: str = ""
    renamed: frozenset[int] = frozenset()
    first: Ids | None = None

    @property
    def count(self) -> int:
        return len(self.places)

    def labels(self) -> Iterator[ImageLabels]:
        """Iterate over the labels without reading the images."""
        wanted, ids = set(self.places), self.first
        chosen = (labels for place, labels in enumerate(self.part.labels()) if place in wanted)
        for place, labels in zip(self.places, chosen, strict=True):
            labels, ids = self._next(place, labels, ids)
            yield labels

    def stored_images(self, only: Collection[int] | None = None) -> Iterator[StoredImage]:
        """Iterate over the images; `only` counts among those of this part."""
        stored, ids = self.part.stored_images(set(self.places)), self.first
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


@dataclass(frozen=True)
class Seen:
    """What is remembered of an image while images are chosen. part, place: where it is. annotations: how many it has.

    group: what is never divided. skus: how many of each it shows.
    """

    part: int
    place: int
    name: str
    annotations: int
    group: str
    skus: Mapping[int, int]


def choose(store: DataStore, seen: Sequence[Seen], splits: Sequence[str], change: Change = unchanged) -> ChosenStore:
    """Return the data set of these images. splits: of each, "" to leave one out.

    Where images of several splits come together ids are given anew, and images get the name of their old split before
    theirs if another one has it.
    """
    by_part: dict[tuple[str, int], list[Seen]] = {}
    for one, split in zip(seen, splits, strict=True):
        if split:
            by_part.setdefault((split, one.part), []).append(one)
    old = [part.split for part in store.parts]
    mixed = {split for split, _ in by_part if len({old[part] for other, part in by_part if other == split}) > 1}
    parts: list[ChosenPart] = []
    heads: dict[str, str] = {}
    numbers: dict[str, Ids] = dict.fromkeys(mixed, (1, 1))
    for (split, number), images in sorted(by_part.items(), key=lambda one: one[0][1]):
        names = _names(by_part, split) if split in mixed else {}
        first = numbers.get(split)
        parts.append(
            ChosenPart(
                store.parts[number],
                split,
                [one.place for one in images],
                change,
                old[number],
                frozenset(one.place for one in images if names.get(_stem(one.name), 0) > 1),
                first,
            )
        )
        if first is not None:
            numbers[split] = (first[0] + len(images), first[1] + sum(one.annotations for one in images))
        heads.setdefault(split, old[number])
    return ChosenStore(store, tuple(parts), heads)


def _names(by_part: Mapping[tuple[str, int], Sequence[Seen]], split: str) -> Counter[str]:
    return Counter(_stem(one.name) for (other, _), images in by_part.items() if other == split for one in images)


def _stem(name: str) -> str:
    return name.rpartition(".")[0].casefold()
