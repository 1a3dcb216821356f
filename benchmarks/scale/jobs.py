"""Jobs at the size of a catalogue: planning, what an engine costs, and whether the cost that is told comes true.

    python benchmarks/scale/jobs.py plan --skus 170000                  # time and memory of a plan, step by step
    python benchmarks/scale/jobs.py scaling --scenes 400                # Ray and local, 1, 2 and 4 workers
    python benchmarks/scale/jobs.py cost --skus 60 --times 20           # told before against measured, some minutes

Plan: the steps one by one in this process, then `synth job plan --no-measure` as a whole in one of its own, with its
largest size. Scaling: scenes that sleep a quarter of a second show what the engine itself costs, with more workers than
cores; rendered ones are bound by the cores there are. The rate is that after the first shard, so that starting does not
count. Cost: `synth job plan` renders some scenes with an empty cache, the job is then run with another empty one.
"""

from __future__ import annotations

import io
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import numpy as np
from rich.console import Console
from rich.table import Table

from assets.catalog.load import load_catalog
from assets.machine import usable_cores
from assets.progress import Reporter
from dataset.storage.path import StoragePath
from pipeline.jobs.estimate.run import estimate_job
from pipeline.jobs.pilot import run_pilot
from pipeline.jobs.planning.assign import assign_scenes
from pipeline.jobs.planning.digests import sku_digests
from pipeline.jobs.planning.plan import update_catalog
from pipeline.jobs.planning.store import Plan, read_plan
from pipeline.jobs.run import RENDERING, job_context, run_job
from pipeline.jobs.scene import spool_file
from pipeline.jobs.settings import JobSettings, identity_of
from pipeline.jobs.tasks import SceneTask
from pipeline.products.catalog import generate_list
from pipeline.run.settings import RunSettings
from pipeline.workers.process import SceneFunctions

ROOT = Path(__file__).resolve().parents[2]
SLEEP_S = 0.25


def sleep_scene(settings: RunSettings, task: SceneTask) -> tuple[int, int]:
    """A scene that takes its time and no core, and holds nothing."""
    from assets.files.atomic import write_atomic
    from dataset.records import ImageRecord
    from dataset.shards.index import ShardSample, image_id, tar_of

    time.sleep(SLEEP_S)
    image = ImageRecord(id=image_id(task.index, 0, 1), index=task.index)
    sample = ShardSample(f"{task.index:06d}_0", {"jpg": b""}, image, [])
    write_atomic(spool_file(settings, task), tar_of([sample]))
    return 1, 0


def job_of(folder: Path, sku_list: Path, name: str, **changes: Any) -> JobSettings:
    """A job in `folder` with a cache of its own; changes: of JobSettings, or of RunSettings."""
    render = RunSettings(sku_list, Path(), 0, cache=folder / f"cache-{name}", workers=usable_cores())
    own = {key: changes.pop(key) for key in list(changes) if key in JobSettings.__dataclass_fields__}
    return replace(JobSettings(replace(render, **changes), StoragePath(str(folder / name))), **own)


def listed(folder: Path, skus: int) -> Path:
    """A generated list of that many."""
    path = folder / f"skus-{skus}.csv"
    generate_list(path, count=skus, seed=0)
    return path


@contextmanager
def timed(table: Table, what: str) -> Iterator[None]:
    """A row with what it took."""
    started = time.perf_counter()
    yield
    table.add_row(what, f"{time.perf_counter() - started:.1f} s")


@click.group()
def main() -> None:
    """Measure jobs."""


@main.command()
@click.option("--skus", default=2000)
@click.option("--times", default=20)
@click.option("--scenes", default=60, help="Drawn and traced.")
def plan(skus: int, times: int, scenes: int) -> None:
    """Time and memory of a plan."""
    with tempfile.TemporaryDirectory(prefix="synth-scale-") as name:
        folder, table = Path(name), Table("step", "took")
        with timed(table, f"generate {skus:,} SKUs"):
            sku_list = listed(folder, skus)
        settings = job_of(folder, sku_list, "set", times=times)
        with timed(table, "load the list"):
            catalog = load_catalog(sku_list)
        with timed(table, "digests of what they look like"):
            digests = sku_digests(catalog, settings.render.cache)
        with timed(table, "ids and version"):
            first, _ = update_catalog(Plan(read_plan(settings.location).ids, (), ()), catalog, digests, settings)
        with timed(table, f"deal {skus * times:,} appearances"):
            everyone = np.ones(first.size, np.int64) * times
            dealt = assign_scenes(everyone, everyone * 0, everyone > 0, (5, 12), rng=np.random.default_rng(0))
        work = job_context(first, settings, identity_of(settings))
        with timed(table, f"draw and trace {scenes} of {len(dealt):,} scenes, start of workers included"):
            run_pilot(first, work, settings, scenes)
        command = [sys.executable, "-m", "pipeline", "job", "plan", str(sku_list), "--no-measure"]
        command += ["--out", str(folder / "other"), "--appearances", str(times), "--cache", str(folder / "cache")]
        with timed(table, "'synth job plan --no-measure' as a whole"):
            subprocess.run(command, check=True, cwd=ROOT, stdout=subprocess.DEVNULL)
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**10
        table.add_row("largest process of it", f"{peak:,.0f} MiB")
    Console().print(table)


@main.command()
@click.option("--scenes", default=48, help="In each run.")
@click.option("--shard-scenes", default=4)
@click.option("--workers", multiple=True, type=int, default=(1, 2, 4))
@click.option("--kind", "kinds", multiple=True, type=click.Choice(["sleep", "raster"]), default=("sleep", "raster"))
@click.option("--engine", "engines", multiple=True, default=("ray", "local"))
def scaling(scenes: int, shard_scenes: int, workers: tuple[int, ...], kinds: tuple[str, ...], engines: tuple) -> None:
    """Rates of one, two and four workers."""
    table = Table("engine", "scenes", "workers", "scenes/s", "efficiency")
    with tempfile.TemporaryDirectory(prefix="synth-scale-") as name, cluster_of(max(workers)) as address:
        sku_list = listed(Path(name), max(scenes, 20))
        # The first run is not counted: it makes the packages, which the others find in the cache.
        runs = [(kind, engine, count) for kind in kinds for engine in engines for count in (workers[0], *workers)]
        alone: dict[tuple[str, str], float] = {}
        for number, (kind, engine, count) in enumerate(runs):
            out = Path(name) / f"set-{number}"
            settings = job_of(Path(name), sku_list, out.name, shard_scenes=shard_scenes, rounds=0, engine=engine)
            render = replace(
                settings.render, workers=count, threads_each=1, cache=Path(name) / "cache", width=320, height=240
            )
            times = max(round(scenes * 8.5 / max(scenes, 20)), 1)
            rate = rate_of(replace(settings, render=render, address=address, times=times), kind)
            base = alone.setdefault((kind, engine), rate) if number % (len(workers) + 1) else 0.0
            if base:
                share = rate / base / (count / workers[0])
                table.add_row(engine, kind, str(count), f"{rate:.2f}", f"{share:.0%}")
    Console().print(table)
    Console().print(f"{usable_cores()} cores: rendering cannot gain from more workers than that", highlight=False)


@contextmanager
def cluster_of(cpus: int) -> Iterator[str]:
    """A Ray cluster of this machine that lets so many workers work, whatever cores it has."""
    os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0"}
    os.environ["PYTHONPATH"] = os.pathsep.join([str(ROOT), str(ROOT / "benchmarks")])
    import ray  # noqa: TID251
    from ray.cluster_utils import Cluster  # noqa: TID251

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": cpus, "include_dashboard": False})
    try:
        yield str(cluster.address)
    finally:
        ray.shutdown()
        cluster.shutdown()


def rate_of(settings: JobSettings, kind: str) -> float:
    """Scenes a second after the first shard was stored."""
    import scale_jobs  # as workers find it: not as the script that was started

    job = RENDERING if kind == "raster" else SceneFunctions(scale_jobs.sleep_scene)
    run_job(settings, Reporter(Console(file=io.StringIO())), job, share=1.0)
    local = settings.location.local
    if local is None:
        raise ValueError("a rate is measured on a disk")
    ends = sorted(file.stat().st_mtime for file in (local / "receipts").iterdir())
    return (len(ends) - 1) * settings.shard_scenes / max(ends[-1] - ends[0], 1e-9)


@main.command()
@click.option("--skus", default=30)
@click.option("--times", default=6)
@click.option("--size", default="640x480")
@click.option("--backend", default="raster")
def cost(skus: int, times: int, size: str, backend: str) -> None:
    """The cost that is told against the cost of the job."""
    width, height = (int(number) for number in size.split("x"))
    with tempfile.TemporaryDirectory(prefix="synth-scale-") as name:
        sku_list = listed(Path(name), skus)
        settings = job_of(
            Path(name), sku_list, "set", times=times, width=width, height=height, backend=backend, rounds=0
        )
        estimate = estimate_job(settings)
        if estimate.cost is None or estimate.pilot is None:
            raise click.ClickException("nothing was measured")
        workers, measured = settings.render.workers, estimate.cost
        summary = run_job(settings, Reporter(Console()), share=estimate.pilot.share)
        told = measured.worker_seconds(summary.made, estimate.appearances, skus, workers) / workers
        stored = (measured.image_bytes + measured.label_bytes) * summary.counts.images
    table = Table("", "told", "measured", "off by")
    _compare(table, f"seconds of {summary.made} scenes, {workers} workers", told, summary.seconds)
    _compare(table, "bytes", stored, summary.counts.bytes)
    _compare(table, "annotations", estimate.pilot.annotations * summary.counts.images, summary.counts.annotations)
    Console().print(table)
    Console().print(measured)


def _compare(table: Table, what: str, told: float, measured: float) -> None:
    table.add_row(what, f"{told:,.0f}", f"{measured:,.0f}", f"{told / max(measured, 1e-9) - 1:+.0%}")


if __name__ == "__main__":
    main()
