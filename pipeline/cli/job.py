"""The commands of catalogue-scale jobs: synth job."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

import click

from assets.files.scratch import scratch_folder
from assets.plurals import counts_of
from pipeline.cli.choices import ENGINE, recipe_of
from pipeline.cli.command import CommandGroup
from pipeline.cli.options import backdrop_options, list_arguments, recipe_options, with_options
from pipeline.cli.output import open_console, output_options, report
from pipeline.cli.types import ANY_PATH, Shares, Size, Workers

PLACE_HELP = "A folder, or any place that fsspec knows, such as s3://bucket/folder."


what_options = with_options(
    list_arguments,
    click.option("--out", required=True, metavar="PLACE", help=PLACE_HELP),
    click.option("--times", type=click.IntRange(1, 10_000), default=20, help="Appearances of each SKU that count."),
    click.option("--visible", type=click.FloatRange(0, 1), default=0.5, help="Share of a product that must be seen."),
    click.option("--pixels", type=click.IntRange(1), default=24, help="Of the shorter side of its box, to count."),
    click.option("--rounds", type=click.IntRange(0, 20), default=3, help="How often what lacks is dealt once more."),
    click.option("--shard-scenes", type=click.IntRange(1, 10_000), default=100, help="Scenes in one tar file."),
    click.option("--views", type=click.IntRange(1, 100), default=1, help="Pictures of each scene."),
    click.option("--size", type=Size(), default="640x480", help="Of the pictures, in pixels."),
    click.option("--seed", type=click.IntRange(0, 2**63 - 1), default=0, help="Another seed, other scenes."),
    recipe_options,
    click.option("--samples", type=click.IntRange(1, 65536), help="Per pixel, in place of the preset's."),
    click.option("--denoise/--no-denoise", default=None, help="For cycles, in place of the preset's."),
    click.option("--split", "splits", type=Shares(), default="train:1", help="Shares, e.g. train:0.9,val:0.1."),
    click.option("--depth", is_flag=True, help="Store depth as 16-bit PNG in millimetres."),
    click.option("--normals", is_flag=True, help="Store normals as 16-bit PNG."),
    click.option("--ids", is_flag=True, help="Store instance ids as 16-bit PNG."),
    backdrop_options,
    click.option("--licence", default="", help="Licence of the pictures, written into the labels."),
    click.option("--creator", default="", help="Creator of the pictures, written into the labels."),
    click.option("--device", type=click.Choice(["auto", "cpu", "gpu"]), default="auto", help="For cycles."),
    click.option("--cache", type=ANY_PATH, help="Folder for normalised meshes.  [default: ~/.cache/synth]"),
)
how_options = with_options(
    click.option("--engine", type=ENGINE, help="local: processes of this machine.  [default: local]"),
    click.option("--address", help="Of a Ray cluster: auto, HOST:PORT or ray://...; none = this machine."),
    click.option("--cpus", type=click.FloatRange(0.1), help="Cores that a worker takes on a cluster.  [default: 1]"),
    click.option("--gpus", type=click.FloatRange(0), help="GPUs that a worker takes on a cluster.  [default: 0]"),
    click.option("--workers", type=Workers(), help="Processes side by side, or auto.  [default: auto]"),
    click.option("--timeout", "timeout_s", type=click.FloatRange(1), help="Seconds of a scene that hangs.  [1800]"),
    click.option("--max-failures", type=click.FloatRange(0, 1), help="Share of scenes that may fail.  [0.1]"),
)


@click.group(cls=CommandGroup)
def job() -> None:
    """Render a whole catalogue so that every SKU is seen often enough: planned, sharded, resumable, on any storage."""


@job.command("plan")
@what_options
@click.option("--workers", type=Workers(), default="auto", help="Processes to measure with.")
@click.option("--measure/--no-measure", default=True, help="Render some scenes to tell the cost.")
@output_options
def job_plan(measure: bool, **options: Any) -> None:
    """Tell what rendering SKU_LIST into PLACE would take: scenes, pictures, sides, sizes, bytes, hours."""
    from pipeline.jobs.estimate.run import estimate_job
    from pipeline.jobs.report import estimate_fields, print_estimate

    estimate = estimate_job(_settings(options), measure=measure)
    report(estimate_fields(estimate))
    print_estimate(open_console(), estimate)


@job.command("run")
@what_options
@how_options
@output_options
def job_run(**options: Any) -> None:
    """Render SKU_LIST into PLACE; with another version of the list, only what that needs."""
    _run(_settings(options))


@job.command("resume")
@click.argument("place")
@click.option("--retry", is_flag=True, help="Make shards with failed scenes anew.")
@how_options
@output_options
def job_resume(place: str, retry: bool, **options: Any) -> None:
    """Go on with the job at PLACE as it was begun; options change who does it."""
    from dataclasses import replace

    with scratch_folder("job") as folder:
        settings = _settings_at(place, Path(folder))
        own = {name: options[name] for name in ("engine", "address", "cpus", "gpus") if options[name] is not None}
        how = {name: options[name] for name in ("timeout_s", "max_failures") if options[name] is not None}
        if options["workers"] is not None or options["engine"] is not None:
            how["workers"] = _workers(options)
        _run(replace(settings, **own, render=replace(settings.render, **how)), retry=retry)


@job.command("status")
@click.argument("place")
@click.option("--watch", is_flag=True, help="Tell it again every few seconds until the job ends.")
@click.option("--json", "as_text", is_flag=True, help="As JSON, for programs.")
def job_status(place: str, watch: bool, as_text: bool) -> None:
    """Tell how far the job at PLACE is: done, rate, time left, failures by kind, coverage."""
    import json

    from pipeline.jobs.report import print_status
    from pipeline.jobs.status import as_json
    from pipeline.jobs.status import job_status as read_status

    console = open_console()
    with scratch_folder("job") as folder:
        settings = _settings_at(place, Path(folder))
        while True:
            status = read_status(settings)
            if as_text:
                click.echo(json.dumps(as_json(status)))
            else:
                if watch and console.is_terminal:
                    console.clear()
                print_status(console, status, place)
            if not (watch and status.running):
                return
            time.sleep(5)


@job.command("cancel")
@click.argument("place")
def job_cancel(place: str) -> None:
    """Ask the job at PLACE to end, wherever it runs; 'resume' goes on with it."""
    from dataset.storage.path import StoragePath
    from pipeline.jobs.status import cancel_job

    click.echo(cancel_job(StoragePath(place)))


@job.command("index")
@click.argument("place")
def job_index(place: str) -> None:
    """Write the index of what is finished at PLACE, so that it can be read while the rest is made."""
    from pipeline.jobs.run import write_index_now

    with scratch_folder("job") as folder:
        counts = write_index_now(_settings_at(place, Path(folder)))
    click.echo(counts_of(shard=counts.shards, picture=counts.pictures, annotation=counts.annotations))


def _settings_at(place: str, folder: Path) -> Any:
    from dataset.storage.path import StoragePath
    from pipeline.jobs.settings import read_settings

    return read_settings(StoragePath(place), folder / "recipe.yaml")


def _settings(options: dict[str, Any]) -> Any:
    from dataset.storage.path import StoragePath
    from pipeline.jobs.settings import JobSettings
    from pipeline.run.settings import BackdropFolders, RunSettings, default_cache

    width, height = options["size"]
    same = ("sku_list", "views", "seed", "backend", "preset", "samples", "denoise", "splits", "licence")
    how = {name: options[name] for name in ("timeout_s", "max_failures") if options.get(name) is not None}
    render = RunSettings(
        **{name: options[name] for name in same},
        recipe=recipe_of(options["recipe"]),
        out=Path(),
        scenes=0,
        width=width,
        height=height,
        creator=options["creator"],
        extras=tuple(kind for kind in ("depth", "normals", "ids") if options[kind]),
        backdrops=BackdropFolders(options["hdri"], options["photos"], options["surfaces"]),
        workers=_workers(options),
        device=options["device"],
        cache=options["cache"] or default_cache(),
        **how,
    )
    own = ("times", "visible", "pixels", "rounds", "shard_scenes", "engine", "address", "cpus", "gpus")
    given = {name: options[name] for name in own if options.get(name) is not None}
    return JobSettings(render, StoragePath(options["out"]), **given)


def _workers(options: dict[str, Any]) -> int:
    """A cluster has as many workers as it has room for, where nobody says otherwise."""
    if options.get("workers") is not None:
        return int(options["workers"])
    return 0 if options.get("engine") == "ray" else int(Workers().convert("auto", None, None))


def _run(settings: Any, retry: bool = False) -> None:
    from assets.interrupt import exit_code, stop_on_signals
    from pipeline.jobs.report import print_job_summary
    from pipeline.jobs.run import run_job
    from pipeline.run.progress import Reporter

    console = open_console()
    with stop_on_signals("everything finished is kept: 'synth job resume' resumes there") as stop:
        summary = run_job(settings, Reporter(console), stop=stop, retry=retry)
    report({**vars(summary), "job": summary.ended})
    print_job_summary(console, summary)
    sys.exit(exit_code() if summary.ended != "finished" else 1 if summary.failed else 0)


COMMANDS: tuple[click.Command, ...] = (job,)
