"""Pilot of a job: some scenes are sampled and traced, not rendered, to measure which products count and how."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from assets.files.atomic import write_atomic
from assets.interrupt import never
from assets.machine import usable_cores
from dataset.records import AnnotationRecord, parse_all
from pipeline.jobs.planning.plan import coverage_of, next_generation, scene_task
from pipeline.jobs.planning.store import Generation, Plan
from pipeline.jobs.receipts import counts, tallies
from pipeline.jobs.scene import start_worker
from pipeline.jobs.settings import JobSettings
from pipeline.jobs.tasks import JobContext, SceneTask
from pipeline.run.scene import opened_worker
from pipeline.run.settings import RunSettings
from pipeline.workers.pool import Outcome, WorkerPool
from pipeline.workers.process import SceneFunctions

# 340 products: the share that counts has an error of 2.5 %.
SCENES = 40
# Used if no scene could be sampled.
UNKNOWN_SHARE = 0.75


@dataclass(frozen=True)
class Pilot:
    """Result of a pilot. scenes, products: sampled; products in all views. failed, reason: scenes that could not be
    sampled, and why the first failed. share: of the products, those that count. annotations: per image. sides, sizes,
    areas: of all annotations, see pipeline/jobs/receipts.py."""

    scenes: int
    products: int
    share: float
    annotations: float
    sides: dict[str, int]
    sizes: dict[str, int]
    areas: dict[str, int]
    failed: int = 0
    reason: str = ""


def trace_scene(settings: RunSettings, task: SceneTask) -> tuple[int, int]:
    """Sample and label a scene and store the labels in the spool. Raises SynthError if it cannot be sampled."""
    from render.coco import annotation_record
    from render.labels import annotate, trace_geometry

    worker = opened_worker(settings)
    records: list[AnnotationRecord] = []
    for view in range(settings.views):
        scene = worker.sample(task.index, view, task.products)
        found = map(annotation_record, annotate(scene, trace_geometry(scene, worker.library)))
        records += (replace(record, image_id=view) for record in found)
    write_atomic(_pilot_file(settings, task), json.dumps([record.content() for record in records]).encode())
    return settings.views, len(records)


def _pilot_file(settings: RunSettings, task: SceneTask) -> Path:
    return settings.out / f"{task.stem}.pilot"


def sample_tasks(plan: Plan, settings: JobSettings, count: int) -> tuple[Generation | None, list[SceneTask]]:
    """Return the next generation if every product counted, and some of its scenes, evenly spread."""
    generation = next_generation(plan, coverage_of(plan, {}, settings), settings, 1.0)
    if generation is None or not len(generation.assignment):
        return None, []
    scenes = np.unique(np.linspace(0, len(generation.assignment) - 1, count).astype(int))
    return generation, [scene_task(plan, generation, int(scene)) for scene in scenes]


def run_pilot(plan: Plan, work: JobContext, settings: JobSettings, scenes: int = SCENES) -> Pilot:
    """Sample `scenes` scenes of the catalogue in worker processes. The same catalogue gives the same numbers."""
    _, tasks = sample_tasks(replace(plan, generations=()), settings, scenes)
    work = in_scratch(work, "pilot").with_spool_files()
    try:
        outcomes = run_tasks(SceneFunctions(trace_scene, start_worker), work, tasks)
        failed = {outcome.index: outcome.reason for outcome in outcomes if outcome.reason}
        return _summarize(work, [task for task in tasks if task.index not in failed], failed)
    finally:
        shutil.rmtree(work.spool, ignore_errors=True)


def run_tasks(
    functions: SceneFunctions, work: JobContext, tasks: Sequence[SceneTask], *, stop: Callable[[], bool] = never
) -> list[Outcome]:
    """Return the outcomes of scenes made by workers of this machine; once `stop` returns True no more are started."""
    by_index = {task.index: task for task in tasks}
    outcomes: list[Outcome] = []
    with WorkerPool(functions, work.settings, payload_of=by_index.__getitem__) as pool:
        pool.add(by_index)
        while pool.has_work(stopping := stop()):
            if not stopping:
                pool.dispatch()
            outcomes += pool.poll()
        pool.shutdown()
    return outcomes


def in_scratch(work: JobContext, name: str) -> JobContext:
    """Return the context with its own spool and as many workers as this machine has cores for."""
    workers = min(work.settings.workers or usable_cores(), usable_cores())
    return replace(work, settings=replace(work.settings, out=work.spool / name, workers=workers))


def _summarize(work: JobContext, made: Sequence[SceneTask], failed: dict[int, str]) -> Pilot:
    records: list[AnnotationRecord] = []
    counting = 0
    for task in made:
        own = parse_all(AnnotationRecord, json.loads(_pilot_file(work.settings, task).read_bytes()))
        # An image with several copies of a product counts once for it.
        counting += len({(one.image_id, one.sku) for one in own if counts(one, work.visible, work.pixels)})
        records += own
    images = len(made) * work.settings.views
    products = sum(len(task.ids) for task in made) * work.settings.views
    return Pilot(
        scenes=len(made),
        products=products,
        share=round(counting / products, 4) if counting else UNKNOWN_SHARE,
        annotations=len(records) / max(images, 1),
        **tallies(records),
        failed=len(failed),
        reason=next(iter(failed.values()), ""),
    )
