"""SceneSpec in, Frame out: the picture from a backend, the labels from geometry."""

from __future__ import annotations

import numpy as np

from assets.library import Library
from render.backends import Backend
from render.background import composite
from render.frame import Frame
from render.labels import annotate, trace_geometry
from render.scene import SceneSpec
from render.sensor import develop


def draw_frame(scene: SceneSpec, library: Library, backend: Backend) -> Frame:
    """The finished picture of a scene with its labels. Raises SynthError where a mesh or backdrop cannot be had."""
    light = composite(backend.render(scene), scene, library.backdrops)
    geometry = trace_geometry(scene, library)
    products = [number for number, placement in enumerate(scene.placements, start=1) if placement.kind == "product"]
    picture = develop(light, scene.sensor, np.isin(geometry.ids, products))
    return Frame(picture, geometry, annotate(scene, geometry))
