"""The commands of products made ahead: synth assets."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pipeline.cli.command import CommandGroup
from pipeline.cli.options import list_arguments
from pipeline.cli.output import open_console, output_options, report
from pipeline.cli.types import ANY_PATH, Workers

if TYPE_CHECKING:
    from assets.catalog.sku_lists import SkuSource


@click.group(cls=CommandGroup)
def assets() -> None:
    """Make the products of a list ahead."""


@assets.command("build")
@list_arguments
@click.option("--cache", type=ANY_PATH, help="Folder that keeps the products.  [default: ~/.cache/synth]")
@click.option("--workers", type=Workers(), default="auto", help="Processes that build side by side.")
@click.option("--limit", type=click.IntRange(1), help="Only the first so many SKUs.")
@click.option("--sku", "keys", multiple=True, help="Only this SKU; may be given several times.")
@click.option("--sheet", type=ANY_PATH, help="Also draw what was built as a contact sheet.")
@output_options
def assets_build(
    sku_list: SkuSource, cache: Path | None, workers: int, limit: int | None, keys: tuple[str, ...], sheet: Path | None
) -> None:
    """Build the products of SKU_LIST ahead: meshes normalised, packages made from sizes and packshots.

    What is there already is left; the same command goes on where it was stopped. Rendering makes what is missing by
    itself: building ahead tells what is wrong with the pictures before a long run.
    """
    from assets.interrupt import exit_code, stop_on_signals
    from pipeline.products.build import build_assets, plot_built, print_build
    from pipeline.run.progress import Reporter
    from pipeline.run.settings import default_cache

    reporter = Reporter(open_console())
    folder = cache or default_cache()
    with stop_on_signals(step="the products under way") as stop:
        summary = build_assets(sku_list, folder, reporter, workers=workers, limit=limit, keys=keys, stop=stop)
    report({**vars(summary), "bytes": sum(summary.sizes)}, without=("sizes",))
    print_build(reporter, sku_list, summary)
    if summary.interrupted:
        sys.exit(exit_code())
    if sheet is not None and not summary.failures:
        reporter.say(f"wrote {plot_built(sku_list, folder, sheet, limit=limit, keys=keys)}")
    sys.exit(1 if summary.failures else 0)


COMMANDS: tuple[click.Command, ...] = (assets,)
