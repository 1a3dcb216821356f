"""Shards that the catalogue has overtaken: written anew without what is gone, all else copied, nothing rendered."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from dataset.records import AnnotationRecord, CategoryRecord
from dataset.shards.index import ShardSample, write_shard
from dataset.shards.parts import read_part
from dataset.shards.tar import read_samples
from dataset.storage.path import StoragePath
from pipeline.jobs.planning.plan import planned_shards
from pipeline.jobs.planning.store import Generation, Plan, Shard
from pipeline.jobs.receipts import Receipt, share_seen, tallies, write_receipt
from pipeline.jobs.settings import JobSettings
from pipeline.jobs.shard import records_of, used_categories
from render.labels import MIN_VISIBLE


@dataclass(frozen=True)
class Revision:
    """What a shard is to become. dropped: scenes it does without. ignored: category ids marked `ignore` in it."""

    receipt: Receipt
    dropped: tuple[int, ...]
    ignored: tuple[int, ...]
    lengths: tuple[int, ...]
    first_scenes: tuple[int, ...]

    @property
    def retired(self) -> int:
        """Scenes that it loses."""
        return len(set(self.dropped) - set(self.receipt.dropped))


def revisions(plan: Plan, receipts: Mapping[str, Receipt], settings: JobSettings) -> Iterator[Revision]:
    """Those shards that are not as the catalogue now wants them."""
    generation: Generation | None = None
    for its, shard in planned_shards(plan, settings):
        if its is not generation:
            generation = its
            stale, gone = plan.stale(its), plan.gone(its)
            old = its.scenes_with(stale)
            touched = old | its.scenes_with(gone)
        receipt = receipts.get(shard.name)
        if receipt is None or not (touched[shard.scenes].any() or receipt.ignored):
            continue
        revision = _revision(its, shard, receipt, old, gone)
        if (revision.dropped, revision.ignored) != (receipt.dropped, receipt.ignored):
            yield revision


def _revision(generation: Generation, shard: Shard, receipt: Receipt, old: Any, gone: Any) -> Revision:
    retired = (shard.scenes[old[shard.scenes]] + generation.first).tolist()
    dropped = {*receipt.dropped, *retired}
    kept = shard.scenes[[int(scene) + generation.first not in dropped for scene in shard.scenes]]
    cards = generation.cards_of(kept)
    ignored = sorted(set(generation.deal.cards[cards][gone[cards]].tolist()))
    lengths = (generation.deal.starts[shard.scenes + 1] - generation.deal.starts[shard.scenes]).tolist()
    scenes = (shard.scenes + generation.first).tolist()
    return Revision(receipt, tuple(sorted(dropped)), tuple(ignored), tuple(lengths), tuple(scenes))


def revise(place: StoragePath, revision: Revision, info: Mapping[str, str]) -> Receipt:
    """Writes the shard under a new name, then its receipt; the old files stay until the index names the new ones."""
    old = revision.receipt
    samples = [
        replace(sample, annotations=[_relabelled(record, revision.ignored) for record in sample.annotations])
        for sample in read_samples(place, old.entry.name)
        if sample.image.index not in revision.dropped
    ]
    kinds = read_part(place, old.entry).categories
    by_scene: dict[int, list[ShardSample]] = {0: samples}
    number = old.revision + 1
    entry = write_shard(
        place,
        f"{old.shard}-r{number}",
        old.entry.split,
        samples,
        [_marked(kind, revision.ignored) for kind in used_categories(kinds, by_scene)],
        dict(info),
    )
    receipt = old.model_copy(
        update={
            "revision": number,
            "entry": entry,
            "cards": _cards(revision),
            "failures": tuple(failure for failure in old.failures if failure.index not in revision.dropped),
            "dropped": revision.dropped,
            "ignored": revision.ignored,
            **tallies(records_of(by_scene)),
        }
    )
    write_receipt(place, receipt)
    return receipt


def _relabelled(record: AnnotationRecord, ignored: tuple[int, ...]) -> AnnotationRecord:
    return replace(record, ignore=int(record.category_id in ignored or share_seen(record) < MIN_VISIBLE))


def _marked(kind: CategoryRecord, ignored: tuple[int, ...]) -> CategoryRecord:
    return replace(kind, delisted=True if kind.id in ignored else None)


def _cards(revision: Revision) -> tuple[int, ...]:
    """Those of dropped scenes count nowhere."""
    cards: list[int] = []
    at = 0
    for scene, length in zip(revision.first_scenes, revision.lengths, strict=True):
        own = revision.receipt.cards[at : at + length]
        cards += [0] * length if scene in revision.dropped else own
        at += length
    return tuple(cards)
