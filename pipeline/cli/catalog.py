"""Commands for what goes into scenes: synth catalog, synth recipe, synth assets."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import click

from assets.options import Option, Seed
from pipeline.cli.command import CommandGroup
from pipeline.cli.options import SkuList, Use
from pipeline.cli.output import open_console, report, say

if TYPE_CHECKING:
    from pipeline.products.build import AssetBuildSettings
    from pipeline.products.packshots import PackshotListSettings
    from pipeline.target.settings import FitSettings


@click.group(cls=CommandGroup)
def catalog() -> None:
    """Check, show and export a SKU list."""


@catalog.command("check")
def catalog_check(sku_list: SkuList, *, meshes: Annotated[bool, Option("Also load every mesh.")] = True) -> None:
    """List all problems of SKU_LIST: row, column, found, expected."""
    from pipeline.products.catalog import check_list

    sys.exit(check_list(sku_list, meshes=meshes, console=open_console()))


@catalog.command("show")
def catalog_show(
    sku_list: SkuList,
    *,
    out: Annotated[Path, Option("The contact sheet, a PNG.")] = Path("catalog.png"),
    limit: Annotated[int, Option("Maximum number of products shown.", minimum=1, maximum=1000)] = 60,
) -> None:
    """Plot a contact sheet of SKU_LIST: each product, rotated and to scale, with its name."""
    from pipeline.products.catalog import show_list

    show_list(sku_list, out, limit=limit, console=open_console())


@catalog.command("export")
def catalog_export(sku_list: SkuList, folder: Path) -> None:
    """Write the normalised meshes of SKU_LIST as GLB into FOLDER, with a list that points to them."""
    from pipeline.products.catalog import export_list

    export_list(sku_list, folder, console=open_console())


@catalog.command("ids")
def catalog_ids(sku_list: SkuList) -> None:
    """Write or extend the registry that keeps the category ids of SKU_LIST when products come and go."""
    from pipeline.products.catalog import register_ids

    register_ids(sku_list, console=open_console())


@catalog.command("generate")
def catalog_generate(
    out: Path,
    *,
    count: Annotated[int, Option("Number of SKUs.", minimum=1, maximum=2_000_000)] = 1000,
    seed: Annotated[Seed, Option("Random seed.", minimum=0)] = 0,
) -> None:
    """Write a made-up catalogue to SKU list OUT: brands, flavours that differ by a word, sizes, barcodes."""
    from pipeline.products.catalog import generate_list

    generate_list(out, count=count, seed=seed, console=open_console())


@catalog.command(
    "from-packshots", uses={"settings": Use("pipeline.products.packshots:PackshotListSettings")}, reports=True
)
def catalog_from_packshots(settings: PackshotListSettings) -> None:
    """Write a SKU list of the packshots in FOLDER, by their GS1 names (GTIN_TFOS, such as 04006381333931_C1N1.png).

    Flat images of products in their packs are taken; every other file is listed with the reason.
    """
    from assets.progress import Reporter
    from pipeline.products.packshots import list_packshots, print_packshots

    reporter = Reporter(open_console())
    summary = list_packshots(settings, reporter)
    report(summary)
    print_packshots(reporter, summary)


@catalog.command("demo")
def catalog_demo() -> None:
    """Print the path of the demo catalogue."""
    from assets.demo import demo_list

    say(demo_list())


@click.group(cls=CommandGroup)
def recipe() -> None:
    """List, show, check and fit recipes."""


@recipe.command("list")
def recipe_list() -> None:
    """List the built-in and installed recipes."""
    from render.recipes import recipe_module, recipe_names

    for name in recipe_names():
        summary = (recipe_module(name).__doc__ or "").split("\n")[0]
        say(f"{name:10s} {summary}")


@recipe.command("show")
def recipe_show(name: Annotated[str, Option("", parse="recipe_name")]) -> None:
    """Print recipe NAME (or a file, completed) as YAML: every range with its meaning."""
    from render.recipes import load_recipe, recipe_yaml

    say(recipe_yaml(load_recipe(name)), end="")


@recipe.command("check")
def recipe_check(file: Annotated[Path, Option("", exists="file")]) -> None:
    """List all problems of the recipe in FILE."""
    from render.recipes import load_recipe

    loaded = load_recipe(str(file))
    say(f"{file}: a valid {loaded.model_dump()['recipe']} recipe")


@recipe.command(
    "fit",
    uses={"settings": Use("pipeline.target.settings:FitSettings")},
    reports=True,
    examples=(
        "synth recipe fit shelf --target shop_photos --sku-list skus.csv --out my_shelf.yaml",
        "synth recipe fit shelf --target shop_photos --sku-list skus.csv --out my_shelf.yaml --detector runs/shelf",
    ),
)
def recipe_fit(settings: FitSettings) -> None:
    """Fit the ranges of RECIPE to photographs without labels: lens, size of objects, light, colour, noise.

    Scenes are rendered and measured like the photographs, and ranges are corrected until both are distributed alike.
    Writes the recipe and a page with both distributions side by side.
    """
    from assets.progress import Reporter
    from pipeline.target.fit import fit_recipe, report_path
    from pipeline.target.page import write_page
    from pipeline.target.report import print_fit, summarize_fit

    console = open_console()
    fit = fit_recipe(settings, Reporter(console))
    write_page(fit, report_path(settings))
    report(summarize_fit(fit, settings))
    print_fit(console, fit, settings)


@click.group(cls=CommandGroup)
def assets() -> None:
    """Build the products of a list before rendering."""


@assets.command("build", uses={"settings": Use("pipeline.products.build:AssetBuildSettings")}, reports=True)
def assets_build(
    settings: AssetBuildSettings,
    *,
    sheet: Annotated[Path | None, Option("Also plot what was built as a contact sheet.")] = None,
) -> None:
    """Build the products of SKU_LIST in advance: normalise meshes, make packages from sizes and packshots.

    Products that are already built are kept, and the same command resumes. Rendering also builds what is missing;
    building in advance shows problems of the packshots before a long run.
    """
    from assets.interrupt import exit_code, stop_on_signals
    from assets.progress import Reporter
    from pipeline.products.build import build_assets, plot_built, print_build

    reporter = Reporter(open_console())
    with stop_on_signals(step="the products in progress") as stop:
        summary = build_assets(settings, reporter, stop=stop)
    report({**vars(summary), "bytes": sum(summary.sizes)}, without=("sizes",))
    print_build(reporter, settings.sku_list, summary)
    if summary.interrupted:
        sys.exit(exit_code())
    if sheet is not None and not summary.failures:
        reporter.say(f"wrote {plot_built(settings, sheet)}")
    sys.exit(1 if summary.failures else 0)


COMMANDS: tuple[click.Command, ...] = (catalog, recipe, assets)
