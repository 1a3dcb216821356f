"""Commands that measure what synthetic images and photos are worth: prove, curve."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from pipeline.cli.command import Command
from pipeline.cli.options import Use
from pipeline.cli.output import open_console, report

if TYPE_CHECKING:
    from pipeline.experiments.settings import CurveSettings, ProofSettings


@click.command(
    cls=Command,
    uses={"settings": Use("pipeline.experiments.settings:CurveSettings")},
    reports=True,
    examples=(
        "synth curve --sku-list skus.csv --real photos.json --out curves/a",
        "synth curve --sku-list skus.csv --real photos.json --synthetic data/synth --minutes 9 --out curves/a",
    ),
)
def curve(settings: CurveSettings) -> None:
    """Measure how many photos you need: detectors of few and many, alone and with synthetic images."""
    from assets.interrupt import exit_code
    from pipeline.experiments.curve import measure_curve
    from pipeline.experiments.curve_report import print_curve, write_curve

    console = open_console()
    found = measure_curve(settings, console)
    page = write_curve(found)
    report(found)
    print_curve(console, found, page)
    sys.exit(0 if found.finished else exit_code())


@click.command(
    cls=Command,
    uses={"settings": Use("pipeline.experiments.settings:ProofSettings")},
    reports=True,
    examples=(
        "synth prove --sku-list skus.csv --real photos.json",
        "synth prove --sku-list skus.csv --real photos.json --recipe shelf --scenes 5000 --out proofs/shelf",
    ),
)
def prove(settings: ProofSettings) -> None:
    """Render, train, adapt and judge a detector of your products, and say what to do next."""
    from assets.interrupt import exit_code
    from pipeline.experiments.proof import prove as prove_all
    from pipeline.experiments.proof_report import print_proof, summarize_proof, write_proof

    console = open_console()
    proof = prove_all(settings, console)
    summary = summarize_proof(proof)
    write_proof(proof, summary)
    report(summary)
    print_proof(console, summary)
    sys.exit(0 if proof.finished else exit_code())


COMMANDS: tuple[click.Command, ...] = (prove, curve)
