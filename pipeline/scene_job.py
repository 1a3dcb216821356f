"""One scene in a worker process: drawn, rendered, labelled, written."""

from __future__ import annotations

import json
from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING

from assets.atomic import write_whole
from assets.errors import SynthError
from pipeline.layout import Layout, stem_of
from pipeline.run_settings import RunSettings

if TYPE_CHECKING:
    import numpy as np

    from assets.library import Library
    from render.backends import Backend
    from render.frame import Frame, Geometry
    from render.recipes.parts import Section
    from render.scene import SceneSpec

# From this quality on colour is stored at full resolution, below it halved, as cameras do.
FULL_COLOUR_QUALITY = 90


@dataclass
class _Worker:
    """What one process keeps from scene to scene."""

    settings: RunSettings
    library: Library
    recipe: Section
    backend: Backend


_worker: _Worker | None = None


def start_worker(settings: RunSettings) -> None:
    """Opens what all scenes need. Raises SynthError where that cannot be had: then no scene could be made."""
    _opened(settings)


def render_scene(settings: RunSettings, index: int) -> tuple[int, int]:
    """Renders all views of scene `index` and writes their files; returns how many pictures and annotations.

    Raises SynthError where the scene cannot be made.
    """
    worker = _opened(settings)
    counts = [_render_view(worker, index, view) for view in range(settings.views)]
    return len(counts), sum(counts)


def _opened(settings: RunSettings) -> _Worker:
    global _worker
    if _worker is None:
        _worker = _open_worker(settings)
    return _worker


def _open_worker(settings: RunSettings) -> _Worker:
    import cv2

    from pipeline.dataset_info import check_list
    from pipeline.resources import open_library, render_settings
    from render.backends import open_backend
    from render.recipes import load_recipe

    cv2.setNumThreads(settings.threads)
    library = open_library(settings.sku_list, settings.backdrops, settings.cache)
    check_list(Layout(settings.out), library.catalog)
    return _Worker(settings, library, load_recipe(settings.recipe), open_backend(library, render_settings(settings)))


def _render_view(worker: _Worker, index: int, view: int) -> int:
    from render.sample import draw_scene

    settings = worker.settings
    size = {"width": settings.width, "height": settings.height}
    scene = draw_scene(worker.library, worker.recipe, seed=settings.seed, index=index, view=view, **size)
    return write_picture(scene, worker.library, worker.backend, settings)


def write_picture(scene: SceneSpec, library: Library, backend: Backend, settings: RunSettings) -> int:
    """Renders a scene and writes its files into the run's folder; returns how many annotations it has."""
    from render.coco import annotation_record, image_record
    from render.draw import draw_frame

    layout, stem = Layout(settings.out), stem_of(scene.index, scene.view)
    # Before the picture: should rendering take the process down, the scene that did it is on record.
    write_whole(layout.scene(stem), scene.to_json().encode())
    frame = draw_frame(scene, library, backend)
    write_whole(layout.image(stem), jpeg_of(frame, scene))
    for kind in settings.extras:
        write_whole(layout.extra(kind, stem), EXTRAS[kind](scene, library, frame.geometry))
    image = image_record(scene, file_name=layout.image(stem).name, backend=settings.backend)
    fragment = {"image": image, "annotations": [annotation_record(item) for item in frame.annotations]}
    # Last: its presence says that the picture is complete.
    write_whole(layout.labels(stem), json.dumps(fragment, allow_nan=False, separators=(",", ":")).encode())
    return len(frame.annotations)


def jpeg_of(frame: Frame, scene: SceneSpec) -> bytes:
    """The stored picture, of the quality that the scene's sensor says."""
    from PIL import Image

    quality = scene.sensor.jpeg_quality
    buffer = BytesIO()
    subsampling = 0 if quality >= FULL_COLOUR_QUALITY else 2
    Image.fromarray(frame.rgb).save(buffer, "JPEG", quality=quality, subsampling=subsampling)
    return buffer.getvalue()


def depth_png(_scene: SceneSpec, _library: Library, geometry: Geometry) -> bytes:
    """16-bit PNG: depth along the optical axis in millimetres, 0 = nothing, 65535 = that or further."""
    import numpy as np

    millimetres = np.where(np.isfinite(geometry.depth), geometry.depth * 1000.0, 0.0)
    return _png((np.clip(millimetres, 0, 65535) + 0.5).astype(np.uint16))


def normals_png(scene: SceneSpec, library: Library, geometry: Geometry) -> bytes:
    """16-bit RGB PNG: (n + 1) / 2 * 65535 per axis of the camera's frame, 0 0 0 = nothing."""
    import numpy as np

    from render.labels import trace_normals

    coded = ((trace_normals(scene, library, geometry) + 1) / 2 * 65535 + 0.5).astype(np.uint16)
    coded[geometry.ids == 0] = 0
    return _png(coded[..., ::-1])


def ids_png(_scene: SceneSpec, _library: Library, geometry: Geometry) -> bytes:
    """16-bit PNG: 0 = background, k = the scene's placement k - 1."""
    import numpy as np

    return _png(geometry.ids.astype(np.uint16))


EXTRAS = {"depth": depth_png, "normals": normals_png, "ids": ids_png}


def _png(pixels: np.ndarray) -> bytes:
    import cv2

    encoded, data = cv2.imencode(".png", pixels, [cv2.IMWRITE_PNG_COMPRESSION, 3])
    if not encoded:
        raise SynthError("a PNG could not be encoded", found=f"{pixels.shape} {pixels.dtype}")
    return data.tobytes()
