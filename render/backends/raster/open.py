"""The raster backend: OpenGL through pyrender's EGL context, on a graphics card or on Mesa's software renderer."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from assets.errors import SynthError
from render.backends import RenderSettings

if TYPE_CHECKING:
    from assets.library import Library
    from render.backends.raster.renderer import RasterBackend

# None: Mesa's software renderer then draws in the thread that asks. With threads of its own it frees fences that these
# still signal (`lp_fence_signalled` reads without the lock; Mesa 22.3 and later sources), which overwrites memory: one
# of ten processes died of it within 2,560 packages. Workers have a core each, pictures are the same bytes.
SOFTWARE_THREADS = "0"


def open_backend(library: Library, settings: RenderSettings) -> RasterBackend:
    """A raster backend with its own GL context. Raises SynthError where OpenGL over EGL does not work."""
    os.environ.setdefault("LP_NUM_THREADS", SOFTWARE_THREADS)  # Mesa reads it when the first context opens
    try:
        from render.backends.raster.gl import open_context
        from render.backends.raster.renderer import RasterBackend
    except (ImportError, OSError, AttributeError) as error:  # PyOpenGL finds no libEGL, in one of three ways
        raise SynthError(
            "the raster backend needs OpenGL over EGL, which does not load",
            code="dependency-missing",
            found=f"{type(error).__name__}: {error}",
            hint="on Debian: apt-get install libegl1 libegl-mesa0 libgl1-mesa-dri; pip install pyrender==0.1.45",
        ) from error
    return RasterBackend(library, settings, open_context(settings.device))
