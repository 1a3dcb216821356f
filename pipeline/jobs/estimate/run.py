"""Estimate of a job's work and cost before it begins; nothing is written to its output."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from assets.catalog.load import load_catalog
from assets.errors import SynthError
from pipeline.jobs.estimate.cost import Cost, cost_scenes, measure_cost
from pipeline.jobs.pilot import Pilot, run_pilot, sample_tasks
from pipeline.jobs.planning.assign import ASSIGNMENT_STREAM
from pipeline.jobs.planning.digests import sku_digests
from pipeline.jobs.planning.plan import (
    Change,
    Coverage,
    coverage_of,
    deficits,
    matching_receipts,
    next_generation,
    planned_shards,
    scene_task,
    update_catalog,
    with_generation,
)
from pipeline.jobs.planning.revise import revisions
from pipeline.jobs.planning.store import Plan, read_plan
from pipeline.jobs.receipts import Receipt, intact_receipts
from pipeline.jobs.run import job_context
from pipeline.jobs.settings import JobSettings, identity_of, keep_streams, read_identity
from pipeline.jobs.tasks import SceneTask


@dataclass(frozen=True)
class Estimate:
    """Work and cost of a job.

    skus, change: of the catalogue. there, retired: existing scenes, and those of them that would be dropped.
    open_scenes, scenes, top_up: to be made: assigned before but not made yet, assigned next, and expected in extra
    rounds for what does not count. appearances: assigned next. due: SKUs that lack appearances. shards: to be made.
    pilot, cost: measured; None if nothing is to be made, or nothing was measured.
    """

    settings: JobSettings
    skus: int
    change: Change
    there: int
    retired: int
    open_scenes: int
    scenes: int
    top_up: int
    appearances: int
    due: int
    shards: int
    pilot: Pilot | None
    cost: Cost | None

    @property
    def all_scenes(self) -> int:
        """Expected number of scenes to make."""
        return self.open_scenes + self.scenes + self.top_up

    @property
    def all_appearances(self) -> int:
        """Expected number of appearances in all scenes to make."""
        return round(self.appearances * self.all_scenes / self.scenes) if self.scenes else 0

    def worker_seconds(self, workers: int) -> float:
        """Return the seconds of all workers together. Raises ValueError if nothing was measured."""
        if self.cost is None:
            raise ValueError("nothing was measured")
        return self.cost.worker_seconds(self.all_scenes, self.all_appearances, self.due, workers)


def estimate_job(settings: JobSettings, *, measure: bool = True) -> Estimate:
    """Return what `settings` would do at its location as it is now. measure: also render some scenes to know the cost.

    Raises SynthError for a bad list or setting, and if the location holds another job.
    """
    catalog = load_catalog(settings.render.sku_list)
    settings = keep_streams(settings)
    identity = identity_of(settings)
    existing = read_identity(settings.location)
    if existing is not None and existing != identity:
        hint = "'synth job run' with the same settings lists what differs; or give another --out"
        raise SynthError(
            "the location contains a job with other settings",
            code="settings-differ",
            where=str(settings.location),
            hint=hint,
        )
    plan, change = update_catalog(
        read_plan(settings.location), catalog, sku_digests(catalog, settings.render.cache), settings
    )
    receipts = matching_receipts(plan, intact_receipts(settings.location), settings) if plan.generations else {}
    work = job_context(plan, settings, identity)
    due = int((deficits(plan, coverage_of(plan, receipts, settings), settings.times) > 0).sum())
    if not due:
        return _estimate(settings, plan, change, receipts, None, None)
    pilot = run_pilot(plan, work, settings)
    cost = measure_cost(_cost_tasks(plan, settings), work) if measure else None
    return _estimate(settings, plan, change, receipts, pilot, cost)


def _cost_tasks(plan: Plan, settings: JobSettings) -> list[SceneTask]:
    """Return scenes of one pass, so that each product occurs once: its first use is measured."""
    generation, _ = sample_tasks(plan, settings, 1)
    if generation is None:
        return []
    count = min(cost_scenes(settings), len(generation.assignment))
    return [scene_task(plan, generation, scene) for scene in range(count)]


def _estimate(
    settings: JobSettings,
    plan: Plan,
    change: Change,
    receipts: Mapping[str, Receipt],
    pilot: Pilot | None,
    cost: Cost | None,
) -> Estimate:
    coverage = coverage_of(plan, receipts, settings)
    missing = [shard for _, shard in planned_shards(plan, settings) if shard.name not in receipts]
    generation = next_generation(plan, coverage, settings, pilot.share) if pilot is not None else None
    shards = len(missing)
    if generation is not None:
        both = with_generation(plan, generation)
        shards += sum(planned is generation for planned, _ in planned_shards(both, settings))
    open_scenes = sum(len(shard.scenes) for shard in missing)
    return Estimate(
        settings=settings,
        skus=len(plan.current.ids),
        change=change,
        there=plan.scenes - open_scenes,
        retired=sum(revision.retired for revision in revisions(plan, receipts, settings)),
        open_scenes=open_scenes,
        scenes=len(generation.assignment) if generation is not None else 0,
        top_up=_top_up(plan, coverage, settings, pilot.share) if generation is not None and pilot is not None else 0,
        appearances=len(generation.assignment.category_ids) if generation is not None else 0,
        due=int((deficits(plan, coverage, settings.times) > 0).sum()),
        shards=shards,
        pilot=pilot,
        cost=cost,
    )


def _top_up(plan: Plan, coverage: Coverage, settings: JobSettings, share: float) -> int:
    """Return the expected scenes of extra rounds, if each image of a product counts with the same probability."""
    views = settings.render.views
    missing = deficits(plan, coverage, settings.times)
    missing = missing[missing > 0]
    rng = np.random.default_rng([settings.render.seed, ASSIGNMENT_STREAM, len(plan.generations), 1])
    assigned = []
    for _ in range(1 + settings.rounds):
        needs = np.ceil(missing / (views * share)).astype(np.int64)
        assigned.append(int(needs.sum()))
        missing = np.maximum(missing - rng.binomial(needs * views, share), 0)
    generation = next_generation(plan, coverage, settings, share)
    if generation is None or not assigned[0]:
        return 0
    return round(len(generation.assignment) * sum(assigned[1:]) / assigned[0])
