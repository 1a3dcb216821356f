"""`synth data merge`: data sets of any formats as one: as shards if all of them are, else in a folder or location."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from assets.errors import SynthError
from assets.files.scratch import scratch_folder
from assets.plurals import counts_of
from assets.progress import StepProgress
from dataset.formats import open_labels
from dataset.records import AnnotationRecord, CategoryRecord, Head, ImageLabels
from dataset.spool import IdSpool, hash64
from dataset.storage.retry import RetryingPath
from dataset.store import DataPart, DataStore, ShardStore, StoredImage
from dataset.values import whole_number
from pipeline.shards.categories import unite_categories
from pipeline.shards.convert import ConvertSummary, write_data
from pipeline.shards.fresh import identity_of
from pipeline.shards.merge import merge_data
from pipeline.shards.pack import DataSummary
from pipeline.shards.settings import MergeSettings

COCO = "coco"


def merge_sets(
    sources: Sequence[str], out: str, settings: MergeSettings, console: Console
) -> DataSummary | tuple[ConvertSummary, list[str]]:
    """Write the data sets at `sources` as one to `out`; the same call again resumes.

    Sets that are all shards give shards unless a format is named, others a new folder or location in COCO or that
    format; then also what people should know is returned. Raises SynthError where a set cannot be read or is given
    twice, and where `out` holds another set.
    """
    if len({*sources, out}) <= len(sources):
        raise SynthError("sets must be merged into a new location, each once", code="input-duplicate", where=out)
    stores = [open_labels(source, console=console) for source in sources]
    if settings.format is None and all(isinstance(store, ShardStore) for store in stores):
        return merge_data([RetryingPath(source) for source in sources], RetryingPath(out), console)
    united, notes = unite_stores(stores, sources, console)
    made_by = identity_of("merge", [settings], sources, stores)
    return write_data(united, out, settings.format or COCO, made_by, console), notes


@dataclass(frozen=True)
class UnitedPart:
    """A part of one of several sets. kinds: of a category id the one that it gets. licenses: likewise of licences.

    prefix: before names, where those of another set meet. first: ids of the first image and annotation, where images
    of several sets come together.
    """

    part: DataPart
    kinds: Mapping[int, int]
    licenses: Mapping[int, int]
    prefix: str = ""
    first: tuple[int, int] | None = None

    @property
    def split(self) -> str:
        return self.part.split

    @property
    def count(self) -> int:
        return self.part.count

    def labels(self) -> Iterator[ImageLabels]:
        """Iterate over the labels without reading the images."""
        change = self._changes()
        yield from map(change, self.part.labels())

    def stored_images(self, only: Collection[int] | None = None) -> Iterator[StoredImage]:
        """Iterate over the images."""
        change = self._changes()
        for place, stored in enumerate(self.part.stored_images()):
            labels = change(stored.labels)
            if only is None or place in only:
                yield replace(stored, labels=labels)

    def _changes(self) -> Callable[[ImageLabels], ImageLabels]:
        ids = self.first

        def change(labels: ImageLabels) -> ImageLabels:
            nonlocal ids
            image, records = labels.image, [self._record(one, labels) for one in labels.annotations]
            if isinstance(image.license, int):
                image = replace(image, license=self.licenses.get(image.license, image.license))
            if self.prefix:
                image = replace(image, file_name=f"{self.prefix}/{image.file_name}")
            if ids is not None:
                image = replace(image, id=ids[0])
                records = [replace(one, id=ids[1] + row, image_id=ids[0]) for row, one in enumerate(records)]
                ids = ids[0] + 1, ids[1] + len(records)
            return ImageLabels(image, records)

        return change

    def _record(self, record: AnnotationRecord, labels: ImageLabels) -> AnnotationRecord:
        kind = self.kinds.get(whole_number(record.value("category_id")) or 0)
        if kind is None:
            where, found = str(labels.image.file_name), f"category_id {record.value('category_id')}"
            raise SynthError("an annotation has no category", code="categories-invalid", where=where, found=found)
        return replace(record, category_id=kind)


@dataclass(frozen=True)
class UnitedStore:
    """Several data sets as one."""

    where: str
    parts: Sequence[UnitedPart]
    categories: Sequence[CategoryRecord]
    heads: Mapping[str, Head]

    def head(self, split: str) -> Head:
        return self.heads[split]


@dataclass
class _SplitScan:
    """What one set has in a split: names and number of images, number of annotations, folders at the top of names."""

    names: IdSpool
    images: int = 0
    annotations: int = 0
    folders: set[str] = field(default_factory=set)


def unite_stores(stores: Sequence[DataStore], names: Sequence[str], console: Console) -> tuple[UnitedStore, list[str]]:
    """Return several data sets as one, and what people should know about it.

    Categories are one where their SKU is, and keep the id of the first set that has them. Where several sets have
    images in a split, ids there are given anew; names that an earlier set has get a folder before them.
    """
    kinds, notes = unite_categories([list(store.categories) for store in stores], names)
    united = {record.id or 0: record for one in kinds for record in one.values()}
    categories = [united[number] for number in sorted(united)]
    splits = list(dict.fromkeys(part.split for store in stores for part in store.parts))
    own = [{number: record.id or 0 for number, record in one.items()} for one in kinds]
    parts: list[UnitedPart] = []
    heads: dict[str, Head] = {}
    with scratch_folder("merge") as folder:
        scans = _scan(stores, splits, Path(folder), console)
        for split in splits:
            users = [place for place in range(len(stores)) if scans[place][split].images]
            prefixes = _prefixes({place: scans[place][split] for place in users}, IdSpool(Path(folder) / split / "all"))
            heads[split], licenses = _united_head([store.head(split) for store in _having(stores, split)], categories)
            for place, numbers in zip(_places(stores, split), licenses, strict=True):
                first = _first_ids([scans[one][split] for one in users if one < place]) if len(users) > 1 else None
                prefix = prefixes.get(place, "")
                if prefix:
                    count = counts_of(image=scans[place][split].images)
                    notes.append(f"{names[place]}: names of others: those of {count} of {split} begin with {prefix}/")
                parts += _parts(
                    stores[place], split, UnitedPart(stores[place].parts[0], own[place], numbers, prefix, first)
                )
    return UnitedStore(", ".join(names), parts, categories, heads), notes


def _places(stores: Sequence[DataStore], split: str) -> list[int]:
    return [place for place, store in enumerate(stores) if any(part.split == split for part in store.parts)]


def _having(stores: Sequence[DataStore], split: str) -> list[DataStore]:
    return [stores[place] for place in _places(stores, split)]


def _parts(store: DataStore, split: str, like: UnitedPart) -> Iterator[UnitedPart]:
    """The parts of a split of a set; ids go on from one to the next."""
    first = like.first
    for part in store.parts:
        if part.split == split:
            yield replace(like, part=part, first=first)
            if first is not None and part is not store.parts[-1]:
                counts = [len(labels.annotations) for labels in part.labels()]
                first = first[0] + len(counts), first[1] + sum(counts)


def _scan(
    stores: Sequence[DataStore], splits: Sequence[str], folder: Path, console: Console
) -> list[dict[str, _SplitScan]]:
    scans = [
        {split: _SplitScan(IdSpool(folder / split / str(place))) for split in splits} for place in range(len(stores))
    ]
    total = sum(part.count for store in stores for part in store.parts)
    with StepProgress(console, "comparing", total=total, unit="images") as progress:
        for store, own in zip(stores, scans, strict=True):
            for part in store.parts:
                for labels in part.labels():
                    _take(labels, own[part.split])
                    progress.advance()
    return scans


def _take(labels: ImageLabels, scan: _SplitScan) -> None:
    name = (labels.image.file_name or "").replace("\\", "/").casefold()
    folder, slash, _ = name.partition("/")
    scan.folders |= {folder} if slash else set()
    # Labels are named by images without suffix in most formats.
    scan.names.add(np.array([hash64(name.rpartition(".")[0])], np.int64))
    scan.images += 1
    scan.annotations += len(labels.annotations)


def _prefixes(scans: Mapping[int, _SplitScan], before: IdSpool) -> dict[int, str]:
    """Return folders for the images of sets that have names of earlier ones, by the places of the sets."""
    taken = set().union(*(scan.folders for scan in scans.values()))
    found: dict[int, str] = {}
    for place, scan in scans.items():
        if before.shares_any(scan.names):
            number = place + 1
            while f"set{number}" in taken:
                number += 1
            found[place] = f"set{number}"
            taken.add(found[place])
        before.take_in(scan.names)
    return found


def _first_ids(earlier: Sequence[_SplitScan]) -> tuple[int, int]:
    return 1 + sum(scan.images for scan in earlier), 1 + sum(scan.annotations for scan in earlier)


def _united_head(heads: Sequence[Head], categories: Sequence[CategoryRecord]) -> tuple[Head, list[dict[int, int]]]:
    """Return info of the first and the licences of all; and of each the ids that its licences get."""
    licenses: list[Any] = []
    numbers: list[dict[int, int]] = []
    for head in heads:
        own: dict[int, int] = {}
        for one in head.licenses:
            number = whole_number(one.get("id")) if isinstance(one, dict) else None
            taken = {whole_number(other.get("id")) for other in licenses if isinstance(other, dict)}
            if one not in licenses:
                if number in taken:
                    own[number or 0] = 1 + max(other or 0 for other in taken)
                    one = {**one, "id": own[number or 0]}
                licenses.append(one)
        numbers.append(own)
    return Head(categories, heads[0].info, licenses), numbers
