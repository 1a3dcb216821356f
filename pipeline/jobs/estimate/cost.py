"""Cost of a job, extrapolated from some of its scenes rendered by real workers.

A first worker pool has no products in any cache, a second one finds them in the cache on disk; each also renders a
second scene of the same products, which are then in memory. The differences give the extra time of building a product
once, and of loading it whenever it has left a worker's memory.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from assets.errors import SynthError
from assets.files.atomic import write_atomic
from assets.files.scratch import scratch_folder
from assets.machine import usable_cores
from dataset.coco_writer import coco_bytes
from dataset.records import Head
from dataset.shards.tar import samples_of
from pipeline.jobs.pilot import in_scratch, run_tasks
from pipeline.jobs.scene import make_scene, spool_file, start_worker
from pipeline.jobs.settings import JobSettings
from pipeline.jobs.tasks import JobContext, SceneTask
from pipeline.run.scene import opened_worker
from pipeline.run.settings import RunSettings
from pipeline.workers.process import SceneFunctions

# Added to the index of a scene to get one that occurs in no job.
INDEX_OFFSET = 1 << 40
# Size of a worker's cache of meshes in memory (assets/library.py).
LIBRARY_BYTES = 1024 << 20


@dataclass(frozen=True)
class Cost:
    """Measured cost on this machine. Seconds are of one worker, while all requested workers run.

    workers, threads: running, and threads of each. start_s: of a worker. scene_s: of a scene whose products are in
    memory. load_s, build_s: extra for a product that is only on disk, and for one that must be made first. products:
    per measured scene. mesh_bytes: of a product in memory. image_bytes, label_bytes: stored per image.
    """

    workers: int
    threads: int
    start_s: float
    scene_s: float
    load_s: float
    build_s: float
    products: float
    mesh_bytes: float
    image_bytes: float
    label_bytes: float

    def worker_seconds(self, scenes: int, appearances: int, skus: int, workers: int, built: bool = False) -> float:
        """Return the seconds of all workers together for these numbers of scenes, appearances and SKUs.

        built: whether all products are in the cache on disk already.
        """
        if not scenes:
            return 0.0
        loads = workers * self.loads(appearances / workers, skus)
        per_product = self.scene_s / max(self.products, 1e-9)
        # Half of the time is per image, half per product: jobs seldom differ much from the measured scenes.
        warm = scenes * self.scene_s / 2 + appearances * per_product / 2
        return workers * self.start_s + warm + loads * self.load_s + (0 if built else skus * self.build_s)

    def loads(self, appearances: float, skus: int) -> float:
        """Return how often a worker loads a product from disk: the first time, and whenever it has left its memory."""
        first = skus * -np.expm1(-appearances / max(skus, 1))
        kept = min(LIBRARY_BYTES / max(self.mesh_bytes, 1.0) / max(skus, 1), 1.0)
        return float(first + max(appearances - first, 0) * (1 - kept))


@dataclass(frozen=True)
class _Timed:
    """Seconds of two scenes of the same products. born_s: from the worker's start to its first scene, else 0."""

    first_s: float
    again_s: float
    mesh_bytes: float
    born_s: float = 0.0


_started: list[int] = []


def timed_scene(settings: RunSettings, task: SceneTask) -> tuple[int, int]:
    """Make a scene and another of its products, and store the times and the mesh bytes beside it."""
    import psutil

    born_s = 0.0 if _started else time.time() - psutil.Process().create_time()
    _started.append(task.index)
    started = time.perf_counter()
    make_scene(settings, task)
    between = time.perf_counter()
    # Another arrangement: the same one would also find each product's pose and wear in memory.
    made = make_scene(settings, replace(task, index=task.index + INDEX_OFFSET))
    again_s = time.perf_counter() - between
    library = opened_worker(settings).library
    mesh_bytes = float(np.mean([library.product(sku).nbytes for sku in set(task.skus)]))
    timed = _Timed(between - started, again_s, mesh_bytes, born_s)
    write_atomic(_times_path(settings, task), json.dumps(asdict(timed)).encode())
    return made


def _times_path(settings: RunSettings, task: SceneTask) -> Path:
    return settings.out / f"{task.stem}.timed"


def cost_scenes(settings: JobSettings) -> int:
    """Return the number of scenes to measure: some per worker, and one more each, which covers its start."""
    workers = min(settings.render.workers or usable_cores(), usable_cores())
    from render.backends import backend_module

    return workers * (1 + int(backend_module(settings.render.backend).INFO.pilot_scenes))


def measure_cost(tasks: Sequence[SceneTask], work: JobContext) -> Cost:
    """Render `tasks` on this machine with a cache of their own. Raises SynthError if none can be made."""
    work = in_scratch(work, "cost")
    with scratch_folder("cost") as scratch:
        try:
            work = replace(work, settings=replace(work.settings, cache=Path(scratch))).with_spool_files()
            cold = _time_scenes(work, tasks)
            return _combine_times(work, tasks, cold, _time_scenes(work, tasks))
        finally:
            shutil.rmtree(work.spool, ignore_errors=True)


def _time_scenes(work: JobContext, tasks: Sequence[SceneTask]) -> dict[int, _Timed]:
    outcomes = run_tasks(SceneFunctions(timed_scene, start_worker), work, tasks)
    if not any(not outcome.reason for outcome in outcomes):
        found = outcomes[-1].reason if outcomes else "no scene to render"
        hint = "'synth catalog check LIST' lists its problems"
        raise SynthError("no scene could be rendered to measure its cost", code="scenes-failed", found=found, hint=hint)
    made = {task.index: task for task in tasks}
    files = {o.index: _times_path(work.settings, made[o.index]) for o in outcomes if not o.reason}
    return {index: _Timed(**json.loads(file.read_bytes())) for index, file in files.items()}


def _combine_times(
    work: JobContext, tasks: Sequence[SceneTask], cold: dict[int, _Timed], disk: dict[int, _Timed]
) -> Cost:
    both = [task for task in tasks if task.index in cold and task.index in disk]
    # A worker's first scene includes one-time loading, which belongs to its start.
    later = [task for task in both if not cold[task.index].born_s and not disk[task.index].born_s] or both
    starts = [timed.born_s + timed.first_s - timed.again_s for timed in disk.values() if timed.born_s]
    products = sum(len(task.skus) for task in later)
    again = [(cold[task.index].again_s + disk[task.index].again_s) / 2 for task in later]
    load = sum(disk[task.index].first_s - warm for task, warm in zip(later, again, strict=True))
    build = sum(cold[task.index].first_s - disk[task.index].first_s for task in later)
    images, labels = zip(*(_stored_bytes(work.settings, task) for task in both), strict=True)
    return Cost(
        workers=work.settings.workers,
        threads=work.settings.threads,
        start_s=float(np.mean(starts)) if starts else 0.0,
        scene_s=sum(again) / len(later),
        load_s=max(load, 0.0) / products,
        build_s=max(build, 0.0) / len({sku for task in later for sku in task.skus}),
        products=products / len(later),
        mesh_bytes=float(np.mean([disk[task.index].mesh_bytes for task in both])),
        image_bytes=sum(images) / len(both) / work.settings.views,
        label_bytes=sum(labels) / len(both) / work.settings.views,
    )


def _stored_bytes(settings: RunSettings, task: SceneTask) -> tuple[int, int]:
    """Return the bytes of a scene's images, and of all else stored of it: labels twice, its spec, tar overhead."""
    file = spool_file(settings, task)
    samples = list(samples_of(file.read_bytes(), str(file)))
    images = sum(len(data) for sample in samples for name, data in sample.files.items() if name != "scene.json")
    labels = len(coco_bytes((sample.labels for sample in samples), Head(())))
    # Tar overhead: a block of 512 bytes before each file, and padding to whole blocks.
    files = [len(data) for sample in samples for data in sample.files.values()] + [labels // len(samples)] * len(
        samples
    )
    return images, sum(512 + -(-size // 512) * 512 for size in files) - images + labels
