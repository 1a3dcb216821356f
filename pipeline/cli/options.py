"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

import click

from assets.catalog.sku_lists import sku_source
from pipeline.cli.choices import BACKEND, PRESET, RecipeChoice
from pipeline.cli.types import EXISTING_FILE, EXISTING_FOLDER

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]


def with_options(*options: Decorator) -> Decorator:
    """One decorator that adds all of them, in this order."""

    def add(command: Callable[..., Any]) -> Callable[..., Any]:
        for option in reversed(options):
            command = option(command)
        return command

    return add


recipe_options = with_options(
    click.option(
        "--recipe",
        type=RecipeChoice(),
        multiple=True,
        default=("tabletop",),
        help="How scenes are arranged; several share them: --recipe tabletop:0.7 --recipe scatter:0.3.",
    ),
    click.option("--backend", type=BACKEND, default="raster", help="raster is fast, cycles path traces."),
    click.option("--preset", type=PRESET, default="draft", help="How much work goes into a picture."),
)
mesh_root_option = click.option(
    "--mesh-root",
    "mesh_roots",
    type=EXISTING_FOLDER,
    multiple=True,
    help="Folder outside the list's own that its meshes and packshots may lie in; repeatable.",
)


def _as_one(command: Callable[..., Any]) -> Callable[..., Any]:
    """The command with all its lists and their folders as one argument, `sku_list`; None where no list is given."""

    @wraps(command)
    def taking_lists(
        *given: Any, sku_lists: tuple[Path, ...], mesh_roots: tuple[Path, ...] = (), **options: Any
    ) -> Any:
        if mesh_roots and not sku_lists:
            raise click.UsageError("--mesh-root goes with a SKU list: give that, too")
        return command(*given, sku_list=sku_source(sku_lists, mesh_roots) if sku_lists else None, **options)

    return taking_lists


list_arguments = with_options(
    click.argument("sku_lists", metavar="SKU_LIST...", nargs=-1, required=True, type=EXISTING_FILE),
    mesh_root_option,
    _as_one,
)
optional_list_arguments = with_options(
    click.argument("sku_lists", metavar="[SKU_LIST...]", nargs=-1, type=EXISTING_FILE),
    mesh_root_option,
    _as_one,
)


def list_options(words: str) -> Decorator:
    """--sku-list, with `words` for what it is, and --mesh-root, both repeatable."""
    help_text = f"{words}; repeatable, the lists are taken together."
    option = click.option("--sku-list", "sku_lists", type=EXISTING_FILE, multiple=True, help=help_text)
    return with_options(option, mesh_root_option, _as_one)


backdrop_options = with_options(
    click.option(
        "--hdri",
        type=EXISTING_FOLDER,
        multiple=True,
        help="Folder of your HDRIs (.hdr, .exr); replaces the built-in ones; repeatable.",
    ),
    click.option(
        "--photos",
        type=EXISTING_FOLDER,
        multiple=True,
        help="Folder of photographs for backgrounds (your shops); repeatable.",
    ),
    click.option(
        "--surfaces",
        type=EXISTING_FOLDER,
        multiple=True,
        help="Folder of surface textures (table tops, shelves); repeatable.",
    ),
)
