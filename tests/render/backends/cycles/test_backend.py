"""The Cycles backend against paper: radiance, colour, edges; and that it keeps quiet and does not grow."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import trimesh
from numpy.typing import NDArray

from assets.mesh.types import Material, Mesh, MeshPart
from render.backends import open_backend
from render.backends.protocol import Backend, RenderSettings
from render.scene import AreaLight, Environment, Finish, SceneSpec
from support.scenes import StubLibrary, camera_at, cube, pose_at, product, quad, scene_of, sphere

pytest.importorskip("bpy", exc_type=ImportError, reason="Blender as a module (bpy) is not installed")

from render.backends.cycles import backend as cycles
from render.backends.cycles import start as cycles_start
from support.errors import raises

# Rays of this many samples and no denoiser: numbers to compare with paper.
EXACT = RenderSettings(backend="cycles", preset="good", samples=64, denoise=False, device="cpu")
DRAFT = RenderSettings(backend="cycles", preset="draft", samples=4, denoise=True, device="cpu")
DOWN = camera_at((0, 0, 2), (0, 0, 0), width=48, height=48, focal=48)  # sees 2 m x 2 m


def look(*color: float, **more: Any) -> Material:
    return Material(np.array([*color, 1.0]), **{"roughness": 1.0, **more})


def quarters() -> NDArray[np.uint8]:
    """Red, green over blue, mid grey."""
    image = np.full((16, 16, 4), 255, np.uint8)
    image[:8, :8, :3], image[:8, 8:, :3] = (255, 0, 0), (0, 255, 0)
    image[8:, :8, :3], image[8:, 8:, :3] = (0, 0, 255), (128, 128, 128)
    return image


def slanted(key: str, x: float) -> Mesh:
    """A level square whose normals lean towards x."""
    flat = quad(2, 2, key, look(0.5, 0.5, 0.5))
    normal = np.array([x, 0, 1.0]) / np.hypot(x, 1)
    return replace(flat, normals=np.tile(normal, (4, 1)))


def two_parts() -> Mesh:
    """Half red, half metal with the texture's blue; corner colours dim it from left to right."""
    flat = quad(2, 2, "parts")
    red, textured = look(1, 0, 0), Material(np.ones(4), quarters(), roughness=1.0)
    return replace(flat, parts=(MeshPart(0, 1, red), MeshPart(1, 2, textured)))


def painted() -> Mesh:
    """Vertex colours of sRGB 188, which is half the light."""
    return replace(quad(2, 2, "painted", look(1, 1, 1)), colors=np.tile([188, 0, 255, 255], (4, 1)))


def repeated() -> Mesh:
    flat = quad(2, 2, "repeated", Material(np.ones(4), quarters(), roughness=1.0))
    assert flat.uv is not None
    return replace(flat, uv=flat.uv * 2 + 3)


def east(color: tuple[float, float, float] = (6.0, 6.0, 6.0)) -> NDArray[np.float32]:
    hdri = np.zeros((32, 64, 3), np.float32)
    hdri[8:24, 24:40] = color
    return hdri


LIBRARY: Any = StubLibrary(
    {
        "ball": replace(sphere(0.5, "ball"), parts=(MeshPart(0, 5120, look(1, 1, 1)),)),
        "cube": cube(0.5),
        "grey": quad(8, 8, "grey", look(0.5, 0.5, 0.5)),
        "mirror": quad(8, 8, "mirror", look(1, 1, 1, metallic=1.0)),
        "picture": quad(2, 2, "picture", Material(np.ones(4), quarters(), roughness=1.0)),
        "repeated": repeated(),
        "painted": painted(),
        "parts": two_parts(),
        "to the east": slanted("to the east", 0.7),
        "to the west": slanted("to the west", -0.7),
    },
    {"grey": np.ones((16, 32, 3), np.float32), "east": east(), **{f"{k}": east() for k in range(10)}},
)


@pytest.fixture(scope="module")
def exact() -> Iterator[Backend]:
    backend = open_backend(LIBRARY, EXACT)
    yield backend
    backend.close()


def test_a_white_ball_vanishes_in_even_light(exact: Backend) -> None:
    # The white furnace: whatever the surface does not scatter, its gloss returns.
    image = exact.render(scene_of(DOWN, product("ball", pose_at(z=0.5))))
    pixels = image[image[..., 3] == 1][:, :3]
    assert pixels.mean() == pytest.approx(1.0, abs=0.01)
    assert pixels == pytest.approx(1.0, abs=0.1)  # noise of 64 paths


@pytest.mark.parametrize("distance", [0.5, 1.0, 3.0])
def test_radiance_of_an_area_light(exact: Backend, distance: float) -> None:
    # A square of 0.4 m parallel to the slab, over the point looked at: the form factor of a rectangle.
    x = 0.2 / np.sqrt(distance**2 + 0.2**2)
    form_factor = 4 * x / np.pi * np.arctan(x)
    pose = trimesh.transformations.rotation_matrix(np.pi, [1, 0, 0])
    pose[2, 3] = distance
    light = AreaLight(pose, 0.4, 0.4, (10.0, 5.0, 0.0))
    camera = camera_at((0.0, -0.6, 0.3), (0, 0, 0), width=16, height=16, focal=500)
    scene = scene_of(camera, product("grey"), lights=(light,), environment=Environment("grey", strength=0.0))
    color = exact.render(scene)[..., :3].mean(axis=(0, 1))
    assert color == pytest.approx(0.5 * form_factor * np.array([10, 5, 0]), rel=0.08, abs=1e-6)


def test_width_of_an_area_light_runs_along_its_own_x(exact: Backend) -> None:
    # Turned a quarter about the vertical, a long lamp lights what lies along y rather than along x.
    def light_at(x: float, y: float, turn: float) -> float:
        pose = trimesh.transformations.rotation_matrix(turn, [0, 0, 1])
        pose = pose @ trimesh.transformations.rotation_matrix(np.pi, [1, 0, 0])
        pose[2, 3] = 0.3
        camera = camera_at((x, y, 0.2), (x, y, 0), width=8, height=8, focal=500)
        dark = Environment("grey", strength=0.0)
        light = AreaLight(pose, 2.0, 0.1, (10.0, 10.0, 10.0))
        return float(exact.render(scene_of(camera, product("grey"), lights=(light,), environment=dark))[..., 1].mean())

    assert light_at(0.8, 0, 0.0) == pytest.approx(light_at(0, 0.8, np.pi / 2), rel=0.1)
    assert light_at(0.8, 0, 0.0) > 3 * light_at(0.8, 0, np.pi / 2)


# Seen from above with +Y up; quarters of the image: upper left, upper right, lower left, lower right.
COLORS: dict[str, list[tuple[float, float, float]]] = {
    # sRGB 128 is linear 0.216.
    "picture": [(1, 0, 0), (0, 1, 0), (0, 0, 1), (0.216, 0.216, 0.216)],
    # sRGB 188 is linear 0.5.
    "painted": [(0.503, 0, 1)] * 4,
}


@pytest.mark.parametrize("key", COLORS)
def test_colours_are_where_and_what_they_should_be(exact: Backend, key: str) -> None:
    image = exact.render(scene_of(DOWN, product(key)))[..., :3]
    found = [image[10:14, 10:14], image[10:14, 34:38], image[34:38, 10:14], image[34:38, 34:38]]
    for pixels, expected in zip(found, COLORS[key], strict=True):
        # Gloss adds 0.04 of white at most.
        assert pixels.mean(axis=(0, 1)) == pytest.approx(np.array(expected) * 0.97 + 0.03, abs=0.04)


def test_textures_repeat(exact: Backend) -> None:
    image = exact.render(scene_of(DOWN, product("repeated")))[..., :3]
    assert image[6, 6] == pytest.approx(image[30, 30], abs=0.08)
    assert image[6, 18] == pytest.approx(image[30, 42], abs=0.08)
    assert image[6, 6].argmax() == 0 and image[6, 18].argmax() == 1


def test_each_part_has_its_material(exact: Backend) -> None:
    image = exact.render(scene_of(DOWN, product("parts")))[..., :3]
    # The first face is the lower right half, the second shows the texture's upper left, red and blue.
    assert image[40, 44] == pytest.approx([1, 0.03, 0.03], abs=0.05)
    assert image[30, 8] == pytest.approx([0.03, 0.03, 1], abs=0.05)


def test_normals_of_the_mesh_shade_it(exact: Backend) -> None:
    sky = Environment("east")
    towards, away = (
        exact.render(scene_of(DOWN, product(key), environment=sky))[..., 1].mean()
        for key in ("to the east", "to the west")
    )
    assert towards > 1.5 * away


def test_a_finish_replaces_roughness(exact: Backend) -> None:
    # Straight above a mirror the eye meets the dark zenith; matt metal gathers the bright east as well.
    def seen(roughness: float | None) -> float:
        metal = replace(product("mirror"), finish=Finish(roughness=roughness))
        return float(exact.render(scene_of(DOWN, metal, environment=Environment("east")))[20:28, 20:28, 1].mean())

    assert seen(0.0) < 1e-3
    assert seen(None) == seen(1.0) > 0.1


def cut_through() -> SceneSpec:
    """A level square of 1 m whose four edges run through the middles of pixels."""
    camera = camera_at((0, 0, 1), (0, 0, 0), width=33, height=33, focal=24, offset=(0, 0))
    return scene_of(camera, product("half metre"))


def test_few_samples_have_smooth_outlines() -> None:
    library: Any = StubLibrary({"half metre": quad(24 / 24, 24 / 24, "half metre", look(1, 1, 1))})
    backend = open_backend(library, DRAFT)
    try:
        image = backend.render(cut_through())
    finally:
        backend.close()
    # 24 px wide about 16.5: from 4.5 to 28.5.
    profile = np.zeros(33)
    profile[5:28] = 1
    profile[[4, 28]] = 0.5
    assert image[..., 3] == pytest.approx(np.outer(profile, profile), abs=1e-6)
    assert image[4, 5:28, :3] == pytest.approx(0.5, abs=0.1)


def render_with(settings: RenderSettings, *scenes: SceneSpec) -> list[bytes]:
    backend = open_backend(LIBRARY, settings)
    try:
        return [backend.render(scene).tobytes() for scene in scenes]
    finally:
        backend.close()


def busy() -> SceneSpec:
    things = (product("grey"), product("ball", pose_at(0.3, 0, 0.5)), product("cube", pose_at(-0.4)))
    return scene_of(camera_at((0, -2, 1), (0, 0, 0.3)), *things, environment=Environment("east", strength=2))


def test_one_thread_and_two_make_the_same_bytes() -> None:
    one, two = (render_with(replace(DRAFT, threads=count), busy()) for count in (1, 2))
    assert one == two


def test_the_seed_follows_the_scene() -> None:
    scene = busy()
    changed = [replace(scene, seed=1), replace(scene, index=1), replace(scene, view=1)]
    assert len(set(render_with(replace(DRAFT, denoise=False), scene, *changed))) == 4


def test_two_backends_open_at_once_do_not_meddle() -> None:
    alone = render_with(DRAFT, busy())
    first, second = open_backend(LIBRARY, DRAFT), open_backend(LIBRARY, replace(EXACT, samples=2))
    second.render(scene_of(DOWN, product("ball")))
    second.close()
    assert [first.render(busy()).tobytes()] == alone
    first.close()


def blocks() -> dict[str, int]:
    """How many of each kind of thing Blender holds."""
    bpy = cycles_start.start_blender()
    kinds = ("objects", "meshes", "materials", "images", "lights", "worlds", "scenes", "collections", "cameras")
    blenders_own = ("Render Result", "Viewer Node")
    return {kind: sum(item.name not in blenders_own for item in getattr(bpy.data, kind)) for kind in kinds}


def growth_scene(turn: int) -> SceneSpec:
    light = AreaLight(pose_at(z=1.0), 0.1, 0.1, (1.0, 1.0, 1.0))
    finish = Finish(roughness=0.1 * turn, tint=(1.0, 0.1 * turn, 1.0))
    things = [replace(product(key), finish=finish) for key in ("ball", "picture", "parts")]
    return scene_of(DOWN, *things, lights=(light,), environment=Environment(f"{turn}"))


def test_nothing_grows_from_scene_to_scene_and_closing_frees_all() -> None:
    before = blocks()
    backend = open_backend(LIBRARY, replace(DRAFT, denoise=False, samples=1))
    counts = []
    for turn in range(10):
        backend.render(growth_scene(turn))
        backend.trace_ids(growth_scene(turn))
        counts.append(blocks())
    # HDRIs gather up to their bound, everything else is there from the first scene on.
    assert counts[-1] == {**counts[0], "images": counts[0]["images"] + cycles.MAX_HDRIS - 1}
    backend.close()
    assert blocks() == before


def test_meshes_beyond_the_bound_are_let_go_and_built_again(monkeypatch: pytest.MonkeyPatch) -> None:
    scenes = [scene_of(DOWN, product(key)) for key in ("ball", "picture", "ball")]
    kept = render_with(DRAFT, *scenes)
    monkeypatch.setattr(cycles, "MESH_BYTES", 1)
    assert render_with(DRAFT, *scenes) == kept
    backend = open_backend(LIBRARY, DRAFT)
    before = blocks()
    backend.render(scenes[0])
    assert (blocks()["meshes"], blocks()["materials"]) == (before["meshes"], before["materials"])
    backend.close()


def test_blender_prints_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    render_with(DRAFT, busy())
    print("heard")
    captured = capfd.readouterr()
    assert captured.out == "heard\n" and captured.err == ""


def test_a_gpu_asked_for_and_absent_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cycles_start, "GPU_KINDS", ())
    with raises("gpu-unavailable"):
        open_backend(LIBRARY, replace(DRAFT, device="gpu"))
    render_with(replace(DRAFT, device="auto"), scene_of(DOWN))


def test_without_bpy_the_error_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "bpy", None)
    start: Callable[[], Any] = cycles_start.start_blender.__wrapped__
    with raises("dependency-missing", hint="pip install 'bpy"):
        start()
