"""Long runs: killed again and again, and watched for growing memory.

    python benchmarks/soak.py --kills 50 --scenes 1000                       # raster, the demo catalogue
    python benchmarks/soak.py --kills 10 --scenes 300 --backend cycles

Kills: the same set is rendered undisturbed by one worker and by four, and then by two while parents and workers are
killed with SIGKILL at random moments, from their birth to the writing of the COCO files; each run after a killed one
starts at once. Every file must have the same bytes (all but .lock, which says who writes). Memory: resident size of the
worker and of its parent after each scene, with recycling switched off; a line through it after a warm-up, its slope
with a 95 % interval from resampled blocks of residuals, since neighbouring scenes are not independent.
"""

from __future__ import annotations

import hashlib
import io
import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path

import click
import numpy as np
import psutil
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from assets.demo import demo_list
from assets.machine import cache_folder
from assets.progress import Reporter
from pipeline.run.render import run_render
from pipeline.run.scene import render_scene, start_worker
from pipeline.run.settings import RunSettings
from pipeline.workers.process import SceneFunctions

ROOT = Path(__file__).resolve().parents[1]
VIEWS = 2
# Seconds that a killed parent's workers may take to follow it.
ORPHANS_S = 10.0
RESAMPLES = 2000
# Of a process's size, per 1,000 scenes: a slope whose interval stays below it is called flat. At this slope a worker
# would double after 50,000 scenes.
FLAT = 0.02


@dataclass
class KillCount:
    """What was killed, what came of it, and how long orphans lived (the longest, in seconds)."""

    parents: int = 0
    workers: int = 0
    runs: int = 0
    orphan_s: float = 0.0

    @property
    def total(self) -> int:
        return self.parents + self.workers


@click.command()
@click.option("--kills", default=50, show_default=True, help="0 leaves this part out.")
@click.option("--scenes", default=1000, show_default=True, help="Of the memory part; 0 leaves it out.")
@click.option("--backend", default="raster", show_default=True)
@click.option("--size", default="", help="Of the memory part.  [default: 160x120, cycles 64x48]")
@click.option("--sku-list", type=click.Path(exists=True, path_type=Path), default=demo_list())
@click.option("--recipe", default="tabletop", show_default=True)
@click.option("--seed", default=0, show_default=True, help="Of the moments of killing.")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="An empty folder for the sets.")
def main(kills: int, scenes: int, backend: str, size: str, sku_list: Path, recipe: str, seed: int, out: Path) -> None:
    """Runs both parts and prints a table; ends with 1 where a set differs or memory grows."""
    out.mkdir(parents=True, exist_ok=True)
    size = size or ("64x48" if backend == "cycles" else "160x120")
    width, height = (int(side) for side in size.split("x"))
    settings = RunSettings(
        sku_list, out / "memory", scenes, width=width, height=height, recipe=recipe, backend=backend,
        cache=cache_folder(), memory_mb=10**9,
    )  # fmt: skip
    table = Table("what", "result", "good", title=f"{sku_list.name}, {recipe}, {backend}, {size}")
    good = True
    if kills:
        good &= soak_kills(replace(settings, out=out / "kills", scenes=16), kills, random.Random(seed), table)
    if scenes:
        good &= soak_memory(settings, table)
    Console().print(table)
    sys.exit(0 if good else 1)


def soak_kills(settings: RunSettings, kills: int, rng: random.Random, table: Table) -> bool:
    """Rows of the kill tests; whether all sets were equal."""
    started = time.monotonic()
    one = replace(settings, out=settings.out / "one")
    finish(one)
    seconds = time.monotonic() - started
    four = replace(settings, out=settings.out / "four", workers=4)
    finish(four)
    wanted = hashes_of(one.out)
    equal = hashes_of(four.out) == wanted
    table.add_row("1 worker = 4 workers", f"{len(wanted)} files", mark(equal))
    count, rounds, same = KillCount(), 0, 0
    while count.total < kills:
        killed = replace(settings, out=settings.out / f"killed-{rounds}", workers=2)
        disturb(killed, kills, 0.7 * seconds, rng, count)
        finish(killed)
        rounds += 1
        same += hashes_of(killed.out) == wanted
    what = f"{count.parents} parents and {count.workers} workers killed in {count.runs} runs of {rounds} sets"
    table.add_row("kill -9 at random moments", f"{what}: {same} of {rounds} sets equal", mark(same == rounds))
    table.add_row("orphans lived at most", f"{count.orphan_s:.2f} s", mark(count.orphan_s < ORPHANS_S))
    return equal and same == rounds and count.orphan_s < ORPHANS_S


def command_of(settings: RunSettings) -> list[str]:
    words = ["render", "--sku-list", settings.sku_list, "--out", settings.out, "--scenes", settings.scenes]
    words += ["--views", VIEWS, "--size", f"{settings.width}x{settings.height}", "--backend", settings.backend]
    words += ["--recipe", settings.recipe, "--workers", settings.workers, "--cache", settings.cache]
    words += ["--split", "train:0.75,val:0.25", "--depth", "--normals", "--ids"]
    return [sys.executable, "-m", "pipeline", *map(str, words)]


def begin(settings: RunSettings) -> subprocess.Popen[bytes]:
    """`synth render` in a process of its own."""
    settings.out.parent.mkdir(parents=True, exist_ok=True)
    return subprocess.Popen(
        command_of(settings), cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True
    )


def finish(settings: RunSettings) -> None:
    """Gives the command until it ends well; a scene whose worker was killed twice is tried by the next one."""
    for _ in range(3):
        process = begin(settings)
        _, errors = process.communicate()
        if process.returncode == 0:
            return
    raise click.ClickException(f"the run does not end well: {errors.decode()[-2000:]}")


def disturb(settings: RunSettings, kills: int, longest: float, rng: random.Random, count: KillCount) -> None:
    """Kills a parent or a worker up to `longest` seconds after the last kill, until one run outlives that."""
    while count.total < kills:
        process = begin(settings)
        count.runs += 1
        while True:
            try:
                process.wait(timeout=rng.uniform(0, longest))
                process.communicate()
                return
            except subprocess.TimeoutExpired:
                workers = workers_of(process.pid)
            if workers and rng.random() < 0.5 and count.total < kills - 1:
                rng.choice(workers).send_signal(signal.SIGKILL)
                count.workers += 1
                continue
            count.parents += 1
            process.kill()
            killed = time.monotonic()
            psutil.wait_procs(workers, timeout=ORPHANS_S)
            count.orphan_s = max(count.orphan_s, time.monotonic() - killed)
            process.communicate()
            break


def workers_of(parent: int) -> list[psutil.Process]:
    try:
        children = psutil.Process(parent).children()
        return [child for child in children if "multiprocessing.spawn" in " ".join(child.cmdline())]
    except psutil.Error:
        return []


def hashes_of(folder: Path) -> dict[str, str]:
    """SHA-256 of every file but .lock. A failures.jsonl would count: in a set that is complete there is none."""
    files = (file for file in folder.rglob("*") if file.is_file() and file.name != ".lock")
    return {file.relative_to(folder).as_posix(): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def soak_memory(settings: RunSettings, table: Table) -> bool:
    """Rows of the memory test; whether no process grew."""
    summary = run_render(settings, Reporter(Console(file=io.StringIO())), SceneFunctions(measured_scene, start_worker))
    lines = [line.split() for line in log_of(settings).read_text().splitlines()]
    if len({line[0] for line in lines}) != 1 or summary.failures:
        raise click.ClickException(f"the worker was replaced, or scenes failed: {summary.failures[:3]}")
    sizes = np.array([line[1:] for line in lines], dtype=float)
    good = True
    for column, name in enumerate(("worker", "parent")):
        text, flat = describe_growth(sizes[:, column])
        table.add_row(f"memory of the {name}, {len(sizes)} scenes", text, mark(flat))
        good &= flat
    return good


def log_of(settings: RunSettings) -> Path:
    return settings.out.with_name("memory.txt")


def measured_scene(settings: RunSettings, index: int) -> tuple[int, int]:
    """The real job; a line for each scene says process, its size and its parent's, MB."""
    counts = render_scene(settings, index)
    sizes = [psutil.Process(process).memory_info().rss / 1e6 for process in (os.getpid(), os.getppid())]
    with log_of(settings).open("a") as file:
        file.write(f"{os.getpid()} {sizes[0]:.3f} {sizes[1]:.3f}\n")
    return counts


def describe_growth(sizes: NDArray[np.float64]) -> tuple[str, bool]:
    """In words, and whether it is flat: (N,) MB after each scene, of which the first quarter is the warm-up."""
    start = len(sizes) // 4
    slope, low, high = slope_of(sizes[start:])
    tenths = ", ".join(f"{part.mean():.0f}" for part in np.array_split(sizes, 10))
    text = f"{slope:+.1f} MB per 1,000 scenes ({low:+.1f} to {high:+.1f}) from scene {start} on; by tenths: {tenths} MB"
    return text, high < FLAT * float(sizes[start:].mean())


def slope_of(sizes: NDArray[np.float64]) -> tuple[float, float, float]:
    """Least-squares slope and its 95 % interval, MB per 1,000 scenes; (N,) MB."""
    scenes = np.arange(len(sizes)) / 1000
    slope, level = np.polyfit(scenes, sizes, 1)
    residuals = sizes - (slope * scenes + level)
    block = max(len(sizes) // 15, 5)
    rng = np.random.default_rng(0)
    starts = rng.integers(0, len(sizes) - block + 1, (RESAMPLES, -(-len(sizes) // block)))
    drawn = residuals[(starts[..., None] + np.arange(block)).reshape(RESAMPLES, -1)[:, : len(sizes)]]
    slopes = slope + np.polyfit(scenes, drawn.T, 1)[0]
    low, high = np.percentile(slopes, [2.5, 97.5])
    return float(slope), float(low), float(high)


def mark(good: bool) -> str:
    return "[green]yes[/green]" if good else "[red]no[/red]"


if __name__ == "__main__":
    main()
