"""Commands for detectors: train, adapt, evaluate, predict, export, preview-batch."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import click

from assets.options import Device, Option
from pipeline.cli.command import Command
from pipeline.cli.options import Given, Use
from pipeline.cli.output import open_console, report

if TYPE_CHECKING:
    from detectors.adapt import AdaptSettings
    from detectors.evaluate.settings import EvaluateSettings
    from detectors.training.settings import TrainSettings

TRAIN = "detectors.training.settings:TrainSettings"
Run = Annotated[Path, Option("", exists="any")]


def _list_detectors(ctx: click.Context, param: click.Parameter, wanted: bool) -> None:
    if not wanted:
        return
    from detectors.models import detector_names, detector_summary

    for name in detector_names():
        click.echo(f"{name:26s} {detector_summary(name)}")
    ctx.exit()


@click.command(
    cls=Command,
    uses={"settings": Use(TRAIN)},
    reports=True,
    examples=(
        "synth train --synthetic data/synth --real data/real --out runs/a",
        "synth train --synthetic data/synth --real data/real --mix real:0.2 --detector ssdlite --out runs/b",
        "synth train --synthetic table=data/table --synthetic scatter=data/scatter --mix scatter:0.3 --out runs/c",
    ),
)
@click.option(
    "--list", is_flag=True, is_eager=True, expose_value=False, callback=_list_detectors, help="List the detectors."
)
def train(settings: TrainSettings) -> None:
    """Train a detector on synthetic images mixed with real photos."""
    from detectors.training.run import run_training

    _train(run_training, settings)


@click.command(
    cls=Command,
    uses={"settings": Use("detectors.adapt:AdaptSettings")},
    reports=True,
    examples=(
        "synth adapt runs/a --real data/real --synthetic data/synth --out runs/a-real",
        "synth adapt runs/a --real data/real --freeze backbone --out runs/a-head",
    ),
)
def adapt(settings: AdaptSettings) -> None:
    """Adapt the detector of RUN to real photos."""
    from detectors.adapt import adapt_run

    _train(adapt_run, settings)


def _train(train_by: Any, settings: TrainSettings | AdaptSettings) -> None:
    from assets.interrupt import exit_code
    from detectors.device import is_first_process
    from detectors.training.run import print_summary

    console = open_console(quiet=not is_first_process())
    summary = train_by(settings, console)
    report(summary)
    print_summary(console, summary)
    sys.exit(0 if summary.finished else exit_code())


def _main_numbers(one: Any) -> dict[str, Any]:
    """Return the main numbers of an evaluation; report.json has all."""
    names = ("images", "boxes", "ignored", "detections", "coco")
    return {**{name: getattr(one, name) for name in names}, "threshold": one.operating.threshold}


@click.command(cls=Command, uses={"settings": Use("detectors.evaluate.settings:EvaluateSettings")}, reports=True)
def evaluate(settings: EvaluateSettings) -> None:
    """Evaluate the detectors of RUN... on photos: COCO metrics, SKUs, confusions, intervals, a report page."""
    from detectors.evaluate.run import evaluate_runs

    reports = evaluate_runs(settings, open_console())
    report({"reports": {name: _main_numbers(one) for name, one in reports.items()}})


@click.command(cls=Command, reports=True)
def predict(
    run: Run,
    path: tuple[str, ...],
    *,
    out: Annotated[Path, Option("Folder for predictions.json and images with boxes.", "Output")],
    threshold: Annotated[
        float | None,
        Option("Score threshold of drawn detections.", "Detection", minimum=0, maximum=1, shown="chosen on validation"),
    ] = None,
    every: Annotated[int, Option("Process every Nth frame of a video.", "Detection", minimum=1, metavar="N")] = 1,
    draw: Annotated[bool, Option("Save images with boxes.", "Output")] = True,
    workers: Annotated[int, Option("Processes that read images.", "Compute", minimum=0, maximum=128)] = 0,
    device: Device = "auto",
) -> None:
    """Detect products in images, folders, globs, videos or COCO files: COCO results and images with boxes."""
    from assets.interrupt import exit_code
    from detectors.predict.run import predict as predict_all
    from detectors.predict.run import print_summary

    console = open_console()
    options: dict[str, Any] = {"every": every, "draw": draw, "workers": workers, "device": device}
    summary = predict_all(run, path, out, threshold=threshold, console=console, **options)
    report(summary)
    print_summary(console, summary)
    sys.exit(exit_code() if summary.interrupted else 1 if summary.failed else 0)


@click.command(cls=Command, reports=True)
def export(
    run: Run,
    *,
    kind: Annotated[str, Option("File format.", name="--format", parse="exporter")] = "onnx",
    out: Annotated[Path | None, Option("Exported file.", shown="model.SUFFIX in RUN")] = None,
    photos: Annotated[
        Path | None, Option("Photos to check the exported model on.", exists="any", shown="noise")
    ] = None,
) -> None:
    """Export the detector of RUN to a file for other programs, checked against the original."""
    from detectors.export.run import export as export_run
    from detectors.export.run import print_summary

    console = open_console()
    target = out or (run if run.is_dir() else run.parent)
    summary = export_run(run, target, kind=kind, photos=photos, console=console)
    report(summary)
    print_summary(console, summary)


PREVIEWED: dict[str, Any] = {"only": ("data", "mix", "augment"), "partial": True}


@click.command("preview-batch", cls=Command, uses={"training": Use(TRAIN, **PREVIEWED)})
def preview_batch(
    training: Given,
    *,
    size: Annotated[tuple[int, int], Option("Input size of the network, in pixels.", "Model", parse="size")] = (
        640,
        384,
    ),
    count: Annotated[int, Option("Images shown.", "Output", minimum=1, maximum=256)] = 16,
    seed: Annotated[int, Option("Random seed.", "Output", minimum=0)] = 0,
    out: Annotated[Path, Option("The contact sheet, a PNG.", "Output")] = Path("batch.png"),
) -> None:
    """Plot what the network is trained on: the first training images, mixed and augmented, with their boxes."""
    from detectors.training.preview_batch import preview_training

    path = preview_training(
        training["data"],
        mix=training["mix"],
        augment=training["augment"],
        width=size[0],
        height=size[1],
        count=count,
        seed=seed,
        out=out,
        console=open_console(),
    )
    click.echo(f"wrote {path}")


COMMANDS = (train, adapt, evaluate, predict, export, preview_batch)
