"""Other materials for a product: glossy film, metal, foil, clear plastic with its contents, shrink wrap."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from assets.color import LUMINANCE
from assets.mesh.normals import crease_normals
from assets.mesh.subdivide import split_long_edges
from assets.mesh.types import PRINT, Material, Mesh, MeshPart, cross_products, shape_copy_key
from assets.props.look import ProductMaterial

GLOSSY, SHINY, POLISHED = 0.12, 0.22, 0.05
# Print on metal is a lacquer with pigments: partly metal, partly paint.
LACQUER, FOIL = 0.6, 0.8
# Creases of foil, and of film shrunk onto its contents: wavelengths in metres, tilt of the normals in radians, edges.
FOIL_WAVES, FOIL_TILT, FOIL_EDGE = (0.006, 0.03), 0.3, 0.004
WRAP_WAVES, WRAP_TILT, WRAP_EDGE = (0.02, 0.08), 0.09, 0.012
# Light that a wall of clear plastic and a film let through, and their colour; coloured glass keeps its own.
WALL, FILM, CLEAR = 0.92, 0.95, np.array([0.98, 0.985, 0.985, 1.0])
# Light that each surface of pale contents lets through; dark ones let none through.
PALE = 0.75
# Distance of shrink wrap from the product; thickness of a bottle's wall, at least and as a share of the radius; metres.
WRAP_M, WALL_M, WALL_SHARE = 0.0003, 0.0008, 0.025
# Lowest and highest level of the contents, as shares of the height.
FILL = (0.8, 0.88)


def with_material(mesh: Mesh, name: ProductMaterial) -> Mesh:
    """Return `mesh` in another material; deterministic. Where it does not apply (no print, nothing clear), `mesh`."""
    return MATERIALS[name](mesh)


def _glossy(mesh: Mesh) -> Mesh:
    return _with_print(mesh, f"{mesh.key}{PRINT}-gloss", GLOSSY, 0.0)


def _metal(mesh: Mesh) -> Mesh:
    return _with_print(mesh, f"{mesh.key}{PRINT}-metal", SHINY, LACQUER)


def _foil(mesh: Mesh) -> Mesh:
    fine = split_long_edges(mesh, FOIL_EDGE, max_faces=16_000)
    printed = _with_print(fine, shape_copy_key(mesh, "-foil"), SHINY, FOIL)
    return replace(printed, normals=_crumpled(fine, FOIL_WAVES, FOIL_TILT))


def _clear(mesh: Mesh) -> Mesh:
    """Make the largest part without a print a clear wall around its contents, which have the part's colour."""
    plain = [number for number, part in enumerate(mesh.parts) if part.material.texture is None]
    if not plain or mesh.colors is not None or float(mesh.size.min()) <= 0:
        return mesh
    wall = max(plain, key=lambda number: _area(mesh, mesh.parts[number]))
    color, roughness = mesh.parts[wall].material.base_color, mesh.parts[wall].material.roughness
    dark = float(color[:3] @ LUMINANCE) < 0.1
    # Wine and beer stand in coloured glass: half of their colour is that of the wall.
    glass = np.append(np.sqrt(color[:3]), 1.0) if dark and roughness < 0.2 else CLEAR
    clear = Material(glass, None, POLISHED, transmission=WALL)
    parts = list(mesh.parts)
    parts[wall] = replace(parts[wall], material=clear)
    contents = Material(color, None, 0.1, transmission=0.0 if dark else PALE)
    return _joined(replace(mesh, parts=tuple(parts), key=shape_copy_key(mesh, "-clear")), _contents(mesh), contents)


def _wrapped(mesh: Mesh) -> Mesh:
    """Put a film around the convex hull."""
    import trimesh

    if float(mesh.size.min()) <= 0:
        return mesh
    hull = trimesh.convex.convex_hull(mesh.vertices.astype(np.float64))
    points = np.asarray(hull.vertices)
    middle = mesh.bounds.astype(np.float64).mean(axis=0)
    points = middle + (points - middle) * (mesh.size + 2 * WRAP_M) / mesh.size
    points[:, 2] = np.maximum(points[:, 2], 0)  # it stands where the product does
    corners = points[hull.faces].reshape(-1, 3)
    normals = crease_normals(points, hull.faces).reshape(-1, 3)
    film = Material(CLEAR, None, GLOSSY, transmission=FILM)
    faces = np.arange(len(corners)).reshape(-1, 3)
    shell = Mesh(
        "",
        corners.astype(np.float32),
        faces.astype(np.int32),
        normals.astype(np.float32),
        (MeshPart(0, len(faces), film),),
    )
    fine = split_long_edges(shell, WRAP_EDGE, max_faces=6000)
    fine = replace(fine, normals=_crumpled(fine, WRAP_WAVES, WRAP_TILT))
    return _joined(replace(mesh, key=shape_copy_key(mesh, "-wrap")), fine, film, first=True)


MATERIALS: dict[str, Callable[[Mesh], Mesh]] = {
    "own": lambda mesh: mesh,
    "gloss": _glossy,
    "metal": _metal,
    "foil": _foil,
    "clear": _clear,
    "wrap": _wrapped,
}


def _with_print(mesh: Mesh, key: str, roughness: float, metallic: float) -> Mesh:
    """Return the mesh with another surface on its textured parts, on all if none is textured."""
    some = any(part.material.texture is not None for part in mesh.parts)
    changed = tuple(
        part
        if some and part.material.texture is None
        else replace(part, material=replace(part.material, roughness=roughness, metallic=metallic))
        for part in mesh.parts
    )
    return replace(mesh, key=key, parts=changed)


def _area(mesh: Mesh, part: MeshPart) -> float:
    across = cross_products(mesh.vertices[mesh.faces[part.face_start : part.face_stop]])
    return float(np.linalg.norm(across, axis=1).sum())


def _contents(mesh: Mesh) -> Mesh:
    """Return the inside of a bottle up to its level: the whole surface, drawn in and cut off there."""
    wall = max(WALL_M / float(mesh.size[:2].min() / 2), WALL_SHARE)
    height, share = float(mesh.size[2]), int(mesh.key[:6].encode().hex(), 16) % 997 / 996
    level = height * (FILL[0] + (FILL[1] - FILL[0]) * share)
    vertices = mesh.vertices.astype(np.float64) * [1 - wall, 1 - wall, 1]
    above = vertices[:, 2] > level
    vertices[:, 2] = np.clip(vertices[:, 2], WALL_M, level)
    normals = np.where(above[:, None], [0.0, 0.0, 1.0], mesh.normals)
    across = np.linalg.norm(cross_products(vertices[mesh.faces]), axis=1)
    faces = mesh.faces[across > 1e-12]
    return Mesh("", vertices, faces, normals, (MeshPart(0, len(faces), mesh.parts[0].material),))


def _joined(mesh: Mesh, more: Mesh, material: Material, *, first: bool = False) -> Mesh:
    """Return `mesh` with the faces of `more` as another part, before the others or behind them: outermost first."""
    own, count = len(mesh.faces), len(more.faces)
    offset, start = (count, 0) if first else (0, own)
    added = MeshPart(start, start + count, material)
    kept = [
        replace(part, face_start=part.face_start + offset, face_stop=part.face_stop + offset) for part in mesh.parts
    ]
    blocks = [more.faces + len(mesh.vertices), mesh.faces]
    uv = None if mesh.uv is None else np.concatenate([mesh.uv, np.zeros((len(more.vertices), 2))])
    colors = None if mesh.colors is None else np.concatenate([mesh.colors, np.full((len(more.vertices), 4), 255)])
    return replace(
        mesh,
        vertices=np.concatenate([mesh.vertices, more.vertices]),
        normals=np.concatenate([mesh.normals, more.normals]),
        uv=uv,
        colors=colors,
        faces=np.concatenate(blocks if first else blocks[::-1]),
        parts=(added, *kept) if first else (*kept, added),
    )


def _crumpled(mesh: Mesh, waves_m: tuple[float, float], tilt: float) -> NDArray[np.float32]:
    """Return normals (V, 3) tilted by up to about `tilt` radians, as those of creased film."""
    rng = np.random.default_rng(20261130)
    slope = np.zeros((len(mesh.vertices), 3))
    count = 7
    for _ in range(count):
        direction = rng.normal(size=3)
        direction /= np.linalg.norm(direction)
        length, phase = np.exp(rng.uniform(*np.log(waves_m))), rng.uniform(0, 2 * np.pi)
        wave = np.sin(mesh.vertices @ direction * (2 * np.pi / length) + phase)
        # Creases are sharp and the film between them flat.
        slope += (np.sign(wave) * wave**2)[:, None] * direction
    normals = mesh.normals + slope * (tilt / np.sqrt(count) * 1.5)
    return (normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-30)).astype(np.float32)
