"""Changed copies of products: dents, stickers, other materials."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import trimesh

from assets.catalog.types import Sku
from assets.mesh.subdivide import split_long_edges
from assets.mesh.types import Mesh
from assets.packages.build import build_package
from assets.packages.packshots.art import PackageArt
from assets.props.dents import EDGE, RADIUS, dented_mesh, max_depth
from assets.props.look import ProductChange
from assets.props.materials import FOIL_EDGE, with_material
from assets.props.stickers import STICKERS, stickered_mesh
from assets.props.wear import worn_mesh
from render.scene import Finish, Placement, SceneSpec
from support.scenes import camera_at, cube, pose_at, product, scene_of


def package(kind: str, name: str = "Still water", **more: float | str) -> Mesh:
    size = {"width_m": 0.08, "depth_m": 0.08, "height_m": 0.24}
    return build_package(Sku("a", name, package=kind, **{**size, **more}), PackageArt(), texture_px=96)


CARTON, CAN, BAG = package("carton"), package("can", height_m=0.12), package("bag", depth_m=0.05)
BOTTLE, SIX = package("bottle"), package("multipack", width_m=0.24, depth_m=0.16, unit_package="bottle")


def closed(mesh: Mesh) -> bool:
    return bool(trimesh.Trimesh(mesh.vertices, mesh.faces).is_watertight)


@pytest.mark.parametrize("mesh", [CARTON, CAN, BAG], ids=["carton", "can", "bag"])
def test_long_edges_are_split_and_nothing_else_changes(mesh: Mesh) -> None:
    fine = split_long_edges(mesh, 0.02)
    corners = fine.vertices[fine.faces]
    assert np.linalg.norm(np.roll(corners, -1, axis=1) - corners, axis=2).max() <= 0.02
    assert closed(fine) == closed(mesh) and len(fine.faces) >= len(mesh.faces)
    for before, after in zip(mesh.parts, fine.parts, strict=True):
        assert before.material is after.material
        areas = [
            trimesh.triangles.area(one.vertices[one.faces[part.face_start : part.face_stop]]).sum()
            for one, part in ((mesh, before), (fine, after))
        ]
        assert areas[1] == pytest.approx(areas[0], rel=1e-5)
    assert np.allclose(np.linalg.norm(fine.normals, axis=1), 1, atol=1e-5)
    assert len(split_long_edges(mesh, 1e-4, max_faces=9000).faces) <= 9000


@pytest.mark.parametrize("dents", [0.25, 1.0])
@pytest.mark.parametrize("mesh", [CARTON, CAN, BAG], ids=["carton", "can", "bag"])
def test_dents_go_inwards_by_so_much_and_leave_the_mesh_closed(mesh: Mesh, dents: float) -> None:
    dented = dented_mesh(mesh, dents)
    plain = split_long_edges(mesh, EDGE * RADIUS[0] * float(mesh.size.min()))
    depth = np.linalg.norm(dented.vertices - plain.vertices, axis=1)
    assert 0.3 * max_depth(mesh, dents) < depth.max() <= max_depth(mesh, dents) * 1.001
    assert max_depth(mesh, dents) <= 0.006
    assert closed(dented) == closed(mesh)
    assert (dented.bounds[0] >= mesh.bounds[0] - 1e-4).all() and (dented.bounds[1] <= mesh.bounds[1] + 1e-4).all()
    assert trimesh.Trimesh(dented.vertices, dented.faces).volume < trimesh.Trimesh(mesh.vertices, mesh.faces).volume
    assert np.allclose(np.linalg.norm(dented.normals, axis=1), 1, atol=1e-4)
    assert dented.shape_key != mesh.shape_key and dented_mesh(mesh, dents).key == dented.key


def test_normals_of_dents_follow_the_surface() -> None:
    dented = dented_mesh(cube(0.2), 1.0)
    corners = dented.vertices[dented.faces].astype(float)
    faces = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    faces /= np.maximum(np.linalg.norm(faces, axis=1, keepdims=True), 1e-30)
    # The corners of the cube have smoothed normals, and keep them.
    bent = np.abs(faces).max(axis=1) < 0.99
    mean = dented.normals[dented.faces[bent]].mean(axis=1)
    assert bent.sum() > 20 and (np.einsum("ij,ij->i", mean, faces[bent]) > 0.5).all()


@pytest.mark.parametrize("seed", range(STICKERS))
def test_a_sticker_changes_only_texels_of_the_front(seed: int) -> None:
    marked = stickered_mesh(CARTON, seed)
    assert marked.shape_key == CARTON.shape_key and marked.key != CARTON.key and marked.vertices is CARTON.vertices
    before, after = CARTON.parts[0].material.texture, marked.parts[0].material.texture
    assert before is not None and after is not None and CARTON.uv is not None
    changed = np.argwhere((before != after).any(axis=2))
    assert 50 < len(changed) < 0.5 * before.shape[0] * before.shape[1]
    # Where the front lies in the texture: the faces that look along -y.
    ahead = CARTON.faces[(CARTON.normals[CARTON.faces][..., 1] < -0.9).all(axis=1)]
    front = CARTON.uv[ahead].reshape(-1, 2) * [before.shape[1], -before.shape[0]] + [0, before.shape[0]]
    low, high = front.min(axis=0) - 1, front.max(axis=0) + 1
    assert (changed[:, ::-1] >= low).all() and (changed[:, ::-1] <= high).all()


def test_a_sticker_needs_a_print() -> None:
    plain = cube(0.1)
    assert stickered_mesh(plain, 3) is plain


def test_film_and_metal_change_the_print_alone() -> None:
    for name in ("gloss", "metal"):
        copy = with_material(CAN, name)
        assert copy.shape_key == CAN.shape_key and copy.key != CAN.key
        for before, after in zip(CAN.parts, copy.parts, strict=True):
            assert (before.material is after.material) == (before.material.texture is None)
    assert max(
        part.material.metallic for part in with_material(CAN, "metal").parts if part.material.texture is not None
    )


def test_foil_creases_the_normals_of_the_same_surface() -> None:
    foil = with_material(BAG, "foil")
    assert foil.shape_key != BAG.shape_key and closed(foil) == closed(BAG)
    assert np.array_equal(foil.vertices, split_long_edges(BAG, FOIL_EDGE, max_faces=16_000).vertices)
    assert np.allclose(np.linalg.norm(foil.normals, axis=1), 1, atol=1e-5)


def test_a_clear_bottle_is_a_wall_around_its_contents() -> None:
    clear = with_material(BOTTLE, "clear")
    walls = [part.material for part in clear.parts if part.material.transmission]
    assert len(clear.parts) == len(BOTTLE.parts) + 1 and len(walls) == 2 and not any(wall.pane for wall in walls)
    assert np.array_equal(clear.bounds, BOTTLE.bounds)
    contents = clear.vertices[clear.faces[clear.parts[-1].face_start :]].reshape(-1, 3)
    assert 0.7 < contents[:, 2].max() / 0.24 < 0.9 and contents[:, 2].min() > 0
    outside = trimesh.Trimesh(BOTTLE.vertices, BOTTLE.faces)
    assert outside.contains(contents[::97].astype(float)).all()
    assert with_material(CARTON, "clear") is CARTON  # print all over


def test_shrink_wrap_is_a_closed_film_around_all_units() -> None:
    wrapped = with_material(SIX, "wrap")
    film = wrapped.parts[0]
    shell = trimesh.Trimesh(wrapped.vertices, wrapped.faces[film.face_start : film.face_stop])
    assert film.material.transmission > 0.9 and not film.material.pane and shell.is_watertight
    assert shell.convex_hull.volume == pytest.approx(shell.volume, rel=1e-3)
    assert np.abs(wrapped.bounds - SIX.bounds).max() < 0.001 and wrapped.bounds[0, 2] == 0


def test_changes_add_up_and_keys_tell_shapes_apart() -> None:
    worn = worn_mesh(CARTON, 0.5)
    both = stickered_mesh(dented_mesh(worn, 0.5), 1)
    assert both.shape_key == dented_mesh(CARTON, 0.5).shape_key
    keys = {mesh.key for mesh in (CARTON, worn, both, dented_mesh(worn, 0.5), stickered_mesh(worn, 1))}
    assert len(keys) == 5


def test_scenes_keep_changes_and_stay_as_they_were_without() -> None:
    plain = scene_of(camera_at((0, 0, 2)), product("a"), Placement("product", "a", pose_at(1)))
    assert '"change"' not in plain.to_json() and '"version":1' in plain.to_json()
    change = ProductChange("foil", 0.5, 3)
    changed = replace(
        plain, placements=(replace(plain.placements[0], finish=Finish(change=change)), plain.placements[1])
    )
    assert '"version":3' in changed.to_json()
    back = SceneSpec.from_json(changed.to_json())
    assert back.placements[0].finish.change == change and back.placements[1].finish == Finish()
    assert back.to_json() == changed.to_json()
