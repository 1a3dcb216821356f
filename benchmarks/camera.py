"""Cost of the camera's optics: whole frames, and where the time goes, with each preset and without any.

    python benchmarks/camera.py --scenes 8             # the demo catalogue, raster

The same scenes in the same run, with every setting in turn for each of them, after one scene to warm up: ratios hold on
a busy machine.
"""

from __future__ import annotations

import time
from dataclasses import replace
from statistics import median
from typing import Any

import click
import numpy as np
from rich.console import Console
from rich.table import Table

from assets.backdrops.collection import Backdrops
from assets.catalog.load import load_catalog
from assets.demo import demo_list
from assets.library import Library
from assets.machine import cache_folder
from render.backends import open_backend, resolve_preset
from render.background import composite
from render.geometry import image_rays
from render.labels import annotate, trace_geometry
from render.make_frame import _circles
from render.recipes import load_recipe, recipe_from_yaml
from render.recipes.cameras import CAMERAS
from render.sample import sample_scene
from render.scene import SceneSpec
from render.sensor import develop
from render.warp import render_light

STEPS = ("rays", "light", "labels", "develop")


@click.command()
@click.option("--scenes", default=8, show_default=True)
@click.option("--backend", default="raster", show_default=True)
@click.option("--size", default="640x480", show_default=True)
def main(scenes: int, backend: str, size: str) -> None:
    """Measure and print one table: median seconds per step, and the whole as a multiple of a frame without optics."""
    width, height = (int(side) for side in size.split("x"))
    library = Library(load_catalog(demo_list()), Backdrops.open(), cache_dir=cache_folder())
    renderer = open_backend(library, replace(resolve_preset(backend, "draft"), threads=1))
    recipes = {"none": load_recipe("tabletop")}
    recipes |= {name: recipe_from_yaml(f"recipe: tabletop\noptics: {name}", where=name) for name in CAMERAS}
    times: dict[str, list[list[float]]] = {name: [] for name in recipes}
    for index in range(scenes + 1):
        for name, recipe in recipes.items():
            scene = sample_scene(library, recipe, seed=0, index=index, view=0, width=width, height=height)
            times[name].append(_time_steps(scene, library, renderer))
    table = Table("optics", *STEPS, "whole", "ratio", title=f"{backend}, {scenes} scenes, {size}")
    whole = {name: np.array(rows[1:]).sum(axis=1) for name, rows in times.items()}
    for name, rows in times.items():
        steps = [f"{median(column):.3f}" for column in zip(*rows[1:], strict=True)]
        table.add_row(name, *steps, f"{np.median(whole[name]):.3f}", f"{np.median(whole[name] / whole['none']):.2f}")
    Console().print(table)


def _time_steps(scene: SceneSpec, library: Library, renderer: Any) -> list[float]:
    """Return the seconds of each step, one after the other (a run traces labels while it renders)."""
    marks = [time.perf_counter()]
    if not scene.camera.is_pinhole:
        image_rays(scene.camera)
    marks.append(time.perf_counter())
    light = composite(render_light(renderer, scene), scene, library.backdrops)
    marks.append(time.perf_counter())
    geometry = trace_geometry(scene, library)
    annotate(scene, geometry)
    marks.append(time.perf_counter())
    develop(light, scene.sensor, geometry.ids > 0, _circles(scene, geometry))
    marks.append(time.perf_counter())
    return list(np.diff(marks))


if __name__ == "__main__":
    main()
