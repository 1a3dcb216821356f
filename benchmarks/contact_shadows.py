"""How dark it is at the products' feet: raster against path tracing on the same scenes.

    python -m benchmarks.contact_shadows --scenes 6

Feet are pixels of the table within 25 mm of where a thing stands on it, and pixels of things up to 15 mm above the
table. Printed is the mean of log2(raster / Cycles) there and on all other pixels of the same kind (0 = alike, 0.1 = 7 %
too bright), and the mean error in codes of 255 after the same exposure.
"""

from __future__ import annotations

import click
import numpy as np
from numpy.typing import NDArray

from assets.backdrops.collection import Backdrops
from assets.catalog.load import load_catalog
from assets.color import LUMINANCE, srgb_from_linear
from assets.demo import demo_list
from assets.library import Library
from assets.machine import cache_folder
from render.backends import open_backend
from render.backends.protocol import RenderSettings
from render.geometry import pixel_rays, transform
from render.labels import trace_geometry
from render.recipes import load_recipe
from render.sample import sample_scene
from render.scene import SceneSpec
from render.sensor import meter

BESIDE_M, ABOVE_M = 0.025, 0.015


@click.command()
@click.option("--scenes", default=6, show_default=True)
@click.option("--samples", default=64, show_default=True, help="Of Cycles, denoised.")
@click.option("--streams", default=2, show_default=True)
def main(scenes: int, samples: int, streams: int) -> None:
    """Prints one line per kind of pixel."""
    library = Library(load_catalog(demo_list()), Backdrops.open(), cache_dir=cache_folder())
    recipe = load_recipe("tabletop", streams=streams)
    specs = [
        sample_scene(library, recipe, seed=4, index=index, view=0, width=320, height=240, streams=streams)
        for index in range(scenes)
    ]
    images = {
        name: render_all(library, specs, RenderSettings(name, samples=count, denoise=name == "cycles", threads=0))
        for name, count in (("raster", 4), ("cycles", samples))
    }
    found: dict[str, list[NDArray]] = {}
    for number, spec in enumerate(specs):
        for kind, mask in kinds_of(spec, library).items():
            found.setdefault(kind, []).append(compare(images["raster"][number], images["cycles"][number], mask))
    for kind, parts in found.items():
        ratios, errors = np.concatenate(parts, axis=1)
        click.echo(f"{kind:16} {len(ratios):7} px  log2 {ratios.mean():+.3f}  error {errors.mean():.2f} of 255")


def render_all(library: Library, specs: list[SceneSpec], settings: RenderSettings) -> list[NDArray[np.float32]]:
    """The scenes' light, (H, W, 3) each, linear."""
    backend = open_backend(library, settings)
    images = [backend.render(spec)[..., :3] for spec in specs]
    backend.close()
    return images


def kinds_of(spec: SceneSpec, library: Library) -> dict[str, NDArray[np.bool_]]:
    """Masks (H, W): the table at feet and elsewhere, things at their feet and elsewhere."""
    from scipy.spatial import cKDTree

    geometry = trace_geometry(spec, library)
    camera = spec.camera
    rays = pixel_rays(camera, 0, 0, camera.width, camera.height)
    depth = np.where(np.isfinite(geometry.depth), geometry.depth, 0)
    points = transform(camera.world_from_camera, (rays / rays[..., 2:] * depth[..., None]).reshape(-1, 3))
    points = points.reshape(*depth.shape, 3)
    table = geometry.ids == len(spec.placements)
    things = (geometry.ids > 0) & ~table
    low = things & (points[..., 2] < ABOVE_M)
    near = np.zeros_like(table)
    if low.any() and table.any():
        away, _ = cKDTree(points[low][:, :2]).query(points[table][:, :2])
        near[table] = away < BESIDE_M
    return {
        "table at feet": near,
        "table elsewhere": table & ~near,
        "things at feet": low,
        "things elsewhere": things & ~low,
    }


def compare(ours: NDArray, theirs: NDArray, mask: NDArray[np.bool_]) -> NDArray[np.float64]:
    """(2, N): log2 of luminance against the other's, and the difference in codes, of the masked pixels."""
    ratio = np.log2((ours[mask] @ LUMINANCE + 1e-5) / (theirs[mask] @ LUMINANCE + 1e-5))
    gain = meter(theirs)
    coded = [srgb_from_linear(np.clip(image[mask] * gain, 0, 1)) for image in (ours, theirs)]
    return np.stack([ratio, 255 * np.abs(coded[0] - coded[1]).mean(axis=-1)])


if __name__ == "__main__":
    main()
