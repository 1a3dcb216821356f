"""Commands for embedders: synth embedder."""

from __future__ import annotations

import sys
from dataclasses import MISSING, replace
from typing import TYPE_CHECKING, Annotated

import click

from assets.options import Option
from pipeline.cli.command import CommandGroup
from pipeline.cli.options import Use
from pipeline.cli.output import open_console, report

if TYPE_CHECKING:
    from detectors.recognition.embedder.settings import EmbedderEvaluateSettings, EmbedSettings

SETTINGS = "detectors.recognition.embedder.settings"
# Embedders are trained on crops of all sources alike and of all classes.
DETECTORS_ONLY = ("data.real_fraction", "data.classes", "data.cache_bytes")
TRAIN = Use(
    f"{SETTINGS}:EmbedSettings",
    without=DETECTORS_ONLY,
    changes={
        "data.synthetic": {"argument": True, "metavar": "DATA...", "default": MISSING},
        "data.hold_out": {"help": "Fraction of scenes held out to choose the checkpoint by.", "default": 0.1},
        "data.val": {"help": "Crops to choose the checkpoint by.", "shown": "held out scenes"},
    },
)


@click.group(cls=CommandGroup)
def embedder() -> None:
    """Train and evaluate embedders of product crops, on which galleries and recognition are based."""


@embedder.command(
    uses={"settings": TRAIN},
    reports=True,
    examples=("synth embedder train data/synth --val data/real --out runs/embedder",),
)
def train(
    settings: EmbedSettings,
    *,
    batch: Annotated[int, Option("Crops per step.", "Training", minimum=4, maximum=65536)] = 128,
) -> None:
    """Train an embedder on crops of rendered data sets, so that crops of one SKU lie close to each other."""
    from assets.interrupt import exit_code
    from detectors.recognition.embedder.train import print_summary, train_embedder

    console = open_console()
    summary = train_embedder(replace(settings, skus=max(2, batch // settings.crops)), console)
    report(summary)
    print_summary(console, summary)
    sys.exit(0 if summary.finished else exit_code())


@embedder.command(
    uses={"settings": Use(f"{SETTINGS}:EmbedderEvaluateSettings", without=("choice.most",))},
    reports=True,
    examples=("synth embedder evaluate runs/embedder --gallery-data data/synth --query-data data/real",),
)
def evaluate(settings: EmbedderEvaluateSettings) -> None:
    """Evaluate the embedder of RUN: how often crops of one data set retrieve their SKU among those of another."""
    from detectors.recognition.embedder.evaluate import evaluate_embedder

    report(evaluate_embedder(settings, open_console()).summary())


COMMANDS: tuple[click.Command, ...] = (embedder,)
