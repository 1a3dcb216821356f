"""Revision of shards after changes of the catalogue: scenes are dropped or copied, none is rendered."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from dataset.records import AnnotationRecord, CategoryRecord, Head, InfoRecord
from dataset.shards.index import ShardSample, write_shard
from dataset.shards.parts import read_part
from dataset.shards.tar import read_samples
from dataset.storage.path import StoragePath
from pipeline.jobs.planning.plan import planned_shards
from pipeline.jobs.planning.store import Generation, Plan, Shard
from pipeline.jobs.receipts import Receipt, tallies, visible_share, write_receipt
from pipeline.jobs.settings import JobSettings
from pipeline.jobs.shard import annotations_of, used_categories
from render.labels import MIN_VISIBLE


@dataclass(frozen=True)
class Revision:
    """The planned change of a shard. dropped: scenes left out. ignored: category ids marked `ignore` in it."""

    receipt: Receipt
    dropped: tuple[int, ...]
    ignored: tuple[int, ...]
    lengths: tuple[int, ...]
    first_scenes: tuple[int, ...]

    @property
    def retired(self) -> int:
        """The number of scenes that it loses."""
        return len(set(self.dropped) - set(self.receipt.dropped))


def revisions(plan: Plan, receipts: Mapping[str, Receipt], settings: JobSettings) -> Iterator[Revision]:
    """Yield revisions of the shards that no longer match the catalogue."""
    generation: Generation | None = None
    for current, shard in planned_shards(plan, settings):
        if current is not generation:
            generation = current
            stale, delisted = plan.stale(current), plan.delisted(current)
            stale_scenes = current.scenes_with(stale)
            touched = stale_scenes | current.scenes_with(delisted)
        receipt = receipts.get(shard.name)
        if receipt is None or not (touched[shard.scenes].any() or receipt.ignored):
            continue
        revision = _revision(current, shard, receipt, stale_scenes, delisted)
        if (revision.dropped, revision.ignored) != (receipt.dropped, receipt.ignored):
            yield revision


def _revision(generation: Generation, shard: Shard, receipt: Receipt, stale_scenes: Any, delisted: Any) -> Revision:
    retired = (shard.scenes[stale_scenes[shard.scenes]] + generation.first).tolist()
    dropped = {*receipt.dropped, *retired}
    kept = shard.scenes[[int(scene) + generation.first not in dropped for scene in shard.scenes]]
    positions = generation.positions_of(kept)
    ignored = sorted(set(generation.assignment.category_ids[positions][delisted[positions]].tolist()))
    lengths = (generation.assignment.starts[shard.scenes + 1] - generation.assignment.starts[shard.scenes]).tolist()
    scenes = (shard.scenes + generation.first).tolist()
    return Revision(receipt, tuple(sorted(dropped)), tuple(ignored), tuple(lengths), tuple(scenes))


def revise_shard(location: StoragePath, revision: Revision, info: InfoRecord) -> Receipt:
    """Write the shard under a new name, then its receipt; the old files stay until the index names the new ones."""
    old = revision.receipt
    samples = [
        replace(sample, annotations=[_with_ignore(record, revision.ignored) for record in sample.annotations])
        for sample in read_samples(location, old.entry)
        if sample.image.index not in revision.dropped
    ]
    categories = read_part(location, old.entry).head.categories
    by_scene: dict[int, list[ShardSample]] = {0: samples}
    number = old.revision + 1
    entry = write_shard(
        location,
        f"{old.shard}-r{number}",
        old.entry.split,
        samples,
        Head([_with_delisted(one, revision.ignored) for one in used_categories(categories, by_scene)], info),
    )
    receipt = old.model_copy(
        update={
            "revision": number,
            "entry": entry,
            "counted": _revised_counts(revision),
            "failures": tuple(failure for failure in old.failures if failure.index not in revision.dropped),
            "dropped": revision.dropped,
            "ignored": revision.ignored,
            **tallies(annotations_of(by_scene)),
        }
    )
    write_receipt(location, receipt)
    return receipt


def _with_ignore(record: AnnotationRecord, ignored: tuple[int, ...]) -> AnnotationRecord:
    return replace(record, ignore=int(record.category_id in ignored or visible_share(record) < MIN_VISIBLE))


def _with_delisted(category: CategoryRecord, ignored: tuple[int, ...]) -> CategoryRecord:
    return replace(category, delisted=True if category.id in ignored else None)


def _revised_counts(revision: Revision) -> tuple[int, ...]:
    """Return the receipt's `counted` with 0 for dropped scenes."""
    counted: list[int] = []
    at = 0
    for scene, length in zip(revision.first_scenes, revision.lengths, strict=True):
        own = revision.receipt.counted[at : at + length]
        counted += [0] * length if scene in revision.dropped else own
        at += length
    return tuple(counted)
