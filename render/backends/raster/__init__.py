"""The raster backend: OpenGL through pyrender's EGL context, on a graphics card or on Mesa's software renderer."""

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
    # It takes 4 samples in a pixel, then those of a picture 2 and 4 times as large.
    {"draft": Preset(4), "good": Preset(16), "best": Preset(64)},
    "apt-get install libegl1 libegl-mesa0 libgl1-mesa-dri, or the GPU's driver with EGL",
    pilot_scenes=6,
)
# None: Mesa's software renderer then draws in the thread that asks. With threads of its own it frees fences that these
# still signal (`lp_fence_signalled` reads without the lock; Mesa 22.3 and later sources), which overwrites memory: one
# of ten processes died of it within 2,560 packages. Workers have a core each, pictures are the same bytes.
SOFTWARE_THREADS = "0"


def probe(device: Device) -> Probe:
    """The OpenGL device that would render. Raises SynthError where OpenGL over EGL does not work."""
    context = _context(device)
    return Probe(context.name(), "" if context.is_software() else context.name())


def open_backend(library: Library, settings: RenderSettings) -> RasterBackend:
    """A raster backend with its own GL context. Raises SynthError where OpenGL over EGL does not work."""
    context = _context(settings.device)
    from render.backends.raster.renderer import RasterBackend

    return RasterBackend(library, settings, context)


def _context(device: Device) -> Context:
    os.environ.setdefault("LP_NUM_THREADS", SOFTWARE_THREADS)  # Mesa reads it when the first context opens
    try:
        from render.backends.raster.gl import open_context
    except (ImportError, OSError, AttributeError) as error:  # PyOpenGL finds no libEGL, in one of three ways
        raise SynthError(
            "the raster backend needs OpenGL over EGL, which does not load",
            code="dependency-missing",
            found=f"{type(error).__name__}: {error}",
            hint="on Debian: apt-get install libegl1 libegl-mesa0 libgl1-mesa-dri; pip install pyrender==0.1.45",
        ) from error
    return open_context(device)
