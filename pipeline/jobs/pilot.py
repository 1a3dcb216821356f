"""Some scenes of a job drawn and traced, not rendered: how many products count, from which sides, how large."""

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
from pipeline.jobs.scene import sample_task, start_worker
from pipeline.jobs.settings import JobSettings
from pipeline.jobs.tasks import JobContext, SceneTask
from pipeline.run.scene import opened_worker
from pipeline.run.settings import RunSettings
from pipeline.workers.pool import Outcome, WorkerPool
from pipeline.workers.process import SceneFunctions

# 340 products: the share that counts is known to 2.5 %.
SCENES = 40
# Where no scene could be drawn at all.
UNKNOWN_SHARE = 0.75


@dataclass(frozen=True)
class Pilot:
    """What was found. scenes, products: drawn; products in all views. failed: scenes that could not be drawn, and why
    the first could not. share: of the products, those that count. annotations: a picture. sides, sizes, areas: of
    all annotations, see pipeline/jobs/receipts.py."""

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
    """Draws and labels a scene, and leaves the labels in the spool. Raises SynthError where it cannot be drawn."""
    from render.coco import annotation_record
    from render.labels import annotate, trace_geometry

    worker = opened_worker(settings)
    records: list[AnnotationRecord] = []
    for view in range(settings.views):
        scene = sample_task(worker, task, view)
        records += map(annotation_record, annotate(scene, trace_geometry(scene, worker.library)))
    write_atomic(_pilot_file(settings, task), json.dumps([record.content() for record in records]).encode())
    return settings.views, len(records)


def _pilot_file(settings: RunSettings, task: SceneTask) -> Path:
    return settings.out / f"{task.stem}.pilot"


def sample_tasks(plan: Plan, settings: JobSettings, count: int) -> tuple[Generation | None, list[SceneTask]]:
    """What would be dealt next if every product counted, and some of its scenes, evenly spread over it."""
    generation = next_generation(plan, coverage_of(plan, {}, settings), settings, 1.0)
    if generation is None or not len(generation.deal):
        return None, []
    scenes = np.unique(np.linspace(0, len(generation.deal) - 1, count).astype(int))
    return generation, [scene_task(plan, generation, int(scene)) for scene in scenes]


def run_pilot(plan: Plan, work: JobContext, settings: JobSettings, scenes: int = SCENES) -> Pilot:
    """Draws `scenes` scenes of the catalogue in worker processes. The same catalogue gives the same numbers."""
    _, tasks = sample_tasks(replace(plan, generations=()), settings, scenes)
    work = in_scratch(work, "pilot").unpacked()
    try:
        outcomes = run_tasks(SceneFunctions(trace_scene, start_worker), work, tasks)
        failed = {outcome.index: outcome.reason for outcome in outcomes if outcome.reason}
        return _found(work, [task for task in tasks if task.index not in failed], failed)
    finally:
        shutil.rmtree(work.spool, ignore_errors=True)


def run_tasks(
    job: SceneFunctions, work: JobContext, tasks: Sequence[SceneTask], *, stop: Callable[[], bool] = never
) -> list[Outcome]:
    """What became of scenes that workers of this machine were handed; stop: once it says True no more are begun."""
    by_index = {task.index: task for task in tasks}
    outcomes: list[Outcome] = []
    with WorkerPool(job, work.settings, order=by_index.__getitem__) as crew:
        crew.add(by_index)
        while crew.has_work(stopping := stop()):
            if not stopping:
                crew.dispatch()
            outcomes += crew.poll()
        crew.dismiss()
    return outcomes


def in_scratch(work: JobContext, name: str) -> JobContext:
    """The same work in a spool of its own, done by as many workers as this machine has cores for."""
    workers = min(work.settings.workers or usable_cores(), usable_cores())
    return replace(work, settings=replace(work.settings, out=work.spool / name, workers=workers))


def _found(work: JobContext, made: Sequence[SceneTask], failed: dict[int, str]) -> Pilot:
    records: list[AnnotationRecord] = []
    for task in made:
        records += parse_all(AnnotationRecord, json.loads(_pilot_file(work.settings, task).read_bytes()))
    pictures = len(made) * work.settings.views
    products = sum(len(task.ids) for task in made) * work.settings.views
    counting = sum(counts(record, work.visible, work.pixels) for record in records)
    return Pilot(
        scenes=len(made),
        products=products,
        share=round(counting / products, 4) if counting else UNKNOWN_SHARE,
        annotations=len(records) / max(pictures, 1),
        **tallies(records),
        failed=len(failed),
        reason=next(iter(failed.values()), ""),
    )
