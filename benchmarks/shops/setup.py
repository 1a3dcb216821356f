"""Seconds of setting up scenes of shops by number of products, beside the seconds of drawing them; frames per second.

    python benchmarks/shops/setup.py --scenes 5                 # sampling, labels, raster
    python benchmarks/shops/setup.py --scenes 2 --cycles good   # and one Cycles frame of each

Each scene once before the measurement: meshes are made once for a data set.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import click
from rich.console import Console
from rich.table import Table

from assets.backdrops.collection import Backdrops
from assets.catalog.generate import generate_csv
from assets.catalog.load import load_catalog
from assets.library import Library
from assets.machine import cache_folder
from render.backends import open_backend, resolve_preset
from render.labels import trace_geometry
from render.recipes import recipe_from_yaml
from render.sample import sample_scene
from render.scene import SceneSpec

# Copies of each product, about, by recipe.
COPIES = {"shelf": 6.0, "fridge": 7.0, "endcap": 16.0}
WIDTH, HEIGHT = 640, 480


@click.command()
@click.option("--scenes", default=5, show_default=True)
@click.option("--count", "counts", multiple=True, type=int, default=(20, 100, 300), show_default=True)
@click.option("--cycles", default="", help="preset of Cycles that also draws one scene of each")
def main(scenes: int, counts: tuple[int, ...], cycles: str) -> None:
    """Measure and print one table of medians."""
    with tempfile.TemporaryDirectory() as folder:
        skus = Path(folder) / "list.csv"
        skus.write_bytes(generate_csv(1000, seed=0))
        library = Library(load_catalog(str(skus)), Backdrops.open(), cache_dir=cache_folder(), memory_mb=4096)
        table = Table("recipe", "SKUs", "copies", "sample s", "labels s", "raster s", f"cycles {cycles} s")
        for name in COPIES:
            for count in counts:
                table.add_row(name, *_measure(name, count, library, scenes, cycles))
        Console(width=120).print(table)
        facings, seconds = _hundred_facings(library, scenes)
        Console().print(f"a shelf of {facings:.0f} facings: {1 / seconds:.2f} frames/s (raster, {WIDTH}x{HEIGHT})")


def _measure(name: str, wanted: int, library: Library, scenes: int, cycles: str) -> list[str]:
    different = max(round(wanted / COPIES[name]), 1)
    recipe = recipe_from_yaml(f"recipe: {name}\nproducts: {{count: {different}}}\n", where="benchmark")

    def sample(index: int) -> SceneSpec:
        return sample_scene(library, recipe, seed=0, index=index, view=0, width=WIDTH, height=HEIGHT)

    made = [sample(index) for index in range(scenes)]
    sampling = [_seconds(lambda index=index: sample(index)) for index in range(scenes)]
    tracing = []
    for scene in made:
        trace_geometry(scene, library)
        tracing.append(_seconds(lambda scene=scene: trace_geometry(scene, library)))
    copies = median(sum(placement.kind == "product" for placement in scene.placements) for scene in made)
    drawn = _draw(library, "raster", "draft", made)
    slow = _draw(library, "cycles", cycles, made[:1]) if cycles else float("nan")
    return [
        str(different),
        f"{copies:.0f}",
        f"{median(sampling):.3f}",
        f"{median(tracing):.3f}",
        f"{drawn:.3f}",
        f"{slow:.1f}",
    ]


def _hundred_facings(library: Library, scenes: int) -> tuple[float, float]:
    """Return the facings of shelves of one row of products, and the seconds of drawing a frame, medians."""
    tidy = "facings: [4, 4], rows: [1, 1], stack: 0, missing: 0, sold_out: 0, misplaced: 0, capped: 0, leaning: 0"
    recipe = recipe_from_yaml(f"recipe: shelf\nproducts: {{count: 30, {tidy}}}\n", where="benchmark")
    made = [
        sample_scene(library, recipe, seed=0, index=index, view=0, width=WIDTH, height=HEIGHT)
        for index in range(scenes)
    ]
    facings = median(sum(placement.kind == "product" for placement in scene.placements) for scene in made)
    return facings, _draw(library, "raster", "draft", made)


def _draw(library: Library, backend: str, preset: str, scenes: list[SceneSpec]) -> float:
    renderer = open_backend(library, resolve_preset(backend, preset))
    try:
        times = []
        for scene in scenes:
            renderer.render(scene)
            times.append(_seconds(lambda scene=scene: renderer.render(scene)))
        return median(times)
    finally:
        renderer.close()


def _seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
