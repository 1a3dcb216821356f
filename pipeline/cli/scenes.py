"""Commands for rendered data sets: synth render, synth verify, synth preview, synth refine."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import click

from assets.interrupt import exit_code
from assets.options import Option
from pipeline.cli.command import Command
from pipeline.cli.options import Use
from pipeline.cli.output import open_console, report, say

if TYPE_CHECKING:
    from pipeline.preview.types import PreviewSettings
    from pipeline.refine.settings import RefineSettings
    from pipeline.run.settings import RunSettings
    from pipeline.verify.settings import VerifySettings
    from pipeline.view.settings import ViewSettings


@click.command(
    cls=Command,
    uses={"settings": Use("pipeline.run.settings:RunSettings")},
    reports=True,
    examples=(
        "synth render --demo --out data/demo --scenes 20",
        "synth render --sku-list skus.csv --out data/synth --scenes 10000 --workers auto --split train:0.9,val:0.1",
        "synth render --sku-list skus.csv --out data/real --backend cycles --preset good --photos shop_photos",
        "synth render --demo --out data/mixed --recipe tabletop:0.7 --recipe scatter:0.3",
    ),
)
def render(settings: RunSettings) -> None:
    """Render labelled scenes of your products as a COCO data set."""
    from assets.interrupt import stop_on_signals
    from assets.progress import Reporter
    from pipeline.run.render import run_render
    from pipeline.run.report import print_summary

    console = open_console()
    with stop_on_signals() as stop:
        summary = run_render(settings, Reporter(console), stop=stop)
    report(summary)
    print_summary(console, summary)
    sys.exit(exit_code() if summary.interrupted else 1 if summary.failures else 0)


@click.command(
    cls=Command,
    uses={"settings": Use("pipeline.view.settings:ViewSettings")},
    reports=True,
    examples=(
        "synth view data/synth",
        "synth view data/synth --predictions runs/a --real photos/ --out pages",
        "synth view data/one --other data/two --serve",
    ),
)
def view(settings: ViewSettings) -> None:
    """Write static pages that show the data set DIR: all its pictures to filter and select, each with its layers.

    DIR is a folder or file in any label format, a folder of photographs, or shards. The same command again brings the
    pages up to date.
    """
    from pipeline.view.build import build_view, print_view, summarize_view

    console = open_console()
    summary = build_view(settings, console)
    report(summarize_view(summary))
    print_view(summary, console)
    if settings.serve:
        from pipeline.view.serve import open_server

        server, url = open_server(summary.page, summary.folders, settings.port)
        say(f"serving {url} until interrupted")
        with server:
            server.serve_forever()


@click.command(cls=Command, uses={"settings": Use("pipeline.verify.settings:VerifySettings")}, reports=True)
def verify(place: str, settings: VerifySettings) -> None:
    """Check the data set at PLACE as a third-party reader would, and report each violation.

    PLACE is a folder of 'synth render', any COCO file or a folder with one, or shards on any storage.
    """
    from assets.interrupt import stop_on_signals
    from pipeline.verify.report import print_report
    from pipeline.verify.run import verify_set

    console = open_console()
    with stop_on_signals("an interrupted check says nothing about the rest", step="this file") as stop:
        found = verify_set(place, settings, console, stop=stop)
    report(found)
    print_report(console, found)
    sys.exit(exit_code() if found.interrupted else 1 if found.violations else 0)


@click.command(cls=Command, uses={"settings": Use("pipeline.preview.types:PreviewSettings")})
def preview(
    place: str,
    settings: PreviewSettings,
    *,
    out: Annotated[
        Path | None, Option("The contact sheet, a PNG.", "Output", shown="preview.png, in the folder of a rendered set")
    ] = None,
) -> None:
    """Plot a contact sheet of the data set at PLACE with its instances outlined.

    PLACE is a folder of 'synth render', any COCO file or a folder with one, or shards on any storage.
    """
    from pipeline.preview.draw import preview_set

    say(f"wrote {preview_set(place, out, settings)}")


@click.command(
    cls=Command,
    uses={"settings": Use("pipeline.refine.settings:RefineSettings")},
    reports=True,
    examples=(
        "synth refine data/synth --target shop_photos --out data/refined",
        "synth refine data/synth --target shop_photos --method translate --device gpu --out data/translated",
        "synth refine data/synth --target empty_shelves --method paste --backgrounds empty --out data/pasted",
    ),
)
def refine(settings: RefineSettings) -> None:
    """Make the pictures of the data set SOURCE look more like photographs, and keep its labels.

    Pictures in which print or outlines moved are rejected and stay as they were. Writes a data set and a page.
    """
    from assets.interrupt import stop_on_signals
    from pipeline.refine.page import report_path, write_page
    from pipeline.refine.report import print_refinement, summarize_refinement
    from pipeline.refine.run import refine_set

    console = open_console()
    with stop_on_signals(step="the pictures in progress") as stop:
        result = refine_set(settings, console, stop=stop)
    page = None
    if not result.interrupted:
        write_page(result, settings)
        page = report_path(settings.out)
    report(summarize_refinement(result, page))
    print_refinement(console, result, page)
    sys.exit(exit_code() if result.interrupted else 0)


COMMANDS: tuple[click.Command, ...] = (render, verify, view, preview, refine)
