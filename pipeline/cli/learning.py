"""Commands for detectors: train, adapt, evaluate, bench, predict, explain, export, preview-batch."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import click

from assets.options import Option
from pipeline.cli.command import Command
from pipeline.cli.options import Use
from pipeline.cli.output import open_console, report, say

if TYPE_CHECKING:
    from detectors.adapt import AdaptSettings
    from detectors.bench.settings import BenchSettings
    from detectors.evaluate.settings import EvaluateSettings
    from detectors.explain.settings import ExplainSettings
    from detectors.export.settings import ExportSettings
    from detectors.predict.settings import PredictSettings
    from detectors.training.settings import TrainSettings
    from pipeline.stream.settings import StreamSettings

TRAIN = "detectors.training.settings:TrainSettings"
BACKDROPS = ("hdri", "photos", "surfaces", "fixtures", "planogram")


# The options of a render that a stream has, under names of its own where a training has that option, too.
STREAM = Use(
    "pipeline.stream.settings:StreamSettings",
    without=tuple(
        f"render.{name}" for name in ("splits", "extras", "licence", "creator", "samples", "denoise", "device")
    ),
    fixed={"render.out": Path(), "render.scenes": 1},
    changes={
        "render.sku_list": {"help": "SKU list of the stream.", "group": "Stream", "default": None},
        "render.recipe": {
            "name": "--stream",
            "help": "Recipe of scenes rendered into the training. Repeatable with weights: tabletop:0.7.",
            "group": "Stream",
            "default": (),
        },
        # Scenes of seed 0 are those of 'synth render', which the training may be validated on.
        "render.seed": {"name": "--stream-seed", "help": "Random seed of the scenes.", "group": "Stream", "default": 1},
        "render.width": {"name": "--stream-size", "help": "Size of the rendered images.", "group": "Stream"},
        **{
            f"render.{name}": {"name": f"--stream-{option}", "group": "Stream"}
            for name, option in (
                *((name, name) for name in ("views", "backend", "preset", "cache", "keypoints")),
                *(("timeout_s", "timeout"), ("max_failures", "max-failures")),
            )
        },
        # A training waits for scenes, and workers that are ahead of it stop.
        "render.workers": {"name": "--stream-workers", "group": "Stream", "default": "auto"},
        **{f"render.backdrops.{name}": {"name": f"--stream-{name}", "group": "Stream"} for name in BACKDROPS},
    },
)


def _list_detectors(ctx: click.Context, param: click.Parameter, wanted: bool) -> None:
    if not wanted:
        return
    from detectors.models import detector_names, detector_summary

    for name in detector_names():
        say(f"{name:26s} {detector_summary(name)}")
    ctx.exit()


@click.command(
    cls=Command,
    uses={"settings": Use(TRAIN), "stream": STREAM},
    reports=True,
    examples=(
        "synth train --synthetic data/synth --real data/real --out runs/a",
        "synth train --synthetic data/synth --real data/real --mix real:0.2 --detector ssdlite --out runs/b",
        "synth train --synthetic table=data/table --synthetic scatter=data/scatter --mix scatter:0.3 --out runs/c",
        "synth train --stream shelf --sku-list skus.csv --real data/real --mix real:0.2 --out runs/d",
    ),
)
@click.option(
    "--list", is_flag=True, is_eager=True, expose_value=False, callback=_list_detectors, help="List the detectors."
)
def train(settings: TrainSettings, stream: StreamSettings) -> None:
    """Train a detector on synthetic images mixed with real photos."""
    from detectors.training.run import run_training
    from pipeline.stream.open import open_streams

    with open_streams(stream, settings.out, boxes=settings.data.boxes) as live:
        _train(partial(run_training, live=live), settings)


@click.command(
    cls=Command,
    uses={"settings": Use("detectors.adapt:AdaptSettings")},
    reports=True,
    examples=(
        "synth adapt runs/a --real data/real --synthetic data/synth --out runs/a-real",
        "synth adapt runs/a --real data/real --freeze backbone --out runs/a-head",
        "synth adapt runs/a --method self-training --unlabelled photos --synthetic data/synth --out runs/a-self",
        "synth adapt runs/a --method adabn --unlabelled photos --judge data/test --oracle runs/a-real --out runs/a-bn",
    ),
)
def adapt(settings: AdaptSettings) -> None:
    """Adapt the detector of RUN to real photos, labelled or not; dann is unstable alone.

    \b
    adabn          re-estimate batch norms on photos, no training
    coral          align covariances of features
    dann           align domains of images and products adversarially
    fda            give renderings the coarse colours of photos
    finetune       train on labelled photos
    mean-teacher   learn from an averaged teacher on masked photos
    self-training  train on labels that RUN itself makes, once
    """
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


@click.command(
    cls=Command,
    uses={"settings": Use("detectors.bench.settings:BenchSettings")},
    reports=True,
    examples=(
        "synth bench --data data/synth --detectors all --steps 1000 --out bench/a",
        "synth bench --data data/synth --judge photos/test.json --detectors yolo,fcos --minutes 30 --out bench/b",
        "synth bench --data data/synth --detectors fasterrcnn --proposals 50,300 --sizes 320x192,640x384 --out bench/c",
    ),
)
def bench(settings: BenchSettings) -> None:
    """Compare detectors: one training of each under one budget, its accuracy, speed and size on one page."""
    from assets.interrupt import exit_code
    from detectors.bench.report import print_bench, summarize_bench, write_bench
    from detectors.bench.run import run_bench

    console = open_console()
    result = run_bench(settings, console)
    page = write_bench(result)
    report(summarize_bench(result))
    print_bench(console, result, page)
    sys.exit(0 if result.finished else exit_code())


@click.command(cls=Command, uses={"settings": Use("detectors.predict.settings:PredictSettings")}, reports=True)
def predict(settings: PredictSettings) -> None:
    """Detect products in images, folders, globs, videos or COCO files: COCO results and images with boxes."""
    from assets.interrupt import exit_code
    from detectors.predict.run import predict as predict_all
    from detectors.predict.run import print_summary

    console = open_console()
    summary = predict_all(settings, console)
    report(summary)
    print_summary(console, summary)
    sys.exit(exit_code() if summary.interrupted else 1 if summary.failed else 0)


@click.command(cls=Command, uses={"settings": Use("detectors.explain.settings:ExplainSettings")}, reports=True)
def explain(settings: ExplainSettings) -> None:
    """Show how the detector of RUN gets from IMAGE to its detections: features, filters, anchors, suppression."""
    from detectors.explain.run import explain_image, print_explanation

    console = open_console()
    summary = explain_image(settings, console)
    report(summary)
    print_explanation(console, summary)


@click.command(cls=Command, uses={"settings": Use("detectors.export.settings:ExportSettings")}, reports=True)
def export(settings: ExportSettings) -> None:
    """Export the detector of RUN to a file for other programs, checked against the original."""
    from detectors.export.run import export as export_run
    from detectors.export.run import print_summary

    console = open_console()
    summary = export_run(settings, console)
    report(summary)
    print_summary(console, summary)


PREVIEWED = Use(
    TRAIN,
    only=("data", "mix", "size", "augment", "seed"),
    fixed={"out": Path()},
    changes={"size": {"default": (640, 384), "shown": ""}},
)


@click.command("preview-batch", cls=Command, uses={"training": PREVIEWED, "stream": STREAM})
def preview_batch(
    training: TrainSettings,
    stream: StreamSettings,
    *,
    count: Annotated[int, Option("Images shown.", "Output", minimum=1, maximum=256)] = 16,
    out: Annotated[Path, Option("The contact sheet, a PNG.", "Output")] = Path("batch.png"),
) -> None:
    """Plot what the network is trained on: the first training images, mixed and augmented, with their boxes."""
    from assets.files.scratch import scratch_folder
    from detectors.training.preview_batch import preview_training
    from pipeline.stream.open import open_streams

    boxes = training.data.boxes
    with scratch_folder("stream") as folder, open_streams(stream, Path(folder), boxes=boxes) as live:
        say(f"wrote {preview_training(training, out, open_console(), count=count, live=live)}")


COMMANDS = (train, adapt, evaluate, bench, predict, explain, export, preview_batch)
