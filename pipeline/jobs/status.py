"""Progress of a job, read from its stored files alone: receipts and the driver's heartbeat."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from dataset.storage.path import StoragePath
from pipeline.jobs.lease import CANCELLED, Heartbeat, is_alive, is_cancelled, read_heartbeat
from pipeline.jobs.planning.plan import coverage_of, deficits, listed_broken, matching_receipts, planned_shards
from pipeline.jobs.planning.store import Plan, read_plan
from pipeline.jobs.receipts import Receipt, read_receipts
from pipeline.jobs.settings import JobSettings, existing_identity

# Reasons are grouped by their first characters: names and numbers of the single case follow.
REASON_CHARACTERS = 60


@dataclass(frozen=True)
class JobStatus:
    """Progress of a job. state: running, finished, interrupted, cancelled or failed.

    shards, scenes: finished and planned. failed: scenes; failures: number by kind, with an example. seen, wanted:
    appearances that count, and that are wanted, of listed SKUs; short: SKUs that lack some. bytes: in shards.
    """

    state: str
    beat: Heartbeat | None
    shards: tuple[int, int]
    scenes: tuple[int, int]
    images: int
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
        """Return whether a driver is running."""
        return self.state == "running"


def job_status(settings: JobSettings) -> JobStatus:
    """Return the status of the job at a location. Raises SynthError if its plan is damaged."""
    location = settings.location
    plan = read_plan(location)
    receipts = matching_receipts(plan, read_receipts(location), settings)
    shards = [shard for _, shard in planned_shards(plan, settings)]
    done = [receipts[shard.name] for shard in shards if shard.name in receipts]
    beat = read_heartbeat(location)
    missing = len(shards) - len(done)
    seen, wanted, short = _coverage(plan, receipts, settings)
    return JobStatus(
        state=_state(location, beat, bool(missing) or not plan.generations),
        beat=beat,
        shards=(len(done), len(shards)),
        scenes=(sum(receipt.scenes for receipt in done), plan.scenes),
        images=sum(receipt.entry.images for receipt in done),
        annotations=sum(receipt.entry.annotations for receipt in done),
        failed=sum(len(receipt.failures) for receipt in done),
        failures=failures_by_kind(done),
        skus=len(plan.current.ids) if plan.versions else 0,
        seen=seen,
        wanted=wanted,
        short=short,
        bytes=sum(receipt.entry.tar_bytes + receipt.entry.coco_bytes for receipt in done),
    )


def _state(location: StoragePath, beat: Heartbeat | None, open_work: bool) -> str:
    if beat is None:
        return "interrupted" if open_work else "finished"
    if is_alive(location, beat):
        return "running"
    if beat.state != "running":
        return beat.state
    return "cancelled" if is_cancelled(location) else "interrupted"


def _coverage(plan: Plan, receipts: Mapping[str, Receipt], settings: JobSettings) -> tuple[int, int, int]:
    if not plan.versions:
        return 0, 0, 0
    coverage, times = coverage_of(plan, receipts, settings), plan.current.times
    counted = coverage.counted[plan.current.ids]
    short = (deficits(plan, coverage, times) > 0).sum() + len(listed_broken(plan, coverage))
    return int(np.minimum(counted, times).sum()), times * len(counted), int(short)


def failures_by_kind(receipts: list[Receipt]) -> dict[str, tuple[int, str]]:
    """Return failures by the start of their reason: their number, and one of them in full."""
    numbers: Counter[str] = Counter()
    examples: dict[str, str] = {}
    for receipt in receipts:
        for failure in receipt.failures:
            kind = failure.reason.split("\n")[0][:REASON_CHARACTERS]
            numbers[kind] += 1
            examples.setdefault(kind, f"scene {failure.index}: {' '.join(failure.reason.split())}")
    return {kind: (number, examples[kind]) for kind, number in numbers.most_common()}


def cancel_job(location: StoragePath) -> str:
    """Ask the driver of a job to end; return a message about what will happen. Raises SynthError if there is no job."""
    existing_identity(location)
    location.write(CANCELLED, b"")
    beat = read_heartbeat(location)
    if beat is None or beat.state != "running":
        return "no driver is running; the job is marked as cancelled until it is resumed"
    return f"asked {beat} to end; it notices within seconds"
