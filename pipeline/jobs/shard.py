"""Shard assembly: a worker pool makes the scenes, whose spool files become a shard and its receipt."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass, field

from assets.errors import SynthError
from dataset.records import AnnotationRecord, CategoryRecord, Head
from dataset.shards.index import ShardSample, write_shard
from dataset.shards.tar import samples_of
from pipeline.jobs.receipts import Failure, Receipt, counts, tallies, write_receipt
from pipeline.jobs.scene import broken_file, spec_file, spool_file
from pipeline.jobs.tasks import JobContext, SceneTask, ShardTask
from pipeline.workers.pool import Outcome, WorkerPool
from pipeline.workers.process import SceneFunctions

# Shards stored in parallel while the workers continue.
STORING = 4


@dataclass
class _OpenShard:
    """A shard whose scenes are being made. left: scenes without an outcome."""

    task: ShardTask
    left: set[int]
    failed: dict[int, Outcome] = field(default_factory=dict)


class ShardMaker:
    """Maker of shards, one after another, with one worker pool; a context manager."""

    def __init__(self, work: JobContext, functions: SceneFunctions, *, lock: int | None = None) -> None:
        self._work = work.with_spool_files()
        self._tasks: dict[int, SceneTask] = {}
        self._open: dict[int, _OpenShard] = {}
        self._pool = WorkerPool(functions, self._work.settings, lock=lock, payload_of=self._tasks.__getitem__)
        self._storing = ThreadPoolExecutor(STORING, thread_name_prefix="shards")

    def __enter__(self) -> ShardMaker:
        return self

    def __exit__(self, *error: object) -> None:
        self._pool.kill()
        self._storing.shutdown(cancel_futures=True)

    def make(
        self, shards: Iterable[ShardTask], *, stop: Callable[[int], bool], note: Callable[[Outcome], None]
    ) -> Iterator[Receipt]:
        """Yield the receipt of each shard once it is stored.

        stop: polled with the number of scenes in progress; once it returns True these are finished and stay in the
        spool for the next run. note: called with each outcome. Raises SynthError if no worker can start or a shard
        cannot be stored.
        """
        waiting = iter(shards)
        futures: set[Future[Receipt]] = set()
        more = True
        while True:
            stopping = stop(self._pool.in_progress)
            while more and not stopping and self._pool.waiting <= self._work.settings.workers:
                task = next(waiting, None)
                more = task is not None
                futures |= self._begin_shard(task) if task is not None else set()
            if not self._pool.has_work(stopping):
                break
            if not stopping:
                self._pool.dispatch()
            for outcome in self._pool.poll():
                note(outcome)
                futures |= self._finish_scene(outcome)
            done, futures = wait(futures, timeout=0, return_when=FIRST_COMPLETED)
            yield from (future.result() for future in done)
        yield from (future.result() for future in futures)

    def shutdown(self) -> None:
        """Let all idle workers exit by themselves."""
        self._pool.shutdown()

    def _begin_shard(self, task: ShardTask) -> set[Future[Receipt]]:
        spool = self._work.settings
        missing = [scene for scene in task.wanted if not spool_file(spool, scene).exists()]
        shard = _OpenShard(task, {scene.index for scene in missing})
        for scene in missing:
            self._tasks[scene.index], self._open[scene.index] = scene, shard
        self._pool.add(sorted(shard.left))
        return set() if missing else {self._submit_store(shard)}

    def _finish_scene(self, outcome: Outcome) -> set[Future[Receipt]]:
        shard = self._open.pop(outcome.index)
        del self._tasks[outcome.index]
        shard.left.discard(outcome.index)
        if outcome.reason:
            shard.failed[outcome.index] = outcome
        return set() if shard.left else {self._submit_store(shard)}

    def _submit_store(self, shard: _OpenShard) -> Future[Receipt]:
        return self._storing.submit(store_shard, self._work, shard.task, shard.failed)


def store_shard(work: JobContext, task: ShardTask, failed: dict[int, Outcome]) -> Receipt:
    """Write a shard from the scenes in the spool, then its receipt, and delete those scenes from the spool.

    failed: the scenes that could not be made. Raises SynthError if a scene is neither in the spool nor failed.
    """
    samples: dict[int, list[ShardSample]] = {}
    for scene in task.wanted:
        if scene.index not in failed:
            samples[scene.index] = _read_spool(work, scene)
    entry = write_shard(
        work.location,
        task.name,
        task.split,
        [sample for scene in task.scenes for sample in samples.get(scene.index, ())],
        Head(used_categories(task.categories, samples), work.info),
    )
    receipt = Receipt(
        shard=task.name,
        generation=task.generation,
        entry=entry,
        scenes=len(task.scenes),
        failures=tuple(_failure(work, scene, failed[scene.index]) for scene in task.scenes if scene.index in failed),
        counted=tuple(
            count for scene in task.scenes for count in counted_images(work, scene, samples.get(scene.index))
        ),
        dropped=task.dropped,
        revision=0,
        ignored=(),
        **tallies(annotations_of(samples)),
    )
    write_receipt(work.location, receipt)
    for scene in task.scenes:
        for file in (spool_file, spec_file, broken_file):
            file(work.settings, scene).unlink(missing_ok=True)
    return receipt


def annotations_of(samples: dict[int, list[ShardSample]]) -> list[AnnotationRecord]:
    """Return all annotations of the samples of scenes."""
    return [record for views in samples.values() for sample in views for record in sample.annotations]


def used_categories(
    categories: Iterable[CategoryRecord], samples: dict[int, list[ShardSample]]
) -> list[CategoryRecord]:
    """Return the categories that occur in annotations of the samples, sorted by id."""
    used = {record.category_id for record in annotations_of(samples)}
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


def counted_images(work: JobContext, scene: SceneTask, samples: list[ShardSample] | None) -> list[int]:
    """Return the number of images in which each product of a scene counts."""
    seen = dict.fromkeys(scene.ids, 0)
    for sample in samples or ():
        counting = (record for record in sample.annotations if counts(record, work.visible, work.pixels))
        # An image with several copies of a product counts once for it.
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
