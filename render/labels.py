"""Labels from geometry: ids, depth, normals, visible and amodal masks, whatever made the picture.

Rays go through pixel centres, placement by placement in its own frame; the nearest hit owns the pixel.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from assets.library import Library
from assets.mesh import Mesh
from render.frame import AmodalMask, Annotation, Geometry
from render.geometry import box_of_mask, invert_pose, pixel_rays, project, transform
from render.scene import Camera, Placement, SceneSpec
from render.stage import mesh_of
from render.trace import trace_mesh

# Products less visible than this harm training and are marked `ignore`.
LEAST_VISIBLE = 0.1
# Visibility and truncation are stored with this many decimals, and `ignore` follows from the stored numbers.
DECIMALS = 6
# How far beyond the picture amodal masks are followed, in picture sizes on each side. What lies further out (only ever
# with a camera inside the arrangement) counts as not there.
MARGIN = 1.0
NEAR = 1e-3


@dataclass(frozen=True, eq=False)
class _Window:
    """A placement's hits in the pixels [x0, x0 + w) x [y0, y0 + h): depth (h, w), inf = none; normals (h, w, 3)."""

    x0: int
    y0: int
    depth: NDArray[np.float32]
    normals: NDArray[np.float32]


def trace_geometry(scene: SceneSpec, library: Library) -> Geometry:
    """Ids, depth, normals and amodal masks of a scene; deterministic, no GPU and no renderer involved.

    Raises SynthError where a mesh cannot be loaded.
    """
    camera = scene.camera
    ids = np.zeros((camera.height, camera.width), np.int32)
    depth = np.full(ids.shape, np.inf, np.float32)
    normals = np.zeros((*ids.shape, 3), np.float32)
    amodal = []
    for instance, placement in enumerate(scene.placements, start=1):
        window = _trace_placement(camera, placement, mesh_of(library, placement))
        amodal.append(_amodal_mask(window) if placement.kind == "product" else _NOTHING)
        _keep_nearest(window, instance, ids, depth, normals)
    return Geometry(ids, depth, normals, tuple(amodal))


_NOTHING = AmodalMask(0, 0, np.zeros((0, 0), bool))


def _trace_placement(camera: Camera, placement: Placement, mesh: Mesh) -> _Window:
    reach = MARGIN if placement.kind == "product" else 0.0
    x0, y0, x1, y1 = _pixel_window(camera, placement, mesh, reach)
    if x1 <= x0 or y1 <= y0:
        return _Window(0, 0, np.zeros((0, 0), np.float32), np.zeros((0, 0, 3), np.float32))
    rays = pixel_rays(camera, x0, y0, x1, y1)
    object_from_camera = invert_pose(placement.world_from_object) @ camera.world_from_camera
    directions = rays.reshape(-1, 3) @ object_from_camera[:3, :3].T
    origins = np.broadcast_to(object_from_camera[:3, 3], directions.shape)
    hits = trace_mesh(mesh, origins, directions)
    # The rays have z = 1 in the camera's frame, so t is the depth along the optical axis.
    camera_normals = hits.normals @ object_from_camera[:3, :3].astype(np.float32)
    away = np.einsum("ij,ij->i", camera_normals, rays.reshape(-1, 3)) > 0
    camera_normals[away] *= -1
    return _Window(x0, y0, hits.t.reshape(rays.shape[:2]), camera_normals.reshape(rays.shape))


def _pixel_window(camera: Camera, placement: Placement, mesh: Mesh, reach: float) -> tuple[int, int, int, int]:
    """The pixels that the mesh can cover, x0, y0, x1, y1, cut to the picture plus `reach` times its size around it."""
    low_x, high_x = -round(reach * camera.width), round((1 + reach) * camera.width)
    low_y, high_y = -round(reach * camera.height), round((1 + reach) * camera.height)
    pixels, depth = project(camera, transform(placement.world_from_object, mesh.vertices))
    if (depth < NEAR).all():
        return 0, 0, 0, 0
    if (depth < NEAR).any():  # it reaches behind the camera: its outline has no bound on the image plane
        return low_x, low_y, high_x, high_y
    # A pixel's centre must lie inside the outline; one pixel more on each side for rounding.
    x0, y0 = np.floor(np.clip(pixels.min(axis=0), [low_x, low_y], [high_x, high_y]) - 1).astype(int)
    x1, y1 = np.ceil(np.clip(pixels.max(axis=0), [low_x, low_y], [high_x, high_y]) + 1).astype(int)
    return max(x0, low_x), max(y0, low_y), min(x1, high_x), min(y1, high_y)


def _amodal_mask(window: _Window) -> AmodalMask:
    mask = np.isfinite(window.depth)
    if not mask.any():
        return _NOTHING
    left, top, right, bottom = (int(edge) for edge in box_of_mask(mask))
    return AmodalMask(window.x0 + left, window.y0 + top, mask[top:bottom, left:right].copy())


def _keep_nearest(window: _Window, instance: int, ids: NDArray, depth: NDArray, normals: NDArray) -> None:
    """Writes the window's pixels inside the picture that are nearer than what is there; on a tie the first stays."""
    height, width = ids.shape
    rows = slice(max(window.y0, 0), min(window.y0 + window.depth.shape[0], height))
    columns = slice(max(window.x0, 0), min(window.x0 + window.depth.shape[1], width))
    if rows.start >= rows.stop or columns.start >= columns.stop:
        return
    inner = (
        slice(rows.start - window.y0, rows.stop - window.y0),
        slice(columns.start - window.x0, columns.stop - window.x0),
    )
    nearer = window.depth[inner] < depth[rows, columns]
    ids[rows, columns][nearer] = instance
    depth[rows, columns][nearer] = window.depth[inner][nearer]
    normals[rows, columns][nearer] = window.normals[inner][nearer]


def annotate(scene: SceneSpec, geometry: Geometry) -> tuple[Annotation, ...]:
    """One annotation per product of which at least one pixel is visible, in the order of the placements."""
    camera_from_world = invert_pose(scene.camera.world_from_camera)
    annotations = []
    for instance, placement in enumerate(scene.placements, start=1):
        if placement.kind != "product":
            continue
        mask = geometry.ids == instance
        if mask.any():
            pose = camera_from_world @ placement.world_from_object
            annotations.append(_annotation(instance, placement.key, mask, geometry.amodal[instance - 1], pose))
    return tuple(annotations)


def _annotation(
    instance: int, sku: str, mask: NDArray[np.bool_], amodal: AmodalMask, camera_from_object: NDArray
) -> Annotation:
    inside = amodal_inside(amodal, mask.shape[0], mask.shape[1])
    area, total, within = int(mask.sum()), int(amodal.mask.sum()), int(inside.sum())
    visibility = round(area / within, DECIMALS)
    truncation = round(1 - within / total, DECIMALS)
    rows, columns = amodal.mask.shape
    return Annotation(
        instance=instance,
        sku=sku,
        mask=mask,
        box=box_of_mask(mask),
        amodal_box=(float(amodal.x), float(amodal.y), float(amodal.x + columns), float(amodal.y + rows)),
        amodal_mask=inside,
        area=area,
        visibility=visibility,
        truncation=truncation,
        camera_from_object=camera_from_object,
        ignore=visibility * (1 - truncation) < LEAST_VISIBLE,
    )


def amodal_inside(amodal: AmodalMask, height: int, width: int) -> NDArray[np.bool_]:
    """The part of an amodal mask that lies inside the picture, (height, width) bool."""
    picture = np.zeros((height, width), bool)
    rows, columns = amodal.mask.shape
    top, left = max(amodal.y, 0), max(amodal.x, 0)
    bottom, right = min(amodal.y + rows, height), min(amodal.x + columns, width)
    if top < bottom and left < right:
        picture[top:bottom, left:right] = amodal.mask[
            top - amodal.y : bottom - amodal.y, left - amodal.x : right - amodal.x
        ]
    return picture
