"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from pipeline.cli_choices import BACKEND, PRESET, Recipe
from pipeline.cli_types import EXISTING_FOLDER

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
        type=Recipe(),
        multiple=True,
        default=("tabletop",),
        help="How scenes are arranged; several share them: --recipe tabletop:0.7 --recipe scatter:0.3.",
    ),
    click.option("--backend", type=BACKEND, default="raster", help="raster is fast, cycles path traces."),
    click.option("--preset", type=PRESET, default="draft", help="How much work goes into a picture."),
)
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
