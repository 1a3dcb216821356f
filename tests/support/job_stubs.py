"""Stand-ins for the scenes of jobs, picklable so that worker processes and clusters can run them."""

from __future__ import annotations

import ctypes
import hashlib
import io
import os
import signal
import time
from collections import Counter
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from assets.errors import SynthError
from assets.files.atomic import write_atomic
from dataset.layout import stem_of
from dataset.records import AnnotationRecord, ImageRecord
from dataset.shards.index import ShardSample, annotation_id, image_id, read_index, tar_of
from dataset.shards.tar import read_samples
from dataset.storage.path import StoragePath
from pipeline.jobs.scene import spec_file, spool_file
from pipeline.jobs.settings import JobSettings
from pipeline.jobs.tasks import SceneTask
from pipeline.run.settings import RunSettings
from pipeline.workers.process import SceneFunctions, start_nothing

if TYPE_CHECKING:
    from pipeline.jobs.run import JobSummary


def write_list(path: Path, skus: list[str], **changed: str) -> Path:
    """A list of packages; changed: names of some, by SKU."""
    rows = [f"{sku},{changed.get(sku, 'Tea ' + sku)},carton,0.1,0.2,0.05" for sku in skus]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(["sku,name,package,width_m,height_m,depth_m", *rows]) + "\n")
    return path


def skus(number: int) -> list[str]:
    return [f"sku-{i:03d}" for i in range(number)]


def job_at(out: Path | str, sku_list: Path, **changes: Any) -> JobSettings:
    """A job of small shards; changes: of JobSettings, or of RunSettings."""
    cache = sku_list.parent / "cache"
    render = RunSettings(sku_list, Path(), 0, width=64, height=48, workers=1, cache=cache, max_failures=0.5)
    own = {name: changes.pop(name) for name in list(changes) if name in JobSettings.__dataclass_fields__}
    job = JobSettings(replace(render, **changes), StoragePath(str(out)), times=4, shard_scenes=4)
    return replace(job, **own)


def run(
    settings: JobSettings, scene: Any = None, share: float | None = 0.8, *, processes: bool = False, **how: Any
) -> JobSummary:
    """Runs a job of stand-in scenes; plain ones in this process, unless worker processes are what is tested."""
    # Not at the top: workers, which import this file, need none of it.
    from rich.console import Console

    from assets.progress import Reporter
    from pipeline.jobs.run import run_job
    from support.work_here import work_here

    here = scene is None and not processes and settings.engine == "local"
    job = SceneFunctions(scene or write_scene, how.pop("start", start_nothing))
    with work_here() if here else nullcontext():
        return run_job(settings, Reporter(Console(file=io.StringIO())), job, share=share, **how)


def files_of(place: StoragePath | Path) -> dict[str, bytes]:
    """Every file of a job's data set but those that say who made it, and how."""
    where = place if isinstance(place, StoragePath) else StoragePath(str(place))
    names = [
        f"{folder}{name}"
        for folder in ("", "plan/", "receipts/", "shards/", "annotations/")
        for name in where.names(folder)
    ]
    return {name: where.read(name) for name in names if name not in (".lock", "driver.json", "how.json", "cancelled")}


def _chance(*parts: object) -> float:
    return int.from_bytes(hashlib.sha256(repr(parts).encode()).digest()[:4], "big") / 2**32


def write_scene(settings: RunSettings, task: SceneTask) -> tuple[int, int]:
    """A scene that holds no image; two of three products are seen well, by their SKU and number alone."""
    samples = []
    for view in range(settings.views):
        number = image_id(task.index, view, settings.views)
        records = [
            _record(number, place, sku, category, _chance(sku, before, view))
            for place, (sku, category, before) in enumerate(
                zip(task.skus, task.ids, task.numbers, strict=True), start=1
            )
        ]
        name = f"{stem_of(task.index, view)}.jpg"
        image = ImageRecord(id=number, file_name=name, width=64, height=48, index=task.index)
        content = hashlib.sha256(repr(task).encode()).digest() * 40
        samples.append(ShardSample(stem_of(task.index, view), {"jpg": content}, image, records))
    write_atomic(spool_file(settings, task), tar_of(samples))
    return settings.views, settings.views * len(task.skus)


def _record(image: int, instance: int, sku: str, category: int, chance: float) -> AnnotationRecord:
    seen = 0.9 if chance < 0.66 else 0.3
    return AnnotationRecord(
        id=annotation_id(image, instance),
        image_id=image,
        category_id=category,
        sku=sku,
        instance=instance,
        bbox=[1.0, 2.0, 40.0, 30.0],
        area=900,
        visibility=seen,
        truncation=0.0,
        camera_from_object=np.eye(4).tolist(),
        ignore=0,
    )


def _first(settings: RunSettings, task: SceneTask) -> bool:
    """True the first time that it is asked for a scene of a job, in whatever process."""
    marker = settings.cache / f"asked-{task.index}"
    settings.cache.mkdir(parents=True, exist_ok=True)
    try:
        marker.touch(exist_ok=False)
    except FileExistsError:
        return False
    return True


def slow(settings: RunSettings, task: SceneTask) -> tuple[int, int]:
    """A scene that a signal is likely to meet in the middle."""
    time.sleep(0.05)
    return write_scene(settings, task)


def slower(settings: RunSettings, task: SceneTask) -> tuple[int, int]:
    """A scene during which one can look about."""
    time.sleep(0.3)
    return write_scene(settings, task)


def poison(settings: RunSettings, task: SceneTask) -> tuple[int, int]:
    """Scene 3 always kills its process, 5 hangs, 6 cannot be drawn."""
    write_atomic(spec_file(settings, task), b'{"scene": %d}' % task.index)
    if task.index == 3:
        os.kill(os.getpid(), signal.SIGSEGV)
    while task.index == 5:
        ctypes.PyDLL(None).sleep(1000)
    if task.index == 6:
        raise SynthError("the mesh has no triangles", code="mesh-empty", where="a.obj")
    return write_scene(settings, task)


def dies_once(settings: RunSettings, task: SceneTask) -> tuple[int, int]:
    """Scenes 2 and 9 take their process down the first time."""
    if task.index in (2, 9) and _first(settings, task):
        os.kill(os.getpid(), signal.SIGKILL)
    return write_scene(settings, task)


def one_sku_is_broken(settings: RunSettings, task: SceneTask) -> tuple[int, int]:
    """Whatever scene has sku-002 in it fails, and says so."""
    from pipeline.jobs.scene import broken_file

    if "sku-002" in task.skus:
        write_atomic(broken_file(settings, task), b'{"sku-002": "the mesh has no triangles"}')
        raise SynthError("the mesh has no triangles", code="mesh-empty", where="SKU 'sku-002'")
    return write_scene(settings, task)


def fails_everywhere(settings: RunSettings, task: SceneTask) -> tuple[int, int]:
    """No scene can be made."""
    raise SynthError("there is no paper", code="scenes-failed", where=f"scene {task.index}")


def sleeps(settings: RunSettings, task: SceneTask) -> tuple[int, int]:
    """A scene that takes a quarter of a second and no core."""
    time.sleep(0.25)
    return write_scene(settings, task)


def seen_well(out: Path | StoragePath) -> Counter[str]:
    """How often each SKU counts, by the labels in the tar files alone."""
    place = out if isinstance(out, StoragePath) else StoragePath(str(out))
    found: Counter[str] = Counter()
    for shard in read_index(place).shards:
        for sample in read_samples(place, shard):
            seen = (one for one in sample.annotations if (one.visibility or 0) >= 0.5 and not one.ignored)
            found.update(str(one.sku) for one in seen)
    return found
