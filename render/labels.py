"""Labels from geometry: ids, depth, visible and amodal masks, independent of the backend.

Rays go through pixel centres, placement by placement in its own frame; each pixel belongs to the nearest hit.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from assets.library import Library
from assets.mesh.types import Mesh
from render.frame import NO_PIXELS, Annotation, Geometry, MaskCrop
from render.geometry import box_of_mask, camera_from_world, invert_pose, pixel_rays, project, transform
from render.optics.rays import directions_at
from render.outline import bent_outline
from render.scene import Camera, SceneSpec, mesh_of
from render.trace import Hits, outline_points, trace_mesh

# Products less visible than this harm training and are marked `ignore`.
MIN_VISIBLE = 0.1
# Visibility and truncation are stored with this many decimals, and `ignore` follows from the stored numbers.
DECIMALS = 6
# How far beyond the image amodal masks extend, in image sizes on each side. Pixels further out, which exist only if the
# camera is inside the arrangement, are not counted.
MARGIN = 1.0
NEAR = 1e-3
BORDER_STEPS = 17
# Rays per batch: more of them exceed the CPU cache, and a full HD table scene took twice as long.
RAYS = 1 << 16
# Above this share of a window, selecting its rays costs more than tracing all of them.
MOSTLY = 0.85
# Corners on the image plane further out than this are not rounded to whole pixels, to stay within int32.
FARTHEST_PX = 1e6


@dataclass(frozen=True)
class _PixelWindow:
    """The pixels [x0, x1) x [y0, y1), which may lie outside the image."""

    x0: int
    y0: int
    x1: int
    y1: int

    @property
    def empty(self) -> bool:
        return self.x1 <= self.x0 or self.y1 <= self.y0

    def cut(self, width: int, height: int) -> _PixelWindow:
        """Return the part inside the image."""
        return _PixelWindow(max(self.x0, 0), max(self.y0, 0), min(self.x1, width), min(self.y1, height))

    def slices(self, x: int = 0, y: int = 0) -> tuple[slice, slice]:
        """Return slices of rows and columns in an array whose first pixel is (x, y)."""
        return slice(self.y0 - y, self.y1 - y), slice(self.x0 - x, self.x1 - x)

    def bands(self, pixels: int) -> list[_PixelWindow]:
        """Split the window from top to bottom into bands of about `pixels` pixels."""
        rows = max(pixels // max(self.x1 - self.x0, 1), 1)
        tops = range(self.y0, self.y1, rows)
        return [_PixelWindow(self.x0, top, self.x1, min(top + rows, self.y1)) for top in tops]


NO_WINDOW = _PixelWindow(0, 0, 0, 0)


def trace_geometry(scene: SceneSpec, library: Library) -> Geometry:
    """Trace ids, depth, faces and amodal masks of a scene; deterministic, without GPU or renderer.

    Raises SynthError if a mesh cannot be loaded.
    """
    size = (scene.camera.height, scene.camera.width)
    ids, faces = np.zeros(size, np.int32), np.full(size, -1, np.int32)
    depth = np.full(size, np.inf, np.float32)
    amodal = []
    for instance, placement in enumerate(scene.placements, start=1):
        mesh = mesh_of(library, placement)
        points = transform(placement.world_from_object, outline_points(mesh))
        window, outline = _pixel_window(scene.camera, points, MARGIN if placement.kind == "product" else 0.0)
        covered = _fill_outline(window, outline, convex=scene.camera.is_pinhole)
        for band in window.bands(RAYS):
            own = covered[band.slices(window.x0, window.y0)]
            hits = _trace_band(scene.camera, placement.world_from_object, mesh, band, own)
            own[...] = (hits.faces >= 0).reshape(own.shape)
            _keep_nearest(band, hits, instance, ids, depth, faces)
        amodal.append(crop_mask(covered, window.x0, window.y0) if placement.kind == "product" else NO_PIXELS)
    return Geometry(ids, depth, faces, tuple(amodal))


def trace_points(
    scene: SceneSpec, library: Library, instance: int, pixels: NDArray[np.int64]
) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Trace some pixels (N, 2) of one placement alone, x and y, whatever stands before it; wear is left out.

    Returns its depth (N,) in metres, inf where it is not hit, and its normals (N, 3) in the camera's frame, facing the
    camera, 0 where it is not hit. instance: its number from 1. Raises SynthError if its mesh cannot be loaded.
    """
    placement, rays = scene.placements[instance - 1], directions_at(scene.camera, pixels + 0.5)
    # Worn textures take a tenth of a second to make, and no ray meets them.
    mesh = mesh_of(library, replace(placement, finish=replace(placement.finish, wear=0.0)))
    object_from_camera = invert_pose(placement.world_from_object) @ scene.camera.world_from_camera
    turn = object_from_camera[:3, :3]
    hits = trace_mesh(mesh, object_from_camera[:3, 3], (rays @ turn.T).astype(np.float32))
    normals, hit = np.zeros((len(rays), 3)), hits.faces >= 0
    normals[hit] = _face_normals(mesh, hits.faces[hit]) @ turn
    normals[(normals * rays).sum(axis=1) > 0] *= -1
    return hits.t, normals


def _face_normals(mesh: Mesh, faces: NDArray[np.int32]) -> NDArray[np.float64]:
    """Return the unit normals (N, 3) of faces, object frame."""
    a, b, c = mesh.vertices[mesh.faces[faces]].astype(np.float64).transpose(1, 0, 2)
    across = np.cross(b - a, c - a)
    return across / np.maximum(np.linalg.norm(across, axis=1, keepdims=True), 1e-30)


def visible_part(camera: Camera, mesh: Mesh, geometry: Geometry) -> MaskCrop:
    """Return the pixels in which a mesh of the world's frame is nearer to the camera than everything in the scene."""
    window, outline = _pixel_window(camera, outline_points(mesh), 0.0)
    if window.empty:
        return NO_PIXELS
    covered = _fill_outline(window, outline, convex=camera.is_pinhole)
    for band in window.bands(RAYS):
        own = covered[band.slices(window.x0, window.y0)]
        hits = _trace_band(camera, np.eye(4), mesh, band, own)
        own[...] = hits.t.reshape(own.shape) < geometry.depth[band.slices()]
    return crop_mask(covered, window.x0, window.y0)


def _pixel_window(
    camera: Camera, points: NDArray[np.float64], reach: float
) -> tuple[_PixelWindow, NDArray[np.float64] | None]:
    """Return the window of pixels that a mesh can cover and points (N, 2) that enclose its outline.

    points: (N, 3), metres, world, whose convex hull encloses the mesh. reach: margin around the image that the window
    may include, in image sizes. The points returned enclose the outline by their convex hull, of a distorting camera by
    the polygon that they form; they are None if the outline is unbounded.
    """
    low_x, high_x = -round(reach * camera.width), round((1 + reach) * camera.width)
    low_y, high_y = -round(reach * camera.height), round((1 + reach) * camera.height)
    whole, local = _PixelWindow(low_x, low_y, high_x, high_y), transform(camera_from_world(camera), points)
    if (local[:, 2] < NEAR).all():
        return NO_WINDOW, None
    pixels = None  # a mesh that reaches behind the camera has an unbounded outline on the image plane
    if not (local[:, 2] < NEAR).any():
        pixels = project(camera, points)[0] if camera.is_pinhole else bent_outline(camera, points)
    if pixels is None:
        return (NO_WINDOW if _is_beside(camera, whole, local) else whole), None
    # A pixel's centre must lie inside the outline; one more pixel on each side allows for rounding.
    x0, y0 = np.floor(np.clip(pixels.min(axis=0), [low_x, low_y], [high_x, high_y]) - 1).astype(int)
    x1, y1 = np.ceil(np.clip(pixels.max(axis=0), [low_x, low_y], [high_x, high_y]) + 1).astype(int)
    window = _PixelWindow(max(int(x0), low_x), max(int(y0), low_y), min(int(x1), high_x), min(int(y1), high_y))
    return window, pixels


def _is_beside(camera: Camera, window: _PixelWindow, points: NDArray[np.float64]) -> bool:
    """Return whether a plane through the camera's centre separates points (N, 3), camera frame, from all rays."""
    share = np.linspace(0, 1, BORDER_STEPS)
    x, y = window.x0 + share * (window.x1 - window.x0), window.y0 + share * (window.y1 - window.y0)
    ends = np.array([[window.x0, window.y0], [window.x1, window.y1]], float)
    border = [np.column_stack([x, np.full_like(x, end)]) for end in ends[:, 1]]
    border += [np.column_stack([np.full_like(y, end), y]) for end in ends[:, 0]]
    rays = directions_at(camera, np.concatenate(border))[:, :2]
    # The outermost rays of a lens that maps without folds are at the border; a little more for what lies between steps.
    low, high = rays.min(axis=0), rays.max(axis=0)
    spare = 0.05 * (high - low)
    flat, z = points[:, :2], points[:, 2:]
    return bool(((flat < (low - spare) * z).all(axis=0) | (flat > (high + spare) * z).all(axis=0)).any())


def _fill_outline(
    window: _PixelWindow, outline: NDArray[np.float64] | None, *, convex: bool = True
) -> NDArray[np.bool_]:
    """Return the pixels (h, w) bool of the window whose centres may lie in the hull of `outline`; None = all.

    convex: False for a polygon in order, which is filled as it is.
    """
    size = (max(window.y1 - window.y0, 0), max(window.x1 - window.x0, 0))
    if outline is None or np.abs(outline).max() > FARTHEST_PX or window.empty:
        return np.ones(size, bool)
    import cv2

    points = np.round(outline - [window.x0 + 0.5, window.y0 + 0.5]).astype(np.int32)
    filled = np.zeros(size, np.uint8)
    if convex:
        cv2.fillConvexPoly(filled, cv2.convexHull(points), 1)
    else:
        cv2.fillPoly(filled, [points], 1)
    # Corners were rounded by up to half a pixel.
    return cv2.dilate(filled, np.ones((3, 3), np.uint8)).astype(bool)


def _trace_band(
    camera: Camera, world_from_object: NDArray, mesh: Mesh, band: _PixelWindow, wanted: NDArray[np.bool_]
) -> Hits:
    """Trace the wanted (h, w) pixels of a band; returns hits of all its pixels, row by row, the others without a hit.

    The rays have z = 1 in the camera's frame, so t is the depth.
    """
    object_from_camera = invert_pose(world_from_object) @ camera.world_from_camera
    directions = _directions(camera, band, object_from_camera[:3, :3])
    chosen = np.flatnonzero(wanted)
    if len(chosen) > MOSTLY * len(directions):
        return trace_mesh(mesh, object_from_camera[:3, 3], directions)
    hits = trace_mesh(mesh, object_from_camera[:3, 3], directions[chosen])
    t, faces = np.full(len(directions), np.inf, np.float32), np.full(len(directions), -1, np.int32)
    t[chosen], faces[chosen] = hits.t, hits.faces
    return Hits(t, faces)


def _directions(camera: Camera, band: _PixelWindow, turn: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return the rays (N, 3) float32 of a band's pixels, row by row, rotated by `turn` (3, 3)."""
    if not camera.is_pinhole:
        rays = pixel_rays(camera, band.x0, band.y0, band.x1, band.y1)
        return (rays.reshape(-1, 3) @ turn.T).astype(np.float32)
    x = (np.arange(band.x0, band.x1) + 0.5 - camera.K[0, 2]) / camera.K[0, 0]
    y = (np.arange(band.y0, band.y1) + 0.5 - camera.K[1, 2]) / camera.K[1, 1]
    directions = np.empty((len(y), len(x), 3), np.float32)
    # A rotated (x, y, 1) is a sum of one term per column and one per row.
    np.add(x[None, :, None] * turn[:, 0], (y[:, None] * turn[:, 1] + turn[:, 2])[:, None], out=directions)
    return directions.reshape(-1, 3)


def _keep_nearest(
    band: _PixelWindow, hits: Hits, instance: int, ids: NDArray[np.int32], depth: NDArray[np.float32], faces: NDArray
) -> None:
    """Write the band's pixels inside the image that are nearer than those there; on a tie the earlier one stays."""
    inside = band.cut(ids.shape[1], ids.shape[0])
    if inside.empty:
        return
    size, there, here = (band.y1 - band.y0, -1), inside.slices(), inside.slices(band.x0, band.y0)
    t, hit = hits.t.reshape(size)[here], hits.faces.reshape(size)[here]
    nearer = t < depth[there]
    np.copyto(depth[there], t, where=nearer)
    np.copyto(faces[there], hit, where=nearer)
    ids[there][nearer] = instance


def crop_mask(mask: NDArray[np.bool_], x: int, y: int) -> MaskCrop:
    """Crop a mask whose first pixel is (x, y) tightly."""
    if not mask.any():
        return NO_PIXELS
    left, top, right, bottom = (int(edge) for edge in box_of_mask(mask))
    return MaskCrop(x + left, y + top, mask[top:bottom, left:right].copy())


def trace_normals(scene: SceneSpec, library: Library, geometry: Geometry) -> NDArray[np.float32]:
    """Return the normals of the visible surfaces, (H, W, 3) float32, unit, camera frame, facing the camera; 0 = no hit.

    They are face normals, not smoothed.
    """
    camera = scene.camera
    normals = np.zeros((camera.height * camera.width, 3), np.float32)
    rays = pixel_rays(camera, 0, 0, camera.width, camera.height).reshape(-1, 3)
    ids, faces = geometry.ids.ravel(), geometry.faces.ravel()
    # Pixels sorted once by instance: comparing the id image with each of a hundred instances took 0.4 s at full HD.
    pixels = np.argsort(ids, kind="stable")
    ends = np.searchsorted(ids[pixels], np.arange(len(scene.placements) + 1), side="right")
    for number, placement in enumerate(scene.placements):
        mine = pixels[ends[number] : ends[number + 1]]
        if not len(mine):
            continue
        mesh = mesh_of(library, placement)
        turned = (
            _face_normals(mesh, faces[mine])
            @ (invert_pose(camera.world_from_camera) @ placement.world_from_object)[:3, :3].T
        )
        turned[np.einsum("ij,ij->i", turned, rays[mine]) > 0] *= -1
        normals[mine] = turned
    return normals.reshape(camera.height, camera.width, 3)


def annotate(scene: SceneSpec, geometry: Geometry) -> tuple[Annotation, ...]:
    """Return one annotation per product with at least one visible pixel, in the order of the placements."""
    camera_from_world = invert_pose(scene.camera.world_from_camera)
    annotations = []
    for instance, placement in enumerate(scene.placements, start=1):
        if placement.kind != "product":
            continue
        pose = camera_from_world @ placement.world_from_object
        found = _annotation(instance, placement.key, geometry, pose)
        if found is not None:
            annotations.append(found)
    return tuple(annotations)


def _annotation(instance: int, sku: str, geometry: Geometry, camera_from_object: NDArray) -> Annotation | None:
    """Return the annotation of a product; None if no pixel is visible."""
    height, width = geometry.ids.shape
    whole = geometry.amodal[instance - 1]
    inside, inner = _inside(whole, width, height)
    visible = crop_mask(geometry.ids[inner.slices()] == instance, inner.x0, inner.y0) if not inner.empty else NO_PIXELS
    if not visible.mask.size:
        return None
    area, total, within = int(visible.mask.sum()), int(whole.mask.sum()), int(inside.mask.sum())
    visibility = round(area / within, DECIMALS)
    truncation = round(1 - within / total, DECIMALS)
    return Annotation(
        instance=instance,
        sku=sku,
        width=width,
        height=height,
        visible=visible,
        amodal=inside,
        amodal_box=whole.box,
        area=area,
        visibility=visibility,
        truncation=truncation,
        camera_from_object=camera_from_object,
        ignore=visibility * (1 - truncation) < MIN_VISIBLE,
    )


def _inside(whole: MaskCrop, width: int, height: int) -> tuple[MaskCrop, _PixelWindow]:
    """Return the part of an amodal mask inside the image, and the part of its box inside the image."""
    rows, columns = whole.mask.shape
    inner = _PixelWindow(whole.x, whole.y, whole.x + columns, whole.y + rows).cut(width, height)
    if inner.empty:
        return NO_PIXELS, inner
    return crop_mask(whole.mask[inner.slices(whole.x, whole.y)], inner.x0, inner.y0), inner
