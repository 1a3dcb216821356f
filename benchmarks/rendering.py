"""Rendering against the bare engines: what labels, files and the change from scene to scene cost on top of an image.

    python benchmarks/rendering.py --sku-list skus.csv              # everything but the long ones
    python benchmarks/rendering.py --sku-list skus.csv --only cycles --scenes 12
    python benchmarks/rendering.py --sku-list skus.csv --only workers --only coco --annotations 1000000

Ours and theirs take turns on the same scenes in the same process, and every ratio is of two times of one scene; the
table gives the median of them and the range of its middle half.
"""

from __future__ import annotations

import os
import resource
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click
import numpy as np
from rich.console import Console
from rich.table import Table

from assets.backdrops.collection import Backdrops
from assets.catalog.load import load_catalog
from assets.demo import demo_list
from assets.errors import SynthError
from assets.library import Library
from assets.machine import cache_folder, usable_cores
from assets.mesh.types import Mesh
from pipeline.run.resources import render_settings
from pipeline.run.scene import write_image
from pipeline.run.settings import RunSettings
from render.backends import open_backend
from render.backends.protocol import Backend
from render.coco import annotation_record
from render.labels import annotate, trace_geometry
from render.recipes import recipe_from_yaml
from render.recipes.mix import Recipe
from render.sample import sample_scene
from render.scene import SceneSpec, mesh_of

WARM_UP = 2
FOLDERS = ["images", "scenes", "labels", "annotations"]


@dataclass(frozen=True)
class Bench:
    """What is measured on. scenes: how many after the first WARM_UP."""

    library: Library
    sku_list: Path
    scenes: int
    device: str
    table: Table
    annotations: int

    def settings(self, out: Path, **more: Any) -> RunSettings:
        for name in FOLDERS:
            (out / name).mkdir(parents=True, exist_ok=True)
        base = RunSettings(sku_list=self.sku_list, out=out, scenes=1, device=self.device, cache=cache_folder())  # type: ignore[arg-type]
        return replace(base, **more)


def crowded(products: int) -> Recipe:
    """The tabletop recipe with that many products in each scene."""
    return recipe_from_yaml(f"recipe: tabletop\nproducts:\n  count: [{products}, {products}]\n", where="benchmark")


@click.command()
@click.option("--sku-list", type=click.Path(exists=True, path_type=Path), default=demo_list())
@click.option("--scenes", default=10, show_default=True)
@click.option("--device", type=click.Choice(["auto", "cpu", "gpu"]), default="auto", show_default=True)
@click.option("--annotations", default=100_000, show_default=True, help="For --only coco.")
@click.option("--only", multiple=True, type=click.Choice(["cycles", "raster", "labels", "coco", "workers"]))
def main(sku_list: Path, scenes: int, device: str, annotations: int, only: tuple[str, ...]) -> None:
    """Measures and prints one table."""
    library = Library(load_catalog(sku_list), Backdrops.open(), cache_dir=cache_folder())
    table = Table("what", "result", title=f"{sku_list.name}, {scenes} scenes, {usable_cores()} cores, device {device}")
    bench = Bench(library, sku_list, scenes, device, table, annotations)
    for name in only or ("cycles", "raster", "labels"):
        with suppress(_NotHere):
            PARTS[name](bench)
    Console().print(table)


class _NotHere(Exception):
    """The part cannot be measured on this machine; the table says why."""


def measure_cycles(bench: Bench) -> None:
    """A labelled frame, drawn, rendered, labelled and written, against Blender's own operator on the same scene."""
    with tempfile.TemporaryDirectory() as folder:
        settings = bench.settings(Path(folder), backend="cycles", samples=8)
        backend = _open(bench, settings)
        recipe = crowded(30)
        ours, bare = [], []
        for index in range(WARM_UP + bench.scenes):
            scene, seconds = _timed(lambda i=index: _frame(bench, recipe, backend, settings, i))
            ours.append(seconds)
            bare.append(_bare_cycles(backend, scene))
        backend.close()
    _add_ratio(bench, "cycles, 30 products, 8 samples, denoised, written", ours, "bpy.ops.render.render", bare)


def _bare_cycles(backend: Any, scene: SceneSpec) -> float:
    """Seconds of the operator alone: the scene stands, nothing is read back or written."""
    from render.backends.cycles.start import silence, start_blender

    operators = start_blender().ops  # what is started already is not started again
    with backend.staged(scene) as staged, silence():
        return _timed(lambda: operators.render.render(scene=staged.name))[1]


def measure_raster(bench: Bench) -> None:
    """A labelled frame against pyrender's colour and id passes over the same meshes from the same camera."""
    with tempfile.TemporaryDirectory() as folder:
        settings = bench.settings(Path(folder), backend="raster")
        backend: Any = _open(bench, settings)
        bench.table.add_row("raster draws on", backend.device)
        recipe, theirs = crowded(30), _Pyrender(640, 480)
        ours, bare = [], []
        for index in range(WARM_UP + bench.scenes):
            scene, seconds = _timed(lambda i=index: _frame(bench, recipe, backend, settings, i))
            ours.append(seconds)
            bare.append(_timed(lambda s=scene: theirs.draw(s, bench.library))[1])
        backend.close()
    _add_ratio(bench, "raster, 30 products, written", ours, "pyrender, colour + ids", bare)


class _Pyrender:
    """pyrender as its users call it: meshes kept, a scene of nodes for each image, one light, flat ids."""

    def __init__(self, width: int, height: int) -> None:
        # After the backend has set the platform and what pyrender misses in newer numpy.
        import pyrender  # noqa: TID251  (the other side of the comparison)

        self._pyrender = pyrender
        self._renderer = pyrender.OffscreenRenderer(width, height)
        self._meshes: dict[str, Any] = {}

    def draw(self, scene: SceneSpec, library: Library) -> None:
        """Colour, then ids."""
        opencv = np.diag([1.0, -1.0, -1.0, 1.0])
        pyrender, camera = self._pyrender, scene.camera
        nodes = pyrender.Scene(ambient_light=[0.3, 0.3, 0.3])
        lens = pyrender.IntrinsicsCamera(camera.K[0, 0], camera.K[1, 1], camera.K[0, 2], camera.K[1, 2])
        nodes.add(lens, pose=camera.world_from_camera @ opencv)
        nodes.add(pyrender.DirectionalLight(intensity=3.0), pose=camera.world_from_camera @ opencv)
        ids = {}
        for number, placement in enumerate(scene.placements, start=1):
            node = nodes.add(self._mesh(mesh_of(library, placement)), pose=placement.world_from_object)
            ids[node] = (number % 256, number // 256, 0)
        self._renderer.render(nodes)
        self._renderer.render(nodes, flags=pyrender.RenderFlags.SEG, seg_node_map=ids)

    def _mesh(self, mesh: Mesh) -> Any:
        if mesh.key not in self._meshes:
            self._meshes[mesh.key] = self._pyrender.Mesh([self._primitive(mesh, part) for part in mesh.parts])
        return self._meshes[mesh.key]

    def _primitive(self, mesh: Mesh, part: Any) -> Any:
        look, texture = part.material, None
        if look.texture is not None:
            texture = self._pyrender.Texture(source=look.texture[..., :3].copy(), source_channels="RGB")
        material = self._pyrender.MetallicRoughnessMaterial(
            baseColorFactor=look.base_color,
            metallicFactor=look.metallic,
            roughnessFactor=look.roughness,
            baseColorTexture=texture,
        )
        faces = mesh.faces[part.face_start : part.face_stop]
        return self._pyrender.Primitive(
            positions=mesh.vertices, normals=mesh.normals, texcoord_0=mesh.uv, indices=faces, material=material, mode=4
        )


def measure_labels(bench: Bench) -> None:
    """Labels and COCO records of full HD images with 100 products, in processor time of one thread."""
    recipe = crowded(100)
    for width, height in ((640, 480), (1920, 1080)):
        times, counts = [], []
        for index in range(WARM_UP + bench.scenes):
            scene = sample_scene(bench.library, recipe, seed=1, index=index, view=0, width=width, height=height)
            for placement in scene.placements:
                mesh_of(bench.library, placement)  # the image needs them as well
            started = time.process_time()
            records = [annotation_record(item) for item in annotate(scene, trace_geometry(scene, bench.library))]
            times.append(time.process_time() - started)
            counts.append(len(records))
        result = f"{np.median(times[WARM_UP:]):.3f} s, worst {max(times[WARM_UP:]):.3f} s"
        bench.table.add_row(f"labels + COCO records, {width}x{height}, {np.mean(counts):.0f} annotations", result)


def measure_coco(bench: Bench) -> None:
    """Writing, merging and verifying sets of a tenth and of all annotations: time, and whether memory stays flat."""
    from concurrent.futures import ProcessPoolExecutor
    from multiprocessing import get_context

    for count in (bench.annotations // 10, bench.annotations):
        with tempfile.TemporaryDirectory() as folder, ProcessPoolExecutor(1, get_context("spawn")) as process:
            figures = process.submit(_coco, bench.sku_list, Path(folder), count).result()
        for what, seconds, megabytes in figures:
            bench.table.add_row(f"{count:,} annotations {what}", f"{seconds:.1f} s, peak {megabytes:.0f} MiB")


def _coco(sku_list: Path, out: Path, count: int) -> list[tuple[str, float, float]]:
    """One rendered scene, repeated under other indices, then merged and verified. (what, seconds, peak MiB)."""
    from rendering_coco import repeat_scene

    return repeat_scene(sku_list, out, count, _peak_mb)


def measure_workers(bench: Bench) -> None:
    """Scenes a second of a whole run with one worker on one core, and with a worker on each."""
    from io import StringIO

    from assets.progress import Reporter
    from pipeline.run.render import run_render

    cores = sorted(os.sched_getaffinity(0))
    for name, scenes, more in (("raster", 24 * bench.scenes, {}), ("cycles", 2 * bench.scenes, {"samples": 8})):
        rates, busy = [], 0.0
        for mine in (cores[:1], cores):
            os.sched_setaffinity(0, mine)
            with tempfile.TemporaryDirectory() as folder:
                run = RunSettings(
                    sku_list=bench.sku_list,
                    out=Path(folder),
                    scenes=scenes,
                    backend=name,
                    workers=len(mine),
                    cache=cache_folder(),
                    **more,
                )
                before = resource.getrusage(resource.RUSAGE_CHILDREN)
                summary = run_render(run, Reporter(Console(file=StringIO())))
                after = resource.getrusage(resource.RUSAGE_CHILDREN)
            rates.append(summary.made / summary.seconds)
            spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
            busy = spent / (summary.seconds * len(mine))
        told = f"{rates[0]:.2f} and {rates[1]:.2f} scenes/s: x {rates[1] / rates[0]:.2f}, cores {busy:.0%} busy"
        bench.table.add_row(f"{name}, one worker on one core and {len(cores)} on {len(cores)}", told)


def _frame(bench: Bench, recipe: Recipe, backend: Backend, settings: RunSettings, index: int) -> SceneSpec:
    size = {"width": settings.width, "height": settings.height}
    scene = sample_scene(bench.library, recipe, seed=0, index=index, view=0, **size)
    write_image(scene, bench.library, backend, settings)
    return scene


def _open(bench: Bench, settings: RunSettings) -> Backend:
    try:
        return open_backend(bench.library, render_settings(settings))
    except SynthError as error:
        bench.table.add_row(settings.backend, f"not here: {error.what}")
        raise _NotHere from error


def _timed(work: Callable[[], Any]) -> tuple[Any, float]:
    started = time.perf_counter()
    result = work()
    return result, time.perf_counter() - started


def _add_ratio(bench: Bench, what: str, ours: list[float], other: str, theirs: list[float]) -> None:
    mine, bare = np.array(ours[WARM_UP:]), np.array(theirs[WARM_UP:])
    low, middle, high = np.percentile(mine / bare, [25, 50, 75])
    bench.table.add_row(what, f"{np.median(mine):.3f} s, {1 / np.median(mine):.2f} frames/s")
    bench.table.add_row(other, f"{np.median(bare):.3f} s")
    bench.table.add_row("ratio", f"{middle:.2f} ({low:.2f} to {high:.2f})")


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


PARTS: dict[str, Callable[[Bench], None]] = {
    "cycles": measure_cycles,
    "raster": measure_raster,
    "labels": measure_labels,
    "coco": measure_coco,
    "workers": measure_workers,
}

if __name__ == "__main__":
    main()
