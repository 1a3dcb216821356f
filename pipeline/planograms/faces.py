"""Faces of products as the shopper sees them from the front, without perspective: pictures for drawings of shelves."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image

from assets.backdrops.collection import Backdrops
from assets.catalog.types import Catalog
from assets.color import srgb_from_linear
from assets.errors import SynthError
from assets.library import Library
from assets.planogram.orientation import orientation_rotation
from pipeline.workers.mesh_process import MeshProcess
from render.backends import DEFAULT_BACKEND, open_backend, resolve_preset
from render.backends.protocol import Backend
from render.geometry import look_at, transform
from render.scene import Camera, Environment, Placement, SceneSpec

FACE_PX = 192
# Distance in longest sides of the product, at which perspective is under a pixel.
DISTANCE = 60.0


class FacePainter:
    """Renders faces of the products of one library."""

    def __init__(self, library: Library, backend: Backend) -> None:
        self._library, self._backend = library, backend

    def face(self, sku: str, orientation: str) -> Image.Image | None:
        """Render a face of a product, cut to its outline, RGBA; None if its mesh is unusable."""
        try:
            corners = self._library.rest(sku).hull_vertices
        except SynthError:
            return None
        pose = np.eye(4)
        pose[:3, :3] = orientation_rotation(orientation)
        turned = transform(pose, corners)
        low, high = turned.min(axis=0), turned.max(axis=0)
        rgba = self._backend.render(_scene(sku, pose, (low + high) / 2, high - low))
        light = rgba[..., :3] / np.maximum(rgba[..., 3:], 1e-3)
        color = np.clip(srgb_from_linear(light), 0, 1)
        image = Image.fromarray((np.dstack([color, rgba[..., 3]]) * 255 + 0.5).clip(0, 255).astype(np.uint8), "RGBA")
        return image.crop(image.getchannel("A").getbbox())


@contextmanager
def open_painter(catalog: Catalog, cache: Path) -> Iterator[FacePainter]:
    """Open what faces are rendered with."""
    with MeshProcess() as load:
        library = Library(catalog, Backdrops.open(), cache_dir=cache, load=load)
        backend = open_backend(library, resolve_preset(DEFAULT_BACKEND, "good"))
        try:
            yield FacePainter(library, backend)
        finally:
            backend.close()


def _scene(sku: str, pose: np.ndarray, middle: np.ndarray, size: np.ndarray) -> SceneSpec:
    """Return a scene with the product alone, seen from -Y."""
    longest = float(size.max())
    distance = longest * DISTANCE
    scale = (FACE_PX - 4) / max(float(size[0]), float(size[2]))  # pixels a metre
    width, height = (int(np.ceil(side * scale)) + 4 for side in (size[0], size[2]))
    focal = scale * distance
    K = np.array([[focal, 0, width / 2], [0, focal, height / 2], [0, 0, 1]])
    # Sharp at the face that looks forward.
    eye = middle - [0, distance + size[1] / 2, 0]
    return SceneSpec(
        recipe="planogram",
        seed=0,
        index=0,
        view=0,
        camera=Camera(max(width, 8), max(height, 8), K, look_at(eye, middle)),
        placements=(Placement("product", sku, pose),),
        lights=(),
        environment=Environment("builtin/office", rotation=-0.4),
    )
