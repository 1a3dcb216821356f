"""Images of single products for the catalogue's contact sheet."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from assets.backdrops.collection import Backdrops
from assets.catalog.types import Catalog, Sku
from assets.color import srgb_from_linear
from assets.library import Library
from pipeline.preview.sheet import INK, font, shorten
from pipeline.workers.mesh_process import MeshProcess
from render.backends import DEFAULT_BACKEND, open_backend, resolve_preset
from render.backends.protocol import Backend
from render.framing import direction_of
from render.geometry import look_at
from render.scene import Camera, Environment, Placement, SceneSpec

VIEW_PX = 200
CAPTION_PX = 54
# Front three-quarter, side three-quarter, back from above: the front faces -Y.
AZIMUTHS = (np.radians(-65), np.radians(25), np.radians(115))
ELEVATION = np.radians(20)
# Distance in sizes of the largest product, at which perspective hardly changes the scale.
CAMERA_DISTANCE = 12.0
BACKGROUND = 0.93
RULERS_M = (1.0, 0.5, 0.2, 0.1, 0.05, 0.02, 0.01)


def product_tiles(catalog: Catalog, positions: Sequence[int], cache: Path | None = None) -> Iterator[Image.Image]:
    """Yield a tile for each of the products at these positions of the catalogue. cache: None for the default folder.

    Raises SynthError if a mesh is unusable.
    """
    from assets.machine import cache_folder

    keys = [catalog.keys[position] for position in positions]
    with MeshProcess() as load:
        library = Library(catalog, Backdrops.open(), cache_dir=cache or cache_folder(), load=load)
        yield from _render_tiles(library, keys)


def _render_tiles(library: Library, keys: Sequence[str]) -> Iterator[Image.Image]:
    largest = max(float(np.linalg.norm(library.product(key).size)) for key in keys)
    backend = open_backend(library, resolve_preset(DEFAULT_BACKEND, "good"))
    try:
        for key in keys:
            yield _render_tile(library, backend, library.catalog.find(key), largest)
    finally:
        backend.close()


def _render_tile(library: Library, backend: Backend, sku: Sku, largest: float) -> Image.Image:
    mesh = library.product(sku.sku)
    tile = Image.new(
        "RGB",
        (VIEW_PX * len(AZIMUTHS), VIEW_PX + CAPTION_PX),
        (round(float(srgb_from_linear(np.array(BACKGROUND))) * 255),) * 3,
    )
    for number, azimuth in enumerate(AZIMUTHS):
        scene = _portrait_scene(sku.sku, np.array([0, 0, mesh.size[2] / 2]), float(azimuth), largest)
        rgba = backend.render(scene)
        light = rgba[..., :3] + (1 - rgba[..., 3:]) * BACKGROUND
        encoded = (np.clip(srgb_from_linear(light), 0, 1) * 255 + 0.5).astype(np.uint8)
        tile.paste(Image.fromarray(encoded), (number * VIEW_PX, 0))
    _draw_caption(tile, sku, mesh.size, len(mesh.faces), largest)
    return tile


def _portrait_scene(key: str, aim: np.ndarray, azimuth: float, largest: float) -> SceneSpec:
    distance = largest * CAMERA_DISTANCE
    focal = VIEW_PX / (largest * 1.08) * distance
    K = np.array([[focal, 0, VIEW_PX / 2], [0, focal, VIEW_PX / 2], [0, 0, 1]])
    pose = look_at(aim + direction_of(azimuth, ELEVATION) * distance, aim)
    return SceneSpec(
        recipe="catalogue",
        seed=0,
        index=0,
        view=0,
        camera=Camera(VIEW_PX, VIEW_PX, K, pose),
        placements=(Placement("product", key, np.eye(4)),),
        lights=(),
        environment=Environment("builtin/office", rotation=azimuth + 1.2),
    )


def _draw_caption(tile: Image.Image, sku: Sku, size: np.ndarray, faces: int, largest: float) -> None:
    draw = ImageDraw.Draw(tile)
    draw.text((6, VIEW_PX + 14), shorten(sku.name, 52), fill=INK, font=font(15), anchor="lm")
    sides = " x ".join(f"{side * 100:.1f}" for side in size)
    about = f"{shorten(sku.sku, 26)}   {sides} cm (w x d x h)   {faces} faces"
    draw.text((6, VIEW_PX + 36), about, fill=(90, 90, 94), font=font(12), anchor="lm")
    metre_px = VIEW_PX / (largest * 1.08)
    ruler = next((length for length in RULERS_M if length * metre_px <= 110), RULERS_M[-1])
    right = tile.width - 10
    draw.line((right - ruler * metre_px, VIEW_PX + 10, right, VIEW_PX + 10), fill=INK, width=3)
    draw.text((right, VIEW_PX + 24), f"{ruler * 100:g} cm", fill=INK, font=font(11), anchor="rm")
