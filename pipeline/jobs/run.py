"""Run of a job from its list to its data set: make what is missing, count, assign again, write the index."""

from __future__ import annotations

import hashlib
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from assets.catalog.types import Catalog
from assets.errors import SynthError
from assets.files.atomic import remove_leftovers, sweep_cache
from assets.interrupt import never
from assets.machine import usable_cores
from assets.plurals import count_of, first_few
from assets.progress import Reporter
from dataset.records import InfoRecord
from dataset.storage.retry import RetryingPath
from pipeline.jobs.engines import EngineContext, open_engine
from pipeline.jobs.files import JobIdentity
from pipeline.jobs.index import SetCounts, delete_replaced_shards, job_categories, write_set_files, write_summary
from pipeline.jobs.lease import CANCELLED, Lease, acquire_lease
from pipeline.jobs.planning.digests import sku_digests
from pipeline.jobs.planning.plan import (
    Change,
    coverage_of,
    matching_receipts,
    next_generation,
    planned_shards,
    scene_task,
    update_catalog,
    with_generation,
)
from pipeline.jobs.planning.revise import revise_shard, revisions
from pipeline.jobs.planning.store import (
    DIGEST_BYTES,
    Generation,
    Plan,
    Shard,
    read_plan,
    write_generation,
    write_version,
)
from pipeline.jobs.receipts import Receipt, intact_receipts
from pipeline.jobs.scene import make_scene, start_worker
from pipeline.jobs.settings import JobSettings, claim_location, identity_of, job_id, keep_streams
from pipeline.jobs.tasks import JobContext, ShardTask
from pipeline.run.plugins import files_of
from pipeline.run.render import MIN_FAILURES
from pipeline.workers.disk_errors import disk_error
from pipeline.workers.process import SceneFunctions

RENDERING = SceneFunctions(make_scene, start_worker)


@dataclass
class JobSummary:
    """Result of a run of a job. found: shards that existed. shards, made, failed: shards and scenes of this run.
    retired: scenes dropped. counts: of the whole set. outcome: content of summary.json. ended: the final state."""

    place: str
    ended: str = "finished"
    change: Change = field(default_factory=Change)
    skus: int = 0
    found: int = 0
    shards: int = 0
    made: int = 0
    failed: int = 0
    retired: int = 0
    counts: SetCounts = field(default_factory=lambda: SetCounts(0, 0, 0, 0))
    outcome: dict[str, Any] = field(default_factory=dict)
    seconds: float = 0.0


def run_job(
    settings: JobSettings,
    reporter: Reporter,
    functions: SceneFunctions = RENDERING,
    *,
    stop: Callable[[], bool] = never,
    share: float | None = None,
    retry: bool = False,
) -> JobSummary:
    """Make what the job lacks for its current catalogue, until every SKU is seen often enough.

    stop: once it returns True no more scenes are started and the job ends, to be resumed. share: of appearances that
    count, if known; else some scenes are sampled to measure it. retry: shards with failed scenes are made again. Raises
    SynthError for a bad list or setting, if another driver is running, if too many scenes fail, or if the storage
    fails.
    """
    from assets.catalog.load import load_catalog

    catalog = load_catalog(settings.render.sku_list)
    settings = keep_streams(settings)
    identity = identity_of(settings)
    settings = replace(settings, location=RetryingPath(settings.location.url))
    if settings.engine == "local" and not settings.render.workers:  # automatic only on a cluster
        settings = replace(settings, render=replace(settings.render, workers=usable_cores()))
    with acquire_lease(settings.location) as lease:
        try:
            claim_location(settings, identity)
            settings.location.delete(CANCELLED)
            driver = _Driver(settings, catalog, functions, reporter, lease, stop)
            summary = driver.drive(identity, share, retry)
        except OSError as error:
            if isinstance(error, BrokenPipeError) or settings.location.local is None:
                raise
            raise disk_error(settings.location.local, error) from error
        lease.state = summary.ended  # type: ignore[assignment]
    return summary


class _Driver:
    """One run of a job."""

    def __init__(
        self,
        settings: JobSettings,
        catalog: Catalog,
        functions: SceneFunctions,
        reporter: Reporter,
        lease: Lease,
        stop: Callable[[], bool],
    ) -> None:
        self.settings, self.catalog, self.functions, self.reporter = settings, catalog, functions, reporter
        self.location, self.lease, self._stop_requested = settings.location, lease, stop
        self.summary = JobSummary(settings.location.url, skus=len(catalog))
        self._announced_stop = False
        self._listed = set(catalog.keys)
        self.receipts: dict[str, Receipt] = {}
        self.digests: NDArray[np.uint8] = np.zeros((0, DIGEST_BYTES), np.uint8)

    def drive(self, identity: JobIdentity, share: float | None, retry: bool) -> JobSummary:
        """Run until nothing is missing or the job must stop."""
        started = time.monotonic()
        plan = self._update_plan()
        self._remove_leftovers()
        self.receipts = matching_receipts(plan, intact_receipts(self.location), self.settings)
        if retry:
            self.receipts = {shard: receipt for shard, receipt in self.receipts.items() if not receipt.failures}
        self.summary.found = len(self.receipts)
        work = job_context(plan, self.settings, identity)
        self._revise_shards(plan, work)
        try:
            while not self._should_stop:
                self._make_missing(plan, work)
                if self._should_stop:
                    break
                generation = self._next_generation(plan, work, share)
                if generation is None:
                    break
                write_generation(self.location, generation)
                plan = with_generation(plan, generation)
        except KeyboardInterrupt:
            self.summary.ended = "interrupted"
        self.summary.seconds = time.monotonic() - started
        self._write_results(plan, work)
        self._check_sources(plan)
        return self.summary

    @property
    def _should_stop(self) -> bool:
        return self._stop_requested() or self.lease.should_end

    def _update_plan(self) -> Plan:
        self.digests = sku_digests(self.catalog, self.settings.render.cache)
        old = read_plan(self.location)
        plan, self.summary.change = update_catalog(old, self.catalog, self.digests, self.settings, self.reporter.say)
        if old.versions and self.summary.change:
            self.reporter.say(f"changes of the list since the last run: {self.summary.change}")
        if plan.versions is not old.versions:
            write_version(self.location, plan.current, plan.ids)
        return plan

    def _remove_leftovers(self) -> None:
        """Delete what a killed driver left half written; no other process writes here while the lease is held."""
        sweep_cache(self.settings.render.cache)
        local = self.location.local
        if local is not None:
            for folder in ("", "plan", "receipts", "shards", "annotations"):
                remove_leftovers(local / folder)

    def _revise_shards(self, plan: Plan, work: JobContext) -> None:
        for revision in list(revisions(plan, self.receipts, self.settings)):
            self.receipts[revision.receipt.shard] = revise_shard(self.location, revision, work.info)
            self.summary.retired += revision.retired
            if self._should_stop:
                return

    def _next_generation(self, plan: Plan, work: JobContext, share: float | None) -> Generation | None:
        coverage = coverage_of(plan, self.receipts, self.settings)
        if plan.generations:
            expected = plan.generations[-1].share
        else:
            expected = share if share is not None else self._measured_share(plan, work)
        return next_generation(plan, coverage, self.settings, expected)

    def _measured_share(self, plan: Plan, work: JobContext) -> float:
        from pipeline.jobs.pilot import run_pilot

        self.reporter.say("sampling some scenes to measure how many of their products count")
        return run_pilot(plan, work, self.settings).share

    def _make_missing(self, plan: Plan, work: JobContext) -> None:
        missing = [planned for planned in planned_shards(plan, self.settings) if planned[1].name not in self.receipts]
        if not missing:
            return
        scenes = sum(len(shard.scenes) for _, shard in missing)
        done = plan.scenes - scenes
        with self.reporter.scenes(plan.scenes, done) as progress:
            failed_before = self.summary.failed

            def note(ended: int, failed: int, reason: str) -> None:
                for number in range(ended):
                    progress.advance(failed=number < failed)
                self.summary.made += ended - failed
                self.summary.failed += failed
                self._update_progress(plan, progress.describe())
                self._check_failures(self.summary.failed - failed_before, scenes, reason)

            context = EngineContext(
                work, self.functions, self.settings, self.lease.lock, self._check_stop, note, self.reporter.say
            )
            engine = open_engine(self.settings.engine)
            with closing(engine.run_shards(context, self._tasks(plan, missing))) as receipts:  # type: ignore[type-var]
                for receipt in receipts:
                    self.receipts[receipt.shard] = receipt
                    self.summary.shards += 1

    def _update_progress(self, plan: Plan, about: str) -> None:
        self.lease.progress |= {
            "scenes": plan.scenes,
            "made": self.summary.made,
            "failed": self.summary.failed,
            "about": about,
            "engine": self.settings.engine,
        }

    def _check_stop(self, in_progress: int) -> bool:
        if self._should_stop and not self._announced_stop:
            self._announced_stop = True
            finishing = in_progress and self.settings.engine == "local" and not self.lease.should_end
            self.reporter.say(
                f"finishing {count_of(in_progress, 'scene')} in progress; press Ctrl-C again to stop now"
                if finishing
                else "stopping"
            )
        return self._announced_stop

    def _check_failures(self, failed: int, scenes: int, reason: str) -> None:
        if failed >= MIN_FAILURES and failed > self.settings.render.max_failures * scenes:
            raise SynthError(
                f"{count_of(failed, 'scene')} failed, so the job stops",
                code="scenes-failed",
                where=self.location.url,
                found=reason,
                expected=f"at most {self.settings.render.max_failures:.0%} of {scenes}",
                hint="fix the cause and 'synth job resume' it; finished work is kept",
            )

    def _tasks(self, plan: Plan, missing: list[tuple[Generation, Shard]]) -> Iterator[ShardTask]:
        """Yield the missing shards one by one as they are requested: all at once would take gigabytes."""
        current: Generation | None = None
        keypoints = self.settings.render.keypoints
        records = job_categories(self.location, plan, self.catalog, keypoints=keypoints)
        categories = {record.id: record for record in records}
        for generation, shard in missing:
            if generation is not current:
                current = generation
                unwanted = generation.scenes_with(plan.stale(generation) | plan.delisted(generation))
            scenes = tuple(scene_task(plan, generation, int(scene)) for scene in shard.scenes)
            numbers = sorted({number for scene in scenes for number in scene.ids})
            listed = tuple(categories[number] for number in numbers if plan.ids.key_of(number) in self._listed)
            dropped = tuple((shard.scenes[unwanted[shard.scenes]] + generation.first).tolist())
            yield ShardTask(shard.name, shard.split, generation.number, scenes, listed, dropped)

    def _check_sources(self, plan: Plan) -> None:
        """Raise SynthError if files of products changed during the run.

        The appearance of such a product is unknown: the plan resets its digest, so that the next run makes its scenes
        again.
        """
        now = sku_digests(self.catalog, self.settings.render.cache)
        listed = plan.lists(self.catalog.keys)
        rows = np.flatnonzero(listed & (now != self.digests).any(axis=1))
        if not len(rows):
            return
        digests = self.digests.copy()
        digests[rows] = 0
        write_version(self.location, replace(plan.current, digests=digests[listed]), plan.ids)
        raise SynthError(
            "files of products changed while the job ran: its scenes show a mix of old and new ones",
            code="product-files-changed",
            where=self.location.url,
            found=f"{len(rows)} of {count_of(len(self.catalog), 'SKU')}",
            problems=first_few([f"SKU {self.catalog.keys[row]!r}" for row in rows]),
            hint="run the same command again: it renders the scenes with these products again",
        )

    def _write_results(self, plan: Plan, work: JobContext) -> None:
        """Write the files that describe the set; delete the spool once everything is in its shard."""
        if self.lease.lost:
            hint = "check which machines run it; finished work is kept"
            raise SynthError(
                "another driver has taken over the job", code="job-taken-over", where=self.location.url, hint=hint
            )
        summary = self.summary
        summary.counts = write_set_files(self.location, plan, self.receipts, self.catalog, self.settings)
        coverage = coverage_of(plan, self.receipts, self.settings)
        summary.outcome = write_summary(self.location, plan, coverage, summary.counts, self.settings)
        delete_replaced_shards(self.location, self.receipts)
        if self._should_stop or summary.ended != "finished":
            summary.ended = "cancelled" if self.lease.cancelled else "interrupted"
        else:
            shutil.rmtree(work.spool, ignore_errors=True)


def job_context(plan: Plan, settings: JobSettings, identity: JobIdentity) -> JobContext:
    """Return what all shards of the job have in common; its spool is in the cache, apart from those of other jobs."""
    from render.recipes import load_recipe

    render, name = settings.render, job_id(identity)
    recipe = load_recipe(render.recipe, streams=render.streams)
    where = hashlib.sha256(settings.location.url.encode()).hexdigest()[:8]
    spool = render.cache.resolve() / "jobs" / f"{name}-{where}-{plan.current.number}"
    return JobContext(
        replace(render, out=spool, sku_list=render.sku_list.resolve()),
        settings.location,
        identity.recipe,
        plan.current.catalog_hash,
        settings.visible,
        settings.pixels,
        InfoRecord(description=f"synthetic scenes, job {name}", version="1.0", contributor=render.creator),
        tuple(files_of(recipe, render.backend).items()),
    )


def write_index_now(settings: JobSettings) -> SetCounts:
    """Write the files that describe the shards finished so far, beside a driver that may be running.

    Raises SynthError if the list or the plan cannot be read.
    """
    from assets.catalog.load import load_catalog

    location = RetryingPath(settings.location.url)
    plan = read_plan(location)
    receipts = matching_receipts(plan, intact_receipts(location), settings)
    return write_set_files(location, plan, receipts, load_catalog(settings.render.sku_list), settings)
