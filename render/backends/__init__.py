"""Backends make pictures. One file and one line in BACKENDS each; imported only when asked for.

A backend module has one function `open_backend(library, settings) -> Backend`.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from assets.errors import unknown_name
from assets.library import Library
from render.scene import SceneSpec

BACKENDS = {"cycles": "render.backends.cycles.backend", "raster": "render.backends.raster.open"}

Device = Literal["auto", "cpu", "gpu"]


@dataclass(frozen=True)
class RenderSettings:
    """How to render, as against what: none of it changes a label.

    samples: paths per pixel (cycles) or squared supersampling (raster). denoise: cycles only. threads: of cycles,
    0 = all cores; raster draws in the thread that asks.
    """

    backend: str = "raster"
    preset: str = "draft"
    samples: int = 8
    denoise: bool = True
    device: Device = "auto"
    threads: int = 0


class Backend(Protocol):
    """A renderer with its resources (GL context, Blender scene), kept from scene to scene; close() frees them."""

    def render(self, scene: SceneSpec) -> NDArray[np.float32]:
        """The scene without background and sensor: (H, W, 4) float32, linear RGB premultiplied by coverage alpha."""

    def trace_ids(self, scene: SceneSpec) -> NDArray[np.int32]:
        """(H, W) int32 instance ids by the backend's own means: the proof that its framing equals the labels'."""

    @property
    def device(self) -> str:
        """What renders, as its driver calls itself: equal names and versions give equal bytes."""

    def close(self) -> None: ...


def open_backend(library: Library, settings: RenderSettings) -> Backend:
    """The backend that `settings` names. Raises SynthError for an unknown name or where it cannot work here."""
    if settings.backend not in BACKENDS:
        raise unknown_name("backend", settings.backend, BACKENDS)
    backend: Backend = importlib.import_module(BACKENDS[settings.backend]).open_backend(library, settings)
    return backend
