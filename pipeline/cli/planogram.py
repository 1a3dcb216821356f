"""Commands for planograms: synth planogram."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from pipeline.cli.command import CommandGroup
from pipeline.cli.options import Use
from pipeline.cli.output import open_console, report, say

if TYPE_CHECKING:
    from pipeline.planograms.settings import (
        PlanogramCheckSettings,
        PlanogramConvertSettings,
        PlanogramGenerateSettings,
        PlanogramShowSettings,
    )

SETTINGS = "pipeline.planograms.settings"


@click.group(cls=CommandGroup)
def planogram() -> None:
    """Check, draw, make up and convert planograms: what stands where on the shelves of a shop."""


@planogram.command("check", uses={"settings": Use(f"{SETTINGS}:PlanogramCheckSettings")}, reports=True)
def planogram_check(settings: PlanogramCheckSettings) -> None:
    """List everything in FILE that does not fit: unknown products, blocks too high, overlapping, sticking out.

    Differences over a millimetre count. Ends with 1 if there is any.
    """
    from pipeline.planograms.check import check_planograms, print_findings

    found = check_planograms(settings)
    report(found)
    print_findings(open_console(), settings, found)
    sys.exit(1 if found.count else 0)


@planogram.command("show", uses={"settings": Use(f"{SETTINGS}:PlanogramShowSettings")}, reports=True)
def planogram_show(settings: PlanogramShowSettings) -> None:
    """Draw the planograms of FILE flat, from the front: facings with the faces of products, labels, misfits in red."""
    from pipeline.planograms.show import show_planograms

    shown = show_planograms(settings, open_console())
    report(shown)
    say(f"wrote {shown.out}")


@planogram.command(
    "generate",
    uses={"settings": Use(f"{SETTINGS}:PlanogramGenerateSettings")},
    reports=True,
    examples=(
        "synth planogram generate --sku-list skus.csv --out bays.csv",
        "synth job run skus.csv --planogram bays.csv --recipe shelf --out data/bays",
    ),
)
def planogram_generate(settings: PlanogramGenerateSettings) -> None:
    """Make up bays that hold every product of a SKU list once: blocks by brand, then size, heavy products low."""
    from pipeline.planograms.write import generate_file, print_written

    console = open_console()
    written = generate_file(settings, console)
    report(written)
    print_written(console, written)


@planogram.command("convert", uses={"settings": Use(f"{SETTINGS}:PlanogramConvertSettings")}, reports=True)
def planogram_convert(settings: PlanogramConvertSettings) -> None:
    """Write the planograms of FILE to OUT, a .toml or .csv file, and count what that cannot store."""
    from pipeline.planograms.write import convert_file, print_written

    console = open_console()
    written = convert_file(settings)
    report(written)
    print_written(console, written)


COMMANDS: tuple[click.Command, ...] = (planogram,)
