"""Labels of scenes whose answer one can work out on paper."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assets.mesh.types import Material
from assets.props.look import Shape, Texture
from assets.props.wear import worn_mesh
from render import labels
from render.frame import Geometry, MaskCrop
from render.geometry import pixel_rays, transform
from render.labels import annotate, trace_geometry, trace_normals
from render.optics.distortion import Distortion
from render.scene import Placement, SceneSpec
from render.trace import outline_points
from support.scenes import StubLibrary, camera_at, cube, pose_at, product, quad, scene_of, sphere

LIBRARY = StubLibrary({"cube": cube(1.0), "small": cube(0.2, "small"), "ball": sphere(3.0), "wall": quad(2, 2, "wall")})


def trace(scene: SceneSpec) -> Geometry:
    return trace_geometry(scene, LIBRARY)


def test_inside_a_sphere_every_pixel_is_the_radius_away() -> None:
    camera = camera_at((0, 0, 0), (0, 1, 0))
    scene = scene_of(camera, product("ball"))
    geometry = trace(scene)
    normals = trace_normals(scene, LIBRARY, geometry)
    rays = pixel_rays(camera, 0, 0, 64, 48)
    distance = geometry.depth * np.linalg.norm(rays, axis=2)
    assert (geometry.ids == 1).all()
    assert distance == pytest.approx(3.0, rel=4e-3)  # an icosphere of 5120 faces is that round
    towards = np.einsum("hwc,hwc->hw", normals, rays / np.linalg.norm(rays, axis=2, keepdims=True))
    assert towards == pytest.approx(-1, abs=0.01)


def test_a_cube_two_metres_away_has_the_box_of_its_front_face() -> None:
    # Front face 1 m wide at depth 2 with a focal length of 64 px: 32 px, half above the axis and half below.
    scene = scene_of(camera_at((0, -2.5, 0.5), (0, 0, 0.5)), product("cube"))
    (annotation,) = annotate(scene, trace(scene))
    assert annotation.box == (16, 8, 48, 40) == annotation.amodal_box
    assert annotation.area == 32 * 32
    assert (annotation.visibility, annotation.truncation, annotation.ignore) == (1, 0, False)
    assert annotation.camera_from_object[:3, 3] == pytest.approx([0, 0.5, 2.5])


def test_depth_runs_along_the_optical_axis() -> None:
    scene = scene_of(camera_at((0, -2.5, 0.5), (0, 0, 0.5)), product("cube"))
    geometry = trace(scene)
    assert geometry.depth[geometry.ids == 1] == pytest.approx(2.0, rel=1e-5)
    assert np.isinf(geometry.depth[geometry.ids == 0]).all()
    normals = trace_normals(scene, LIBRARY, geometry)
    assert normals[24, 32] == pytest.approx([0, 0, -1], abs=1e-6)
    assert not normals[geometry.ids == 0].any()
    assert (geometry.faces[geometry.ids == 0] == -1).all()


def test_the_principal_point_moves_the_image_and_nothing_else() -> None:
    shifted = camera_at((0, -2.5, 0.5), (0, 0, 0.5), offset=(5, -3))
    scene = scene_of(shifted, product("cube"))
    assert annotate(scene, trace(scene))[0].box == (21, 5, 53, 37)


def test_half_behind_another_is_half_visible() -> None:
    front = product("cube", pose_at(x=0.0, y=0.0))
    # The hidden cube, 2 m further back: its front face is 16 px wide at depth 4; 0.5 m beside, half of it shows.
    behind = product("cube", pose_at(x=1.0, y=2.0))
    scene = scene_of(camera_at((0, -2.5, 0.5), (0, 0, 0.5)), front, behind)
    first, second = annotate(scene, trace(scene))
    assert first.visibility == 1
    # Its front face spans x = 40..56, of which the front cube covers up to 48; its left side shows nothing.
    assert second.box == (48, 16, 56, 32)
    amodal = 16 * 16 + int((second.amodal_mask[:, :40]).sum())
    assert second.visibility == pytest.approx(second.area / amodal, abs=1e-6)
    assert second.amodal_box[2:] == (56, 32)


def test_a_hidden_product_gets_no_label_and_a_nearly_hidden_one_is_ignored() -> None:
    hidden, peeping = product("small", pose_at(y=1, z=0.4)), product("small", pose_at(x=0.765, y=1, z=0.4))
    # Sight passes the cube's edge (0.5 m aside at depth 2) at 0.85 m in depth 3.4, where the small front faces lie.
    camera = camera_at((0, -2.5, 0.5), (0, 0, 0.5), width=256, height=192, focal=256)
    scene = scene_of(camera, product("cube"), hidden, peeping)
    found = {annotation.instance: annotation for annotation in annotate(scene, trace(scene))}
    assert set(found) == {1, 3}
    assert 0 < found[3].visibility < 0.1
    assert found[3].ignore and not found[1].ignore


def test_cut_by_the_border_the_amodal_box_leaves_the_image() -> None:
    # Front face 32 px wide, its middle on the left border: half of it is outside.
    scene = scene_of(camera_at((1.0, -2.5, 0.5), (1.0, 0, 0.5)), product("cube"))
    (annotation,) = annotate(scene, trace(scene))
    assert annotation.box[:2] == (0, 8)
    assert annotation.amodal_box[0] == -16
    # Outside lies half of the front face (the side face that shows lies inside).
    assert annotation.truncation == pytest.approx(16 * 32 / (16 * 32 + annotation.area), abs=1e-6)
    assert annotation.visibility == 1
    assert annotation.amodal_mask.shape == (48, 64)


def test_props_hide_products_and_are_not_annotated() -> None:
    prop = Placement("prop", "box", pose_at(y=-1, z=-1), shape=Shape("box", 4, 0.1, 4), texture=Texture("solid"))
    scene = scene_of(camera_at((0, -2.5, 0.5), (0, 0, 0.5)), product("cube"), prop)
    geometry = trace(scene)
    assert (geometry.ids == 2).all()
    assert annotate(scene, geometry) == ()


def test_an_empty_scene_has_empty_labels() -> None:
    scene = scene_of(camera_at((0, -2, 1)))
    geometry = trace(scene)
    assert not geometry.ids.any() and np.isinf(geometry.depth).all() and annotate(scene, geometry) == ()


def test_behind_the_camera_is_nowhere() -> None:
    scene = scene_of(camera_at((0, -2.5, 0.5), (0, 0, 0.5)), product("cube", pose_at(y=-6)))
    assert not trace(scene).ids.any()


def test_a_camera_inside_a_product_still_sees_it_all_around() -> None:
    scene = scene_of(camera_at((0, 0, 0.5), (0, 1, 0.5)), product("cube"))
    geometry = trace(scene)
    assert (geometry.ids == 1).all()
    (annotation,) = annotate(scene, geometry)
    assert annotation.box == (0, 0, 64, 48)
    assert annotation.truncation > 0.8  # followed one image size around, see MARGIN


def test_one_pixel_is_a_label() -> None:
    camera = camera_at((0, -2.5, 0.5), (0, 0, 0.5))
    # 0.0312 m at depth 2 is one pixel: placed on the centre of pixel (32, 24).
    dot = cube(0.025, "dot")
    library = StubLibrary({"dot": dot})
    centre = np.array([0.5, 0.5]) / 64 * 2.5
    scene = scene_of(camera, product("dot", pose_at(x=centre[0], z=0.5 - centre[1] - 0.0125)))
    (annotation,) = annotate(scene, trace_geometry(scene, library))
    assert (annotation.area, annotation.box) == (1, (32, 24, 33, 25))


def test_holes_of_a_cut_out_texture_let_rays_through() -> None:
    texture = np.full((64, 64, 4), 255, np.uint8)
    texture[:, :32, 3] = 0  # the left half is a hole
    cut_out = quad(1, 1, "cut-out", Material(np.ones(4), texture, alpha_cutoff=0.5))
    library = StubLibrary({"a-cut-out": cut_out, "wall": quad(4, 4, "wall")})
    camera = camera_at((0, 0, 2), (0, 0, 0))
    scene = scene_of(camera, product("a-cut-out"), product("wall", pose_at(z=-1)))
    geometry = trace_geometry(scene, library)
    solid = np.argwhere(geometry.ids == 1)
    # 32 px wide in all, from x = 16; only the right half, give or take the texel that bilinear filtering blends.
    assert solid[:, 1].min() == pytest.approx(32, abs=1) and solid[:, 1].max() == 47
    assert geometry.depth[24, 20] == pytest.approx(3.0)
    assert (geometry.ids[:, 16:31] != 1).all()


def test_instances_share_no_pixel_and_fill_the_ids() -> None:
    poses = [pose_at(x=0.4 * i - 0.8, y=0.3 * i) for i in range(5)]
    scene = scene_of(camera_at((0.3, -2.5, 1.5), (0, 0, 0.3)), *(product("cube", pose) for pose in poses))
    geometry = trace(scene)
    annotations = annotate(scene, geometry)
    total = sum(annotation.mask.astype(int) for annotation in annotations)
    assert (total == (geometry.ids > 0)).all()
    for annotation in annotations:
        assert not (annotation.mask & ~annotation.amodal_mask).any()
        assert annotation.visibility == pytest.approx(annotation.area / annotation.amodal_mask.sum(), abs=1e-6)


def test_against_one_ray_cast_through_the_whole_scene() -> None:
    """Two ways agree: placement by placement, and one trimesh scene of everything at once."""
    import trimesh

    rng = np.random.default_rng(3)
    placements = []
    for _ in range(8):
        pose = trimesh.transformations.random_rotation_matrix(rng.random(3))
        pose[:3, 3] = rng.uniform(-0.5, 0.5, 3)
        placements.append(product("small", pose))
    camera = camera_at((0.2, -1.6, 0.4), (0, 0, 0))
    geometry = trace(scene_of(camera, *placements))
    whole = []
    for placement in placements:
        mesh = LIBRARY.product("small")
        whole.append(
            trimesh.Trimesh(mesh.vertices, mesh.faces, process=False).apply_transform(placement.world_from_object)
        )
    together = trimesh.util.concatenate(whole)
    rays = pixel_rays(camera, 0, 0, 64, 48).reshape(-1, 3) @ camera.world_from_camera[:3, :3].T
    origins = np.broadcast_to(camera.world_from_camera[:3, 3], rays.shape)
    faces = together.ray.intersects_first(origins, rays)
    ids = np.where(faces >= 0, faces // 12 + 1, 0).reshape(48, 64)
    assert (ids != geometry.ids).mean() < 1e-3
    assert len(np.unique(geometry.ids)) > 5


def test_a_mask_lies_on_the_image_where_its_crop_says() -> None:
    crop = MaskCrop(-1, 1, np.array([[True, True, False], [True, False, True]]))
    assert crop.box == (-1, 1, 2, 3)
    assert np.argwhere(crop.whole(2, 4)).tolist() == [[1, 0]]
    assert np.argwhere(crop.whole(4, 4)).tolist() == [[1, 0], [2, 1]]
    assert not MaskCrop(9, 9, np.ones((1, 1), bool)).whole(4, 4).any()


def test_worn_copies_share_one_tree() -> None:
    plain = LIBRARY.product("cube")
    assert outline_points(worn_mesh(plain, 0.5)) is outline_points(plain)
    assert sorted(map(tuple, outline_points(plain))) == sorted(map(tuple, np.unique(plain.vertices, axis=0)))


def test_an_image_traced_in_bands_is_the_image_traced_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = scene_of(camera_at((1, -3, 1), (0, 0, 0.4)), product("cube"), product("small", pose_at(0.3, -1, 0.7)))
    whole = trace(scene)
    monkeypatch.setattr("render.labels.RAYS", 200)
    banded = trace(scene)
    for name in ("ids", "depth", "faces"):
        assert np.array_equal(getattr(whole, name), getattr(banded, name))
    assert all(np.array_equal(one.mask, other.mask) for one, other in zip(whole.amodal, banded.amodal, strict=True))


@pytest.mark.parametrize("lens", [None, Distortion("brown_conrady", k1=0.03), Distortion("fisheye", k1=0.01)])
@given(x=st.floats(-4, 4), y=st.floats(-2, 3), z=st.floats(-3, 3), side=st.floats(0.2, 2.0))
@settings(max_examples=15, deadline=None)
def test_only_what_no_ray_meets_is_left_out(lens: Distortion | None, x: float, y: float, z: float, side: float) -> None:
    """Meshes that reach behind the camera are traced, or known to be beside all rays: never both."""
    camera = replace(camera_at((0, -2, 0), (0, 1, 0), width=16, height=12, focal=10), distortion=lens)
    points = transform(pose_at(x, y, z), cube(side).vertices.astype(float))
    window, _ = labels._pixel_window(camera, points, 1.0)
    if window.empty:
        whole = labels._PixelWindow(-16, -12, 32, 24)
        every = np.ones((36, 48), bool)
        assert (labels._trace_band(camera, pose_at(x, y, z), cube(side), whole, every).faces < 0).all()
