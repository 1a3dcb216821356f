"""The commands of the learning half: train, adapt, evaluate, predict, export, preview-batch."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from pipeline.cli.choices import AUGMENT, DETECTOR, METHOD, SCHEDULE, WEIGHTS
from pipeline.cli.command import Command
from pipeline.cli.output import open_console, output_options, report
from pipeline.cli.types import ANY_PATH, EXISTING_FOLDER, DataPath, MixShares, NamedPath, Size

EXISTING = click.Path(exists=True, path_type=Path)


def data_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Options of commands that read training data."""
    options = (
        click.option(
            "--synthetic",
            type=NamedPath(),
            multiple=True,
            help="Synthetic data: folder, COCO JSON, or a place of shards. Several: --synthetic scatter=data/scatter.",
        ),
        click.option("--real", type=EXISTING, help="Real labelled photos: folder or COCO JSON."),
        click.option("--val", type=DataPath(), help="Validation photos.  [default: held out of --real by group]"),
        click.option("--images", type=EXISTING_FOLDER, help="Where images lie that are not beside their JSON."),
        click.option(
            "--group-key", help="Field of an image that names its group.  [default: group, where it is there]"
        ),
        click.option(
            "--real-fraction", type=click.FloatRange(0, 1, min_open=True), default=1.0, help="Share of the photos used."
        ),
        click.option(
            "--hold-out",
            type=click.FloatRange(0, 0.9),
            default=0.2,
            help="Share of --real for validation without --val.",
        ),
        click.option(
            "--classes",
            type=click.Choice(["all", "common", "product"]),
            default="all",
            help="Of any set; only those that all sets have; or one, product, for all.",
        ),
        click.option("--skip-bad", is_flag=True, help="Leave out records that cannot be used, and count them."),
        click.option(
            "--shard-cache",
            type=click.FloatRange(0.1),
            default=20.0,
            help="GB of disk for shards that are read from elsewhere.",
        ),
        click.option("--mix", type=MixShares(), help="Shares by source, the rest is synthetic.  [default: real:0.2]"),
    )
    return _with(options, command)


def step_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Options of commands that train."""
    options = (
        click.option("--batch", type=click.IntRange(1, 4096), default=16, help="Images per step, over all devices."),
        click.option("--learning-rate", type=click.FloatRange(0, min_open=True), help="[default: the detector's own]"),
        click.option("--augment", type=AUGMENT, default="strong", help="How much training pictures are changed."),
        click.option("--patience", type=click.IntRange(1), default=8, help="Epochs without better validation AP."),
        click.option("--seed", type=click.IntRange(0, 2**63 - 1), default=0, help="Of all chance."),
        click.option("--workers", type=click.IntRange(0, 128), help="Processes that read images.  [default: by cores]"),
        click.option("--device", type=click.Choice(["auto", "cpu", "gpu"]), default="auto", help="What to compute on."),
        click.option("--devices", type=click.IntRange(1, 64), default=1, help="GPUs side by side."),
        click.option("--out", type=ANY_PATH, required=True, help="Folder of the run; the same command again goes on."),
    )
    return _with(options, command)


def _with(options: tuple[Any, ...], command: Callable[..., Any]) -> Callable[..., Any]:
    for option in reversed(options):
        command = option(command)
    return command


@click.command(cls=Command)
@data_options
@click.option(
    "--schedule",
    type=SCHEDULE,
    default="mix",
    help="finetune: synthetic images, then real ones at a tenth of the rate.",
)
@click.option("--replay", type=click.FloatRange(0, 0.9), default=0.2, help="Synthetic share while fine-tuning.")
@click.option("--detector", type=DETECTOR, default="fasterrcnn_mobilenet", help="See 'synth train --list'.")
@click.option("--backbone", help="Any timm model with stages, e.g. tf_efficientnet_lite0.")
@click.option("--weights", type=WEIGHTS, default="imagenet", help="What the network begins with.")
@click.option("--size", type=Size(), help="Pictures are fitted into this.  [default: by detector and data]")
@click.option("--epochs", type=click.IntRange(1), default=20, help="Passes over the synthetic set.")
@click.option("--epoch-images", type=click.IntRange(1), help="Images that count as an epoch, instead.")
@click.option("--finetune-epochs", type=click.IntRange(1), help="[default: a quarter of --epochs]")
@step_options
@click.option(
    "--list",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=lambda c, p, v: _list_detectors(c, v),
    help="Name the detectors and end.",
)
@output_options
def train(**options: Any) -> None:
    """Train a detector on synthetic images mixed with real photos.

    \b
    synth train --synthetic data/synth --real data/real --mix real:0.2 --out runs/a
    """
    from detectors.training.settings import TrainSettings

    _run(
        TrainSettings(
            data=_data_settings(options),
            mix=options["mix"] or (),
            schedule=options["schedule"],
            replay=options["replay"],
            detector=options["detector"],
            backbone=options["backbone"],
            weights=options["weights"],
            size=options["size"],
            epochs=options["epochs"],
            epoch_images=options["epoch_images"],
            finetune_epochs=options["finetune_epochs"],
            **_step_settings(options),
        )
    )


def _list_detectors(ctx: click.Context, wanted: bool) -> None:
    if not wanted:
        return
    from detectors.models import DETECTORS, detector_summary

    for name in DETECTORS:
        click.echo(f"{name:26s} {detector_summary(name)}")
    ctx.exit()


@click.command(cls=Command)
@click.argument("run", type=EXISTING)
@data_options
@click.option("--method", type=METHOD, default="finetune", help="How it is adapted.")
@click.option("--freeze", type=click.Choice(["none", "backbone"]), default="none", help="What stays as it is.")
@click.option("--replay", type=click.FloatRange(0, 0.9), default=0.2, help="Share of synthetic images, if --synthetic.")
@click.option("--epochs", type=click.IntRange(1), default=10, help="Of --epoch-images each.")
@click.option("--epoch-images", type=click.IntRange(1), help="[default: the photos ten times]")
@step_options
@output_options
def adapt(run: Path, method: str, **options: Any) -> None:
    """Adapt the detector of RUN to real photos.

    \b
    synth adapt runs/a --real data/real --synthetic data/synth --out runs/a-real
    """
    from assets.interrupt import exit_code
    from detectors.adapt import AdaptSettings, adapt_run
    from detectors.device import is_first_process
    from detectors.training.run import print_summary

    settings = AdaptSettings(
        run=run,
        method=method,
        data=_data_settings(options),
        mix=options["mix"] or (),
        replay=options["replay"],
        freeze=options["freeze"],
        epochs=options["epochs"],
        epoch_images=options["epoch_images"],
        **_step_settings(options),
    )
    console = open_console(quiet=not is_first_process())
    summary = adapt_run(settings, console)
    report(summary)
    print_summary(console, summary)
    sys.exit(0 if summary.finished else exit_code())


def _data_settings(options: dict[str, Any]) -> Any:
    from detectors.data.settings import DataSettings

    return DataSettings(
        synthetic=_named(options["synthetic"]),
        real=options["real"],
        val=options["val"],
        images=options["images"],
        group_key=options["group_key"],
        real_fraction=options["real_fraction"],
        hold_out=options["hold_out"],
        classes=options["classes"],
        skip_bad=options["skip_bad"],
        cache_bytes=int(options["shard_cache"] * 1e9),
    )


def _named(sources: tuple[tuple[str, Path], ...]) -> tuple[tuple[str, Path], ...]:
    """Every source with a name of its own: "synthetic" for the one that was given without."""
    names = [name or "synthetic" for name, _ in sources]
    if len(set(names)) != len(names):
        raise click.UsageError("several --synthetic need names: --synthetic a=PATH --synthetic b=PATH")
    return tuple((name, path) for name, (_, path) in zip(names, sources, strict=True))


def _step_settings(options: dict[str, Any]) -> dict[str, Any]:
    names = ("batch", "learning_rate", "augment", "patience", "seed", "workers", "device", "devices", "out")
    return {name: options[name] for name in names}


def _run(settings: Any) -> None:
    from assets.interrupt import exit_code
    from detectors.device import is_first_process
    from detectors.training.run import print_summary, run_training

    console = open_console(quiet=not is_first_process())
    summary = run_training(settings, console)
    report(summary)
    print_summary(console, summary)
    sys.exit(0 if summary.finished else exit_code())


def _head_of(one: Any) -> dict[str, Any]:
    """The head numbers of an evaluation; report.json has all."""
    names = ("images", "boxes", "ignored", "detections", "coco")
    return {**{name: getattr(one, name) for name in names}, "threshold": one.operating.threshold}


@click.command(cls=Command)
@click.argument("runs", metavar="RUN...", nargs=-1, required=True, type=EXISTING)
@click.option(
    "--data",
    type=DataPath(),
    multiple=True,
    required=True,
    help="Labelled photos: folder, COCO JSON or a place of shards; repeatable.",
)
@click.option("--split", help="Of a data set folder.  [default: test, else val, else train]")
@click.option("--images", type=EXISTING_FOLDER, help="Where images lie that are not beside their JSON.")
@click.option("--group-key", help="Field of an image that names its group.")
@click.option("--out", type=ANY_PATH, help="Folder of the pages.  [default: evaluation in RUN]")
@click.option("--threshold", type=click.FloatRange(0, 1), help="Score to believe.  [default: chosen on validation]")
@click.option(
    "--predictions",
    type=EXISTING,
    help="COCO results, instead of running RUN; for shards a folder of them.",
)
@click.option("--skip-bad", is_flag=True, help="Leave out records that cannot be used, and count them.")
@click.option("--workers", type=click.IntRange(0, 128), help="Processes that read images.  [default: by cores]")
@click.option("--device", type=click.Choice(["auto", "cpu", "gpu"]), default="auto", help="What to compute on.")
@click.option("--seed", type=click.IntRange(0), default=0, help="Of the resampling for intervals.")
@output_options
def evaluate(runs: tuple[Path, ...], data: tuple[Path, ...], **options: Any) -> None:
    """Measure the detectors of RUN... on photos: COCO numbers, SKUs, confusions, intervals, a page to look at."""
    from detectors.evaluate.run import evaluate_runs
    from detectors.evaluate.settings import EvaluateSettings

    settings = EvaluateSettings(runs=runs, data=data, **options)
    reports = evaluate_runs(settings, open_console())
    report({"reports": {name: _head_of(one) for name, one in reports.items()}})


@click.command(cls=Command)
@click.argument("run", type=EXISTING)
@click.argument("paths", metavar="PATH...", nargs=-1, required=True)
@click.option("--out", type=ANY_PATH, required=True, help="Folder for predictions.json and the pictures.")
@click.option(
    "--threshold", type=click.FloatRange(0, 1), help="Score of what is drawn.  [default: chosen on validation]"
)
@click.option("--every", type=click.IntRange(1), default=1, help="Every n-th frame of a video.")
@click.option("--draw/--no-draw", default=True, help="Pictures with boxes.")
@click.option("--workers", type=click.IntRange(0, 128), default=0, help="Processes that read images.")
@click.option("--device", type=click.Choice(["auto", "cpu", "gpu"]), default="auto", help="What to compute on.")
@output_options
def predict(run: Path, paths: tuple[str, ...], out: Path, **options: Any) -> None:
    """Find products in pictures, folders, globs, videos or COCO files: COCO results and pictures with boxes."""
    from assets.interrupt import exit_code
    from detectors.predict.run import predict as predict_all
    from detectors.predict.run import print_summary

    console = open_console()
    summary = predict_all(run, paths, out, console=console, **options)
    report(summary)
    print_summary(console, summary)
    sys.exit(exit_code() if summary.interrupted else 1 if summary.failed else 0)


@click.command(cls=Command)
@click.argument("run", type=EXISTING)
@click.option("--format", "kind", type=click.Choice(["onnx"]), default="onnx", help="Of the file.")
@click.option("--out", type=ANY_PATH, help="The file.  [default: model.onnx in RUN]")
@click.option("--photos", type=EXISTING, help="Photos to check the file on; noise where none are given.")
@output_options
def export(run: Path, kind: str, out: Path | None, photos: Path | None) -> None:
    """Write the detector of RUN as ONNX, checked against the original."""
    from detectors.export.run import export as export_run
    from detectors.export.run import print_summary

    console = open_console()
    target = out or (run if run.is_dir() else run.parent) / f"model.{kind}"
    summary = export_run(run, target, photos=photos, console=console)
    report(summary)
    print_summary(console, summary)


@click.command("preview-batch", cls=Command)
@data_options
@click.option("--size", type=Size(), default="640x384", help="Of the network's pictures.")
@click.option("--augment", type=AUGMENT, default="strong", help="How much training pictures are changed.")
@click.option("--count", type=click.IntRange(1, 256), default=16, help="Pictures shown.")
@click.option("--seed", type=click.IntRange(0), default=0, help="Of all chance.")
@click.option("--out", type=ANY_PATH, default="batch.png", help="The contact sheet, a PNG.")
def preview_batch(**options: Any) -> None:
    """Draw what the network would see: the first training pictures, mixed and augmented, with their boxes."""
    from detectors.training.preview_batch import preview_training

    width, height = options["size"]
    path = preview_training(
        _data_settings(options),
        mix=options["mix"] or (),
        augment=options["augment"],
        width=width,
        height=height,
        count=options["count"],
        seed=options["seed"],
        out=options["out"],
        console=open_console(),
    )
    click.echo(f"wrote {path}")


COMMANDS = (train, adapt, evaluate, predict, export, preview_batch)
