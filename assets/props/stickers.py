"""Discount stickers: printed onto the texture of a product's front."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from assets.mesh.types import PRINT, Mesh, cross_products
from assets.packages.print.lettering import Rgb, ink_on, write_fitted

# Seeds that differ; others repeat these, so that a product has few copies in memory.
STICKERS = 8
TEXTS = ("-30 %", "-25 %", "-50 %", "SALE", "1/2 PRICE", "2 FOR 1", "REDUCED", "-20 %")
COLORS: tuple[Rgb, ...] = ((228, 30, 38), (255, 214, 0), (255, 128, 0), (30, 150, 60))
# Width in metres, and the largest share of the front.
WIDTH_M, MAX_SHARE = (0.028, 0.05), 0.5
ART_PX = 192
# Cosine to -y, from which on a face belongs to the front.
FRONT = 0.6


def stickered_mesh(mesh: Mesh, seed: int) -> Mesh:
    """Return `mesh` with a discount sticker on its front (-y), one of STICKERS by `seed`, sharing geometry and uv.

    Only texels of the front change. A mesh without a texture there is returned as it is.
    """
    number = seed % STICKERS
    rng = np.random.default_rng([number, int.from_bytes(mesh.key.encode()[:8].ljust(8, b"\0"), "big")])
    front = _front_faces(mesh)
    spot = _sample_spot(mesh, front, rng)
    if spot is None:
        return mesh
    face, art_to_uv = spot
    texture = next(part.material.texture for part in mesh.parts if part.face_start <= face < part.face_stop)
    assert texture is not None and mesh.uv is not None  # _front_faces asked
    spans = [(part.face_start, part.face_stop) for part in mesh.parts if part.material.texture is texture]
    beside = np.concatenate([front[(front >= start) & (front < stop)] for start, stop in spans])
    painted = _paint(texture, _sticker_art(number), art_to_uv, mesh.uv[mesh.faces[beside]])
    parts = tuple(
        replace(part, material=replace(part.material, texture=painted)) if part.material.texture is texture else part
        for part in mesh.parts
    )
    return replace(mesh, key=f"{mesh.key}{PRINT}-sticker{number}", parts=parts)


def _front_faces(mesh: Mesh) -> NDArray[np.int64]:
    """Return the textured faces (N,) that face -y."""
    across = cross_products(mesh.vertices[mesh.faces].astype(np.float64))
    ahead = -across[:, 1] > FRONT * np.maximum(np.linalg.norm(across, axis=1), 1e-30)
    for part in mesh.parts:
        if part.material.texture is None or mesh.uv is None:
            ahead[part.face_start : part.face_stop] = False
    return np.flatnonzero(ahead)


def _sample_spot(mesh: Mesh, front: NDArray, rng: np.random.Generator) -> tuple[int, NDArray[np.float64]] | None:
    """Sample the face under the sticker's centre; return it and uv (2, 3) of art coordinates (x right, y up, 1).

    Art coordinates run from -1 to 1 over the sticker. None if no face has a map to the texture there.
    """
    if mesh.uv is None or not len(front):
        return None
    size = mesh.size
    at = (rng.uniform(-0.22, 0.22) * size[0], size[2] * rng.uniform(0.35, 0.8))
    half = min(rng.uniform(*WIDTH_M), MAX_SHARE * float(size[0]), MAX_SHARE * float(size[2])) / 2
    angle = rng.uniform(-0.3, 0.3)
    corners = mesh.vertices[mesh.faces[front]].astype(np.float64)
    nearest = int(np.argmin(np.abs(corners[..., [0, 2]].mean(axis=1) - at).sum(axis=1)))
    inside = np.flatnonzero(_contains(corners[..., [0, 2]], np.array(at)))
    if len(inside):
        nearest = int(inside[corners[inside, :, 1].mean(axis=1).argmin()])
    face, triangle = int(front[nearest]), corners[nearest]
    normal = cross_products(triangle[None])[0]
    normal /= np.linalg.norm(normal)
    right = np.array([1.0, 0, 0]) - normal * normal[0]
    right /= np.linalg.norm(right)
    local = (triangle - triangle.mean(axis=0)) @ np.stack([right, np.cross(normal, right)], axis=1)
    uv = mesh.uv[mesh.faces[face]].astype(np.float64)
    slope, *_ = np.linalg.lstsq(np.column_stack([local, np.ones(3)]), uv, rcond=None)
    turn = half * np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    middle = np.array([at[0], triangle[:, 1].mean(), at[1]]) - triangle.mean(axis=0)
    centre = np.array([middle @ right, middle @ np.cross(normal, right), 1.0]) @ slope
    linear = (turn @ slope[:2]).T
    if not np.isfinite(linear).all() or abs(np.linalg.det(linear)) < 1e-9:
        return None
    return face, np.column_stack([linear, centre])


def _contains(triangles: NDArray[np.float64], point: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return which triangles (N, 3, 2) contain a point (2,)."""
    edges, to = np.roll(triangles, -1, axis=1) - triangles, point - triangles
    side = edges[..., 0] * to[..., 1] - edges[..., 1] * to[..., 0]
    return np.asarray((side >= 0).all(axis=1) | (side <= 0).all(axis=1))


def _sticker_art(number: int) -> NDArray[np.uint8]:
    """Draw a sticker, (ART_PX, ART_PX, 4) uint8, transparent around it."""
    from PIL import Image, ImageDraw

    color = COLORS[number % len(COLORS)]
    image = Image.new("RGBA", (ART_PX, ART_PX), (*color, 0))
    draw = ImageDraw.Draw(image)
    ink = ink_on(color, (252, 252, 250))
    round_one = number % 2 == 0
    box = (2, 2, ART_PX - 3, ART_PX - 3) if round_one else (2, ART_PX * 0.22, ART_PX - 3, ART_PX * 0.78)
    if round_one:
        draw.ellipse(box, fill=(*color, 255), outline=(*ink, 255), width=4)
    else:
        draw.rounded_rectangle(box, radius=14, fill=(*color, 255), outline=(*ink, 255), width=4)
    write_fitted(image, TEXTS[number], (ART_PX * 0.1, ART_PX * 0.28, ART_PX * 0.9, ART_PX * 0.72), ink, bold=0.04)
    return np.asarray(image)


def _paint(
    texture: NDArray[np.uint8], art: NDArray[np.uint8], art_to_uv: NDArray[np.float64], front_uv: NDArray
) -> NDArray[np.uint8]:
    """Return `texture` with the art where triangles of the front, uv (N, 3, 2), use it."""
    import cv2

    height, width = texture.shape[:2]
    # Pixels of the art -> art coordinates -> uv -> texels, the first row of both on top; whole numbers are centres.
    texel_from_uv = np.array([[width, 0, -0.5], [0, -height, height - 0.5], [0, 0, 1.0]])
    art_from_pixel = np.array([[2 / ART_PX, 0, 1 / ART_PX - 1], [0, -2 / ART_PX, 1 - 1 / ART_PX], [0, 0, 1.0]])
    matrix = (texel_from_uv @ np.vstack([art_to_uv, [0, 0, 1]]) @ art_from_pixel)[:2]
    shrink = max(1.0 / max(float(np.linalg.norm(matrix[:, 0])), 1e-6), 1.0)
    smooth = cv2.GaussianBlur(art, (0, 0), 0.4 * shrink) if shrink > 1.5 else art
    laid = cv2.warpAffine(smooth, matrix, (width, height), flags=cv2.INTER_LINEAR, borderValue=(0, 0, 0, 0))
    mask = np.zeros((height, width), np.uint8)
    spots = front_uv * [width, -height] + [-0.5, height - 0.5]
    for triangle in np.rint(spots * 16).astype(np.int32):
        cv2.fillConvexPoly(mask, triangle, 255, shift=4)
    share = (laid[..., 3:] / np.float32(255)) * (mask[..., None] > 0)
    painted = texture.copy()
    painted[..., :3] = np.rint(texture[..., :3] * (1 - share) + laid[..., :3] * share)
    return painted
