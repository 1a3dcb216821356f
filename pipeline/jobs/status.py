"""How far a job is, read from its place alone: receipts, and what its driver says."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from assets.errors import SynthError
from dataset.storage.path import StoragePath
from pipeline.jobs.lease import CANCELLED, Heartbeat, is_alive, is_cancelled, read_beat
from pipeline.jobs.planning.plan import coverage_of, deficits, matching_receipts, planned_shards
from pipeline.jobs.planning.store import Plan, read_plan
from pipeline.jobs.receipts import Receipt, read_receipts
from pipeline.jobs.settings import JobSettings

# A reason is told up to here: what follows are names and numbers of the one case.
REASON = 60


@dataclass(frozen=True)
class JobStatus:
    """How far a job is. state: running, finished, interrupted, cancelled or failed.

    shards, scenes: done and planned. failed: scenes; failures: how many by kind, with an example of each. seen, wanted:
    appearances that count, and that are wanted, of listed SKUs; short: SKUs that lack some. bytes: in shards.
    """

    state: str
    beat: Heartbeat | None
    shards: tuple[int, int]
    scenes: tuple[int, int]
    pictures: int
    annotations: int
    failed: int
    failures: Mapping[str, tuple[int, str]]
    skus: int
    seen: int
    wanted: int
    short: int
    bytes: int

    @property
    def running(self) -> bool:
        """Whether a driver is at work."""
        return self.state == "running"


def job_status(settings: JobSettings) -> JobStatus:
    """The status of the job at a place. Raises SynthError where its plan is damaged."""
    place = settings.place
    plan = read_plan(place)
    receipts = matching_receipts(plan, read_receipts(place), settings)
    shards = [shard for _, shard in planned_shards(plan, settings)]
    done = [receipts[shard.name] for shard in shards if shard.name in receipts]
    beat = read_beat(place)
    missing = len(shards) - len(done)
    seen, wanted, short = _coverage(plan, receipts, settings)
    return JobStatus(
        state=_state(place, beat, bool(missing) or not plan.generations),
        beat=beat,
        shards=(len(done), len(shards)),
        scenes=(sum(receipt.scenes for receipt in done), plan.scenes),
        pictures=sum(receipt.entry.images for receipt in done),
        annotations=sum(receipt.entry.annotations for receipt in done),
        failed=sum(len(receipt.failures) for receipt in done),
        failures=kinds_of(done),
        skus=len(plan.current.ids) if plan.versions else 0,
        seen=seen,
        wanted=wanted,
        short=short,
        bytes=sum(receipt.entry.tar_bytes + receipt.entry.coco_bytes for receipt in done),
    )


def _state(place: StoragePath, beat: Heartbeat | None, open_work: bool) -> str:
    if beat is None:
        return "interrupted" if open_work else "finished"
    if is_alive(place, beat):
        return "running"
    if beat.state != "running":
        return beat.state
    return "cancelled" if is_cancelled(place) else "interrupted"


def _coverage(plan: Plan, receipts: Mapping[str, Receipt], settings: JobSettings) -> tuple[int, int, int]:
    if not plan.versions:
        return 0, 0, 0
    coverage, times = coverage_of(plan, receipts, settings), plan.current.times
    counted = coverage.counted[plan.current.ids]
    short = (deficits(plan, coverage, times) > 0).sum() + len(set(coverage.broken) & set(plan.current.ids.tolist()))
    return int(np.minimum(counted, times).sum()), times * len(counted), int(short)


def kinds_of(receipts: list[Receipt]) -> dict[str, tuple[int, str]]:
    """Failures by the beginning of their reason: how many, and one of them in full."""
    numbers: Counter[str] = Counter()
    examples: dict[str, str] = {}
    for receipt in receipts:
        for failure in receipt.failures:
            kind = failure.reason.split("\n")[0][:REASON]
            numbers[kind] += 1
            examples.setdefault(kind, f"scene {failure.index}: {' '.join(failure.reason.split())}")
    return {kind: (number, examples[kind]) for kind, number in numbers.most_common()}


def cancel_job(place: StoragePath) -> str:
    """Asks the driver of a job to end; returns what will happen, in words. Raises SynthError where there is no job."""
    from pipeline.jobs.settings import read_identity

    if read_identity(place) is None:
        raise SynthError("no job here", code="job-missing", where=str(place))
    place.write(CANCELLED, b"")
    beat = read_beat(place)
    if beat is None or beat.state != "running":
        return "no driver is at work; the job is marked as cancelled until it is resumed"
    return f"asked {beat} to end; it notices within seconds"


def as_json(status: JobStatus) -> dict[str, Any]:
    """The status for programs."""
    beat = {"beat": status.beat.__dict__} if status.beat is not None else {}
    return {**status.__dict__, **beat}
