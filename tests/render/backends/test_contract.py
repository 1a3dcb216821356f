"""What every backend owes, whatever it is made of: each entry of BACKENDS runs through all of this.

A third party's of one file, which has no shadows and takes no notice of where light comes from, runs through the rest.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import trimesh
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter, minimum_filter

from assets.errors import SynthError
from assets.mesh.types import Material
from assets.props.look import Shape, Texture
from render.backends import BACKENDS, open_backend, resolve_preset
from render.backends.protocol import Backend
from render.geometry import look_at
from render.labels import trace_geometry
from render.optics.distortion import Distortion
from render.scene import AreaLight, Camera, Environment, Finish, Placement, SceneSpec
from render.warp import pinhole_view
from support.paths import ROOT
from support.scenes import StubLibrary, camera_at, cube, mesh_from, pose_at, product, quad, scene_of, sphere

FLAT = str(ROOT / "examples" / "own_backend.py")
GREY = 0.5
LOOKING_DOWN = camera_at((0, 0, 1.5), (0, 0, 0))


def matt(albedo: float) -> Material:
    return Material(np.array([albedo, albedo, albedo, 1.0]), roughness=1.0)


def quarters() -> Material:
    """Solid in two quarters of its square, holes in the two others."""
    texture = np.full((8, 8, 4), 200, np.uint8)
    texture[:4, :4, 3] = texture[4:, 4:, 3] = 0
    return Material(np.ones(4), texture, roughness=1.0, alpha_cutoff=0.5)


def sky_bright_in_the_east() -> NDArray[np.float32]:
    hdri = np.full((32, 64, 3), 0.05, np.float32)
    hdri[8:24, 24:40] = 6.0  # the middle column is +X
    return hdri


LIBRARY: Any = StubLibrary(
    {
        "cube": cube(0.4),
        "ball": mesh_from(trimesh.creation.icosphere(4, 0.3), "ball", matt(GREY)),
        "shiny": sphere(0.2, "shiny"),
        "holed": quad(1, 1, "holed", quarters()),
        "slab": quad(4, 4, "slab", matt(GREY)),
    },
    {"grey": np.ones((16, 32, 3), np.float32), "east": sky_bright_in_the_east()},
)


# Backends in which light comes from somewhere: the example's only lamp is at the camera.
lit = pytest.mark.parametrize("name", sorted(BACKENDS), indirect=True, scope="module")


@pytest.fixture(scope="module", params=[*sorted(BACKENDS), FLAT], ids=[*sorted(BACKENDS), "own_backend.py"])
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def backend(name: str) -> Iterator[Backend]:
    backend = open_named(name)
    yield backend
    backend.close()


def open_named(name: str) -> Backend:
    try:
        return open_backend(LIBRARY, replace(resolve_preset(name, "draft"), device="cpu"))
    except SynthError as error:
        pytest.skip(f"backend {name!r} cannot start here: {error.what}")


def odd_camera(eye: tuple[float, float, float], *, width: int = 97, height: int = 71) -> Camera:
    """fx != fy, the principal point well off the middle, a rolled horizon."""
    K = np.array([[110.0, 0, 31.3], [0, 84.0, 50.2], [0, 0, 1]])
    return Camera(width, height, K, look_at(np.array(eye), np.array([0.1, 0, 0.2]), roll=0.2))


def crowd() -> tuple[Placement, ...]:
    """Flat, round and pierced things that stand before, behind and above one another."""
    turned = trimesh.transformations.rotation_matrix(1.2, [1, 0.3, 0.2])
    turned[:3, 3] = [0.35, -0.3, 0.45]
    things = (product("ball", pose_at(-0.3, 0.5, 0.3)), product("cube", pose_at(0.2, 0.3)), product("holed", turned))
    return (product("slab"), *things, product("shiny", pose_at(-0.35, -0.2, 0.2)))


def away_from_silhouettes(ids: NDArray[np.int32], *, pixels: int = 1) -> NDArray[np.bool_]:
    """Pixels whose neighbours, so many to each side, all show the same thing."""
    size = 2 * pixels + 1
    return maximum_filter(ids, size) == minimum_filter(ids, size)


CAMERAS = {
    "plain": camera_at((0.3, -1.5, 0.8), (0, 0, 0.2), width=96, height=72, focal=80),
    "odd K": odd_camera((0.4, -1.4, 0.9)),
    "upright, from the side": odd_camera((1.5, 0.4, 0.5), width=60, height=91),
    "from straight above": camera_at((0, 0, 2.0), (0, 0, 0), width=80, height=80, offset=(-11.5, 7.25)),
    "principal point outside the image": camera_at((0, -2, 1), (-1.0, 0, 0.2), offset=(-50, 3)),
}


@pytest.mark.parametrize("camera", CAMERAS.values(), ids=CAMERAS.keys())
def test_framing_equals_the_labels(backend: Backend, camera: Camera) -> None:
    scene = scene_of(camera, *crowd())
    traced, drawn = trace_geometry(scene, LIBRARY).ids, backend.trace_ids(scene)
    assert drawn.shape == traced.shape and drawn.dtype == np.int32
    inner = away_from_silhouettes(traced)
    assert len(np.unique(traced)) >= 3 and inner.mean() > 0.3
    assert (drawn == traced)[inner].mean() >= 0.999
    # Rasterisers and ray tracers may round a border differently, but never move it.
    assert (drawn == traced).mean() >= 0.985


LENSES: dict[str, dict[str, Any]] = {
    "barrel and rolling shutter": {"distortion": Distortion(k1=-0.15), "rolling_shutter": (0.02, 0.05, 0.03)},
    "fisheye": {"distortion": Distortion("fisheye")},
}


@pytest.mark.parametrize("lens", LENSES.values(), ids=LENSES.keys())
def test_framing_equals_the_labels_through_a_lens(backend: Backend, lens: dict[str, Any]) -> None:
    scene = scene_of(replace(CAMERAS["plain"], **lens), *crowd())
    view = pinhole_view(scene.camera)
    traced = trace_geometry(scene, LIBRARY).ids
    drawn = view.sample(backend.trace_ids(replace(scene, camera=view.camera)), nearest=True)
    # Either may round a border of its own image by a pixel.
    inner = away_from_silhouettes(traced)
    assert len(np.unique(traced)) >= 3 and inner.mean() > 0.3
    assert (drawn == traced)[inner].mean() >= 0.999


def test_holes_of_a_cut_out_are_seen_through(backend: Backend) -> None:
    scene = scene_of(camera_at((0, 0, 1.0), (0, 0, 0), width=64, height=64), product("holed"))
    traced, drawn = trace_geometry(scene, LIBRARY).ids, backend.trace_ids(scene)
    assert 0.4 < traced.mean() < 0.6  # two of four quarters
    assert (drawn == traced).mean() > 0.97
    alpha = backend.render(scene)[..., 3]
    inner = away_from_silhouettes(traced, pixels=2)
    assert np.abs(alpha - traced)[inner].max() < 1e-3


def test_the_image_is_linear_rgba_premultiplied(backend: Backend, name: str) -> None:
    scene = scene_of(CAMERAS["odd K"], product("ball", pose_at(0.1, 0, 0.25)))
    image = backend.render(scene)
    assert image.shape == (71, 97, 4) and image.dtype == np.float32
    assert np.isfinite(image).all()
    rgb, alpha = image[..., :3], image[..., 3]
    ids = trace_geometry(scene, LIBRARY).ids
    inner = away_from_silhouettes(ids, pixels=2)  # as far as a pixel filter may reach
    assert alpha.min() >= 0 and alpha.max() <= 1 + 1e-6
    assert (alpha[inner & (ids == 1)] > 0.999).all() and (alpha[inner & (ids == 0)] < 0.001).all()
    assert (rgb[alpha == 0] == 0).all()
    # Under light of 1 from everywhere nothing is brighter than 1: at the border it is darker by the uncovered share.
    border = (alpha > 0.02) & (alpha < 0.98)
    assert border.sum() > 30 or name == FLAT  # one ray covers a pixel or does not
    assert (rgb[border] <= 1.05 * alpha[border, None] + 0.02).all()


def test_a_matt_slab_under_even_light_shows_its_albedo(backend: Backend) -> None:
    image = backend.render(scene_of(LOOKING_DOWN, product("slab")))
    # The surface of a dielectric adds up to 0.04 to a diffuse albedo of 0.5.
    assert image[..., :3].mean() == pytest.approx(GREY + 0.01, abs=0.05)
    assert image[..., :3].std() < 0.03
    assert (image[..., 3] == 1).all()


@lit
def test_a_wall_is_darker_at_its_foot(backend: Backend) -> None:
    """The contact shadow: the wall hides half of the sky from the ground before it, which then lights the foot less."""
    table = Placement("prop", "table", np.eye(4), shape=Shape("slab", 4, 4, 0.04), texture=Texture("solid"))
    camera = camera_at((0, -1.5, 0.21), (0, 0, 0.2), width=40, height=96, focal=256)
    scene = scene_of(camera, product("cube"), table)
    wall = (trace_geometry(scene, LIBRARY).ids == 1).all(axis=1)
    light = backend.render(scene)[wall, 10:30, 1].mean(axis=1)
    # Path tracing: 0.71 in the lowest 2 cm against the upper half; 0.96 without any contact shadow.
    assert 0.55 < light[-4:].mean() / light[: len(light) // 2].mean() < 0.8


def test_strength_and_tints_multiply(backend: Backend) -> None:
    plain = backend.render(scene_of(LOOKING_DOWN, product("slab")))[..., :3].mean(axis=(0, 1))
    light = Environment("grey", strength=2.0, tint=(1.0, 0.5, 0.25))
    lit = backend.render(scene_of(LOOKING_DOWN, product("slab"), environment=light))[..., :3].mean(axis=(0, 1))
    assert lit / plain == pytest.approx([2.0, 1.0, 0.5], rel=0.05)
    painted = replace(product("slab"), finish=Finish(tint=(1.0, 0.5, 0.25)))
    seen = backend.render(scene_of(LOOKING_DOWN, painted))[..., :3].mean(axis=(0, 1))
    assert seen / plain == pytest.approx([1.0, 0.5, 0.25], abs=0.05)


@lit
@pytest.mark.parametrize(
    ("rotation", "side"),
    [(0.0, (1, 0)), (np.pi / 2, (0, 1)), (np.pi, (-1, 0)), (-np.pi / 2, (0, -1))],  # counter-clockwise from +X
)
def test_an_environment_turns_counter_clockwise(backend: Backend, rotation: float, side: tuple[int, int]) -> None:
    scene = scene_of(LOOKING_DOWN, product("ball"), environment=Environment("east", rotation))
    light = backend.render(scene)[..., 1]
    rows, columns = np.mgrid[:48, :64] + 0.5
    # Seen from above with +Y up in the image: the centre of brightness leans to where the light comes from.
    lean = np.array([((columns - 32) * light).sum(), ((24 - rows) * light).sum()]) / light.sum()
    assert lean @ side > 1.0
    assert abs(lean @ [side[1], side[0]]) < 0.5


@lit
def test_an_area_light_shines_on_one_side_as_paper_says(backend: Backend) -> None:
    # A square of side 0.4 at height 1, parallel to the slab: the point below sees it under the form factor
    # 4 * (X / (2 pi)) * 2 * atan(Y), X = 0.2 / sqrt(1 + 0.2^2), Y = X.
    x = 0.2 / np.sqrt(1 + 0.2**2)
    form_factor = 4 * x / np.pi * np.arctan(x)
    down = trimesh.transformations.rotation_matrix(np.pi, [1, 0, 0])
    down[2, 3] = 1.0
    camera = camera_at((0.0, -1.2, 0.4), (0, 0, 0), width=33, height=33, focal=300)
    dark = Environment("grey", strength=0.0)

    def brightness(pose: NDArray) -> float:
        light = AreaLight(pose, 0.4, 0.4, (10.0, 10.0, 10.0))
        return float(
            backend.render(scene_of(camera, product("slab"), environment=dark, lights=(light,)))[..., 1].mean()
        )

    assert brightness(down) == pytest.approx(10 * GREY * form_factor, rel=0.2)
    up = np.eye(4)
    up[2, 3] = 1.0
    assert brightness(up) < 1e-3


def test_an_area_light_is_unseen(backend: Backend) -> None:
    facing = trimesh.transformations.rotation_matrix(np.pi, [1, 0, 0])
    facing[2, 3] = 0.5
    light = AreaLight(facing, 0.3, 0.3, (5.0, 5.0, 5.0))
    camera = camera_at((0, 0, -1), (0, 0, 1))
    assert not backend.render(scene_of(camera, lights=(light,))).any()


def test_nothing_to_see_is_an_empty_image(backend: Backend) -> None:
    scene = scene_of(LOOKING_DOWN)
    assert not backend.render(scene).any()
    assert not backend.trace_ids(scene).any()


@pytest.mark.parametrize(("width", "height"), [(1, 1), (2, 7), (5, 3)])
def test_an_image_may_be_as_small_as_one_pixel(backend: Backend, width: int, height: int) -> None:
    scene = scene_of(camera_at((0, 0, 1.5), width=width, height=height, focal=4), product("slab"))
    assert backend.render(scene).shape == (height, width, 4)
    assert (backend.trace_ids(scene) == np.ones((height, width))).all()


def busy_scenes() -> tuple[SceneSpec, SceneSpec]:
    """Two scenes that differ in all that a backend could forget to take back."""
    lamp = trimesh.transformations.rotation_matrix(np.pi, [1, 0, 0])
    lamp[2, 3] = 1.5
    dyed = Finish(roughness=0.1, tint=(0.2, 0.9, 0.3))
    first = scene_of(CAMERAS["odd K"], *crowd(), environment=Environment("east", 1.0), seed=3)
    second = scene_of(
        CAMERAS["upright, from the side"],
        *(replace(placement, finish=dyed) for placement in crowd()[:3]),
        lights=(AreaLight(lamp, 0.5, 0.2, (3.0, 2.0, 1.0)),),
        environment=Environment("grey", strength=0.3, tint=(1.0, 0.8, 0.6)),
    )
    return first, second


def test_a_scene_is_the_same_bytes_whatever_came_before(backend: Backend, name: str) -> None:
    first, second = busy_scenes()
    before, other = backend.render(first), backend.render(second)
    ids = backend.trace_ids(second)
    assert backend.render(first).tobytes() == before.tobytes()
    assert backend.render(second).tobytes() == other.tobytes()
    assert backend.trace_ids(second).tobytes() == ids.tobytes()
    fresh = open_named(name)
    try:
        assert fresh.render(second).tobytes() == other.tobytes()
    finally:
        fresh.close()
