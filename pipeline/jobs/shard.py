"""Shards made from scenes: a crew makes the scenes, what it left in the spool becomes a shard and its receipt."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass, field

from assets.errors import SynthError
from dataset.records import AnnotationRecord, CategoryRecord
from dataset.shards.index import ShardSample, write_shard
from dataset.shards.tar import samples_of
from pipeline.jobs.receipts import Failure, Receipt, counts, tallies, write_receipt
from pipeline.jobs.scene import broken_file, spec_file, spool_file
from pipeline.jobs.tasks import JobContext, SceneTask, ShardTask
from pipeline.workers.pool import Outcome, WorkerPool
from pipeline.workers.process import SceneFunctions

# Shards that are being stored while the crew goes on.
STORING = 4


@dataclass
class _OpenShard:
    """A shard whose scenes are being made. left: scenes without an outcome."""

    task: ShardTask
    left: set[int]
    failed: dict[int, Outcome] = field(default_factory=dict)


class ShardMaker:
    """Makes shards one after another with one crew, used in a with block; its workers stay from shard to shard."""

    def __init__(self, work: JobContext, job: SceneFunctions, *, lock: int | None = None) -> None:
        self._work = work.unpacked()
        self._tasks: dict[int, SceneTask] = {}
        self._open: dict[int, _OpenShard] = {}
        self._crew = WorkerPool(job, self._work.settings, lock=lock, order=self._tasks.__getitem__)
        self._storing = ThreadPoolExecutor(STORING, thread_name_prefix="shards")

    def __enter__(self) -> ShardMaker:
        return self

    def __exit__(self, *error: object) -> None:
        self._crew.kill()
        self._storing.shutdown(cancel_futures=True)

    def make(
        self, shards: Iterable[ShardTask], *, stop: Callable[[int], bool], note: Callable[[Outcome], None]
    ) -> Iterator[Receipt]:
        """The receipt of each shard once it is stored.

        stop: asked again and again with the number of scenes under way; once it says True these are finished and wait
        in the spool for the next time. note: told of each scene that has ended. Raises SynthError where no worker can
        work or what is made cannot be stored.
        """
        waiting = iter(shards)
        futures: set[Future[Receipt]] = set()
        more = True
        while True:
            stopping = stop(self._crew.under_way)
            while more and not stopping and self._crew.waiting <= self._work.settings.workers:
                task = next(waiting, None)
                more = task is not None
                futures |= self._begin(task) if task is not None else set()
            if not self._crew.has_work(stopping):
                break
            if not stopping:
                self._crew.dispatch()
            for outcome in self._crew.poll():
                note(outcome)
                futures |= self._ended(outcome)
            done, futures = wait(futures, timeout=0, return_when=FIRST_COMPLETED)
            yield from (future.result() for future in done)
        yield from (future.result() for future in futures)

    def dismiss(self) -> None:
        """Lets all workers end by themselves."""
        self._crew.dismiss()

    def _begin(self, task: ShardTask) -> set[Future[Receipt]]:
        spool = self._work.settings
        missing = [scene for scene in task.wanted if not spool_file(spool, scene).exists()]
        shard = _OpenShard(task, {scene.index for scene in missing})
        for scene in missing:
            self._tasks[scene.index], self._open[scene.index] = scene, shard
        self._crew.add(sorted(shard.left))
        return set() if missing else {self._store(shard)}

    def _ended(self, outcome: Outcome) -> set[Future[Receipt]]:
        shard = self._open.pop(outcome.index)
        del self._tasks[outcome.index]
        shard.left.discard(outcome.index)
        if outcome.reason:
            shard.failed[outcome.index] = outcome
        return set() if shard.left else {self._store(shard)}

    def _store(self, shard: _OpenShard) -> Future[Receipt]:
        return self._storing.submit(store_shard, self._work, shard.task, shard.failed)


def store_shard(work: JobContext, task: ShardTask, failed: dict[int, Outcome]) -> Receipt:
    """Writes a shard from the scenes in the spool, then its receipt, and empties the spool of them.

    failed: the scenes that could not be made. Raises SynthError where a scene is neither there nor failed.
    """
    samples: dict[int, list[ShardSample]] = {}
    for scene in task.wanted:
        if scene.index not in failed:
            samples[scene.index] = _read_spool(work, scene)
    entry = write_shard(
        work.place,
        task.name,
        task.split,
        [sample for scene in task.scenes for sample in samples.get(scene.index, ())],
        used_categories(task.categories, samples),
        dict(work.info),
    )
    receipt = Receipt(
        shard=task.name,
        generation=task.generation,
        entry=entry,
        scenes=len(task.scenes),
        failures=tuple(_failure(work, scene, failed[scene.index]) for scene in task.scenes if scene.index in failed),
        cards=tuple(
            count for scene in task.scenes for count in counted_pictures(work, scene, samples.get(scene.index))
        ),
        dropped=task.dropped,
        revision=0,
        ignored=(),
        **tallies(records_of(samples)),
    )
    write_receipt(work.place, receipt)
    for scene in task.scenes:
        for file in (spool_file, spec_file, broken_file):
            file(work.settings, scene).unlink(missing_ok=True)
    return receipt


def records_of(samples: dict[int, list[ShardSample]]) -> list[AnnotationRecord]:
    """All annotations of the samples of scenes."""
    return [record for views in samples.values() for sample in views for record in sample.annotations]


def used_categories(
    categories: Iterable[CategoryRecord], samples: dict[int, list[ShardSample]]
) -> list[CategoryRecord]:
    """Those categories that annotations of the samples have, by rising id."""
    used = {record.category_id for record in records_of(samples)}
    return sorted((one for one in categories if one.id in used), key=lambda one: one.id or 0)


def _read_spool(work: JobContext, scene: SceneTask) -> list[ShardSample]:
    file = spool_file(work.settings, scene)
    try:
        return list(samples_of(file.read_bytes(), str(file)))
    except (OSError, SynthError) as error:
        hint = "check whether something else deletes files in the folder, and run the same command again"
        raise SynthError(
            "a finished scene has disappeared", code="scenes-lost", where=str(file), found=str(error), hint=hint
        ) from error


def counted_pictures(work: JobContext, scene: SceneTask, samples: list[ShardSample] | None) -> list[int]:
    """In how many pictures each product of a scene counts."""
    seen = dict.fromkeys(scene.ids, 0)
    for sample in samples or ():
        counting = (record for record in sample.annotations if counts(record, work.visible, work.pixels))
        # A picture with several copies of a product counts once for it.
        for number in {record.category_id for record in counting}:
            seen[number or 0] += 1
    return [seen[number] for number in scene.ids]


def _failure(work: JobContext, scene: SceneTask, outcome: Outcome) -> Failure:
    broken, spec = {}, None
    with suppress(OSError, ValueError):
        broken = json.loads(broken_file(work.settings, scene).read_bytes())
    with suppress(OSError, ValueError):
        spec = json.loads(spec_file(work.settings, scene).read_bytes())
    return Failure(index=scene.index, reason=outcome.reason, skus=scene.skus, broken=broken, spec=spec)
