"""The commands of training of embeddings: synth embedder."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from pipeline.cli.choices import AUGMENT, EMBEDDER_WEIGHTS, LOSS
from pipeline.cli.command import CommandGroup
from pipeline.cli.output import open_console, output_options, report
from pipeline.cli.types import ANY_PATH, EXISTING_FOLDER, NamedPath

EXISTING = click.Path(exists=True, path_type=Path)


def _crop_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Which boxes become crops, and how they are read."""
    options = (
        click.option("--least-side", type=click.FloatRange(1), default=16.0, help="Shorter side of a box, pixels."),
        click.option("--least-visible", type=click.FloatRange(0, 1), default=0.3, help="Share that is not hidden."),
        click.option("--images", type=EXISTING_FOLDER, help="Where images lie that are not beside their JSON."),
        click.option("--skip-bad", is_flag=True, help="Leave out records that cannot be used, and count them."),
        click.option("--workers", type=click.IntRange(0, 128), help="Processes that read images.  [default: by cores]"),
        click.option("--device", type=click.Choice(["auto", "cpu", "gpu"]), default="auto", help="What to compute on."),
        click.option("--seed", type=click.IntRange(0, 2**63 - 1), default=0, help="Of all chance."),
    )
    for option in reversed(options):
        command = option(command)
    return command


@click.group(cls=CommandGroup)
def embedder() -> None:
    """Embeddings of product crops: train one, measure one. Galleries and recognition build on them."""


@embedder.command()
@click.argument("data", metavar="DATA...", nargs=-1, required=True, type=NamedPath())
@click.option("--out", type=ANY_PATH, required=True, help="Folder of the run; the same command again goes on.")
@click.option("--real", type=EXISTING, help="Labelled photos to learn from as well: folder or COCO JSON.")
@click.option("--val", type=EXISTING, help="Crops to choose the checkpoint by.  [default: whole scenes held out]")
@click.option("--hold-out", type=click.FloatRange(0, 0.9), default=0.1, help="Share of scenes for that, without --val.")
@click.option("--group-key", help="Field of an image that names its group.  [default: group, where it is there]")
@click.option("--backbone", default="tf_efficientnet_lite0", help="Any convolutional timm model.")
@click.option("--weights", type=EMBEDDER_WEIGHTS, default="imagenet", help="Or a file: of the backbone or an embedder.")
@click.option("--dim", type=click.IntRange(2, 4096), default=512, help="Numbers per crop.")
@click.option(
    "--side", type=click.IntRange(32, 1024), default=128, help="Crops are fitted into a square of so many px."
)
@click.option("--loss", type=LOSS, default="arcface", help="arcface has sub-centres, proxy is Proxy-Anchor.")
@click.option(
    "--share", type=click.FloatRange(0, 1, min_open=True), default=1.0, help="Of the other SKUs' centres in each step."
)
@click.option("--augment", type=AUGMENT, default="strong", help="How much crops are changed.")
@click.option("--epochs", type=click.IntRange(0), default=20, help="Passes over the crops; 0: pretrained features.")
@click.option("--epoch-crops", type=click.IntRange(1), help="Crops that count as an epoch, instead.")
@click.option("--most", type=click.IntRange(1), help="Crops of a SKU from one data set at most.")
@click.option("--batch", type=click.IntRange(4, 65536), default=128, help="Crops of a step.")
@click.option("--crops", type=click.IntRange(1, 64), default=4, help="Of one SKU in a step.")
@click.option("--learning-rate", type=click.FloatRange(0, min_open=True), default=5e-4, help="For a batch of 128.")
@click.option("--patience", type=click.IntRange(1), default=8, help="Epochs without better top-1.")
@_crop_options
@output_options
def train(data: tuple[tuple[str, Path], ...], **options: Any) -> None:
    """Train an embedder on crops of rendered data sets, so that crops of one SKU lie close to each other.

    \b
    synth embedder train data/synth --val data/real --out runs/embedder
    """
    from assets.interrupt import exit_code
    from detectors.data.settings import DataSettings
    from detectors.recognition.embedder.settings import EmbedSettings
    from detectors.recognition.embedder.train import print_summary, train_embedder

    shared = ("real", "val", "images", "group_key", "hold_out", "skip_bad")
    same: tuple[str, ...] = (
        "out",
        "backbone",
        "weights",
        "dim",
        "side",
        "loss",
        "share",
        "augment",
        "epochs",
        "epoch_crops",
        "crops",
    )
    same += ("learning_rate", "patience", "seed", "workers", "device")
    settings = EmbedSettings(
        data=DataSettings(synthetic=_named(data), **{name: options[name] for name in shared}),
        choice=_choice(options),
        skus=max(2, options["batch"] // options["crops"]),
        **{name: options[name] for name in same},
    )
    console = open_console()
    summary = train_embedder(settings, console)
    report(summary)
    print_summary(console, summary)
    sys.exit(0 if summary.finished else exit_code())


def _named(sources: tuple[tuple[str, Path], ...]) -> tuple[tuple[str, Path], ...]:
    """Every data set with a name of its own: "synthetic" for the one that was given without."""
    names = [name or "synthetic" for name, _ in sources]
    if len(set(names)) != len(names):
        raise click.UsageError("several data sets need names: synth embedder train a=PATH b=PATH --out RUN")
    return tuple((name, path) for name, (_, path) in zip(names, sources, strict=True))


def _choice(options: dict[str, Any]) -> Any:
    from detectors.recognition.embedder.crop_store import CropChoice

    return CropChoice(options["least_side"], options["least_visible"], options.get("most"))


@embedder.command()
@click.argument("run", type=EXISTING)
@click.option("--gallery-data", "gallery", type=EXISTING, required=True, help="Crops of known SKUs: folder or JSON.")
@click.option("--query-data", "queries", type=EXISTING, required=True, help="Crops to name; other SKUs are unknown.")
@click.option("--threshold-data", type=EXISTING, help="Other crops to choose the score for unknown products by.")
@click.option("--views", type=click.IntRange(1), help="Crops of a SKU in the gallery at most.  [default: all]")
@click.option("--out", type=ANY_PATH, help="Folder of report.json.  [default: evaluation in RUN]")
@_crop_options
@output_options
def evaluate(run: Path, **options: Any) -> None:
    """Measure the embedder of RUN: how often the crops of one data set find their SKU among those of another.

    \b
    synth embedder evaluate runs/embedder --gallery-data data/synth --query-data data/real
    """
    from detectors.recognition.embedder.evaluate import EmbedderEvaluateSettings, evaluate_embedder

    choice = _choice(options)
    names = ("gallery", "queries", "threshold_data", "views", "out", "images", "skip_bad", "workers", "device", "seed")
    settings = EmbedderEvaluateSettings(run=run, choice=choice, **{name: options[name] for name in names})
    report(evaluate_embedder(settings, open_console()), without=("keys", "skus", "confusions"))


COMMANDS: tuple[click.Command, ...] = (embedder,)
