"""Seconds of the first view of a scene and of its further views, with every step of them.

    python benchmarks/shops/second_view.py --scenes 6 --size 640 480

Every scene shows products that the process has not seen, as in a large catalogue; their meshes are in the cache folder.
Seconds are of the processor, so that other work on the machine counts for little.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from assets.backdrops.collection import Backdrops
from assets.catalog.generate import generate_csv
from assets.catalog.load import load_catalog
from assets.library import Library
from assets.machine import cache_folder
from render.backends import open_backend
from render.backends.protocol import Backend, RenderSettings
from render.background import composite
from render.labels import annotate, trace_geometry
from render.recipes import load_recipe
from render.recipes.mix import Recipe
from render.sample import sample_scene
from render.sensor import develop
from render.warp import render_light

STEPS = ("sample", "labels", "raster", "develop")
VIEWS = 3


@click.command()
@click.option("--scenes", default=6, show_default=True)
@click.option(
    "--recipe", "recipes", multiple=True, default=("shelf", "fridge", "endcap", "tabletop"), show_default=True
)
@click.option("--size", type=(int, int), default=(640, 480), show_default=True, help="Width and height.")
def main(scenes: int, recipes: tuple[str, ...], size: tuple[int, int]) -> None:
    """Measure and print one table of medians over the scenes."""
    with tempfile.TemporaryDirectory() as folder:
        skus = Path(folder) / "list.csv"
        skus.write_bytes(generate_csv(4000, seed=0))
        table = Table("recipe", "view", *(f"{step} s" for step in STEPS), "total s", "share of the first")
        for name in recipes:
            # The first pass leaves the meshes in the cache folder.
            for _ in range(2):
                library = Library(load_catalog(str(skus)), Backdrops.open(), cache_dir=cache_folder(), memory_mb=1024)
                backend = open_backend(library, RenderSettings("raster", samples=4, threads=1))
                rows = [_scene(library, backend, load_recipe(name), index, size) for index in range(scenes)]
                backend.close()
            _add(table, name, rows)
        Console(width=120).print(table)


def _scene(library: Library, backend: Backend, recipe: Recipe, index: int, size: tuple[int, int]) -> list[list[float]]:
    """Return the seconds of each step of each view of a scene."""
    return [_view(library, backend, recipe, index, view, size) for view in range(VIEWS)]


def _view(
    library: Library, backend: Backend, recipe: Recipe, index: int, view: int, size: tuple[int, int]
) -> list[float]:
    seconds: list[float] = []
    width, height = size

    def timed(step: Callable[[], Any]) -> Any:
        start = time.process_time()
        made = step()
        seconds.append(time.process_time() - start)
        return made

    scene = timed(lambda: sample_scene(library, recipe, seed=0, index=index, view=view, width=width, height=height))
    timed(lambda: annotate(scene, trace_geometry(scene, library)))
    light = timed(lambda: composite(render_light(backend, scene), scene, library.backdrops))
    timed(lambda: develop(light, scene.sensor))
    return seconds


def _add(table: Table, name: str, rows: list[list[list[float]]]) -> None:
    for view in range(VIEWS):
        steps = [median(row[view][step] for row in rows) for step in range(len(STEPS))]
        share = median(sum(row[view]) / sum(row[0]) for row in rows)
        total = median(sum(row[view]) for row in rows)
        table.add_row(name, str(view + 1), *(f"{step:.2f}" for step in steps), f"{total:.2f}", f"{share:.0%}")


if __name__ == "__main__":
    main()
