"""Lighter copies of a mesh keep its shape, its print and the way it shades."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import trimesh
from scipy.spatial import cKDTree

from assets.backdrops.collection import Backdrops
from assets.catalog.types import Catalog
from assets.library import Library
from assets.mesh.simplify import lighter_mesh
from assets.mesh.types import Material, Mesh, MeshPart
from assets.props.wear import worn_mesh


def ball(rings: int = 5) -> Mesh:
    """A sphere of radius 0.1 m about the origin, u and v by azimuth and height, cut along one meridian."""
    sphere = trimesh.creation.uv_sphere(0.1, count=[8 * rings, 16 * rings])
    corners = sphere.triangles
    azimuth = np.arctan2(corners[..., 1], corners[..., 0]) / (2 * np.pi) + 0.5
    azimuth[(np.ptp(azimuth, axis=1) > 0.5)[:, None] & (azimuth < 0.5)] += 1
    points = corners.reshape(-1, 3)
    uv = np.column_stack([azimuth.ravel(), points[:, 2] / 0.2 + 0.5])
    texture = np.full((8, 8, 4), 200, np.uint8)
    parts = (MeshPart(0, len(corners), Material(np.ones(4), texture)),)
    faces = np.arange(len(points), dtype=np.int32).reshape(-1, 3)
    return Mesh("ball", points, faces, points / 0.1, parts, uv=uv)


def test_shape_print_and_normals_stay() -> None:
    mesh = ball()
    light = lighter_mesh(mesh, 1500)
    assert 1200 < len(light.faces) < 2500 < len(mesh.faces)
    radius = np.linalg.norm(light.vertices, axis=1)
    assert radius == pytest.approx(0.1, rel=0.03) and np.median(radius) == pytest.approx(0.1, rel=0.003)
    outward = light.vertices / radius[:, None]
    assert np.einsum("ij,ij->i", light.normals, outward) == pytest.approx(1, abs=5e-3)
    assert light.uv is not None and mesh.uv is not None
    # The height of a point is its v, whatever triangle it ended up in; u belongs to the side that the face is on.
    assert light.uv[:, 1] == pytest.approx(light.vertices[:, 2] / 0.2 + 0.5, abs=0.02)
    off_the_poles = (np.abs(light.vertices[:, 2]).reshape(-1, 3) < 0.09).all(axis=1)
    assert np.ptp(light.uv[:, 0].reshape(-1, 3), axis=1)[off_the_poles].max() < 0.5
    assert light.parts[0].material.texture is None


def test_a_sharp_edge_keeps_a_normal_for_each_side() -> None:
    box = trimesh.creation.box((0.1, 0.2, 0.3)).subdivide().subdivide().subdivide().subdivide()
    corners = box.triangles.reshape(-1, 3)
    normals = np.repeat(box.face_normals, 3, axis=0)
    faces = np.arange(len(corners), dtype=np.int32).reshape(-1, 3)
    light = lighter_mesh(Mesh("box", corners, faces, normals, (MeshPart(0, len(faces), Material(np.ones(4))),)), 200)
    triangles = light.vertices[light.faces].astype(np.float64)
    flat = np.cross(triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0])
    flat /= np.linalg.norm(flat, axis=1, keepdims=True)
    assert np.einsum("ijk,ik->ij", light.normals[light.faces], flat) == pytest.approx(1, abs=1e-4)


def test_several_parts_are_refused() -> None:
    mesh = ball()
    material, half = Material(np.ones(4)), len(mesh.faces) // 2
    parts = (MeshPart(0, half, material), MeshPart(half, len(mesh.faces), material))
    with pytest.raises(ValueError, match="one part, found 2"):
        lighter_mesh(Mesh("two", mesh.vertices, mesh.faces, mesh.normals, parts), 1000)


def test_worn_copies_share_a_lighter_mesh_that_is_read_back(tmp_path: Path) -> None:
    library = Library(Catalog({"sku": []}, tmp_path / "none.csv"), Backdrops.open(), cache_dir=tmp_path)
    mesh = ball()
    first, again = library.lighter(mesh, 1500), library.lighter(worn_mesh(mesh, 0.5), 1500)
    assert first.key == again.key == "ball-1500faces"
    assert np.array_equal(first.vertices, again.vertices) and np.array_equal(first.faces, again.faces)
    assert len(list(tmp_path.rglob("*.npz"))) == 1
    assert cKDTree(mesh.vertices).query(first.vertices)[0].max() < 0.01
