"""SceneSpec in, Frame out: the picture from a backend, the labels from geometry."""

from __future__ import annotations

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
    return Frame(develop(light, scene.sensor), geometry, annotate(scene, geometry))
