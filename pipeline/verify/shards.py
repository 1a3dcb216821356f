"""Proof of a sharded data set, shard by shard: checksums, pictures, records, and that nothing is missing or twice."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from assets.errors import SynthError
from assets.files.scratch import scratch_folder
from assets.interrupt import never
from assets.progress import StepProgress
from dataset.categories import same_category
from dataset.checksums import CHECKSUMS
from dataset.records import AnnotationRecord, CategoryRecord, ImageRecord
from dataset.shards.index import ShardEntry, ShardSample, coco_name, read_categories, read_index, tar_name
from dataset.shards.parts import parse_part
from dataset.shards.tar import picture_suffix, read_whole, samples_of
from dataset.spool import IdSpool
from dataset.storage.path import StoragePath
from dataset.values import short
from pipeline.jobs.settings import JOB
from pipeline.shards.pack import read_about
from pipeline.shards.workers import map_shards
from pipeline.verify.checksums import NO_CHECKSUMS, check_place_checksums
from pipeline.verify.extras import EXTRA_CHECKS, decode_png
from pipeline.verify.foreign import check_foreign_image, check_foreign_record
from pipeline.verify.job import JobSources, check_job_scenes
from pipeline.verify.products import KnownProducts, Product, check_products
from pipeline.verify.records import MALFORMED, Violation, check_image, check_picture
from pipeline.verify.report import Tally, VerifyReport

NOT_REDRAWN = "drawing scenes again: only for the folder of one 'synth render' and the place of one 'synth job'"
NOT_ASKED = "drawing scenes again: none was asked for (--sample)"


@dataclass
class _Checked:
    """What was found in one shard. images, annotations: ids that are whole numbers."""

    found: list[Violation] = field(default_factory=list)
    images: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    annotations: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    counts: tuple[int, int] = (0, 0)


def verify_shards(
    place: StoragePath,
    console: Console,
    *,
    workers: int = 1,
    sources: JobSources | None = None,
    stop: Callable[[], bool] = never,
) -> VerifyReport:
    """All violations of the sharded data set at `place`, its shards read by `workers` processes.

    sources: what scenes of a job are made again from, and how many. stop: asked between shards; once it says True the
    report is of those until then. Raises SynthError where there is no set at all; damage inside one is a violation.
    """
    index = read_index(place)
    tally = Tally(stop)
    categories: list[CategoryRecord] = []
    try:
        categories = read_categories(place)
    except SynthError as error:
        tally.add([_told("categories.json", error)])
    tally.add(_check_categories(categories))
    tally.add(_check_files(place, index.shards))
    if place.exists(CHECKSUMS) or read_about(place).get("checksums"):
        tally.add(check_place_checksums(place, index.shards))
    else:
        tally.skipped.append(NO_CHECKSUMS)
    _categories.cache_clear()  # a set may have changed since this process last looked
    _check_all(place, index.shards, workers, tally, console)
    if sources is None:
        tally.skipped.append(NOT_ASKED)
    elif not place.exists(JOB):
        tally.skipped.append(NOT_REDRAWN)
    elif not tally.ended:
        again = check_job_scenes(place, index.shards, sources, stop)
        tally.add(again.found)
        tally.skipped += again.skipped
        tally.scenes, tally.pictures = again.scenes, again.rendered
        tally.interrupted = stop()
    return tally.report()


def _check_all(place: StoragePath, shards: Sequence[ShardEntry], workers: int, tally: Tally, console: Console) -> None:
    """Each shard, and that no id of a split is there twice."""
    with (
        scratch_folder("verify") as folder,
        StepProgress(console, "verifying", total=len(shards), unit="shards") as progress,
    ):
        spools: dict[str, IdSpool] = {}
        for entry, checked in zip(shards, map_shards(partial(check_shard, place), shards, workers), strict=True):
            tally.add(checked.found)
            tally.images, tally.annotations = tally.images + checked.counts[0], tally.annotations + checked.counts[1]
            for kind in ("images", "annotations"):
                name = f"{kind} of {entry.split}"
                spools.setdefault(name, IdSpool(Path(folder) / name)).add(getattr(checked, kind))
            progress.advance()
            if tally.ended:
                break
        tally.add(Violation(name, f"id {number} is there twice") for name in spools for number in spools[name].twice())


def _told(where: str, error: Exception) -> Violation:
    return Violation(where, " ".join(str(error).split()))


def _check_categories(categories: list[CategoryRecord]) -> Iterator[Violation]:
    ids = [record.id for record in categories]
    if None in ids:
        yield Violation("categories.json", "ids that are not whole numbers")
    elif len(set(ids)) < len(ids):
        yield Violation("categories.json", "two categories of one id")
    keys = [record.sku for record in categories if record.sku is not None]
    if len(set(keys)) < len(keys):
        yield Violation("categories.json", "two categories of one SKU")


def _check_files(place: StoragePath, shards: Iterable[ShardEntry]) -> Iterator[Violation]:
    """Files that belong to no shard. Missing ones are told with their shard."""
    names = [shard.name for shard in shards]
    for folder, name_of in (("shards", tar_name), ("annotations", coco_name)):
        expected = {name_of(name) for name in names}
        for name in place.names(folder):
            if f"{folder}/{name}" not in expected:
                yield Violation(f"{folder}/{name}", "belongs to no shard of index.json")
        if place.local is not None:
            for path in sorted((place.local / folder).glob(".*.tmp")):
                yield Violation(f"{folder}/{path.name}", "left half written by a run that was killed")
    if names != sorted(names):
        yield Violation("index.json", "the shards are not in the order of their names")


@lru_cache(maxsize=1)
def _categories(url: str) -> dict[int, CategoryRecord]:
    """Read once by every process: a catalogue of 170,000 is not to be sent with each shard."""
    try:
        return {one.id: one for one in read_categories(StoragePath(url)) if one.id is not None}
    except SynthError:
        return {}


def check_shard(place: StoragePath, entry: ShardEntry) -> _Checked:
    """Everything about one shard that can be told from it alone."""
    checked = _Checked()
    categories = _categories(place.url)
    keys = {number: str(record.value("sku")) for number, record in categories.items()}
    known = KnownProducts(keys, frozenset(number for number, record in categories.items() if record.value("delisted")))
    tar = _read_checked(place, tar_name(entry.name), entry.tar_bytes, entry.tar_sha256, checked)
    coco = _read_checked(place, coco_name(entry.name), entry.coco_bytes, entry.coco_sha256, checked)
    images: list[ImageRecord] = []
    annotations: list[AnnotationRecord] = []
    where = tar_name(entry.name)
    try:
        for sample in samples_of(tar, where) if tar is not None else ():
            images.append(sample.image)
            annotations += sample.annotations
            checked.found += _check_sample(sample, known, f"{where} {sample.stem}")
    except (SynthError, *MALFORMED) as error:
        checked.found.append(_told(where, error))
    checked.counts = (len(images), len(annotations))
    checked.images, checked.annotations = _whole_ids(images), _whole_ids(annotations)
    if tar is not None and checked.counts != (entry.images, entry.annotations):
        told = f"{entry.images} images, {entry.annotations} annotations in index.json, but {checked.counts} in the tar"
        checked.found.append(Violation(where, told))
    if coco is not None:
        checked.found += _check_part(coco, images if tar is not None else None, annotations, categories, entry)
    return checked


def _read_checked(place: StoragePath, name: str, size: int, digest: str, checked: _Checked) -> bytes | None:
    try:
        data = read_whole(place, name)
    except FileNotFoundError:
        checked.found.append(Violation(name, "is missing"))
        return None
    except SynthError as error:
        checked.found.append(_told(name, error))
        return None
    if len(data) != size:
        checked.found.append(Violation(name, f"has {len(data)} bytes, but {size} in index.json"))
    elif hashlib.sha256(data).hexdigest() != digest:
        checked.found.append(Violation(name, "has another checksum than in index.json"))
    return data


def _whole_ids(records: Sequence[ImageRecord | AnnotationRecord]) -> NDArray[np.int64]:
    ids = [record.id for record in records]
    return np.array([number for number in ids if number is not None and abs(number) < 2**62], np.int64)


def _check_part(
    data: bytes,
    images: list[ImageRecord] | None,
    annotations: list[AnnotationRecord],
    categories: dict[int, CategoryRecord],
    entry: ShardEntry,
) -> Iterator[Violation]:
    """The COCO part says the same as the tar and as categories.json."""
    name = coco_name(entry.name)
    try:
        part = parse_part(data, name)
    except SynthError as error:
        yield _told(name, error)
        return
    for record in part.categories:
        if record.id not in categories or not same_category(record, categories[record.id]):
            yield Violation(name, f"category {record.value('id')!r} is not as in categories.json")
    if images is None:
        return
    pairs_of: tuple[tuple[str, Sequence[object], Sequence[object]], ...] = (
        ("images", images, part.images),
        ("annotations", annotations, part.annotations),
    )
    for kind, ours, theirs in pairs_of:
        if ours != theirs:
            pairs = zip(ours, theirs, strict=False)
            first = next(
                (place for place, (one, other) in enumerate(pairs) if one != other), min(len(ours), len(theirs))
            )
            yield Violation(name, f"{kind} differ from those of the tar ({len(theirs)}, {len(ours)} there) at {first}")
    known = {record.id for record in part.categories}
    used = [record for record in annotations if record.category_id is None or record.category_id not in known]
    lacking = sorted({short(record.value("category_id")) for record in used})
    if lacking:
        yield Violation(name, f"lacks categories that its annotations use: {', '.join(lacking[:5])}")


def _check_sample(sample: ShardSample, known: KnownProducts, where: str) -> Iterator[Violation]:
    rendered = sample.image.rendered
    image, records = sample.image.content(), [record.content() for record in sample.annotations]
    number: Any = image.get("id")
    found = list(check_image(image, number, where) if rendered else check_foreign_image(image, where))
    yield from found
    suffix = picture_suffix(sample.files, sample.image, where)
    stated = (image.get("width"), image.get("height"))
    yield from check_picture(sample.files[suffix], stated, where, rendered=rendered)
    if found:
        return  # without sound fields nothing below means anything
    products = []
    for record in records:
        there = f"{where} annotation {record.get('id')}"
        if record.get("image_id") != number:
            yield Violation(there, f"image_id {record.get('image_id')!r}, but it lies in the picture {number}")
        if not rendered:
            yield from check_foreign_record(record, image, known.keys, there)
        own = record.get("id")
        products.append(Product(record, own if type(own) is int else 0, there))
    if rendered:
        pngs = {kind: f"{kind}.png" for kind in EXTRA_CHECKS if f"{kind}.png" in sample.files}
        extras = {
            kind: decode_png(sample.files[name], f"{where}.{name}", EXTRA_CHECKS[kind][1])
            for kind, name in pngs.items()
        }
        yield from check_products(products, image, known, extras, where)
