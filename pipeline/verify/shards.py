"""Proof of a sharded data set, shard by shard: checksums, images, records, and that nothing is missing or twice."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from assets.errors import SynthError
from assets.files.models import check_model
from dataset.categories import same_category
from dataset.checksums import CHECKSUMS
from dataset.layout import Layout
from dataset.records import AnnotationRecord, CategoryRecord, ImageRecord
from dataset.shards.index import ShardEntry, ShardSample, coco_name, read_categories, tar_name
from dataset.shards.parts import parse_part
from dataset.shards.tar import image_suffix, read_whole, samples_of
from dataset.shop import SHOP_MEMBER
from dataset.storage.path import StoragePath
from dataset.store import ShardImages, ShardStore
from dataset.values import short
from pipeline.jobs.settings import JOB
from pipeline.run.dataset_info import DatasetInfo
from pipeline.run.refinement import Refinement
from pipeline.shards.about import read_about
from pipeline.verify.agreement import ShownImage, check_agreement
from pipeline.verify.checksums import NO_CHECKSUMS, check_location_checksums
from pipeline.verify.extras import EXTRA_CHECKS, decode_png
from pipeline.verify.job import check_job_scenes
from pipeline.verify.products import KnownProducts
from pipeline.verify.records import MALFORMED, Extras, Record, Violation
from pipeline.verify.report import ImageFindings, Tally
from pipeline.verify.scenes import open_sources
from pipeline.verify.settings import VerifySettings
from pipeline.verify.shop import check_shop
from pipeline.verify.walk import check_labelled
from pipeline.workers.mesh_process import MeshProcess

if TYPE_CHECKING:
    from assets.library import Library
    from render.scene import SceneSpec

NOT_REDRAWN = "sampling scenes again: only for the folder of a 'synth render' or the location of a 'synth job'"
NOT_ASKED = "sampling scenes again: not requested (--sample)"


@dataclass(frozen=True)
class ShardChecks:
    """A sharded set. settings: which scenes of a job are made again, and from what."""

    store: ShardStore
    settings: VerifySettings
    parallel = True

    @property
    def parts(self) -> Sequence[ShardImages]:
        return self.store.parts

    def check_set(self, tally: Tally) -> None:
        location, shards = self.store.location, self.store.shards
        categories: Sequence[CategoryRecord] = []
        try:
            categories = self.store.categories
        except SynthError as error:
            tally.add([Violation("categories.json", str(error))])
        tally.add(_check_categories(categories))
        tally.add(_check_files(location, shards))
        if location.exists(CHECKSUMS) or read_about(location).signed:
            tally.add(check_location_checksums(location, shards))
        else:
            tally.skipped.append(NO_CHECKSUMS)
        _note_refined(location, tally)
        for remembered in (_categories, _library_of):  # a set may have changed since this process last looked
            remembered.cache_clear()

    def check_part(self, part: ShardImages) -> Iterator[ImageFindings]:
        return check_shard(part.location, part.entry, _library_of(part.location.url, self.settings))

    def check_rest(self, tally: Tally) -> None:
        for split in dict.fromkeys(part.split for part in self.parts):
            for name in (f"images of {split}", f"annotations of {split}"):
                tally.add(Violation(name, f"id {number} occurs twice") for number in tally.twice(name))
        if not self.settings.sample:
            tally.skipped.append(NOT_ASKED)
        elif not self.store.location.exists(JOB):
            tally.skipped.append(NOT_REDRAWN)
        elif not tally.ended:
            again = check_job_scenes(self.store.location, self.store.shards, self.settings, tally.stop)
            tally.add(again.found)
            tally.skipped += again.skipped
            tally.scenes, tally.rendered = again.scenes, again.rendered
            tally.interrupted = tally.stop()


def _note_refined(location: StoragePath, tally: Tally) -> None:
    """Note that pictures were refined, where the set that was packed says so."""
    packed = read_about(location).rendered
    said = packed.get("refined") if isinstance(packed, dict) else None
    if said is None:
        return
    try:
        tally.note_refined(check_model(Refinement, said, "refined", location.locate("dataset.json")))
    except SynthError as error:
        tally.add([Violation("dataset.json", str(error))])


def _check_categories(categories: Sequence[CategoryRecord]) -> Iterator[Violation]:
    ids = [record.id for record in categories]
    if None in ids:
        yield Violation("categories.json", "ids that are not whole numbers")
    elif len(set(ids)) < len(ids):
        yield Violation("categories.json", "two categories with the same id")
    keys = [record.sku for record in categories if record.sku is not None]
    if len(set(keys)) < len(keys):
        yield Violation("categories.json", "two categories with the same SKU")


def _check_files(location: StoragePath, shards: Iterable[ShardEntry]) -> Iterator[Violation]:
    """Files that belong to no shard. Missing ones are reported with their shard."""
    names = [shard.name for shard in shards]
    for folder, name_of in (("shards", tar_name), ("annotations", coco_name)):
        expected = {name_of(name) for name in names}
        for name in location.names(folder):
            if f"{folder}/{name}" not in expected:
                yield Violation(f"{folder}/{name}", "belongs to no shard of index.json")
        if location.local is not None:
            for path in sorted((location.local / folder).glob(".*.tmp")):
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


@lru_cache(maxsize=1)
def _library_of(url: str, settings: VerifySettings) -> Library | None:
    """The products of a job, or of a packed set whose list is given; opened once by every process.

    None if they are not at hand, or are others by now: then no pixel is traced again.
    """
    location, about = StoragePath(url), read_about(StoragePath(url))
    said = about.content if location.exists(JOB) else about.rendered if settings.sku_list is not None else None
    try:
        info = check_model(DatasetInfo, said, "dataset.json", location.locate("dataset.json"))
        layout = Layout(location.local or Path())
        return open_sources(layout, info, settings.sku_list, settings.mesh_cache, _LOAD, settings.plugins).library
    except (SynthError, *MALFORMED):
        return None


# Ends with this process.
_LOAD = MeshProcess()


def check_shard(location: StoragePath, entry: ShardEntry, library: Library | None = None) -> Iterator[ImageFindings]:
    """Check all that one shard says by itself. library: the products, to trace some pixels of each image again."""
    categories = _categories(location.url)
    keys = {number: str(record.value("sku")) for number, record in categories.items()}
    known = KnownProducts(keys, frozenset(number for number, record in categories.items() if record.value("delisted")))
    beside: list[Violation] = []
    tar = _read_checked(location, tar_name(entry.name), entry.tar_bytes, entry.tar_sha256, beside)
    coco = _read_checked(location, coco_name(entry.name), entry.coco_bytes, entry.coco_sha256, beside)
    images: list[ImageRecord] = []
    annotations: list[AnnotationRecord] = []
    where = tar_name(entry.name)
    try:
        for sample in samples_of(tar, where) if tar is not None else ():
            images.append(sample.image)
            annotations += sample.annotations
            found = list(_check_sample(sample, known, f"{where} {sample.stem}", library))
            ids = {f"images of {entry.split}": _ids([sample.image])}
            ids[f"annotations of {entry.split}"] = _ids(sample.annotations)
            yield ImageFindings(found, 1, len(sample.annotations), ids)
    except (SynthError, *MALFORMED) as error:
        beside.append(Violation(where, str(error)))
    counts = (len(images), len(annotations))
    if tar is not None and counts != (entry.images, entry.annotations):
        told = f"{entry.images} images, {entry.annotations} annotations in index.json, but {counts} in the tar"
        beside.append(Violation(where, told))
    if coco is not None:
        beside += _check_part(coco, images if tar is not None else None, annotations, categories, entry)
    yield ImageFindings(beside)


def _check_sample(
    sample: ShardSample, known: KnownProducts, where: str, library: Library | None
) -> Iterator[Violation]:
    data = sample.files[image_suffix(sample.files, sample.image, where)]
    shop = sample.files.get(SHOP_MEMBER)
    pngs = {kind: f"{kind}.png" for kind in EXTRA_CHECKS if f"{kind}.png" in sample.files}

    def check_own(image: Record, records: list[Record], extras: Extras) -> Iterator[Violation]:
        if shop:
            yield from check_shop(shop, image, records, f"{where}.{SHOP_MEMBER}")
        if sample.image.rendered:
            shown = ShownImage(data, image["width"], image["height"], records, extras, where)
            yield from check_agreement(shown, _scene_of(sample, where), library)

    return check_labelled(
        sample.labels,
        lambda: data,
        known,
        where,
        f"{where} annotation",
        rendered=sample.image.rendered,
        extras=lambda _: {
            kind: decode_png(sample.files[name], f"{where}.{name}", EXTRA_CHECKS[kind][1])
            for kind, name in pngs.items()
        },
        own=check_own,
    )


def _scene_of(sample: ShardSample, where: str) -> SceneSpec | None:
    """The scene of a sample; None if it has none that can be read: its bytes are compared where it is made again."""
    from render.scene import SceneSpec

    with suppress(SynthError, *MALFORMED):
        return SceneSpec.from_json(sample.files["scene.json"].decode(), where=f"{where}.scene.json")
    return None


def _read_checked(location: StoragePath, name: str, size: int, digest: str, found: list[Violation]) -> bytes | None:
    try:
        data = read_whole(location, name)
    except FileNotFoundError:
        found.append(Violation(name, "is missing"))
        return None
    except SynthError as error:
        found.append(Violation(name, str(error)))
        return None
    if len(data) != size:
        found.append(Violation(name, f"has {len(data)} bytes, but {size} in index.json"))
    elif hashlib.sha256(data).hexdigest() != digest:
        found.append(Violation(name, "has a different checksum than in index.json"))
    return data


def _ids(records: Sequence[ImageRecord | AnnotationRecord]) -> list[int]:
    return [record.id for record in records if record.id is not None]


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
        yield Violation(name, str(error))
        return
    for record in part.head.categories:
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
                (position for position, (one, other) in enumerate(pairs) if one != other), min(len(ours), len(theirs))
            )
            yield Violation(name, f"{kind} differ from those of the tar ({len(theirs)}, {len(ours)} there) at {first}")
    known = {record.id for record in part.head.categories}
    used = [record for record in annotations if record.category_id is None or record.category_id not in known]
    lacking = sorted({short(record.value("category_id")) for record in used})
    if lacking:
        yield Violation(name, f"lacks categories that its annotations use: {', '.join(lacking[:5])}")
