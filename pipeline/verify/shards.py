"""Proof of a sharded data set, shard by shard: checksums, pictures, records, and that nothing is missing or twice."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache, partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from assets.catalog.categories import same_category
from assets.errors import SynthError
from assets.files.image_input import decode_pixels, open_picture
from assets.files.scratch import scratch_folder
from assets.interrupt import never
from assets.progress import StepProgress
from dataset.checksums import CHECKSUMS
from dataset.shards.index import Record, ShardEntry, ShardSample, coco_name, read_categories, read_index, tar_name
from dataset.shards.parts import parse_part
from dataset.shards.tar import picture_suffix, read_whole, samples_of
from dataset.storage.path import StoragePath
from dataset.values import short
from pipeline.jobs.settings import JOB
from pipeline.shards.pack import read_about
from pipeline.shards.spool import IdSpool
from pipeline.shards.workers import map_shards
from pipeline.verify.checksums import NO_CHECKSUMS, check_place_checksums
from pipeline.verify.extras import EXTRA_CHECKS
from pipeline.verify.folder import MAX_VIOLATIONS, VerifyReport
from pipeline.verify.foreign import check_foreign_image, check_foreign_record
from pipeline.verify.job import JobSources, check_job_scenes
from pipeline.verify.masks import MaskMap, check_masks, shared_pixels, sound_mask
from pipeline.verify.pictures import PicturesChecked
from pipeline.verify.records import MALFORMED, Violation, check_annotation, check_image

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
    violations: list[Violation] = []
    try:
        categories = read_categories(place)
    except SynthError as error:
        categories = []
        violations.append(_told("categories.json", error))
    violations += _check_categories(categories)
    violations += _check_files(place, index.shards)
    skipped: list[str] = []
    if place.exists(CHECKSUMS) or read_about(place).get("checksums"):
        violations += check_place_checksums(place, index.shards)
    else:
        skipped.append(NO_CHECKSUMS)
    _known.cache_clear()  # a set may have changed since this process last looked
    counts = np.zeros(2, np.int64)
    interrupted = False
    with scratch_folder("verify") as folder:
        spools: dict[str, IdSpool] = {}
        work = partial(check_shard, place)
        with StepProgress(console, "verifying", total=len(index.shards), unit="shards") as progress:
            for entry, checked in zip(index.shards, map_shards(work, index.shards, workers), strict=True):
                violations += islice(checked.found, MAX_VIOLATIONS + 1 - len(violations))
                counts += checked.counts
                for kind in ("images", "annotations"):
                    name = f"{kind} of {entry.split}"
                    spools.setdefault(name, IdSpool(Path(folder) / name)).add(getattr(checked, kind))
                progress.advance()
                if len(violations) > MAX_VIOLATIONS:
                    skipped.append(f"everything after the first {MAX_VIOLATIONS} violations")
                    break
                if interrupted := stop():
                    break
        twice = (Violation(name, f"id {number} is there twice") for name in spools for number in spools[name].twice())
        violations += islice(twice, MAX_VIOLATIONS + 1 - len(violations))
    again = PicturesChecked(skipped=[NOT_REDRAWN if sources else NOT_ASKED])
    if sources is not None and not interrupted and len(violations) <= MAX_VIOLATIONS and place.exists(JOB):
        again = check_job_scenes(place, index.shards, sources, stop)
        violations += again.found
        interrupted = stop()
    told = tuple(violations[:MAX_VIOLATIONS])
    skipped += again.skipped
    report = VerifyReport(told, int(counts[0]), int(counts[1]), again.scenes, tuple(skipped), interrupted)
    return replace(report, pictures_rendered=again.rendered)


def _told(where: str, error: Exception) -> Violation:
    return Violation(where, " ".join(str(error).split()))


def _check_categories(categories: list[Record]) -> Iterator[Violation]:
    ids = [record.get("id") for record in categories]
    if not all(type(number) is int for number in ids):
        yield Violation("categories.json", "ids that are not whole numbers")
    elif len(set(ids)) < len(ids):
        yield Violation("categories.json", "two categories of one id")
    keys = [record.get("sku") for record in categories if isinstance(record.get("sku"), str)]
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


@dataclass(frozen=True)
class _CheckedShard:
    """The categories of a set by id, their SKUs, and those that are no longer sold."""

    records: dict[int, Record]
    keys: dict[int, str]
    delisted: frozenset[int]


@lru_cache(maxsize=1)
def _known(url: str) -> _CheckedShard:
    """Read once by every process: a catalogue of 170,000 is not to be sent with each shard."""
    try:
        records = {one["id"]: one for one in read_categories(StoragePath(url)) if type(one.get("id")) is int}
    except SynthError:
        records = {}
    keys = {number: str(record.get("sku")) for number, record in records.items()}
    return _CheckedShard(
        records, keys, frozenset(number for number, record in records.items() if record.get("delisted"))
    )


def check_shard(place: StoragePath, entry: ShardEntry) -> _Checked:
    """Everything about one shard that can be told from it alone."""
    checked = _Checked()
    categories = _known(place.url)
    tar = _read_checked(place, tar_name(entry.name), entry.tar_bytes, entry.tar_sha256, checked)
    coco = _read_checked(place, coco_name(entry.name), entry.coco_bytes, entry.coco_sha256, checked)
    images: list[Record] = []
    annotations: list[Record] = []
    where = tar_name(entry.name)
    try:
        for sample in samples_of(tar, where) if tar is not None else ():
            images.append(sample.image)
            annotations += sample.annotations
            checked.found += _check_sample(sample, categories, f"{where} {sample.stem}")
    except (SynthError, *MALFORMED) as error:
        checked.found.append(_told(where, error))
    checked.counts = (len(images), len(annotations))
    checked.images, checked.annotations = _whole_ids(images), _whole_ids(annotations)
    if tar is not None and checked.counts != (entry.images, entry.annotations):
        told = f"{entry.images} images, {entry.annotations} annotations in index.json, but {checked.counts} in the tar"
        checked.found.append(Violation(where, told))
    if coco is not None:
        checked.found += _check_part(coco, images if tar is not None else None, annotations, categories.records, entry)
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


def _whole_ids(records: list[Record]) -> NDArray[np.int64]:
    ids = [record.get("id") for record in records]
    return np.array([number for number in ids if type(number) is int and abs(number) < 2**62], np.int64)


def _check_part(
    data: bytes,
    images: list[Record] | None,
    annotations: list[Record],
    categories: dict[int, Record],
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
        number = record.get("id")
        if type(number) is not int or number not in categories or not same_category(record, categories[number]):
            yield Violation(name, f"category {number!r} is not as in categories.json")
    if images is None:
        return
    for kind, ours, theirs in (("images", images, part.images), ("annotations", annotations, part.annotations)):
        if ours != theirs:
            pairs = zip(ours, theirs, strict=False)
            first = next(
                (place for place, (one, other) in enumerate(pairs) if one != other), min(len(ours), len(theirs))
            )
            yield Violation(name, f"{kind} differ from those of the tar ({len(theirs)}, {len(ours)} there) at {first}")
    known = {record.get("id") for record in part.categories if type(record.get("id")) is int}
    used = [record.get("category_id") for record in annotations]
    lacking = sorted({short(number) for number in used if type(number) is not int or number not in known})
    if lacking:
        yield Violation(name, f"lacks categories that its annotations use: {', '.join(lacking[:5])}")


def _check_sample(sample: ShardSample, categories: _CheckedShard, where: str) -> Iterator[Violation]:
    rendered = "backend" in sample.image
    number: Any = sample.image.get("id")
    own = check_image(sample.image, number, where) if rendered else check_foreign_image(sample.image, where)
    found = list(own)
    yield from found
    suffix = picture_suffix(sample.files, sample.image, where)
    yield from _check_picture(sample.files[suffix], sample.image, where, rendered)
    if found:
        return  # without sound fields nothing below means anything
    for record in sample.annotations:
        there = f"{where} annotation {record.get('id')}"
        if record.get("image_id") != number:
            yield Violation(there, f"image_id {record.get('image_id')!r}, but it lies in the picture {number}")
        if not rendered:
            yield from check_foreign_record(record, sample.image, categories.records, there)
    if rendered:
        yield from _check_rendered(sample, categories, where)


def _check_picture(data: bytes, image: Record, where: str, rendered: bool) -> Iterator[Violation]:
    """Readable to its last byte, of the stated size."""
    try:
        with open_picture(data, where, "the picture") as picture:
            picture.load()
            size = (picture.width, picture.height)
            stated = (image.get("width"), image.get("height"))
            if size != stated and (rendered or size[::-1] != stated):
                yield Violation(where, f"the picture is {size[0]}x{size[1]} px, expected {stated[0]}x{stated[1]}")
            if rendered and picture.mode != "RGB":
                yield Violation(where, f"the picture has mode {picture.mode}, expected RGB")
    except SynthError as error:
        yield _told(where, error)
    except MemoryError:
        raise
    except Exception as error:  # decoders raise many kinds
        yield Violation(where, f"the picture cannot be read: {error}")


def _check_rendered(sample: ShardSample, known: _CheckedShard, where: str) -> Iterator[Violation]:
    """Annotations of our own pictures: each by itself, no pixel in two, depth and the like where the masks are."""
    height, width = sample.image["height"], sample.image["width"]
    masks: dict[int, Record] = {}
    for record in sample.annotations:
        there = f"{where} annotation {record.get('id')}"
        number = record.get("id")
        number = number if type(number) is int else 0
        yield from check_annotation(record, number, known.keys, there, delisted=known.delisted)
        mask, amodal = (sound_mask(record.get(name), height, width) for name in ("segmentation", "amodal_segmentation"))
        if isinstance(mask, str) or isinstance(amodal, str):
            told = f"segmentation: {mask}" if isinstance(mask, str) else f"amodal_segmentation: {amodal}"
            yield Violation(there, told)
            continue
        yield from check_masks(record, mask, amodal, there)
        instance = record.get("instance")
        if type(instance) is not int or not 1 <= instance < 2**16 or instance in masks:
            yield Violation(there, f"instance {instance!r}, expected a number of its own in the image")
        else:
            masks[instance] = mask
    if masks and (shared := shared_pixels(list(masks.values()))):
        yield Violation(where, f"{shared} pixels belong to several masks")
    yield from _check_extras(sample, masks, height, width, where)


def _check_extras(
    sample: ShardSample, masks: Mapping[int, Record], height: int, width: int, where: str
) -> Iterator[Violation]:
    kinds = [kind for kind in EXTRA_CHECKS if f"{kind}.png" in sample.files]
    if not kinds:
        return
    regions = MaskMap(height, width)
    for instance, mask in masks.items():
        regions.add(instance, mask)
    for kind in kinds:
        check, channels = EXTRA_CHECKS[kind]
        pixels = _decode_png(sample.files[f"{kind}.png"], f"{where}.{kind}.png", channels)
        if isinstance(pixels, str):
            yield Violation(where, pixels)
        else:
            yield from check(pixels, regions, where)


def _decode_png(data: bytes, name: str, channels: int) -> NDArray[np.uint16] | str:
    import cv2

    try:
        pixels = decode_pixels(data, cv2.IMREAD_UNCHANGED, name, "the picture")
    except SynthError as error:
        return f"{name} cannot be read: {' '.join(str(error).split())}"
    if pixels.dtype != np.uint16 or (*pixels.shape, 1)[2] != channels:
        return f"{name} is no 16-bit PNG of {channels} channels"
    return pixels
