"""Conversion of cameras to Blender's lens, shift and pixel aspect, for any K."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from render.scene import Camera

SENSOR_MM = 36.0
# Blender cannot render smaller images than this; they are cropped from one of this size.
SMALLEST = 4
# Blender's camera looks along -Z with Y up, OpenCV's along +Z with Y down.
OPENCV_FROM_BLENDER = np.diag([1.0, -1.0, -1.0, 1.0])


def set_camera(scene: Any, camera_object: Any, camera: Camera) -> None:
    """Make Blender's camera see exactly what `camera` sees, pixel by pixel."""
    width, height = max(camera.width, SMALLEST), max(camera.height, SMALLEST)
    fx, fy = camera.K[0, 0], camera.K[1, 1]
    render, lens = scene.render, camera_object.data
    render.resolution_x, render.resolution_y, render.resolution_percentage = width, height, 100
    # fx != fy means pixels that are not square. Blender requires both aspects to be at least 1.
    render.pixel_aspect_x, render.pixel_aspect_y = max(1.0, fy / fx), max(1.0, fx / fy)
    lens.type, lens.sensor_fit, lens.sensor_width = "PERSP", "HORIZONTAL", SENSOR_MM
    lens.lens = fx * SENSOR_MM / width
    # Shifts are in units of the sensor's width; the vertical one needs the pixel aspect.
    lens.shift_x = (width / 2 - camera.K[0, 2]) / width
    lens.shift_y = (camera.K[1, 2] - height / 2) / width * (fx / fy)
    lens.clip_start, lens.clip_end = 1e-3, 1e3
    camera_object.matrix_world = blender_matrix(camera.world_from_camera @ OPENCV_FROM_BLENDER)


def blender_matrix(pose: NDArray[np.float64]) -> Any:
    """Convert a (4, 4) pose to a Blender matrix."""
    from mathutils import Matrix

    return Matrix(pose.tolist())
