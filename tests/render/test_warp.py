"""Labels and light of a distorting camera: traced along its own rays, and equal to what a pinhole image warps to."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

import render.labels as labels
from render.geometry import box_of_mask, project
from render.labels import annotate, trace_geometry, trace_normals
from render.optics.distortion import Distortion
from render.scene import Camera, Placement, SceneSpec
from render.warp import pinhole_view, render_light
from support.scenes import StubLibrary, camera_at, cube, mesh_from, pose_at, product, quad, scene_of, sphere

BARREL = Distortion(k1=-0.15, k2=0.015, p1=0.002, p2=-0.002)
FISHEYE = Distortion("fisheye", k1=0.03, k2=-0.01)
TURN = (0.02, 0.05, 0.03)
PINHOLE = camera_at((0, -2.2, 0.5), (0, 0, 0.5), width=640, height=480, focal=420)
CAMERAS = {
    "barrel": replace(PINHOLE, distortion=BARREL),
    "fisheye": replace(PINHOLE, distortion=FISHEYE),
    "rolling shutter": replace(PINHOLE, rolling_shutter=TURN),
    "all": replace(PINHOLE, distortion=BARREL, rolling_shutter=TURN),
}
cameras = pytest.mark.parametrize("camera", CAMERAS.values(), ids=CAMERAS.keys())
LIBRARY = StubLibrary(
    {"cube": cube(0.9), "ball": sphere(0.45, "ball"), "floor": quad(3, 2, "floor"), "small": cube(0.3, "small")}
)


def things() -> tuple[Placement, ...]:
    """Some before others, some cut by the border, one behind the camera, one that reaches nearly to it."""
    turned = pose_at(-0.9, 0.2, 0.3)
    turned[:3, :3] = cv2.Rodrigues(np.array([0.4, 0.8, 0.3]))[0]
    there = (pose_at(0.3, 0.2), pose_at(1.6, 0.5, 0.7), pose_at(0.1, -0.6), pose_at(0, -3.0), pose_at(-0.5, -1.9, 0.2))
    cubes = (product("cube", pose) for pose in (turned, *there[:1]))
    return (
        *cubes,
        product("ball", there[1]),
        *(product("small", p) for p in there[2:]),
        product("floor", pose_at(0, 0.2)),
    )


def iou(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> float:
    return float((first & second).sum() / (first | second).sum())


@cameras
def test_warped_masks_are_those_traced_through_the_lens(camera: Camera) -> None:
    scene = scene_of(camera, product("cube", pose_at(-0.55, -0.4)), product("ball", pose_at(0.5, -0.5, 0.55)))
    view = pinhole_view(camera)
    flat = trace_geometry(replace(scene, camera=view.camera), LIBRARY)
    bent = trace_geometry(scene, LIBRARY)
    warped = view.sample(flat.ids, nearest=True)
    for instance in (1, 2):
        assert (bent.ids == instance).sum() > 36_000
        assert iou(warped == instance, bent.ids == instance) > 0.99
    inner = cv2.erode((bent.ids == 2).astype(np.uint8), np.ones((5, 5))) > 0
    depth = view.sample(np.where(np.isfinite(flat.depth), flat.depth, 0))
    assert depth[inner] == pytest.approx(bent.depth[inner], abs=0.01)
    # A pinhole's own image of the same scene differs: the test would see a lens that does nothing.
    assert iou(trace_geometry(replace(scene, camera=PINHOLE), LIBRARY).ids == 1, bent.ids == 1) < 0.97


@cameras
def test_pruned_windows_lose_nothing(camera: Camera, monkeypatch: pytest.MonkeyPatch) -> None:
    small = replace(
        camera, width=80, height=60, K=camera.K * [[0.125], [0.125], [1]], rolling_shutter=camera.rolling_shutter
    )
    scene = scene_of(small, *things())
    pruned = trace_geometry(scene, LIBRARY)
    monkeypatch.setattr(labels, "bent_outline", lambda camera, points: None)
    full = trace_geometry(scene, LIBRARY)
    assert np.array_equal(pruned.ids, full.ids) and np.array_equal(pruned.depth, full.depth)
    for mine, its in zip(pruned.amodal, full.amodal, strict=True):
        assert mine.box == its.box and np.array_equal(mine.mask, its.mask)


@pytest.mark.parametrize("camera", [CAMERAS["barrel"], CAMERAS["all"]], ids=["barrel", "all"])
def test_a_straight_bar_bends_as_opencv_says(camera: Camera) -> None:
    import trimesh

    bar = trimesh.creation.box((3.0, 0.002, 0.03))
    library = StubLibrary({"bar": mesh_from(bar, "bar")})
    scene = scene_of(camera, product("bar", pose_at(z=1.2)))
    ids = trace_geometry(scene, library).ids
    columns = np.flatnonzero(ids.any(axis=0))
    assert len(columns) > 500
    middles = np.array([np.flatnonzero(ids[:, column]).mean() + 0.5 for column in columns])
    along = np.column_stack([np.linspace(-1.5, 1.5, 100), np.full(100, -0.001), np.full(100, 1.2)])
    expected = projected_by_opencv(camera, along)
    assert np.ptp(expected[:, 1]) > 5  # a pinhole's would be level
    # The bar is 6 px thick: the middle of its pixels is known to half a pixel, except where its ends are cut.
    assert middles[3:-3] == pytest.approx(np.interp(columns + 0.5, *expected.T)[3:-3], abs=0.5)


def projected_by_opencv(camera: Camera, points: NDArray) -> NDArray[np.float64]:
    """Pixels (N, 2), with the turn of each row found by bisection rather than by our iteration."""
    assert camera.distortion is not None
    coefficients = np.array(list(camera.distortion.coefficients.values()))
    camera_from_world = np.linalg.inv(camera.world_from_camera)
    local = points @ camera_from_world[:3, :3].T + camera_from_world[:3, 3]

    def pixel(point: NDArray, row: float) -> NDArray[np.float64]:
        turn = np.array(camera.rolling_shutter or (0, 0, 0)) * (row / camera.height - 0.5)
        return cv2.projectPoints(point[None], -turn, np.zeros(3), camera.K, coefficients)[0].ravel()

    found = []
    for point in local:
        low, high = 0.0, float(camera.height)
        while high - low > 1e-3:
            row = (low + high) / 2
            low, high = (row, high) if pixel(point, row)[1] > row else (low, row)
        found.append(pixel(point, low))
    return np.array(found)


def test_a_sphere_on_the_axis_stays_round() -> None:
    camera = replace(camera_at((0, -2, 0), width=161, height=161, focal=120), distortion=FISHEYE)
    (annotation,) = annotate(scene := scene_of(camera, product("ball")), trace_geometry(scene, LIBRARY))
    x0, y0, x1, y1 = annotation.box
    assert (x0 + x1, y0 + y1) == (161, 161) and abs((x1 - x0) - (y1 - y0)) <= 1
    angle = np.arcsin(0.45 / 2)
    assert x1 - x0 == pytest.approx(2 * 120 * (angle + 0.03 * angle**3), abs=1.5)
    normals = trace_normals(scene, LIBRARY, trace_geometry(scene, LIBRARY))
    assert normals[80, 80] == pytest.approx([0, 0, -1], abs=0.1)


def test_a_product_cut_by_the_border_is_followed_beyond_it() -> None:
    camera = CAMERAS["all"]
    scene = scene_of(camera, product("cube", pose_at(1.9, 0.4, 0.1)))
    (annotation,) = annotate(scene, trace_geometry(scene, LIBRARY))
    assert 0.2 < annotation.truncation < 0.9
    corners = np.array([[x, y, z] for x in (-0.45, 0.45) for y in (-0.45, 0.45) for z in (0, 0.9)])
    pixels, _ = project(camera, corners + [1.9, 0.4, 0.1])
    assert annotation.amodal_box[2] == pytest.approx(pixels[:, 0].max(), abs=3)
    assert annotation.box == box_of_mask(annotation.mask)


class Renderer:
    """A backend of flat colours: what it renders follows from the labels of the camera that it is given."""

    device = "none"
    cameras: list[Camera]

    def __init__(self) -> None:
        self.cameras = []

    def render(self, scene: SceneSpec) -> NDArray[np.float32]:
        self.cameras.append(scene.camera)
        ids = trace_geometry(scene, LIBRARY).ids
        return np.stack([ids, ids * 2, ids * 3, ids > 0], axis=-1).astype(np.float32)


@cameras
def test_a_backend_renders_a_pinhole_image_and_gets_no_lens(camera: Camera) -> None:
    scene, renderer = scene_of(camera, product("cube", pose_at(0.3, 0.2))), Renderer()
    light = render_light(renderer, scene)  # type: ignore[arg-type]
    assert light.shape == (480, 640, 4) and light.dtype == np.float32
    assert renderer.cameras[0].is_pinhole
    assert iou(light[..., 3] > 0.5, trace_geometry(scene, LIBRARY).ids > 0) > 0.99
    assert np.diag(renderer.cameras[0].K)[:2] == pytest.approx(np.diag(camera.K)[:2])


def test_a_pinhole_camera_is_rendered_as_it_is() -> None:
    scene, renderer = scene_of(PINHOLE, product("cube")), Renderer()
    assert np.array_equal(render_light(renderer, scene), Renderer().render(scene))  # type: ignore[arg-type]
    assert renderer.cameras == [PINHOLE]


def test_the_wider_image_stays_bounded() -> None:
    camera = replace(camera_at((0, -2, 0), width=200, height=150, focal=100), distortion=Distortion("fisheye"))
    view = pinhole_view(camera)
    assert view.camera.width * view.camera.height < 6.3 * 200 * 150
    assert view.columns.min() >= 1 and view.columns.max() <= view.camera.width - 2
    assert view.rows.min() >= 1 and view.rows.max() <= view.camera.height - 2
