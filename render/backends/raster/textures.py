"""Textures prepared for minification: texels that no triangle uses get the colour of the nearest used one.

Scans keep the space between the charts of their atlas black; without this, mipmaps show each seam as a dark line.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from assets.mesh.types import Mesh, MeshPart
from render.backends.raster.gl import GL, Program, Target, render_faces

# UVs further outside the unit square than this mean that the texture repeats, so every texel may be used.
OUTSIDE = 0.01


def spread_colors(texture: NDArray[np.uint8], used: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Return `texture` (H, W, 4) with unused texels in the colour of the nearest `used` (H, W) one; alpha stays."""
    if used.all() or not used.any():
        return texture
    import cv2

    unused = ~used
    _, labels = cv2.distanceTransformWithLabels(unused.view(np.uint8), cv2.DIST_L2, 3, labelType=cv2.DIST_LABEL_PIXEL)
    outside = np.flatnonzero(unused)
    # Each used texel is the origin of its own label; labels number them row by row, from 1.
    origin = np.flatnonzero(used)[labels.ravel()[outside] - 1]
    spread = texture.copy()
    spread.reshape(-1, 4)[outside, :3] = texture.reshape(-1, 4)[origin, :3]
    return spread


def used_texels(
    mesh: Mesh, parts: list[MeshPart], vertex_array: int, program: Program, size: tuple[int, int]
) -> NDArray:
    """Return which texels of a (height, width) texture the parts' triangles cover, (height, width) bool.

    vertex_array: the mesh on the GPU. program: unwrap.vert and unwrap.frag.
    """
    height, width = size
    faces = np.concatenate([mesh.faces[part.face_start : part.face_stop] for part in parts])
    if mesh.uv is None or not len(faces) or _repeats(mesh.uv[faces]):
        return np.ones(size, bool)
    target = Target(width, height, (GL.GL_RGBA8,))
    target.bind()
    GL.glDisable(GL.GL_DEPTH_TEST)
    GL.glDisable(GL.GL_CULL_FACE)
    GL.glClearBufferfv(GL.GL_COLOR, 0, np.zeros(4, np.float32))
    program.use()
    GL.glBindVertexArray(vertex_array)
    for part in parts:
        render_faces(part.face_start, part.face_stop)
    used = target.read()[..., 0] > 0
    target.delete()
    return used


def _repeats(uv: NDArray[np.float32]) -> bool:
    return bool(uv.min() < -OUTSIDE or uv.max() > 1 + OUTSIDE)
