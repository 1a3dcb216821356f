"""The `synth` command: one thin function per command. Heavy imports happen inside the command that needs them."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from assets.interrupt import exit_code, handle_signals, report_interruption, working
from pipeline.cli import assets as cli_assets
from pipeline.cli import data as cli_data
from pipeline.cli import embedder as cli_embedder
from pipeline.cli import gallery as cli_gallery
from pipeline.cli import job as cli_job
from pipeline.cli import learning as cli_learning
from pipeline.cli.choices import RECIPE_NAME, recipe_of
from pipeline.cli.command import CommandGroup
from pipeline.cli.options import backdrop_options, list_arguments, list_options, recipe_options
from pipeline.cli.output import mistake_of, open_console, output_options, report
from pipeline.cli.types import ANY_PATH, EXISTING_FILE, EXISTING_FOLDER, Shares, Size, Workers

if TYPE_CHECKING:
    from assets.catalog.sku_lists import SkuSource


class Group(CommandGroup):
    """Tells mistakes of the user without a traceback, and ends with 1; ends with 130 or 143 where it is interrupted."""

    def main(self, *args: Any, **extra: Any) -> Any:
        with handle_signals(starting=True):
            return super().main(*args, **extra)

    def invoke(self, ctx: click.Context) -> Any:
        for stream in (sys.stdout, sys.stderr):  # names of files need not be text
            if isinstance(stream, io.TextIOWrapper):
                stream.reconfigure(errors="backslashreplace")
        with working():
            try:
                return self._run(ctx)
            except KeyboardInterrupt:
                report_interruption()
                ctx.exit(exit_code())

    def _run(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except Exception as error:
            mistake = mistake_of(error)
            if mistake is None:
                raise
            click.secho("error: ", fg="red", bold=True, nl=False, err=True)
            click.echo(f"{mistake}\n  code: {mistake.code}", err=True)
            ctx.exit(1)


@click.group(cls=Group, context_settings={"help_option_names": ["-h", "--help"], "show_default": True})
@click.version_option(package_name="synth")
def main() -> None:
    """Labelled synthetic shop scenes from a product catalogue, for training retail detectors."""


@main.command()
@list_options("Your products: CSV, TSV, JSON Lines or Parquet")
@click.option("--demo", is_flag=True, help="Use the demo catalogue that comes with synth.")
@click.option("--out", type=ANY_PATH, required=True, help="Folder of the data set; the same command again resumes.")
@click.option("--scenes", type=click.IntRange(1, 10_000_000), default=100, help="Arrangements to render.")
@click.option("--views", type=click.IntRange(1, 100), default=1, help="Pictures of each arrangement.")
@click.option("--size", type=Size(), default="640x480", help="Of the pictures, in pixels.")
@click.option("--seed", type=click.IntRange(0, 2**63 - 1), default=0, help="Another seed, other scenes.")
@recipe_options
@click.option("--samples", type=click.IntRange(1, 65536), help="Per pixel, in place of the preset's.")
@click.option("--denoise/--no-denoise", default=None, help="For cycles, in place of the preset's.")
@click.option("--workers", type=Workers(), default="1", help="Processes that render side by side.")
@click.option("--device", type=click.Choice(["auto", "cpu", "gpu"]), default="auto", help="For cycles.")
@click.option(
    "--split", "splits", type=Shares(), default="train:1", help="Shares of the scenes, e.g. train:0.9,val:0.1."
)
@click.option("--depth", is_flag=True, help="Store depth as 16-bit PNG in millimetres.")
@click.option("--normals", is_flag=True, help="Store normals as 16-bit PNG.")
@click.option("--ids", is_flag=True, help="Store instance ids as 16-bit PNG.")
@backdrop_options
@click.option("--licence", default="", help="Licence of the pictures, written into the COCO files.")
@click.option("--creator", default="", help="Creator of the pictures, written into the COCO files.")
@click.option("--cache", type=ANY_PATH, help="Folder for normalised meshes.  [default: ~/.cache/synth]")
@click.option("--timeout", type=click.FloatRange(1), default=1800.0, help="Seconds after which a scene counts as hung.")
@click.option("--max-failures", type=click.FloatRange(0, 1), default=0.1, help="Share of scenes that may fail.")
@output_options
def render(**options: Any) -> None:
    """Render labelled scenes of your products as a COCO data set."""
    from assets.interrupt import stop_on_signals
    from pipeline.run.progress import Reporter
    from pipeline.run.render import run_render
    from pipeline.run.report import print_summary

    console = open_console()
    settings = _run_settings(options)
    with stop_on_signals() as stop:
        summary = run_render(settings, Reporter(console), stop=stop)
    report(summary)
    print_summary(console, summary)
    sys.exit(exit_code() if summary.interrupted else 1 if summary.failures else 0)


def _run_settings(options: dict[str, Any]) -> Any:
    from pipeline.run.settings import BackdropFolders, RunSettings, default_cache

    width, height = options["size"]
    return RunSettings(
        sku_list=_sku_list(options["sku_list"], options["demo"]),
        out=options["out"],
        scenes=options["scenes"],
        views=options["views"],
        width=width,
        height=height,
        seed=options["seed"],
        recipe=recipe_of(options["recipe"]),
        backend=options["backend"],
        preset=options["preset"],
        samples=options["samples"],
        denoise=options["denoise"],
        splits=options["splits"],
        extras=tuple(kind for kind in ("depth", "normals", "ids") if options[kind]),
        backdrops=BackdropFolders(options["hdri"], options["photos"], options["surfaces"]),
        licence=options["licence"],
        creator=options["creator"],
        workers=options["workers"],
        device=options["device"],
        cache=options["cache"] or default_cache(),
        timeout_s=options["timeout"],
        max_failures=options["max_failures"],
    )


def _sku_list(path: SkuSource | None, demo: bool) -> SkuSource:
    if path is not None and demo:
        raise click.UsageError("--demo brings its own list: give either it or --sku-list")
    if path is not None:
        return path
    if not demo:
        raise click.UsageError("give --sku-list FILE, or --demo to try the demo catalogue")
    from assets.demo import demo_list

    return demo_list()


@main.group()
def catalog() -> None:
    """Look at, check and export a SKU list."""


@catalog.command("check")
@list_arguments
@click.option("--meshes/--no-meshes", default=True, help="Also load every mesh.")
def catalog_check(sku_list: SkuSource, meshes: bool) -> None:
    """List everything wrong with SKU_LIST: row, column, found, expected."""
    from pipeline.products.catalog import check_list

    sys.exit(check_list(sku_list, meshes=meshes, console=open_console()))


@catalog.command("show")
@list_arguments
@click.option("--out", type=ANY_PATH, default="catalog.png", help="The contact sheet, a PNG.")
@click.option("--limit", type=click.IntRange(1, 1000), default=60, help="Products shown at most.")
def catalog_show(sku_list: SkuSource, out: Path, limit: int) -> None:
    """Draw a contact sheet of SKU_LIST: each product turned, to scale, with its name."""
    from pipeline.products.catalog import show_list

    show_list(sku_list, out, limit=limit, console=open_console())


@catalog.command("export")
@list_arguments
@click.argument("folder", type=ANY_PATH)
def catalog_export(sku_list: SkuSource, folder: Path) -> None:
    """Write the normalised meshes of SKU_LIST as GLB into FOLDER, with a list that points to them."""
    from pipeline.products.catalog import export_list

    export_list(sku_list, folder, console=open_console())


@catalog.command("ids")
@list_arguments
def catalog_ids(sku_list: SkuSource) -> None:
    """Write or extend the registry that keeps the category ids of SKU_LIST when products come and go."""
    from pipeline.products.catalog import register_ids

    register_ids(sku_list, console=open_console())


@catalog.command("generate")
@click.argument("out", type=ANY_PATH)
@click.option("--count", type=click.IntRange(1, 2_000_000), default=1000, help="SKUs.")
@click.option("--seed", type=click.IntRange(0, 2**63 - 1), default=0, help="Another seed, another catalogue.")
def catalog_generate(out: Path, count: int, seed: int) -> None:
    """Write an invented catalogue as SKU list OUT: brands, flavours that differ by a word, sizes, barcodes."""
    from pipeline.products.catalog import generate_list

    generate_list(out, count=count, seed=seed, console=open_console())


@catalog.command("demo")
def catalog_demo() -> None:
    """Print the path of the demo catalogue."""
    from assets.demo import demo_list

    click.echo(demo_list())


@main.group()
def recipe() -> None:
    """List, show and check recipes."""


@recipe.command("list")
def recipe_list() -> None:
    """Name the recipes that come with synth."""
    from render.recipes import recipe_module, recipe_names

    for name in recipe_names():
        summary = (recipe_module(name).__doc__ or "").split("\n")[0]
        click.echo(f"{name:10s} {summary}")


@recipe.command("show")
@click.argument("name", type=RECIPE_NAME)
def recipe_show(name: str) -> None:
    """Print recipe NAME (or a file, completed) as YAML: every range with its meaning."""
    from render.recipes import load_recipe, recipe_yaml

    click.echo(recipe_yaml(load_recipe(name)), nl=False)


@recipe.command("check")
@click.argument("file", type=EXISTING_FILE)
def recipe_check(file: Path) -> None:
    """Tell everything wrong with the recipe in FILE."""
    from render.recipes import load_recipe

    loaded = load_recipe(str(file))
    click.echo(f"{file}: a good {loaded.model_dump()['recipe']} recipe")


@main.command()
@click.argument("place")
@list_options("The list it was made from, where that has moved")
@click.option("--sample", type=click.IntRange(0), default=10, help="Scenes drawn, traced and rendered again.")
@click.option("--images", type=EXISTING_FOLDER, help="Where pictures lie that are not beside their COCO file.")
@click.option("--workers", type=Workers(), default="1", help="Processes that read shards side by side.")
@click.option("--cache", type=ANY_PATH, help="Folder for normalised meshes.  [default: ~/.cache/synth]")
@output_options
def verify(place: str, **options: Any) -> None:
    """Re-read the data set at PLACE as a third party would, and report each violation.

    PLACE is a folder of 'synth render', any COCO file or a folder with one, or shards on any storage.
    """
    from assets.interrupt import stop_on_signals
    from pipeline.verify.report import print_report
    from pipeline.verify.run import VerifySettings, verify_set

    console = open_console()
    with stop_on_signals("a check that was cut short says nothing of the rest", step="this file") as stop:
        found = verify_set(place, VerifySettings(**options), console, stop=stop)
    report(found)
    print_report(console, found)
    sys.exit(exit_code() if found.interrupted else 1 if found.violations else 0)


@main.command()
@click.argument("place")
@click.option(
    "--out", type=ANY_PATH, help="The contact sheet.  [default: preview.png, in the folder of a rendered set]"
)
@click.option("--count", type=click.IntRange(1, 400), default=12, help="Pictures shown.")
@click.option("--sku", "skus", multiple=True, help="Only pictures with this SKU, and only it outlined; repeatable.")
@click.option("--below-visibility", type=click.FloatRange(0, 1), help="Only instances less visible than this share.")
@click.option("--style", type=click.Choice(["outline", "mask", "box"]), default="outline", help="How they are drawn.")
@click.option("--images", type=EXISTING_FOLDER, help="Where pictures lie that are not beside their COCO file.")
def preview(place: str, out: Path | None, **options: Any) -> None:
    """Draw a contact sheet of the data set at PLACE with its instances outlined.

    PLACE is a folder of 'synth render', any COCO file or a folder with one, or shards on any storage.
    """
    from pipeline.preview.draw import preview_set
    from pipeline.preview.types import PreviewSettings

    click.echo(f"wrote {preview_set(place, out, PreviewSettings(**options))}")


@main.command()
def doctor() -> None:
    """Tell what works here, and how to repair what does not."""
    from pipeline.doctor import diagnose, print_checks

    checks = diagnose()
    print_checks(open_console(), checks)
    sys.exit(0 if any(check.renders for check in checks) else 1)


for part in (cli_learning, cli_assets, cli_job, cli_data, cli_embedder, cli_gallery):
    for command in part.COMMANDS:
        main.add_command(command)

if __name__ == "__main__":
    main()
