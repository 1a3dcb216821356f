"""The raster backend against paper: radiance, framing, coverage, shadows, and that nothing leaks or wavers."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any, cast

import numpy as np
import psutil
import pytest
import trimesh

from assets.color import LUMINANCE
from assets.errors import SynthError
from assets.library import Library
from assets.mesh.types import Material, Mesh, MeshPart
from assets.props.look import Shape, Texture
from render.backends import open_backend
from render.backends.protocol import RenderSettings
from render.backends.raster.environment import directions_of, solid_angles
from render.backends.raster.gl import Target
from render.geometry import look_at
from render.labels import trace_geometry
from render.scene import AreaLight, Camera, Environment, Finish, Placement, SceneSpec
from support.errors import raises

WHITE = Texture("solid", colors=((1.0, 1.0, 1.0), (1.0, 1.0, 1.0)))


def mesh_from(form: trimesh.Trimesh, key: str, material: Material, **more: Any) -> Mesh:
    parts = (MeshPart(0, len(form.faces), material),)
    return Mesh(key, form.vertices, form.faces, form.vertex_normals, parts, **more)


def box(width: float, depth: float, height: float, *, lift: float) -> trimesh.Trimesh:
    """A box with flat normals whose middle lies at z = lift."""
    form = trimesh.creation.box((width, depth, height))
    corners = form.triangles.reshape(-1, 3) + [0, 0, lift]
    return trimesh.Trimesh(corners, np.arange(36).reshape(-1, 3), process=False)


def card(image: np.ndarray | None, *, cutoff: float | None = None, key: str = "card") -> Mesh:
    """A square of 0.2 m in the x-z plane that faces -y, its image upright for who looks along +y."""
    corners = np.array([[-0.1, 0, 0], [0.1, 0, 0], [0.1, 0, 0.2], [-0.1, 0, 0.2]], np.float32)
    uv = np.array([[0, 0], [1, 0], [1, 1], [0, 1]], np.float32)
    normals = np.tile(np.array([0, -1, 0], np.float32), (4, 1))
    material = Material(np.ones(4), image, roughness=1.0, alpha_cutoff=cutoff)
    faces = np.array([[0, 1, 2], [0, 2, 3]], np.int32)
    return Mesh(key, corners, faces, normals, (MeshPart(0, 2, material),), uv=uv)


def quadrants() -> np.ndarray:
    """Red, green over blue, white: (64, 64, 4) uint8."""
    image = np.full((64, 64, 4), 255, np.uint8)
    image[:32, :32, :3], image[:32, 32:, :3], image[32:, :32, :3] = (255, 0, 0), (0, 255, 0), (0, 0, 255)
    return image


class Skies:
    """Two HDRIs of mean luminance 1: an even one, and a dim one with a lamp at 45 degrees over +x."""

    def hdri(self, key: str) -> np.ndarray:
        grid = directions_of(64, 128)
        lit = grid @ np.array([1, 0, 1]) / np.sqrt(2) > np.cos(0.06)
        sky = np.where(lit[..., None] & (key == "lamp"), 500.0, 1.0).repeat(3, axis=2)
        weight = solid_angles(64, 128)
        return (sky / ((sky @ LUMINANCE * weight).sum() / weight.sum())).astype(np.float32)


class Shelf:
    """A library of plain shapes by name."""

    backdrops = Skies()

    def product(self, key: str, *, wear: float = 0.0) -> Mesh:
        name, _, number = key.partition(":")
        if name == "ball":
            grey = float(number or 1.0)
            material = Material(np.array([grey, grey, grey, 1.0]), roughness=1.0)
            return mesh_from(trimesh.creation.icosphere(4, 0.1), key, material)
        if name == "card":
            return card(quadrants())
        if name == "window":
            image = quadrants()
            image[16:48, 16:48, 3] = 0
            return card(image, cutoff=0.5, key="window")
        if name == "tinted":
            form = box(0.1, 0.1, 0.1, lift=0.05)
            colors = np.tile(np.array([188, 0, 255, 255], np.uint8), (36, 1))
            return mesh_from(form, key, Material(np.ones(4), roughness=1.0), colors=colors)
        if name == "unlit":  # as where normals that look against each other cancel out
            return dataclasses.replace(card(None), key=key, normals=np.zeros((4, 3), np.float32))
        if name == "torus":
            form = trimesh.creation.torus(0.1, 0.03)
            form.apply_translation([0, 0, 0.03 + 0.001 * int(number or 0)])
            image = np.full((128, 128, 4), 200, np.uint8)
            uv = form.vertices[:, :2].astype(np.float32)
            return mesh_from(form, key, Material(np.ones(4), image), uv=uv)
        return mesh_from(box(0.1, 0.1, 0.2, lift=0.1), "box", Material(np.array([0.5, 0.5, 0.5, 1.0]), roughness=1.0))

    def prop(self, shape: Shape, texture: Texture, *, wear: float = 0.0) -> Mesh:
        lift = -shape.height / 2 if shape.kind == "slab" else shape.height / 2
        form = box(shape.width, shape.depth, shape.height, lift=lift)
        return mesh_from(form, repr(shape), Material(np.array([0.8, 0.8, 0.8, 1.0]), roughness=1.0))


def at(x: float, y: float, z: float) -> np.ndarray:
    pose = np.eye(4)
    pose[:3, 3] = x, y, z
    return pose


def product(key: str, pose: np.ndarray | None = None, **finish: Any) -> Placement:
    return Placement("product", key, np.eye(4) if pose is None else pose, Finish(**finish))


def slab(kind: str = "slab", *, z: float = 0.0) -> Placement:
    shape = Shape(cast(Any, kind), 2.0, 2.0, 0.02)
    return Placement("prop", kind, at(0, 0, z), shape=shape, texture=WHITE)


def camera_at(eye: tuple[float, float, float], target: tuple[float, float, float], focal: float = 150.0) -> Camera:
    intrinsics = np.array([[focal, 0, 80], [0, focal, 60], [0, 0, 1]])
    return Camera(160, 120, intrinsics, look_at(np.array(eye), np.array(target)))


def scene_of(
    *placements: Placement, camera: Camera, sky: str = "even", strength: float = 1.0, **more: Any
) -> SceneSpec:
    return SceneSpec(
        "test", 0, 0, 0, camera, placements, more.pop("lights", ()), Environment(sky, strength=strength), **more
    )


FRONT = camera_at((0, -0.6, 0.1), (0, 0, 0.1))
ABOVE = camera_at((0, -0.001, 1.0), (0, 0, 0))
SLANTED = camera_at((0.1, -0.6, 0.5), (0, 0, 0.03))


@pytest.fixture(scope="module")
def backend() -> Iterator[Any]:
    found = opened(4)
    yield found
    found.close()


def opened(samples: int) -> Any:
    try:
        return open_backend(cast(Library, Shelf()), RenderSettings("raster", samples=samples))
    except SynthError as error:
        pytest.skip(f"no OpenGL here: {error}")


# -- radiance -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("albedo", [1.0, 0.5, 0.18])
def test_a_lambertian_ball_under_an_even_sky_shows_its_albedo(backend: Any, albedo: float) -> None:
    image = backend.render(scene_of(product(f"ball:{albedo}"), camera=camera_at((0, -0.6, 0), (0, 0, 0))))
    middle = image[45:75, 65:95, :3]
    # The glossy layer of a rough dielectric adds at most 4 % of white.
    assert albedo * 0.98 < middle.min()
    assert middle.max() < albedo + 0.04 * (1 - albedo) + 0.02


def test_strength_and_tint_of_the_environment_scale_the_light(backend: Any) -> None:
    plain = scene_of(product("ball"), camera=FRONT)
    changed = dataclasses.replace(plain, environment=Environment("even", strength=2.0, tint=(1.0, 0.5, 0.25)))
    first, second = backend.render(plain), backend.render(changed)
    assert np.allclose(second[..., :3], first[..., :3] * [2.0, 1.0, 0.5], rtol=1e-3, atol=1e-4)


def lamp(height: float, side: float, radiance: float, *, x: float = 0.0, down: bool = True) -> AreaLight:
    pose = at(x, 0, height)
    if down:
        pose[:3, :3] = np.diag([1.0, -1.0, -1.0])
    return AreaLight(pose, side, side, (radiance, radiance, radiance))


@pytest.mark.parametrize(
    ("height", "x"),
    [
        (1.0, 0.0),  # straight above
        (0.7, 0.0),  # nearer: inverse square
        (0.8, 0.6),  # aslant: both cosines
    ],
)
def test_a_small_area_light_gives_the_irradiance_of_the_formula(backend: Any, height: float, x: float) -> None:
    light = lamp(height, 0.05, 400.0, x=x)
    image = backend.render(scene_of(slab("box"), camera=ABOVE, strength=0.0, lights=(light,)))
    distance2 = (height - 0.02) ** 2 + x**2
    cosine2 = (height - 0.02) ** 2 / distance2
    expected = 0.8 / np.pi * 400.0 * 0.05**2 * cosine2 / distance2
    assert image[58:62, 78:82, :3].mean() == pytest.approx(expected, rel=0.06)


def test_an_area_light_shines_to_one_side_only(backend: Any) -> None:
    scene = scene_of(slab("box"), camera=ABOVE, strength=0.0, lights=(lamp(1.0, 0.05, 400.0, down=False),))
    assert backend.render(scene)[..., :3].max() < 1e-6


def test_a_wide_light_close_by_saturates_at_its_own_radiance(backend: Any) -> None:
    image = backend.render(scene_of(slab("box"), camera=ABOVE, strength=0.0, lights=(lamp(0.06, 4.0, 1.0),)))
    assert 0.7 < image[58:62, 78:82, :3].mean() < 0.9


# -- surfaces -----------------------------------------------------------------------------------------------------


def test_an_image_stands_upright_and_is_read_as_srgb(backend: Any) -> None:
    image = backend.render(scene_of(product("card"), camera=FRONT))
    spots = {(48, 68): [1, 0, 0], (48, 92): [0, 1, 0], (72, 68): [0, 0, 1], (72, 92): [1, 1, 1]}
    for (row, column), color in spots.items():
        assert np.allclose(image[row, column, :3], color, atol=0.08)


def test_vertex_colours_are_srgb_and_the_tint_multiplies(backend: Any) -> None:
    image = backend.render(scene_of(product("tinted", tint=(1.0, 1.0, 0.5)), camera=FRONT))
    # sRGB 188 is half the light.
    assert np.allclose(image[70, 80, :3], [0.5, 0.0, 0.5], atol=0.06)


def test_holes_of_a_cut_out_show_what_lies_behind(backend: Any) -> None:
    scene = scene_of(product("window"), product("box", at(0, 0.3, 0)), camera=FRONT)
    ids = backend.trace_ids(scene)
    assert ids[60, 80] == 2  # through the hole
    assert ids[40, 64] == 1
    assert backend.render(scene)[60, 58:62, 3].max() == 1.0


@pytest.mark.parametrize("side", [1, -1])
def test_both_sides_of_a_face_are_drawn_and_lit(backend: Any, side: int) -> None:
    view = camera_at((0, -0.6 * side, 0.1), (0, 0, 0.1))
    image = backend.render(scene_of(product("card"), camera=view))
    assert image[60, 80, 3] == 1.0
    assert image[50:70, 65:95, :3].max() > 0.8


def test_normals_that_cancel_out_give_numbers_all_the_same(backend: Any) -> None:
    image = backend.render(scene_of(product("unlit"), camera=FRONT))
    assert np.isfinite(image).all() and image[60, 80, 3] == 1.0


def test_roughness_of_the_finish_changes_the_gloss(backend: Any) -> None:
    def glint(roughness: float) -> float:
        ball = product("ball:0.02", roughness=roughness)
        return float(backend.render(scene_of(ball, camera=FRONT, sky="lamp"))[..., :3].max())

    assert glint(0.1) > 3 * glint(0.9)


# -- coverage and framing -----------------------------------------------------------------------------------------


def test_nothing_is_transparent_and_outlines_are_smooth(backend: Any) -> None:
    image = backend.render(scene_of(product("ball"), camera=camera_at((0, -0.6, 0), (0, 0, 0))))
    alpha = image[..., 3]
    assert alpha[0, 0] == 0
    assert image[0, 0, :3].tolist() == [0, 0, 0]
    assert alpha[60, 80] == 1
    assert ((alpha > 0.05) & (alpha < 0.95)).sum() > 50
    # The outline of a ball of radius r at distance d: a disc of tangent r / sqrt(d^2 - r^2).
    assert alpha.sum() == pytest.approx(np.pi * 150**2 * 0.01 / (0.36 - 0.01), rel=0.01)


def test_an_empty_scene_is_all_transparent(backend: Any) -> None:
    assert not backend.render(scene_of(camera=FRONT)).any()
    assert not backend.trace_ids(scene_of(camera=FRONT)).any()


def test_colour_is_premultiplied(backend: Any) -> None:
    image = backend.render(scene_of(product("ball"), camera=FRONT))
    edge = (image[..., 3] > 0.2) & (image[..., 3] < 0.8)
    assert np.allclose(image[edge][:, :3], image[edge][:, 3:], atol=0.06)


CAMERAS = {
    "even": np.array([[150.0, 0, 80], [0, 150, 60], [0, 0, 1]]),
    "principal point far off": np.array([[150.0, 0, 21.3], [0, 150, 95.8], [0, 0, 1]]),
    "oblong pixels": np.array([[190.0, 0, 80.5], [0, 120, 59.1], [0, 0, 1]]),
}


@pytest.mark.parametrize("name", CAMERAS)
def test_ids_agree_with_the_traced_labels_away_from_outlines(backend: Any, name: str) -> None:
    view = dataclasses.replace(SLANTED, K=CAMERAS[name])
    turned = at(0.08, 0.02, 0)
    turned[:3, :3] = trimesh.transformations.rotation_matrix(0.7, [0, 0, 1])[:3, :3]
    things = [product("torus"), product("box", turned), product("window", at(-0.1, -0.1, 0)), slab()]
    scene = scene_of(*things, camera=view)
    traced = trace_geometry(scene, cast(Library, Shelf())).ids
    drawn = backend.trace_ids(scene)
    steps = np.zeros(traced.shape, bool)
    for axis in (0, 1):
        for shift in (-1, 1):
            steps |= np.roll(traced, shift, axis=axis) != traced
    assert len(np.unique(traced)) >= 4
    assert (traced == drawn)[~steps].mean() >= 0.999
    assert (traced == drawn).mean() > 0.995


@pytest.mark.parametrize("samples", [1, 16])
def test_other_sample_counts_draw_the_same_image(backend: Any, samples: int) -> None:
    scene = scene_of(product("box"), slab(), camera=SLANTED, sky="lamp")
    other = opened(samples)
    image = other.render(scene)
    other.close()
    assert image.shape == (120, 160, 4)
    assert np.abs(image - backend.render(scene)).mean() < 0.03


# -- shadows ------------------------------------------------------------------------------------------------------


def brightness(image: np.ndarray, camera: Camera, x: float, y: float) -> float:
    """Mean light of the 3 x 3 pixels around a point of the table."""
    point = np.linalg.inv(camera.world_from_camera) @ [x, y, 0, 1]
    column, row = (camera.K @ point[:3])[:2] / point[2]
    return float(image[int(row) - 1 : int(row) + 2, int(column) - 1 : int(column) + 2, :3].mean())


HIGH = camera_at((0, -0.3, 1.1), (0, 0, 0), focal=220.0)


def test_a_lamp_casts_a_shadow_away_from_itself_and_none_elsewhere(backend: Any) -> None:
    bare = backend.render(scene_of(slab(), product("ball", at(5, 5, 5)), camera=HIGH, sky="lamp"))
    image = backend.render(scene_of(slab(), product("box"), camera=HIGH, sky="lamp"))
    lit = brightness(bare, HIGH, 0.0, -0.2)
    # The box is 0.2 m high, the lamp stands at 45 degrees: the shadow reaches from x = -0.05 to -0.25.
    assert brightness(image, HIGH, -0.15, 0.0) < 0.75 * lit
    assert brightness(image, HIGH, -0.32, 0.0) > 0.9 * lit
    assert brightness(image, HIGH, 0.2, 0.0) == pytest.approx(lit, rel=0.1)


def test_the_shadow_begins_where_the_box_stands(backend: Any) -> None:
    image = backend.render(scene_of(slab(), product("box"), camera=HIGH, sky="lamp"))
    assert brightness(image, HIGH, -0.062, 0.0) < 0.75 * brightness(image, HIGH, 0.3, 0.1)


def test_lit_faces_do_not_shade_themselves(backend: Any) -> None:
    scene = scene_of(slab(), product("box"), camera=HIGH, sky="lamp")
    image = backend.render(scene)
    spots = [brightness(image, HIGH, 0.25, y) for y in (-0.2, -0.1, 0.0, 0.1, 0.2)]
    assert max(spots) / min(spots) < 1.04
    # From straight above one sees the box's top alone, less its outline.
    scene = dataclasses.replace(scene, camera=ABOVE)
    top = backend.render(scene)[52:68, 72:88, :3]
    assert (backend.trace_ids(scene)[52:68, 72:88] == 2).all()
    assert np.std(top) < 0.02 * top.mean()


def test_an_area_light_casts_a_shadow(backend: Any) -> None:
    scene = scene_of(slab(), product("box"), camera=HIGH, strength=0.0, lights=(lamp(0.7, 0.05, 200.0, x=0.5),))
    image = backend.render(scene)
    assert brightness(image, HIGH, -0.12, 0.0) < 0.1 * brightness(image, HIGH, 0.2, 0.0)


def test_corners_are_darker_than_the_open(backend: Any) -> None:
    image = backend.render(scene_of(slab(), product("box"), camera=HIGH))
    beside, away = brightness(image, HIGH, 0.065, 0.0), brightness(image, HIGH, 0.35, 0.0)
    # Beside a wall half the sky is gone; light that the wall throws back makes up for a part of it.
    assert 0.45 * away < beside < 0.85 * away


# -- life of a backend --------------------------------------------------------------------------------------------


def test_the_same_scene_gives_the_same_bytes(backend: Any) -> None:
    lights = (lamp(0.7, 0.2, 20.0, x=0.5),)
    scene = scene_of(slab(), product("torus"), product("box"), camera=SLANTED, sky="lamp", lights=lights)
    first = backend.render(scene)
    backend.render(scene_of(product("ball"), camera=FRONT))
    other = opened(4)
    assert np.array_equal(first, backend.render(scene))
    assert np.array_equal(first, other.render(scene))
    other.close()
    assert np.array_equal(first, backend.render(scene))  # closing one leaves the other whole


def test_views_share_the_shadow_maps_of_their_scene_alone(backend: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    scene = scene_of(slab(), product("box"), camera=HIGH, sky="lamp")
    drawn: list[int] = []
    bind = Target.bind

    def count(target: Target, layer: int = 0) -> None:
        drawn.append(layer) if target is backend._shadow_maps else None
        bind(target, layer)

    monkeypatch.setattr(Target, "bind", count)
    backend.render(scene_of(product("ball"), camera=FRONT))
    for changed in (
        scene,
        dataclasses.replace(scene, camera=SLANTED),
        scene_of(slab(), product("box", at(0.1, 0, 0)), camera=HIGH, sky="lamp"),
        dataclasses.replace(scene, environment=Environment("lamp", rotation=1.0)),
    ):
        drawn.clear()
        image = backend.render(changed)
        assert bool(drawn) == (changed.camera is HIGH)
        backend._shadowed = None
        assert np.array_equal(image, backend.render(changed))


def test_memory_stays_flat_over_scenes() -> None:
    own = opened(4)
    process = psutil.Process()
    sizes = []
    for index in range(30):
        own.render(scene_of(slab(), product(f"torus:{index % 6}"), product("box"), camera=SLANTED, sky="lamp"))
        sizes.append(process.memory_info().rss)
    own.close()
    assert sizes[-1] - sizes[9] < 8 << 20


def test_meshes_beyond_the_limit_are_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    own = opened(1)
    own._store._limit = 1
    scene = scene_of(product("torus:1"), product("card"), camera=SLANTED)
    first = own.render(scene)
    own.render(scene_of(product("box"), camera=SLANTED))
    assert list(own._store._meshes) == ["box"]
    assert np.array_equal(own.render(scene), first)
    own.close()


def test_meshes_of_the_scene_stay_however_old_they_are() -> None:
    own = opened(1)
    for key in ("box", "card"):
        own.render(scene_of(product(key), camera=SLANTED))
    own._store._limit = 1
    own.render(scene_of(product("box"), product("torus:1"), camera=SLANTED))
    assert set(own._store._meshes) == {"box", "torus:1"}
    own.close()


def test_a_machine_without_a_device_is_told_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    opened(1).close()
    import render.backends.raster.gl as raster_gl

    monkeypatch.setattr(raster_gl.Context, "init_context", lambda self: 1 / 0)
    with raises("opengl-unavailable", hint="libegl1"):
        open_backend(cast(Library, Shelf()), RenderSettings("raster"))
