"""Who makes the shards of a job: a literal table of engines, imported only when asked for.

An engine's module has `run_shards`, as below: the same work gives the same files, whoever does it.
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
    """What an engine is given beside the shards.

    job: how a scene is made. settings: how many work, and where. lock: descriptor of the place's lock, held by workers
    on this machine too. stop: once it says True (told the number of scenes under way) the engine ends as soon as it
    can, without losing scenes that are finished. note: told how many scenes have ended, how many of them failed, and
    why the last did. say: a line for people.
    """

    work: JobContext
    job: SceneFunctions
    settings: JobSettings
    lock: int | None
    stop: Callable[[int], bool]
    note: Callable[[int, int, str], None]
    say: Callable[[str], None]


class JobEngine(Protocol):
    """What an engine's module has."""

    def run_shards(self, orders: EngineContext, shards: Iterable[ShardTask]) -> Iterator[Receipt]:
        """The receipt of each shard once it is stored, in any order. Leaving the iterator early ends all work."""


def open_engine(name: str) -> JobEngine:
    """The engine of a name. Raises SynthError for an unknown one."""
    if name not in ENGINES:
        raise unknown_name("engine", name, ENGINES)
    engine: JobEngine = importlib.import_module(ENGINES[name])
    return engine
