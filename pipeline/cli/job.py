"""Commands for catalogue-scale jobs: synth job."""

from __future__ import annotations

import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import click

from assets.files.scratch import scratch_folder
from assets.options import Option
from assets.plurals import counts_of
from pipeline.cli.command import CommandGroup
from pipeline.cli.options import Given, Use
from pipeline.cli.output import json_line, open_console, report, say
from pipeline.cli.types import Workers

if TYPE_CHECKING:
    from pipeline.jobs.settings import JobSettings

JOB = "pipeline.jobs.settings:JobSettings"
RUNTIME = (
    *("engine", "address", "cpus", "gpus"),
    *("render.workers", "render.timeout_s", "render.max_failures", "render.cache"),
)
CLUSTER = ("engine", "address", "cpus", "gpus", "render.timeout_s", "render.max_failures")
Plugins = Annotated[
    tuple[Path, ...],
    Option("Python file of the job's recipe or backend; its code is run.", "Data", exists="file", name="--plugin"),
]
# By default a cluster runs as many workers as fit, this machine one per core.
AUTO_WORKERS = {"default": None, "shown": "auto"}
NEW_JOB: dict[str, Any] = {
    "fixed": {"render.out": Path(), "render.scenes": 0},
    "changes": {"render.sku_list": {"argument": True}, "render.workers": AUTO_WORKERS},
}


@click.group(cls=CommandGroup)
def job() -> None:
    """Render a whole catalogue until every SKU is seen often enough: planned, sharded, resumable, on any storage."""


@job.command("plan", uses={"settings": Use(JOB, without=CLUSTER, **NEW_JOB)}, reports=True)
def job_plan(
    settings: JobSettings,
    *,
    measure: Annotated[bool, Option("Render some scenes to measure the cost.", "Compute")] = True,
) -> None:
    """Estimate what rendering SKU_LIST into PLACE would take: scenes, images, sides, sizes, bytes, hours."""
    from pipeline.jobs.estimate.run import estimate_job
    from pipeline.jobs.report import print_estimate, summarize_estimate

    estimate = estimate_job(_with_workers(settings), measure=measure)
    report(summarize_estimate(estimate))
    print_estimate(open_console(), estimate)


@job.command(
    "run",
    uses={"settings": Use(JOB, **NEW_JOB)},
    reports=True,
    examples=(
        "synth job run skus.csv --out data/catalogue",
        "synth job run skus.csv --out s3://bucket/catalogue --appearances 50 --engine ray --address auto",
        "synth job status data/catalogue --watch",
    ),
)
def job_run(settings: JobSettings) -> None:
    """Render SKU_LIST to PLACE; for a new version of the list, only what has changed."""
    _run(_with_workers(settings))


@job.command("resume", uses={"changed": Use(JOB, only=RUNTIME, partial=True, unset=True)}, reports=True)
def job_resume(
    place: str,
    changed: Given,
    *,
    retry: Annotated[bool, Option("Render shards with failed scenes again.", "Compute")] = False,
    plugins: Plugins = (),
) -> None:
    """Resume the job at PLACE with its own settings; options change where and how it runs."""
    from pipeline.jobs.settings import recorded_cache

    own = dict(changed)
    render = dict(own.pop("render"))
    with scratch_folder("job") as folder:
        settings = _settings_at(place, Path(folder), plugins)
        before = recorded_cache(settings.location)
        if "cache" not in render and before != settings.render.cache.resolve():
            say(f"note: --cache was {before}; give it again to use what is there")
        if "engine" in own and "workers" not in render:
            render["workers"] = _default_workers(own["engine"])
        _run(replace(settings, **own, render=replace(settings.render, **render)), retry=retry)


@job.command("status")
def job_status(
    place: str,
    *,
    watch: Annotated[bool, Option("Report again every few seconds until the job ends.")] = False,
    as_text: Annotated[bool, Option("Print JSON, for programs.", name="--json")] = False,
) -> None:
    """Report the progress of the job at PLACE: done, rate, time left, failures by kind, coverage."""
    from pipeline.jobs.report import print_status
    from pipeline.jobs.status import job_status as read_status

    console = open_console()
    with scratch_folder("job") as folder:
        settings = _settings_at(place, Path(folder))
        while True:
            status = read_status(settings)
            if as_text:
                click.echo(json_line(status))
            else:
                if watch and console.is_terminal:
                    console.clear()
                print_status(console, status, place)
            if not (watch and status.running):
                return
            time.sleep(5)


@job.command("cancel")
def job_cancel(place: str) -> None:
    """Stop the job at PLACE, wherever it runs; 'resume' continues it."""
    from dataset.storage.path import StoragePath
    from pipeline.jobs.status import cancel_job

    say(cancel_job(StoragePath(place)))


@job.command("index")
def job_index(
    place: str,
    *,
    plugins: Plugins = (),
) -> None:
    """Write the index of the finished shards at PLACE, so that they can be read while the rest is rendered."""
    from pipeline.jobs.run import write_index_now

    with scratch_folder("job") as folder:
        counts = write_index_now(_settings_at(place, Path(folder), plugins))
    say(counts_of(shard=counts.shards, image=counts.images, annotation=counts.annotations))


def _settings_at(place: str, folder: Path, plugins: tuple[Path, ...] = ()) -> Any:
    from dataset.storage.path import StoragePath
    from pipeline.jobs.settings import read_settings

    return read_settings(StoragePath(place), folder / "recipe.yaml", plugins)


def _with_workers(settings: JobSettings) -> JobSettings:
    """Return the settings with a default number of workers if none was given."""
    if settings.render.workers is not None:
        return settings
    return replace(settings, render=replace(settings.render, workers=_default_workers(settings.engine)))


def _default_workers(engine: str) -> int:
    return 0 if engine == "ray" else int(Workers().convert("auto", None, None))


def _run(settings: Any, retry: bool = False) -> None:
    from assets.interrupt import exit_code, stop_on_signals
    from assets.progress import Reporter
    from pipeline.jobs.report import print_job_summary
    from pipeline.jobs.run import run_job

    console = open_console()
    with stop_on_signals("everything finished is kept: 'synth job resume' resumes there") as stop:
        summary = run_job(settings, Reporter(console), stop=stop, retry=retry)
    report({**vars(summary), "job": summary.ended})
    print_job_summary(console, summary)
    sys.exit(exit_code() if summary.ended != "finished" else 1 if summary.failed else 0)


COMMANDS: tuple[click.Command, ...] = (job,)
