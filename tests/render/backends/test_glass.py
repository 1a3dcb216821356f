"""Transparent and shining surfaces in every backend: panes are looked through, bottles are solid for labels."""

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
from render.backends import BACKENDS, open_backend, resolve_preset
from render.backends.protocol import Backend
from render.labels import annotate, trace_geometry
from render.scene import Placement
from support.scenes import StubLibrary, camera_at, can, cube, mesh_from, pose_at, product, quad, scene_of, sphere

COLOR = (0.9, 0.5, 0.2)


def glass(color: tuple[float, float, float] = COLOR, share: float = 1.0, *, pane: bool = False) -> Material:
    return Material(np.array([*color, 1.0]), roughness=0.02, transmission=share, pane=pane)


def of_glass(mesh: Any, **look: Any) -> Any:
    return replace(mesh, parts=(replace(mesh.parts[0], material=glass(**look)),))


LIBRARY: Any = StubLibrary(
    {
        "door": mesh_from(trimesh.creation.box((3.0, 3.0, 0.01)), "door", glass(share=0.9, pane=True)),
        "bottle": of_glass(can(0.15, 0.6, "bottle"), share=0.9),
        "pane": quad(0.12, 0.12, "pane", glass(pane=True)),
        "sheet": quad(0.12, 0.12, "sheet", glass(pane=False)),
        "dark": quad(4, 4, "dark", glass((0.0, 0.0, 0.0), pane=True)),
        "cube": cube(0.4),
        "lamp": quad(0.12, 0.12, "lamp", Material(np.array([*COLOR, 1.0]), emission=3.0)),
        "ball": sphere(0.25, "ball"),
        "slab": quad(4, 4, "slab", Material(np.array([0.5, 0.5, 0.5, 1.0]), roughness=1.0)),
    }
)
IN_FRONT = camera_at((0.2, -2.0, 0.7), (0, 0, 0.2), width=96, height=72, focal=80)


@pytest.fixture(scope="module", params=sorted(BACKENDS))
def backend(request: pytest.FixtureRequest) -> Iterator[Backend]:
    try:
        settings = replace(resolve_preset(request.param, "draft"), device="cpu", denoise=False)
        settings = replace(settings, samples=settings.samples if request.param == "raster" else 16)
        backend = open_backend(LIBRARY, settings)
    except SynthError as error:
        pytest.skip(f"backend {request.param!r} cannot start here: {error.what}")
    yield backend
    backend.close()


def upright(key: str, y: float) -> Placement:
    """A sheet before the camera."""
    pose = trimesh.transformations.rotation_matrix(np.pi / 2, [1, 0, 0])
    pose[:3, 3] = [0, y, 0.3]
    return product(key, pose)


def behind_a_door() -> tuple[Placement, ...]:
    """A bottle before a cube and a ball, on a floor, behind a door of glass."""
    bottle, ball = product("bottle", pose_at(0, -0.4)), product("ball", pose_at(-0.65, 0.2, 0.25))
    return (upright("door", -1.0), product("slab"), bottle, product("cube", pose_at(0.1, 0.2)), ball)


def test_labels_look_through_panes_and_not_through_bottles() -> None:
    scene = scene_of(IN_FRONT, *behind_a_door())
    geometry = trace_geometry(scene, LIBRARY)
    assert set(np.unique(geometry.ids)) >= {2, 3, 4, 5} and not (geometry.ids == 1).any()
    opened = trace_geometry(scene_of(IN_FRONT, *behind_a_door()[1:]), LIBRARY)
    assert (geometry.ids == np.where(opened.ids > 0, opened.ids + 1, 0)).all()
    np.testing.assert_allclose(geometry.depth, opened.depth, rtol=1e-6)
    labels = {annotation.sku: annotation for annotation in annotate(scene, geometry)}
    assert "door" not in labels and labels["ball"].visibility == labels["bottle"].visibility == 1.0
    assert 0.2 < labels["cube"].visibility < 0.9


def test_ids_of_backends_follow_the_rule(backend: Backend) -> None:
    scene = scene_of(IN_FRONT, *behind_a_door())
    traced, drawn = trace_geometry(scene, LIBRARY).ids, backend.trace_ids(scene)
    inner = maximum_filter(traced, 3) == minimum_filter(traced, 3)
    assert (drawn == traced)[inner].mean() >= 0.999 and (drawn == traced).mean() >= 0.985


def test_lamps_shine_at_the_camera_and_light_nothing(backend: Backend) -> None:
    near = mean_of(backend, product("lamp", pose_at(z=1.45)))
    np.testing.assert_allclose(near[:3], 3 * np.array(COLOR), rtol=0.01)
    slab, beside = product("slab"), product("lamp", pose_at(0.8, z=0.4))
    np.testing.assert_allclose(mean_of(backend, slab, beside)[:3], mean_of(backend, slab)[:3], rtol=0.06)


def mean_of(backend: Backend, *placements: Placement, focal: float = 64.0) -> NDArray[np.float64]:
    """Mean RGBA of a scene seen from straight above, from 1.5 m."""
    camera = camera_at((0, 0, 1.5), (0, 0, 0), width=24, height=16, focal=focal)
    return backend.render(scene_of(camera, *placements)).mean(axis=(0, 1), dtype=np.float64)


@pytest.mark.parametrize("keys", [("pane",), ("sheet",), ("sheet", "pane")], ids="+".join)
def test_glass_multiplies_what_is_behind_it_by_its_colour(backend: Backend, keys: tuple[str, ...]) -> None:
    # So close to the camera that their shadow on the slab is nothing.
    panes, slab = [product(key, pose_at(z=1.4 + 0.01 * n)) for n, key in enumerate(keys)], product("slab")
    bare, alone, both = mean_of(backend, slab), mean_of(backend, *panes), mean_of(backend, *panes, slab)
    through = 0.96 * np.array(COLOR)  # head on, 4 % are reflected
    assert (both - alone)[:3] / bare[:3] == pytest.approx(through ** len(keys), rel=0.06, abs=0.005)
    assert both[3] == pytest.approx(1, abs=1e-3)
    if len(keys) == 1:
        assert alone[:3] == pytest.approx(0.04, abs=0.01)
        assert alone[3] == pytest.approx(1 - through.mean(), abs=0.03)


def test_glass_reflects_more_at_grazing_angles(backend: Backend) -> None:
    def light(degrees: float) -> float:
        angle = np.radians(degrees)
        eye = (0.0, -float(np.sin(angle)), float(np.cos(angle)))
        scene = scene_of(camera_at(eye, (0, 0, 0), width=24, height=16, focal=200), product("dark"))
        return float(backend.render(scene)[..., 1].mean())

    # Schlick: 0.04 head on, 0.16 at 70 degrees, 0.43 at 80; the raster backend's fit comes within a third of it.
    assert light(5) == pytest.approx(0.04, abs=0.01)
    assert light(70) == pytest.approx(0.162, rel=0.35)
    assert light(80) == pytest.approx(0.43, rel=0.35)


def test_a_scene_without_glass_is_the_same_after_one_with_it(backend: Backend) -> None:
    camera = camera_at((0.2, -2.0, 0.7), (0, 0, 0.2), width=24, height=16, focal=20)
    plain, clear = scene_of(camera, product("slab"), product("cube")), scene_of(camera, *behind_a_door())
    before = backend.render(plain)
    first = backend.render(clear)
    assert np.array_equal(backend.render(plain), before)
    assert np.array_equal(backend.render(clear), first) and np.isfinite(first).all()
