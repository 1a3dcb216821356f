"""Commands for the distance between renders and photographs: synth gap, synth gap-calibrate, synth tune."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from assets.interrupt import exit_code
from pipeline.cli.command import Command
from pipeline.cli.options import Use
from pipeline.cli.output import open_console, report

if TYPE_CHECKING:
    from pipeline.gap.settings import CalibrationSettings, GapSettings
    from pipeline.tune.settings import TuneSettings


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


@click.command(
    cls=Command,
    uses={"settings": Use("pipeline.tune.settings:TuneSettings")},
    reports=True,
    examples=(
        "synth tune --recipe tabletop --real photos/ --sku-list skus.csv --out better.yaml",
        "synth tune --recipe mine.yaml --real photos/ --sku-list skus.csv --budget 100 --minutes 60 --out better.yaml",
        "synth tune --recipe mine.yaml --hard-mining runs/a --sku-list skus.csv --out harder.yaml",
    ),
)
def tune(settings: TuneSettings) -> None:
    """Search for the ranges of a recipe whose renders are nearer to photographs, or where a detector fails.

    With --real, ranges are searched for on one half of the photographs, and the better recipe is written if it is
    better on the other half and on other scenes, else the original. With --hard-mining, a mix is written in which
    scenes that the detector of the run fails on are more frequent.
    """
    from assets.interrupt import stop_on_signals
    from assets.progress import Reporter
    from pipeline.tune.page import write_page
    from pipeline.tune.report import print_tuning, summarize_tuning
    from pipeline.tune.run import tune_recipe

    if settings.hard_mining is not None:
        sys.exit(_mine(settings))
    console = open_console()
    with stop_on_signals(step="this trial") as stop:
        tuning = tune_recipe(settings, Reporter(console), stop=stop)
    if not tuning.interrupted:
        write_page(tuning, settings.report_path)
    report(summarize_tuning(tuning))
    print_tuning(console, tuning)
    sys.exit(exit_code() if tuning.interrupted else 0)


def _mine(settings: TuneSettings) -> int:
    """Look for failures of a detector, and return the exit code."""
    from assets.interrupt import stop_on_signals
    from assets.progress import Reporter
    from pipeline.tune.hard_report import print_mining, summarize_mining, write_mining_page
    from pipeline.tune.mining import mine_failures

    console = open_console()
    with stop_on_signals(step="this scene") as stop:
        mining = mine_failures(settings, Reporter(console), stop=stop)
    if not mining.interrupted:
        write_mining_page(mining, settings.report_path)
    report(summarize_mining(mining))
    print_mining(console, mining)
    return exit_code() if mining.interrupted else 0


COMMANDS: tuple[click.Command, ...] = (gap, gap_calibrate, tune)
