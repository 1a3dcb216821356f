"""Table of the engines that make the shards of a job, each imported on first use.

An engine's module has `run_shards`, as below: the same work gives the same files with any engine.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from assets.errors import unknown_name
from pipeline.workers.process import SceneFunctions

if TYPE_CHECKING:
    from pipeline.jobs.receipts import Receipt
    from pipeline.jobs.settings import JobSettings
    from pipeline.jobs.tasks import JobContext, ShardTask

ENGINES = {"local": "pipeline.jobs.engines.local", "ray": "pipeline.jobs.engines.ray"}


@dataclass(frozen=True)
class EngineContext:
    """Inputs of an engine besides the shards.

    functions: how a scene is made. settings: number and location of workers. lock: descriptor of the output folder's
    lock, held by workers on this machine too. stop: polled with the number of scenes in progress; once it returns True
    the engine ends as soon as it can without losing finished scenes. note: called with the number of ended scenes, how
    many of them failed, and the reason of the last failure. report: prints a line.
    """

    work: JobContext
    functions: SceneFunctions
    settings: JobSettings
    lock: int | None
    stop: Callable[[int], bool]
    note: Callable[[int, int, str], None]
    report: Callable[[str], None]


class JobEngine(Protocol):
    """Interface of an engine's module."""

    def run_shards(self, context: EngineContext, shards: Iterable[ShardTask]) -> Iterator[Receipt]:
        """Yield the receipt of each shard once it is stored, in any order. Closing the iterator ends all work."""


def open_engine(name: str) -> JobEngine:
    """Import the engine with a name. Raises SynthError for an unknown one."""
    if name not in ENGINES:
        raise unknown_name("engine", name, ENGINES)
    engine: JobEngine = importlib.import_module(ENGINES[name])
    return engine
