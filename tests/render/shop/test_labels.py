"""Labels of shops whose answer one can work out on paper."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from assets.props.look import Shape, Texture
from dataset.shop import SIDES
from render.labels import annotate, trace_geometry
from render.marks import GapMark, LineMark, ShopMarks, TagMark
from render.optics.distortion import Distortion
from render.scene import Placement, SceneSpec
from render.shop.labels import ShopLabels, label_shop
from support.scenes import StubLibrary, camera_at, cube, pose_at, product, scene_of

LIBRARY = StubLibrary({"cube": cube(1.0), "small": cube(0.2, "small")})
CAMERA = camera_at((0, -2.5, 0.5), (0, 0, 0.5))


def upright(y: float, left: float, right: float, low: float, high: float) -> np.ndarray:
    """Corners of a rectangle that faces -Y."""
    return np.array([[left, y, low], [right, y, low], [right, y, high], [left, y, high]])


def labels_of(scene: SceneSpec) -> ShopLabels:
    geometry = trace_geometry(scene, LIBRARY)
    return label_shop(scene, geometry, annotate(scene, geometry), LIBRARY)


def test_a_gap_two_metres_away_has_the_box_of_its_opening() -> None:
    # 1 m at depth 2 with a focal length of 64 px: 32 px, half of it above the axis.
    gap = GapMark("1/2/3", "milk", upright(-0.5, -0.5, 0.5, 0, 1))
    (label,) = labels_of(replace(scene_of(CAMERA), marks=ShopMarks(gaps=(gap,)))).marks
    assert (label.kind, label.position, label.sku, label.ends) == ("gap", "1/2/3", "milk", None)
    assert label.visible.box == (16, 8, 48, 40) and label.area == 32 * 32


def test_a_product_before_a_gap_hides_exactly_its_pixels() -> None:
    scene = scene_of(CAMERA, product("small", pose_at(y=-0.8, z=0.4)))
    scene = replace(scene, marks=ShopMarks(gaps=(GapMark("a", "", upright(-0.5, -0.5, 0.5, 0, 1)),)))
    geometry = trace_geometry(scene, LIBRARY)
    (label,) = labels_of(scene).marks
    whole = np.zeros((48, 64), bool)
    whole[8:40, 16:48] = True
    assert (label.visible.whole(48, 64) == (whole & (geometry.ids == 0))).all()
    assert label.area == 32 * 32 - int((geometry.ids == 1).sum()) < 32 * 32


@pytest.mark.parametrize("y", [0.6, -3.0])
def test_what_is_hidden_or_behind_the_camera_is_not_labelled(y: float) -> None:
    gap = GapMark("a", "", upright(y, -0.1, 0.1, 0.4, 0.6))
    line = LineMark("b", upright(y, -0.1, 0.1, 0.4, 0.6))
    marks = ShopMarks(tags=(TagMark(7, "a", "1.99"),), gaps=(gap,), lines=(line,))
    assert labels_of(replace(scene_of(CAMERA, product("cube")), marks=marks)).marks == ()


def test_a_line_ends_where_its_centre_stops_being_visible() -> None:
    # At depth 2: x from 16 to 48, y from 22 to 26. A post before it hides all right of the middle.
    post = Placement("prop", "post", pose_at(x=0.5, y=-0.6), shape=Shape("box", 1, 0.1, 2), texture=Texture("solid"))
    line = LineMark("1/1", upright(-0.5, -0.5, 0.5, 0.4375, 0.5625))
    scene = replace(scene_of(CAMERA), marks=ShopMarks(lines=(line,)))
    (whole,) = labels_of(scene).marks
    assert whole.visible.box == (16, 22, 48, 26) and whole.ends is not None
    assert np.ravel(whole.ends) == pytest.approx([16, 24, 48, 24], abs=0.6)
    (half,) = labels_of(replace(scene, placements=(post,))).marks
    assert half.visible.box == (16, 22, 32, 26) and half.ends is not None
    assert np.ravel(half.ends) == pytest.approx([16, 24, 32, 24], abs=0.6)


def test_a_bent_gap_covers_the_pixels_of_a_product_of_its_shape() -> None:
    camera = replace(CAMERA, distortion=Distortion("brown_conrady", k1=-0.2))
    (front,) = annotate(scene := scene_of(camera, product("cube")), trace_geometry(scene, LIBRARY))
    gap = GapMark("a", "", upright(-0.5, -0.5, 0.5, 0, 1))
    (label,) = labels_of(replace(scene_of(camera), marks=ShopMarks(gaps=(gap,)))).marks
    assert (label.visible.whole(48, 64) == front.mask).all()


def test_products_are_linked_to_their_visible_tags() -> None:
    tag = Placement("prop", "tag", pose_at(y=-1, z=0.1), shape=Shape("box", 0.2, 0.01, 0.1), texture=Texture("solid"))
    products = product("small", pose_at(x=-0.3)), product("small", pose_at(x=0.3)), product("small", pose_at(z=0.6))
    marks = ShopMarks((TagMark(4, "left", "2.49"), TagMark(5, "right", "3")), positions=("left", "right", ""))
    found = labels_of(replace(scene_of(CAMERA, *products, tag), marks=marks))
    (label,) = found.marks
    assert (label.kind, label.position, label.text, label.instance) == ("price_tag", "left", "2.49", 4)
    assert label.area == int((trace_geometry(scene_of(CAMERA, *products, tag), LIBRARY).ids == 4).sum())
    assert [(link.instance, link.position, link.tag) for link in found.links] == [
        (1, "left", 4),
        (2, "right", 0),
        (3, "", 0),
    ]


@pytest.mark.parametrize(
    ("eye", "side"),
    [
        ((0, -2.5, 0.5), "front"),
        ((0, 2.5, 0.5), "back"),
        ((-2.5, 0, 0.5), "left"),
        ((2.5, 0, 0.5), "right"),
        ((0, 0, 3), "top"),
        ((0, 0, -2), "bottom"),
    ],
)
def test_seen_straight_on_all_pixels_show_one_side(eye: tuple[float, float, float], side: str) -> None:
    (link,) = labels_of(scene_of(camera_at(eye, (0, 0, 0.5)), product("cube"))).links
    assert dict(zip(SIDES, link.sides, strict=True)) == {name: float(name == side) for name in SIDES}


def test_a_turned_product_shows_its_own_side() -> None:
    quarter = np.array([[0.0, -1, 0, 0], [1, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
    # Counter-clockwise from above: its front (-Y) turns to +X, its left (-X) towards the camera.
    (link,) = labels_of(scene_of(CAMERA, product("cube", quarter))).links
    assert link.sides[SIDES.index("left")] == 1
