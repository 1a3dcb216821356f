"""Jobs that are killed again and again: nothing is lost, nothing comes twice, every byte is the same.

    python benchmarks/scale/kills.py --kills 20                    # local: workers and drivers
    python benchmarks/scale/kills.py --kills 20 --engine ray       # and nodes of a cluster of three

The same job is done undisturbed by one worker, and then by two while at random moments the driver, a worker process or
a node of the cluster (one of the two that are not its head) is killed with SIGKILL; a killed driver's job is resumed at
once, a killed node is replaced. Every file must have the same bytes, but those that say who made them and how.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click
import psutil
from rich.console import Console

from pipeline.products.catalog import generate_list

ROOT = Path(__file__).resolve().parents[2]
# Who made a data set, how, and what is not part of it.
OTHERS = (".lock", "driver.json", "how.json", "cancelled")
# Seconds for the processes of a killed driver to follow it.
ORPHANS_S = 15.0
# Seconds between kills, at most.
REST_S = 3.0
# A scene that took two workers with it counts as failed: they are left alone until a killed one is made up for.
WORKERS_REST_S = 10.0


@dataclass
class Disturbed:
    """A job under attack. killed: how often what."""

    words: list[str]
    engine: str
    rng: random.Random
    cluster: Any = None
    nodes: list[Any] = field(default_factory=list)
    killed: Counter[str] = field(default_factory=Counter)
    drivers: int = 0
    worker_killed: float = -WORKERS_REST_S

    def run(self, kills: int) -> None:
        """Until everything was killed often enough and the job has ended by itself."""
        process = self.start()
        while sum(self.killed.values()) < kills:
            time.sleep(self.rng.uniform(0.5, REST_S))
            if process.poll() == 0:
                raise click.ClickException("the job was done before everything was killed: give more --times")
            if process.poll() is not None:  # a job whose workers cannot even start gives up, and is resumed
                process = self.start(retry=True)
                continue
            kind = self.rng.choice(["driver", "worker", *(["node"] if self.nodes else [])])
            if kind == "worker":
                time.sleep(max(self.worker_killed + WORKERS_REST_S - time.monotonic(), 0))
            if kind == "driver":
                process = self.kill_driver(process)
            elif kind == "worker":
                self.kill_worker(process)
            else:
                self.kill_node()
        process.wait()
        while process.returncode:
            process = self.start(retry=True)
            process.wait()

    def start(self, retry: bool = False) -> subprocess.Popen:
        self.drivers += 1
        words = ["resume", self.words[self.words.index("--out") + 1], "--retry"] if retry else self.words
        return job_command(words)

    def kill_driver(self, process: subprocess.Popen) -> subprocess.Popen:
        children = _workers(psutil.Process(process.pid))
        process.send_signal(signal.SIGKILL)
        process.wait()
        if self.engine == "local":
            _, alive = psutil.wait_procs(children, timeout=ORPHANS_S)
            if alive:
                raise click.ClickException(f"{len(alive)} workers outlived their driver")
        self.killed["driver"] += 1
        return self.start()

    def kill_worker(self, process: subprocess.Popen) -> None:
        parents = [psutil.Process(process.pid)] if self.engine == "local" else _raylets()
        found = [worker for parent in parents for worker in _workers(parent)]
        if found:
            with suppress(psutil.NoSuchProcess):
                self.rng.choice(found).kill()
                self.killed["worker"] += 1
                self.worker_killed = time.monotonic()

    def kill_node(self) -> None:
        node = self.nodes.pop(self.rng.randrange(len(self.nodes)))
        self.cluster.remove_node(node, allow_graceful=False)
        self.nodes.append(self.cluster.add_node(num_cpus=1))
        self.killed["node"] += 1


def _workers(parent: psutil.Process) -> list[psutil.Process]:
    """Processes below `parent` that make scenes."""
    found = []
    with suppress(psutil.NoSuchProcess):
        for process in parent.children(recursive=True):
            with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
                if "spawn_main" in " ".join(process.cmdline()):
                    found.append(process)
    return found


def _raylets() -> list[psutil.Process]:
    """What the cluster's workers descend from."""
    found = []
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            if "raylet" in process.name():
                found.append(process)
    return found


def job_command(words: list[str]) -> subprocess.Popen:
    """`synth job` with these words."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "RAY_USAGE_STATS_ENABLED": "0"}
    command = [sys.executable, "-m", "pipeline", "job", *words]
    return subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, start_new_session=True)


def files_of(folder: Path) -> dict[str, bytes]:
    """Every file of a job that is to be the same."""
    files = (file for file in folder.rglob("*") if file.is_file() and file.name not in OTHERS)
    return {file.relative_to(folder).as_posix(): file.read_bytes() for file in files}


@contextmanager
def nodes_of(engine: str) -> Iterator[tuple[Any, list[Any]]]:
    """A Ray cluster of three nodes with a core each, and those that may be killed; nothing where none is wanted."""
    if engine != "ray":
        yield None, []
        return
    os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "PYTHONPATH": str(ROOT)}
    from ray.cluster_utils import Cluster  # noqa: TID251

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    try:
        yield cluster, [cluster.add_node(num_cpus=1) for _ in range(2)]
    finally:
        cluster.shutdown()


@click.command()
@click.option("--kills", default=4)
@click.option("--skus", default=24)
@click.option("--times", default=8, help="More make a longer job: each kill needs some seconds of it.")
@click.option("--engine", type=click.Choice(["local", "ray"]), default="local")
@click.option("--size", default="96x72")
@click.option("--seed", default=0, help="Of the moments.")
def main(kills: int, skus: int, times: int, engine: str, size: str, seed: int) -> None:
    """Kill what makes a job, and compare what comes out."""
    with tempfile.TemporaryDirectory(prefix="synth-kills-") as name, nodes_of(engine) as (cluster, nodes):
        folder = Path(name)
        generate_list(folder / "skus.csv", count=skus, seed=0)
        words = ["run", str(folder / "skus.csv"), "--size", size, "--appearances", str(times), "--min-side", "6"]
        words += ["--shard-scenes", "4", "--max-failures", "1", "--cache", str(folder / "cache")]
        calm = job_command([*words, "--out", str(folder / "calm"), "--workers", "1"])
        if calm.wait():
            raise click.ClickException("the undisturbed job failed")
        how = ["--engine", "ray", "--address", cluster.address] if cluster is not None else []
        disturbed = Disturbed(
            [*words, "--out", str(folder / "set"), "--workers", "2", *how], engine, random.Random(seed), cluster, nodes
        )
        disturbed.run(kills)
        expected, found = files_of(folder / "calm"), files_of(folder / "set")
    differing = sorted(file for file in {*expected, *found} if expected.get(file) != found.get(file))
    told = ", ".join(f"{number} x {kind}" for kind, number in sorted(disturbed.killed.items()))
    Console().print(f"killed: {told}; drivers started: {disturbed.drivers}", highlight=False)
    Console().print(f"{len(expected)} files, {len(differing)} differ {differing[:10]}", highlight=False)
    for line in found.get("failures.jsonl", b"").splitlines():
        failed = json.loads(line)
        Console().print(f"failed: scene {failed['index']}: {failed['reason']}", highlight=False, markup=False)
    sys.exit(1 if differing else 0)


if __name__ == "__main__":
    main()
