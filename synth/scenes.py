"""From a catalogue to labelled images: products, scenes, renderers."""

from __future__ import annotations

import ctypes
import io
import sys
from collections.abc import Iterable
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Literal

from assets.catalog.load import load_catalog
from assets.demo import demo_list
from assets.library import Library
from render.backends import DEFAULT_BACKEND

if TYPE_CHECKING:
    from PIL.Image import Image

    from assets.catalog.types import Catalog
    from render.backends.protocol import Backend
    from render.frame import Frame
    from render.recipes.mix import Recipe
    from render.scene import SceneSpec

Folders = Iterable[str | Path]


def demo_catalog() -> Catalog:
    """Load the demo catalogue: sixteen invented products that need no files."""
    return load_catalog(demo_list())


def open_library(
    catalog: Catalog,
    *,
    hdri: Folders = (),
    photos: Folders = (),
    surfaces: Folders = (),
    fixtures: Folders = (),
    planograms: Folders = (),
    cache: str | Path | None = None,
) -> Library:
    """Open the meshes of a catalogue and the backdrops of its scenes; both are read when a scene needs them.

    hdri, photos, surfaces, fixtures: folders of environment maps, background photographs, table textures and meshes of
    shelves; without any, those of the project. planograms: files whose bays the recipes shelf and fridge stand up.
    cache: folder of normalised meshes, by default that of the command line (~/.cache/synth).
    Raises SynthError where a folder is missing or empty.
    """
    from assets.machine import cache_folder
    from pipeline.run.resources import open_backdrops
    from pipeline.run.settings import BackdropFolders

    folders = [tuple(Path(folder) for folder in some) for some in (hdri, photos, surfaces, fixtures, planograms)]
    backdrops = open_backdrops(BackdropFolders(*folders))
    return Library(catalog, backdrops, cache_dir=cache_folder() if cache is None else Path(cache))


def sample_scene(
    library: Library,
    recipe: Recipe | str = "tabletop",
    *,
    seed: int,
    index: int,
    view: int = 0,
    width: int = 640,
    height: int = 480,
) -> SceneSpec:
    """Sample scene number `index` of a seed, seen by camera number `view`: equal arguments give equal scenes.

    recipe: of `load_recipe`, or its name. width, height: of the image, pixels. The scene is plain data with a JSON
    round trip; all randomness is in it. Raises SynthError for an unknown recipe and a mesh that cannot be read.
    """
    from render.recipes import load_recipe
    from render.sample import sample_scene

    made = load_recipe(recipe) if isinstance(recipe, str) else recipe
    return sample_scene(library, made, seed=seed, index=index, view=view, width=width, height=height)


class Renderer:
    """A rendering backend, open for the scenes of one library; a context manager that frees its resources."""

    def __init__(self, library: Library, backend: Backend) -> None:
        self._library, self._backend = library, backend

    def render(self, scene: SceneSpec) -> Frame:
        """Render a scene: the image, (H, W, 3) uint8 sRGB, with the labels and the geometry behind it.

        Raises SynthError where a mesh or a backdrop of the scene cannot be read.
        """
        from render.make_frame import render_frame

        return render_frame(scene, self._library, self._backend)

    @property
    def device(self) -> str:
        """The name of the device that renders, as its driver states it."""
        return self._backend.device

    def close(self) -> None:
        """Free the resources of the backend."""
        self._backend.close()

    def __enter__(self) -> Renderer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


def open_renderer(
    library: Library,
    backend: str = DEFAULT_BACKEND,
    preset: str = "draft",
    *,
    device: Literal["auto", "cpu", "gpu"] = "auto",
    threads: int = 0,
) -> Renderer:
    """Open a rendering backend: "raster" (OpenGL, fast) or "cycles" (Blender's path tracer, realistic).

    preset: "draft", "good" or "best". device, threads: of cycles; 0 threads are all cores. Blender holds one scene per
    process: keep one cycles renderer open at a time. Raises SynthError for an unknown name and where the backend
    cannot work on this machine (`synth doctor` says why).
    """
    from dataclasses import replace

    from render.backends import open_backend, resolve_preset

    settings = replace(resolve_preset(backend, preset), device=device, threads=threads)
    _load_triton()
    return Renderer(library, open_backend(library, settings))


def _load_triton() -> None:
    """Load triton's own LLVM before Mesa's software renderer brings another one.

    In the other order the process ends in a segmentation fault as soon as torchvision is imported. Takes 0.1 s.
    """
    spec = None if "triton" in sys.modules else find_spec("triton")
    if spec is not None and spec.origin:
        with suppress(OSError):
            ctypes.CDLL(str(Path(spec.origin).parent / "_C" / "libtriton.so"))


def plot_labels(frame: Frame, *, style: Literal["outline", "mask", "box"] = "outline") -> Image:
    """Draw the labels of a frame onto its image, as `synth preview` does."""
    import PIL.Image

    from pipeline.preview.tile import plot_tile
    from pipeline.preview.types import PreviewImage
    from render.coco import annotation_record

    data = io.BytesIO()
    PIL.Image.fromarray(frame.rgb).save(data, "PNG")
    height, width = frame.rgb.shape[:2]
    records = [annotation_record(annotation) for annotation in frame.annotations]
    image = PreviewImage("the frame", data.getvalue(), (width, height), records, {}, exact=True)
    return plot_tile(image, (width, height), style)
