"""Commands for the distance between renders and photographs: synth gap, synth gap-calibrate."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from pipeline.cli.command import Command
from pipeline.cli.options import Use
from pipeline.cli.output import open_console, report

if TYPE_CHECKING:
    from pipeline.gap.settings import CalibrationSettings, GapSettings


@click.command(
    cls=Command,
    uses={"settings": Use("pipeline.gap.settings:GapSettings")},
    reports=True,
    examples=(
        "synth gap data/synth photos/",
        "synth gap data/synth photos/train.json --proxy-steps 200 --out gap.html",
        "synth gap data/synth photos/ --detector runs/a",
        "synth gap data/synth photos/train.json --run runs/a --calibration gaps.jsonl",
    ),
)
def gap(settings: GapSettings) -> None:
    """Measure how far the renders of SYNTH are from the photographs of REAL, and name the recipe's keys to change.

    SYNTH and REAL are folders, COCO files or shards, with labels or without. Writes a page.
    """
    from assets.progress import Reporter
    from pipeline.gap.page import write_page
    from pipeline.gap.report import print_gap, summarize_gap
    from pipeline.gap.run import measure_gap

    console = open_console()
    found = measure_gap(settings, Reporter(console))
    write_page(found, settings.out)
    report(summarize_gap(found))
    print_gap(console, found)


@click.command(
    "gap-calibrate", cls=Command, uses={"settings": Use("pipeline.gap.settings:CalibrationSettings")}, reports=True
)
def gap_calibrate(settings: CalibrationSettings) -> None:
    """Report how well gaps foretell AP, from the TABLE of recipes that 'synth gap --run' writes."""
    from pipeline.gap.calibration import calibrate, read_rows
    from pipeline.gap.page import write_calibration
    from pipeline.gap.report import print_calibration

    found = calibrate(read_rows(settings.tables))
    if settings.out is not None:
        write_calibration(found, settings.out)
    report(found)
    print_calibration(open_console(), found)


COMMANDS: tuple[click.Command, ...] = (gap, gap_calibrate)
