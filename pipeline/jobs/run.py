"""A job from its list to its data set: what is missing is made, counted, dealt again, and written down."""

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
from assets.files.identity import first_named
from assets.interrupt import never
from assets.machine import usable_cores
from assets.plurals import count_of
from dataset.storage.retry import RetryingPath
from pipeline.jobs.engines import EngineContext, open_engine
from pipeline.jobs.index import SetCounts, job_categories, sweep, write_outline, write_summary
from pipeline.jobs.lease import CANCELLED, Lease, lease_of
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
from pipeline.jobs.planning.revise import revise, revisions
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
from pipeline.jobs.settings import JobSettings, claim_place, identity_of, job_id, keep_streams
from pipeline.jobs.tasks import JobContext, ShardTask
from pipeline.run.plugins import files_of
from pipeline.run.progress import Reporter
from pipeline.run.render import FEWEST_FAILURES
from pipeline.workers.disk_errors import disk_error
from pipeline.workers.process import SceneFunctions

RENDERING = SceneFunctions(make_scene, start_worker)


@dataclass
class JobSummary:
    """What a run of a job did. made, failed, again: scenes, and shards of them that were written; found: shards that
    were there. counts: of the whole set. short: SKUs that lack appearances, and why. ended: how it ended."""

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
    job: SceneFunctions = RENDERING,
    *,
    stop: Callable[[], bool] = never,
    share: float | None = None,
    retry: bool = False,
) -> JobSummary:
    """Makes what the job still lacks for its catalogue as it is now, until every SKU is seen often enough.

    stop: once it says True, no scenes are begun any more and the job ends, to be resumed. share: of appearances that
    count, where that is known; else some scenes are drawn to find it. retry: shards with failed scenes are made anew.
    Raises SynthError for a bad list or setting, where another driver is at work, where too many scenes fail, or where
    the storage does not take what is made.
    """
    from assets.catalog.load import load_catalog

    catalog = load_catalog(settings.render.sku_list)
    settings = keep_streams(settings)
    identity = identity_of(settings)
    settings = replace(settings, place=RetryingPath(settings.place.url))
    if settings.engine == "local" and not settings.render.workers:  # as many as there is room for: of a cluster's jobs
        settings = replace(settings, render=replace(settings.render, workers=usable_cores()))
    with lease_of(settings.place) as lease:
        try:
            claim_place(settings, identity)
            settings.place.delete(CANCELLED)
            driver = _Driver(settings, catalog, job, reporter, lease, stop)
            summary = driver.drive(identity, share, retry)
        except OSError as error:
            if isinstance(error, BrokenPipeError) or settings.place.local is None:
                raise
            raise disk_error(settings.place.local, error) from error
        lease.state = summary.ended  # type: ignore[assignment]
    return summary


class _Driver:
    """One run of a job."""

    def __init__(
        self,
        settings: JobSettings,
        catalog: Catalog,
        job: SceneFunctions,
        reporter: Reporter,
        lease: Lease,
        stop: Callable[[], bool],
    ) -> None:
        self.settings, self.catalog, self.job, self.reporter = settings, catalog, job, reporter
        self.place, self.lease, self._asked = settings.place, lease, stop
        self.summary = JobSummary(settings.place.url, skus=len(catalog))
        self._told = False
        self._listed = set(catalog.keys)
        self.receipts: dict[str, Receipt] = {}
        self.digests: NDArray[np.uint8] = np.zeros((0, DIGEST_BYTES), np.uint8)

    def drive(self, identity: dict[str, Any], share: float | None, retry: bool) -> JobSummary:
        """Until nothing is missing, or somebody wants it to end."""
        started = time.monotonic()
        plan = self._plan()
        self._tidy()
        self.receipts = matching_receipts(plan, intact_receipts(self.place), self.settings)
        if retry:
            self.receipts = {shard: receipt for shard, receipt in self.receipts.items() if not receipt.failures}
        self.summary.found = len(self.receipts)
        work = work_of(plan, self.settings, identity)
        self._revise(plan, work)
        try:
            while not self._stopping:
                self._make_missing(plan, work)
                if self._stopping:
                    break
                generation = self._next(plan, work, share)
                if generation is None:
                    break
                write_generation(self.place, generation)
                plan = with_generation(plan, generation)
        except KeyboardInterrupt:
            self.summary.ended = "interrupted"
        self.summary.seconds = time.monotonic() - started
        self._write_down(plan, work)
        self._check_sources(plan)
        return self.summary

    @property
    def _stopping(self) -> bool:
        return self._asked() or self.lease.over

    def _plan(self) -> Plan:
        self.digests = sku_digests(self.catalog, self.settings.render.cache)
        old = read_plan(self.place)
        plan, self.summary.change = update_catalog(old, self.catalog, self.digests, self.settings)
        if old.versions and self.summary.change:
            self.reporter.say(f"the list against that of the last run: {self.summary.change}")
        if plan is not old:
            write_version(self.place, plan.current, plan.ids)
        return plan

    def _tidy(self) -> None:
        """What a killed driver left half written; nobody else writes here while the lock is held."""
        sweep_cache(self.settings.render.cache)
        local = self.place.local
        if local is not None:
            for folder in ("", "plan", "receipts", "shards", "annotations"):
                remove_leftovers(local / folder)

    def _revise(self, plan: Plan, work: JobContext) -> None:
        for revision in list(revisions(plan, self.receipts, self.settings)):
            self.receipts[revision.receipt.shard] = revise(self.place, revision, dict(work.info))
            self.summary.retired += revision.retired
            if self._stopping:
                return

    def _next(self, plan: Plan, work: JobContext, share: float | None) -> Generation | None:
        coverage = coverage_of(plan, self.receipts, self.settings)
        if plan.generations:
            expected = plan.generations[-1].share
        else:
            expected = share if share is not None else self._measured_share(plan, work)
        return next_generation(plan, coverage, self.settings, expected)

    def _measured_share(self, plan: Plan, work: JobContext) -> float:
        from pipeline.jobs.pilot import run_pilot

        self.reporter.say("drawing some scenes to see how many of their products count")
        return run_pilot(plan, work, self.settings).share

    def _make_missing(self, plan: Plan, work: JobContext) -> None:
        missing = [
            (its, shard) for its, shard in planned_shards(plan, self.settings) if shard.name not in self.receipts
        ]
        if not missing:
            return
        scenes = sum(len(shard.scenes) for _, shard in missing)
        there = plan.scenes - scenes
        with self.reporter.scenes(plan.scenes, there) as progress:
            failed_before = self.summary.failed

            def note(ended: int, failed: int, reason: str) -> None:
                for number in range(ended):
                    progress.advance(failed=number < failed)
                self.summary.made += ended - failed
                self.summary.failed += failed
                self._tell(plan, progress.describe())
                self._stop_if_hopeless(self.summary.failed - failed_before, scenes, reason)

            orders = EngineContext(
                work, self.job, self.settings, self.lease.lock, self._announced, note, self.reporter.say
            )
            engine = open_engine(self.settings.engine)
            with closing(engine.run_shards(orders, self._tasks(plan, missing))) as receipts:  # type: ignore[type-var]
                for receipt in receipts:
                    self.receipts[receipt.shard] = receipt
                    self.summary.shards += 1

    def _tell(self, plan: Plan, about: str) -> None:
        self.lease.progress |= {
            "scenes": plan.scenes,
            "made": self.summary.made,
            "failed": self.summary.failed,
            "about": about,
            "engine": self.settings.engine,
        }

    def _announced(self, under_way: int) -> bool:
        if self._stopping and not self._told:
            self._told = True
            waits = under_way and self.settings.engine == "local" and not self.lease.over
            self.reporter.say(
                f"finishing {count_of(under_way, 'scene')} under way; press Ctrl-C again to stop now"
                if waits
                else "stopping"
            )
        return self._told

    def _stop_if_hopeless(self, failed: int, scenes: int, reason: str) -> None:
        if failed >= FEWEST_FAILURES and failed > self.settings.render.max_failures * scenes:
            raise SynthError(
                f"{count_of(failed, 'scene')} failed, so the job stops",
                code="scenes-failed",
                where=self.place.url,
                found=reason,
                expected=f"at most {self.settings.render.max_failures:.0%} of {scenes}",
                hint="fix the cause and 'synth job resume' it; finished work is kept",
            )

    def _tasks(self, plan: Plan, missing: list[tuple[Generation, Shard]]) -> Iterator[ShardTask]:
        """Made one by one, as they are asked for: all at once would be gigabytes."""
        current: Generation | None = None
        kinds = {record.id: record for record in job_categories(self.place, plan, self.catalog)}
        for generation, shard in missing:
            if generation is not current:
                current = generation
                unwanted = generation.scenes_with(plan.stale(generation) | plan.gone(generation))
            scenes = tuple(scene_task(plan, generation, int(scene)) for scene in shard.scenes)
            numbers = sorted({number for scene in scenes for number in scene.ids})
            categories = tuple(kinds[number] for number in numbers if plan.ids.key_of(number) in self._listed)
            dropped = tuple((shard.scenes[unwanted[shard.scenes]] + generation.first).tolist())
            yield ShardTask(shard.name, shard.split, generation.number, scenes, categories, dropped)

    def _check_sources(self, plan: Plan) -> None:
        """Raises SynthError where products were made from other files in the course of the run than at its beginning.

        What such a product looked like is not known: the plan forgets it, so that the next run makes its scenes anew.
        """
        now = sku_digests(self.catalog, self.settings.render.cache)
        rows = np.flatnonzero((now != self.digests).any(axis=1))
        if not len(rows):
            return
        digests = self.digests.copy()
        digests[rows] = 0
        write_version(self.place, replace(plan.current, digests=digests), plan.ids)
        raise SynthError(
            "files of products changed while the job ran: its scenes show a mix of old and new ones",
            code="product-files-changed",
            where=self.place.url,
            found=f"{len(rows)} of {count_of(len(self.catalog), 'SKU')}",
            problems=first_named([f"SKU {self.catalog.keys[row]!r}" for row in rows]),
            hint="run the same command again: it renders the scenes with these products again",
        )

    def _write_down(self, plan: Plan, work: JobContext) -> None:
        """What there is by now, for strangers; the spool goes once everything is in its shard."""
        if self.lease.lost:
            hint = "check which machines run it; finished work is kept"
            raise SynthError(
                "another driver has taken over the job", code="job-taken-over", where=self.place.url, hint=hint
            )
        summary = self.summary
        summary.counts = write_outline(self.place, plan, self.receipts, self.catalog, self.settings)
        coverage = coverage_of(plan, self.receipts, self.settings)
        summary.outcome = write_summary(self.place, plan, coverage, summary.counts, self.settings)
        sweep(self.place, self.receipts)
        if self._stopping or summary.ended != "finished":
            summary.ended = "cancelled" if self.lease.cancelled else "interrupted"
        else:
            shutil.rmtree(work.spool, ignore_errors=True)


def work_of(plan: Plan, settings: JobSettings, identity: dict[str, Any]) -> JobContext:
    """What all shards of the job have in common; its spool lies in the cache, apart from those of other jobs."""
    from render.recipes import load_recipe

    render, name = settings.render, job_id(identity)
    recipe = load_recipe(render.recipe, streams=render.streams)
    where = hashlib.sha256(settings.place.url.encode()).hexdigest()[:8]
    spool = render.cache.resolve() / "jobs" / f"{name}-{where}-{plan.current.number}"
    about = {"description": f"synthetic scenes, job {name}", "version": "1.0", "contributor": render.creator}
    return JobContext(
        replace(render, out=spool, sku_list=render.sku_list.resolve()),
        settings.place,
        identity["recipe"],
        plan.current.catalog_hash,
        settings.visible,
        settings.pixels,
        tuple(about.items()),
        tuple(files_of(recipe, render.backend).items()),
    )


def write_index_now(settings: JobSettings) -> SetCounts:
    """Writes what speaks for the shards that are finished by now, beside a driver that may be at work.

    Raises SynthError where the list or the plan cannot be read.
    """
    from assets.catalog.load import load_catalog

    place = RetryingPath(settings.place.url)
    plan = read_plan(place)
    receipts = matching_receipts(plan, intact_receipts(place), settings)
    return write_outline(place, plan, receipts, load_catalog(settings.render.sku_list), settings)
