"""Console reports about jobs: estimates, status and summaries."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table

from assets.plurals import count_of
from assets.progress import duration_text
from pipeline.jobs.estimate.cost import Cost
from pipeline.jobs.estimate.run import Estimate
from pipeline.jobs.pilot import Pilot
from pipeline.jobs.run import JobSummary
from pipeline.jobs.status import JobStatus

MAX_LISTED = 5
NEXT = {
    "running": "still running; 'synth job cancel {location}' ends it",
    "finished": "nothing left to do",
    "interrupted": "'synth job resume {location}' continues it",
    "cancelled": "'synth job resume {location}' continues it",
    "failed": "see failures.jsonl, fix the cause, and run 'synth job resume {location}'",
}


@dataclass(frozen=True)
class EstimateSummary:
    """The numbers of an estimate. worker_seconds: of all workers together; None if nothing was measured."""

    skus: int
    there: int
    retired: int
    open_scenes: int
    scenes: int
    top_up: int
    all_scenes: int
    due: int
    shards: int
    images: int
    bytes: float | None
    worker_seconds: float | None
    core_hours: float | None
    cost: Cost | None


def _key_value_table() -> Table:
    return Table(show_header=False, box=None, padding=(0, 2, 0, 0))


def bytes_text(number: float) -> str:
    """Return text like 1.5 GB, in powers of 1000, as disks and buckets are sold."""
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if number < 1000 or unit == "TB":
            break
        number /= 1000
    return f"{number:.0f} {unit}" if unit == "B" or number >= 100 else f"{number:.1f} {unit}"


def shares_text(found: Mapping[str, int], order: Iterable[str]) -> str:
    """Return text like "front 20 %, right 18 %" of all that was found."""
    total = max(sum(found.values()), 1)
    return ", ".join(f"{name} {found.get(name, 0) / total:.0%}" for name in order)


def print_estimate(console: Console, estimate: Estimate) -> None:
    """Print what the job would do, what its images would show, and what it would cost."""
    settings, table = estimate.settings, _key_value_table()
    table.add_row("SKUs", f"{estimate.skus:,} ({estimate.change})")
    if estimate.there:
        table.add_row(
            "existing",
            f"{count_of(estimate.there, 'scene', spec=',')}, of which {estimate.retired:,} will be retired",
        )
    if not estimate.all_scenes:
        table.add_row("to render", f"nothing: every SKU is seen {settings.times} times")
        console.print(table, highlight=False)
        return
    views = settings.render.views
    parts = f"{estimate.open_scenes + estimate.scenes:,} + about {estimate.top_up:,} for hidden products"
    table.add_row("scenes to render", f"{estimate.all_scenes:,} ({parts})")
    table.add_row("images", f"{estimate.all_scenes * views:,}")
    if estimate.pilot is not None:
        _add_pilot(table, estimate, estimate.pilot)
    table.add_row("shards", f"{estimate.shards:,} of up to {count_of(settings.shard_scenes, 'scene')}")
    if estimate.cost is not None:
        _add_cost(table, estimate, estimate.cost)
    console.print(table, highlight=False)


def summarize_estimate(estimate: Estimate) -> EstimateSummary:
    """Return what `synth job plan --json` prints."""
    cost, images = estimate.cost, estimate.all_scenes * estimate.settings.render.views
    seconds = None if cost is None else estimate.worker_seconds(cost.workers)
    return EstimateSummary(
        skus=estimate.skus,
        there=estimate.there,
        retired=estimate.retired,
        open_scenes=estimate.open_scenes,
        scenes=estimate.scenes,
        top_up=estimate.top_up,
        all_scenes=estimate.all_scenes,
        due=estimate.due,
        shards=estimate.shards,
        images=images,
        bytes=None if cost is None else (cost.image_bytes + cost.label_bytes) * images,
        worker_seconds=seconds,
        core_hours=None if cost is None or seconds is None else seconds * cost.threads / 3600,
        cost=cost,
    )


def _add_pilot(table: Table, estimate: Estimate, pilot: Pilot) -> None:
    from pipeline.jobs.receipts import COCO_AREAS, EDGES, SIDES

    settings = estimate.settings
    images = estimate.all_scenes * settings.render.views
    table.add_row("annotations", f"about {pilot.annotations * images:,.0f}")
    goal = f"seen {settings.visible:.0%}, {settings.pixels} px"
    table.add_row("appearances", f"{settings.times} of each of {estimate.due:,} SKUs that lack some ({goal} at least)")
    table.add_row("of those assigned", f"{pilot.share:.0%} count, by {count_of(pilot.scenes, 'sampled scene')}")
    if pilot.failed:
        table.add_row(
            "not sampled", f"{count_of(pilot.failed, 'scene')}: {' '.join(pilot.reason.split())}", style="red"
        )
    table.add_row("sides", shares_text(pilot.sides, SIDES.values()))
    bins = [f"{low}-{high}" for low, high in zip((0, *EDGES), EDGES, strict=False)] + [f"{EDGES[-1]}-"]
    table.add_row("shorter side, px", shares_text(pilot.sizes, [name for name in bins if pilot.sizes.get(name)]))
    table.add_row("area (COCO)", shares_text(pilot.areas, [*COCO_AREAS, "large"]))


def _add_cost(table: Table, estimate: Estimate, cost: Cost) -> None:
    images = estimate.all_scenes * estimate.settings.render.views
    stored = [cost.image_bytes * images, cost.label_bytes * images]
    table.add_row("bytes", f"{bytes_text(sum(stored))}: images {bytes_text(stored[0])}, labels {bytes_text(stored[1])}")
    seconds = estimate.worker_seconds(cost.workers)
    table.add_row("core-hours", f"{seconds * cost.threads / 3600:,.2f}, measured here with {_workers_text(cost)}")
    table.add_row("GPU-hours", gpu_text(estimate))
    table.add_row(
        "", f"{cost.scene_s:.2f} s per scene of {cost.products:.1f} products, {cost.start_s:.1f} s to start a worker,"
    )
    table.add_row("", f"{cost.load_s:.3f} s to load a product from disk, {cost.build_s:.3f} s to build a new one")
    for workers in sorted({cost.workers, 16, 64}):
        wall = duration_text(estimate.worker_seconds(workers) / workers)
        similar = "" if workers <= cost.workers else " like these"
        table.add_row("time" if workers == cost.workers else "", f"{wall} with {count_of(workers, 'worker')}{similar}")


def _workers_text(cost: Cost) -> str:
    threads = f" of {cost.threads} threads" if cost.threads > 1 else ""
    return f"{count_of(cost.workers, 'worker')}{threads}"


def gpu_text(estimate: Estimate) -> str:
    """Return the hours of a GPU if the backend uses one here; never a guess."""
    from pipeline.run.probe import probe_backend

    settings = estimate.settings.render
    name = probe_backend(settings.backend, settings.device).gpu if settings.device != "cpu" else ""
    if not name or estimate.cost is None:
        return "not measured: there is no GPU here that the backend can use"
    return f"{estimate.worker_seconds(estimate.cost.workers) / estimate.cost.workers / 3600:,.2f} of {name}"


def print_status(console: Console, status: JobStatus, location: str) -> None:
    """Print the progress of a job."""
    table = _key_value_table()
    table.add_row("job", location)
    driver = f", driven by {status.beat}" if status.running and status.beat is not None else ""
    table.add_row("state", f"{status.state}{driver}")
    table.add_row("shards", "{:,} of {:,}".format(*status.shards))
    table.add_row("scenes", "{:,} of {:,} in finished shards".format(*status.scenes))
    progress = status.beat.progress if status.running and status.beat is not None else {}
    if "about" in progress:
        table.add_row("this run", f"{progress['made']:,} made, {progress['failed']:,} failed; {progress['about']!s}")
    table.add_row(
        "images",
        f"{status.images:,} with {count_of(status.annotations, 'annotation', spec=',')}, {bytes_text(status.bytes)}",
    )
    share = status.seen / status.wanted if status.wanted else 0.0
    table.add_row(
        "coverage", f"{share:.1%} of the appearances wanted; {status.short:,} of {status.skus:,} SKUs lack some"
    )
    for kind, (number, example) in list(status.failures.items())[:MAX_LISTED]:
        table.add_row("failed" if status.failures else "", f"{number:,} x {kind}; {example}")
    table.add_row("next", NEXT[status.state].format(location=location))
    console.print(table, highlight=False)


def print_job_summary(console: Console, summary: JobSummary) -> None:
    """Print the result of a run of a job, and the next step."""
    table = _key_value_table()
    counts = summary.counts
    table.add_row("data set", summary.place)
    table.add_row("SKUs", f"{summary.skus:,} ({summary.change})")
    retired = f", {summary.retired:,} retired" if summary.retired else ""
    table.add_row(
        "scenes", f"{summary.made:,} made, {summary.failed:,} failed{retired} in {duration_text(summary.seconds)}"
    )
    table.add_row("shards", f"{counts.shards:,}, of which {summary.found:,} existed")
    table.add_row(
        "images",
        f"{counts.images:,} with {count_of(counts.annotations, 'annotation', spec=',')}, {bytes_text(counts.bytes)}",
    )
    if summary.outcome:
        seen = "{seen_least:,} minimum, {seen_median:,.0f} median, {seen_most:,} maximum".format(**summary.outcome)
        table.add_row("each SKU seen", seen)
    console.print(table, highlight=False)
    short = summary.outcome.get("short", {})
    if short and summary.ended == "finished":
        lacking = count_of(len(short), "SKU", spec=",")
        console.print(f"{lacking} seen fewer than {summary.outcome['times']} times:", highlight=False)
        for sku, about in list(short.items())[:MAX_LISTED]:
            console.print(f"  {sku}: {about['seen']} times, {about['why']}", highlight=False)
        if len(short) > MAX_LISTED:
            console.print(f"  and {len(short) - MAX_LISTED:,} more: summary.json", highlight=False)
    if summary.failed:
        console.print("failures.jsonl lists the failed scenes; 'synth job resume --retry' makes them again")
    if summary.ended != "finished":
        console.print(f"{summary.ended}; 'synth job resume {summary.place}' continues it", highlight=False)
