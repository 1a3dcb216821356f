"""Raster backend: OpenGL through pyrender's EGL context, on a graphics card or Mesa's software renderer."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from assets.errors import SynthError
from render.backends.protocol import BackendInfo, Device, Preset, Probe, RenderSettings

if TYPE_CHECKING:
    from assets.library import Library
    from render.backends.raster.gl import Context
    from render.backends.raster.renderer import RasterBackend

INFO = BackendInfo(
    "Rasterization with OpenGL: fast, on a GPU or in software on a CPU.",
    # 4 samples per pixel; more come from rendering at 2 and 4 times the size.
    {"draft": Preset(4), "good": Preset(16), "best": Preset(64)},
    "apt-get install libegl1 libegl-mesa0 libgl1-mesa-dri, or the GPU's driver with EGL",
    pilot_scenes=6,
)
# No threads: Mesa's software renderer then renders in the calling thread. With its own threads it frees fences that
# these still signal (`lp_fence_signalled` reads without the lock; Mesa 22.3 and later sources), which overwrites
# memory: one of ten processes crashed within 2,560 packages. Each worker process has its own core anyway, and the bytes
# of images are the same.
SOFTWARE_THREADS = "0"


def probe(device: Device) -> Probe:
    """Return the OpenGL device that would render. Raises SynthError if OpenGL over EGL does not work."""
    context = _context(device)
    return Probe(context.name(), "" if context.is_software() else context.name())


def open_backend(library: Library, settings: RenderSettings) -> RasterBackend:
    """Open a raster backend with its own GL context. Raises SynthError if OpenGL over EGL does not work."""
    context = _context(settings.device)
    from render.backends.raster.renderer import RasterBackend

    return RasterBackend(library, settings, context)


def _context(device: Device) -> Context:
    os.environ.setdefault("LP_NUM_THREADS", SOFTWARE_THREADS)  # read by Mesa when the first context opens
    try:
        from render.backends.raster.gl import open_context
    except (ImportError, OSError, AttributeError) as error:  # the three errors of PyOpenGL without libEGL
        raise SynthError(
            "the raster backend needs OpenGL over EGL, which does not load",
            code="dependency-missing",
            found=f"{type(error).__name__}: {error}",
            hint="on Debian: apt-get install libegl1 libegl-mesa0 libgl1-mesa-dri; pip install pyrender==0.1.45",
        ) from error
    return open_context(device)
