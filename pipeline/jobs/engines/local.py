"""Engine `local`: worker processes on this machine."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from pipeline.jobs.engines import EngineContext
from pipeline.jobs.receipts import Receipt
from pipeline.jobs.shard import ShardMaker
from pipeline.jobs.tasks import ShardTask
from pipeline.workers.pool import Outcome


def run_shards(context: EngineContext, shards: Iterable[ShardTask]) -> Iterator[Receipt]:
    """Yield the receipt of each shard once it is stored; all workers share the scenes of a shard."""

    def note(outcome: Outcome) -> None:
        context.note(1, int(bool(outcome.reason)), outcome.reason)

    with ShardMaker(context.work, context.functions, lock=context.lock) as maker:
        yield from maker.make(shards, stop=context.stop, note=note)
        maker.shutdown()
