"""Units of a planogram: how many, where and how turned, worked out by hand; and that they fill their blocks exactly."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from assets.planogram.orientation import ORIENTATIONS
from assets.planogram.types import MerchCap, MerchTray, Planogram, PlanogramPosition, PlanogramShelf
from assets.planogram.units import PlanogramUnit, bay_from_shelf, bay_points, block_size, placed_blocks, shelf_units

SIZES = {"soup": (0.08, 0.11, 0.08), "oats": (0.19, 0.28, 0.06)}
BOARD = PlanogramShelf("1", "shelf", x=0.1, y=0.5, z=0.07, width=1.0, thickness=0.03, depth=0.4)


def position(sku: str = "oats", **changes: object) -> PlanogramPosition:
    return PlanogramPosition(**{"id": sku, "sku": sku, **changes})  # type: ignore[arg-type]


def units(shelf: PlanogramShelf = BOARD, *positions: PlanogramPosition) -> list[PlanogramUnit]:
    return list(shelf_units(replace(shelf, positions=positions), SIZES.get))


def corners(found: list[PlanogramUnit]) -> np.ndarray:
    """The eight corners (N, 8, 3) of each unit in the shelf's frame."""
    signs = np.array(np.meshgrid((-0.5, 0.5), (-0.5, 0.5), (0, 1))).reshape(3, -1).T
    boxes = [signs * np.array(SIZES[unit.sku])[[0, 2, 1]] for unit in found]
    poses = [unit.shelf_from_object for unit in found]
    return np.array([box @ pose[:3, :3].T + pose[:3, 3] for box, pose in zip(boxes, poses, strict=True)])


def test_facings_are_packed_from_the_left_flush_with_the_front_edge() -> None:
    found = units(BOARD, position("oats", wide=2, deep=3), position("soup", high=2))
    assert [(unit.column, unit.layer, unit.row) for unit in found[:4]] == [(0, 0, 0), (0, 0, 1), (0, 0, 2), (1, 0, 0)]
    assert len(found) == 2 * 3 + 2
    assert_allclose(found[0].shelf_from_object[:3, 3], (-0.5 + 0.095, -0.2 + 0.03, 0))
    assert_allclose(found[3].shelf_from_object[:3, 3], (-0.5 + 1.5 * 0.19, -0.2 + 0.03, 0))
    assert_allclose(found[7].shelf_from_object[:3, 3], (-0.5 + 0.38 + 0.04, -0.2 + 0.04, 0.11))
    assert [unit.position for unit in found] == ["oats"] * 6 + ["soup"] * 2


def test_places_that_are_stated_are_kept() -> None:
    (unit,) = units(BOARD, position("soup", x=0.3, y=0.02, z=0.1))
    assert_allclose(unit.shelf_from_object[:3, 3], (-0.5 + 0.34, -0.2 + 0.14, 0.02))
    blocks = placed_blocks(replace(BOARD, positions=(position("soup", x=0.3), position("oats"))), SIZES.get)
    assert [round(block.x, 9) for block in blocks] == [0.3, 0.38]


def test_what_hangs_ends_at_the_board() -> None:
    board = replace(BOARD, kind="pegboard", depth=0.02, thickness=1.2)
    found = corners(units(board, position("soup", deep=4, y=0.4)))
    assert_allclose([found[..., 1].min(), found[..., 1].max()], (-0.01 - 0.32, -0.01))
    assert board.surface == board.y and found[..., 2].min() == pytest.approx(0.4)


@settings(max_examples=40, deadline=None)
@given(
    orientation=st.sampled_from(ORIENTATIONS),
    counts=st.tuples(*[st.integers(1, 4)] * 3),
    tray=st.none() | st.just(MerchTray(0.4, 0.29, 0.13, wide=2, high=1, deep=2)),
)
def test_units_fill_their_block_and_no_more(orientation: str, counts: tuple, tray: MerchTray | None) -> None:
    wide, high, deep = counts
    style = "tray" if tray else "unit"
    one = position(wide=wide, high=high, deep=deep, orientation=orientation, merch_style=style, tray=tray)
    found = units(BOARD, one)
    assert len(found) == wide * high * deep * (4 if tray else 1)
    assert len({(unit.column, unit.layer, unit.row) for unit in found}) == len(found)
    points = corners(found)
    block = np.array(block_size(one, SIZES["oats"]))[[0, 2, 1]]
    low, high_corner = np.array((-0.5, -0.2, 0.0)), np.array((-0.5, -0.2, 0.0)) + block
    assert (points >= low - 1e-9).all() and (points <= high_corner + 1e-9).all()
    if tray is None:
        assert_allclose(points.reshape(-1, 3).min(0), low, atol=1e-9)
        assert_allclose(points.reshape(-1, 3).max(0), high_corner, atol=1e-9)
    boxes = np.stack([points.min(1), points.max(1)], axis=1)
    overlap = np.minimum(boxes[:, None, 1], boxes[None, :, 1]) - np.maximum(boxes[:, None, 0], boxes[None, :, 0])
    touching = (overlap > 1e-9).all(axis=2)
    assert (touching == np.eye(len(found), dtype=bool)).all()


def test_caps_fill_the_area_they_are_put_against() -> None:
    """Oats lie on their back on top: 0.19 wide, 0.06 high, 0.28 deep, on a block 0.38 wide and 0.36 deep."""
    one = position(wide=2, deep=6, y_cap=MerchCap(2, "top"), x_cap=MerchCap(1, "side"))
    found = units(BOARD, one)
    tops = [unit for unit in found if unit.cap == "y"]
    sides = [unit for unit in found if unit.cap == "x"]
    assert len(tops) == 2 * 2 * 1 and {unit.layer for unit in tops} == {0, 1}
    assert len(sides) == 1 * 1 * 1 and corners(sides)[..., 0].min() == pytest.approx(-0.5 + 0.38)
    assert_allclose([corners(tops)[..., 2].min(), corners(tops)[..., 2].max()], (0.28, 0.40))
    assert block_size(one, SIZES["oats"]) == pytest.approx((0.44, 0.40, 0.36))


@pytest.mark.parametrize(("axis", "cap", "place"), [("x", "x_cap", 0), ("y", "y_cap", 2), ("z", "z_cap", 1)])
def test_nested_caps_take_the_room_that_nested_units_add(axis: str, cap: str, place: int) -> None:
    one = position("soup", **{cap: MerchCap(3, "front", nesting=0.02)})
    body, *nested = units(BOARD, one)
    assert [unit.cap for unit in nested] == [axis] * 3
    moved = np.diff([unit.shelf_from_object[:3, 3] for unit in (body, *nested)], axis=0)
    assert_allclose(moved, np.tile(0.02 * np.eye(3)[place], (3, 1)), atol=1e-9)
    low, high = np.array(SIZES["soup"]), np.array(block_size(one, SIZES["soup"]))
    assert sorted(high - low) == pytest.approx([0, 0, 0.06])
    assert block_size(replace(one, **{cap: MerchCap(3, "front", nesting=9.0)}), SIZES["soup"]) == pytest.approx(
        block_size(replace(one, **{cap: MerchCap(3, "front")}), SIZES["soup"])
    )


def test_a_product_without_a_size_takes_no_room() -> None:
    assert len(units(BOARD, position("other"), position("soup"))) == 1


def test_frames_of_planogram_bay_and_shelf_agree() -> None:
    plan = Planogram("a", width=2.0, height=2.0, depth=0.5, shelves=(BOARD,))
    assert_allclose(bay_points(plan, np.array([[0, 0, 0], [2, 1, 0.5]])), [[-1, 0, 0], [1, 0.5, 1]])
    pose = bay_from_shelf(plan, BOARD)
    front_left = pose @ (-0.5, -0.2, 0, 1)
    assert_allclose(front_left[:3], bay_points(plan, np.array([[0.1, 0.53, 0.07]]))[0])
    assert_allclose(pose[:3, :3], np.eye(3))


def test_a_sloping_shelf_is_lower_at_its_front() -> None:
    plan = Planogram("a", width=2.0, height=2.0, depth=0.5)
    pose = bay_from_shelf(plan, replace(BOARD, slope=0.2))
    front, back = pose @ (0, -0.2, 0, 1), pose @ (0, 0.2, 0, 1)
    assert front[2] == pytest.approx(0.53) and front[1] == pytest.approx(0.07)
    assert back[2] - front[2] == pytest.approx(0.4 * np.sin(0.2))


def test_free_height_ends_at_the_next_shelf_over_it() -> None:
    above = replace(BOARD, id="2", y=0.9)
    beside = replace(BOARD, id="3", x=1.1, y=0.7)
    plan = Planogram("a", width=2.1, height=2.0, depth=0.5, shelves=(BOARD, above, beside))
    assert [round(plan.free_height(shelf), 9) for shelf in plan.shelves] == [0.37, 1.07, 1.27]


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"wide": 0}, "wide"),
        ({"wide": 501}, "wide"),
        ({"wide": 100, "high": 11, "deep": 10}, "units"),
        ({"sku": ""}, "sku"),
        ({"sku": "a\x1bb"}, "sku"),
        ({"x": float("nan")}, "x"),
        ({"orientation": "up"}, "orientation"),
        ({"merch_style": "heap"}, "merch_style"),
        ({"size": (0.1, 0.0, 0.1)}, "size"),
    ],
)
def test_values_check_themselves(changes: dict, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        position(**{"id": "a", "sku": "a", **changes})
