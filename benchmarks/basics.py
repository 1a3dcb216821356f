"""Basic figures of a machine: catalogue loading, scene drawing, labels, and frames of each backend.

    python benchmarks/basics.py --scenes 10            # the demo catalogue
    python benchmarks/basics.py --sku-list skus.csv

The times of drawing, labels and backends are of the same scenes in the same run, after one scene to warm up.
"""

from __future__ import annotations

import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from assets.backdrops.collection import Backdrops
from assets.catalog.load import load_catalog
from assets.demo import demo_list
from assets.errors import SynthError
from assets.library import Library
from assets.machine import cache_folder
from render.backends import BACKENDS, open_backend, resolve_preset
from render.labels import annotate, trace_geometry
from render.make_frame import render_frame
from render.recipes import load_recipe
from render.sample import sample_scene
from render.scene import SceneSpec

ROWS = 170_000


@click.command()
@click.option("--sku-list", type=click.Path(exists=True, path_type=Path), default=demo_list())
@click.option("--scenes", default=10, show_default=True)
@click.option("--size", default="640x480", show_default=True)
def main(sku_list: Path, scenes: int, size: str) -> None:
    """Measures and prints one table."""
    width, height = (int(side) for side in size.split("x"))
    table = Table("what", "result", title=f"{sku_list.name}, {scenes} scenes, {size}")
    table.add_row(f"catalogue of {ROWS} rows", _catalogue())
    library = Library(load_catalog(sku_list), Backdrops.open(), cache_dir=cache_folder())
    recipe = load_recipe("tabletop")

    def draw(index: int) -> SceneSpec:
        return sample_scene(library, recipe, seed=0, index=index, view=0, width=width, height=height)

    specs = [draw(index) for index in range(scenes + 1)]
    table.add_row("drawing a scene", _each(draw, range(1, scenes + 1)))
    label = _each(lambda index: annotate(specs[index], trace_geometry(specs[index], library)), range(1, scenes + 1))
    table.add_row("labels of a scene", label)
    for name in BACKENDS:
        table.add_row(f"{name}, whole frame", _frames(name, library, specs))
    Console().print(table)


def _catalogue() -> str:
    """Seconds and growth in memory of loading a list as long as a large retailer's."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "skus.csv"
        rows = (f"{4000000000000 + i},Product {i},group {i % 90},carton,0.1,0.2,0.05\n" for i in range(ROWS))
        path.write_text("sku,name,category,package,width_m,height_m,depth_m\n" + "".join(rows))
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        started = time.perf_counter()
        load_catalog(path)
        seconds = time.perf_counter() - started
        grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    return f"{seconds:.1f} s, {grown:.0f} MiB"


def _frames(name: str, library: Library, specs: list[SceneSpec]) -> str:
    try:
        backend = open_backend(library, resolve_preset(name, "draft"))
    except SynthError as error:
        return f"not here: {error.what}"
    try:
        render_frame(specs[0], library, backend)
        return _each(lambda index: render_frame(specs[index], library, backend), range(1, len(specs)))
    finally:
        backend.close()


def _each(work: Callable[[int], object], indices: range) -> str:
    """Mean seconds of one call."""
    started = time.perf_counter()
    for index in indices:
        work(index)
    return f"{(time.perf_counter() - started) / len(indices):.3f} s"


if __name__ == "__main__":
    main()
