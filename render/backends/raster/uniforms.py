"""Projection, camera and lights as uniforms of the shaders."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from render.backends.raster.gl import Program
from render.backends.raster.lights import LightRig
from render.backends.raster.meshes import GpuMesh
from render.geometry import camera_from_world, transform
from render.scene import Camera, Placement


def project_meshes(
    camera: Camera, placements: tuple[Placement, ...], meshes: list[GpuMesh]
) -> tuple[list[NDArray[np.float64]], list[NDArray[np.float64]], NDArray[np.float64]]:
    """Return camera_from_object (4, 4) and the depths (8,) of its box for each placement, and the projection."""
    view = camera_from_world(camera)
    poses = [view @ placement.world_from_object for placement in placements]
    depths = [transform(pose, mesh.corners)[:, 2] for pose, mesh in zip(poses, meshes, strict=True)]
    return poses, depths, _projection_of(camera, depths)


def _projection_of(camera: Camera, depths: list[NDArray[np.float64]]) -> NDArray[np.float64]:
    """Return GL's clip_from_camera (4, 4) of the pinhole K, pixel-exact; row 0 of the framebuffer is the image's top.

    depths: of the corners of everything in the scene; the clip planes enclose what lies in front of the camera.
    """
    every = np.concatenate([*depths, [1.0]])
    far = max(float(every.max()) * 1.05, 0.1)
    near = float(np.clip(every.min() * 0.9, 2e-3, far / 2))
    intrinsics = camera.K
    projection = np.zeros((4, 4))
    projection[0, 0], projection[0, 2] = 2 * intrinsics[0, 0] / camera.width, 2 * intrinsics[0, 2] / camera.width - 1
    projection[1, 1], projection[1, 2] = 2 * intrinsics[1, 1] / camera.height, 2 * intrinsics[1, 2] / camera.height - 1
    projection[2, 2], projection[2, 3] = (far + near) / (far - near), -2 * far * near / (far - near)
    projection[3, 2] = 1.0
    return projection


def set_camera(program: Program, camera: Camera) -> None:
    intrinsics = camera.K
    program.set("lens", np.array([intrinsics[0, 0], intrinsics[1, 1], intrinsics[0, 2], intrinsics[1, 2]]))
    program.set("world_from_camera", camera.world_from_camera)


def set_rig(program: Program, rig: LightRig) -> None:
    program.set("hdri_from_world", rig.hdri_from_world)
    program.set("environment_gain", rig.gain)
    program.set("harmonics", rig.harmonics)
    program.set("ground", rig.ground)
    program.set("ground_sunlit", rig.ground_sunlit)
    program.set("ground_share", rig.ground_share)
    program.set("last_level", 4.0)
    program.set("rest_weight", rig.rest_weight)
    program.set("sun_count", len(rig.sun_direction))
    if len(rig.sun_direction):
        program.set("sun_direction", rig.sun_direction)
        program.set("sun_irradiance", rig.sun_irradiance)
        program.set("sun_radius", rig.sun_radius)
    program.set("area_count", len(rig.area_pose))
    if len(rig.area_pose):
        program.set("world_from_area", rig.area_pose)
        program.set("area_light", rig.area_light)
        program.set("area_size", rig.area_size)
