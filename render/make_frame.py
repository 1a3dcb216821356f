"""Rendering: SceneSpec in, Frame out; the image comes from a backend, the labels from geometry."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from assets.library import Library
from render.backends.protocol import Backend
from render.background import composite
from render.frame import Annotation, Frame, Geometry
from render.geometry import image_rays
from render.labels import annotate, trace_geometry
from render.optics.defocus import circles_of_confusion
from render.scene import SceneSpec, Sensor
from render.sensor import develop
from render.warp import render_light


@dataclass(frozen=True, eq=False)
class Exposure:
    """A scene before its sensor: every sensor of the scene's camera can develop it.

    light: (H, W, 3) float32, linear RGB. circles: (H, W) signed circles of confusion, pixels; None is sharp anywhere.
    """

    light: NDArray[np.float32]
    geometry: Geometry
    annotations: tuple[Annotation, ...]
    subject: NDArray[np.bool_]
    circles: NDArray[np.float32] | None

    def develop(self, sensor: Sensor) -> NDArray[np.uint8]:
        """Return the image (H, W, 3), uint8 sRGB, that a sensor takes."""
        return develop(self.light, sensor, self.subject, self.circles)


def render_frame(scene: SceneSpec, library: Library, backend: Backend) -> Frame:
    """Render a scene with its labels. Raises SynthError if a mesh or backdrop cannot be loaded."""
    exposure = expose(scene, library, backend)
    return Frame(exposure.develop(scene.sensor), exposure.geometry, exposure.annotations)


def expose(scene: SceneSpec, library: Library, backend: Backend) -> Exposure:
    """Render the light of a scene and its labels. Raises SynthError if a mesh or backdrop cannot be loaded."""
    if not scene.camera.is_pinhole:
        image_rays(scene.camera)  # kept for both threads, which would otherwise compute them at the same time
    # Labels do not need the image: they are traced in a thread while the renderer, which releases the GIL, works.
    with ThreadPoolExecutor(1, thread_name_prefix="labels") as executor:
        labels = executor.submit(_label, scene, library)
        light = composite(render_light(backend, scene), scene, library.backdrops)
        geometry, annotations = labels.result()
    products = np.array([False, *(placement.kind == "product" for placement in scene.placements)])
    return Exposure(light, geometry, annotations, products[geometry.ids], _circles(scene, geometry))


def _circles(scene: SceneSpec, geometry: Geometry) -> NDArray[np.float32] | None:
    """Return the circles of confusion of an image, None if it is sharp at any depth."""
    sensor = scene.sensor
    if not sensor.aperture_mm:
        return None
    focal = float(scene.camera.K[0, 0])
    return circles_of_confusion(geometry.depth, focal, aperture_mm=sensor.aperture_mm, focus_m=sensor.focus_m)


def _label(scene: SceneSpec, library: Library) -> tuple[Geometry, tuple[Annotation, ...]]:
    geometry = trace_geometry(scene, library)
    return geometry, annotate(scene, geometry)
