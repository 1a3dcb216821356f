"""Facings on a shelf: side by side from the left, fronts to the front, within the board, never through each other."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from assets.mesh.rest import rest_from_mesh
from render.geometry import transform
from render.layout import Support
from render.placement.arrange import ArrangementParams, Item, arrange
from render.placement.arrangement import Arrangement
from render.placement.facings import FacingBlock, FacingParams, set_in_facings
from support.scenes import cube, pose_at

CUBE = rest_from_mesh(cube(0.1, "cube"))
TIDY = FacingParams(gap=(0.01, 0.01), setback=(0.02, 0.02), turn=0.0)


def board(width: float = 1.0, depth: float = 0.35, height: float = 0.3) -> Support:
    return Support(pose_at(0.5, 2.0, 1.2), width, depth, height)


def test_a_tidy_block_stands_where_paper_says() -> None:
    (block,) = set_in_facings([FacingBlock(CUBE, 2, 2)], board(), TIDY, rng=np.random.default_rng(0))
    first, second, *rest = block.poses
    assert len(rest) == 2
    assert first[:3, 3] == pytest.approx([0.5 - 0.5 + 0.01 + 0.05, 2.0 - 0.175 + 0.02 + 0.05, 1.2])
    assert second[:3, 3] - first[:3, 3] == pytest.approx([0, 0.11, 0])  # behind it
    assert rest[0][:3, 3] - first[:3, 3] == pytest.approx([0.11, 0, 0])  # beside it
    assert first[:3, :3] == pytest.approx(np.eye(3))  # the front looks to the front edge


@pytest.mark.parametrize(
    ("shelf", "blocks", "counts"),
    [
        (board(), [FacingBlock(CUBE, 20)], [9]),  # as many columns as there is room for: 9 x 0.11 m
        (board(), [FacingBlock(CUBE, 1, 9)], [3]),  # and rows
        (board(height=0.09), [FacingBlock(CUBE, 2)], [0]),  # too high for the shelf
        (board(), [FacingBlock(CUBE, 8), FacingBlock(CUBE, 3)], [8, 1]),
    ],
)
def test_what_has_no_room_is_left_out(shelf: Support, blocks: list[FacingBlock], counts: list[int]) -> None:
    placed = set_in_facings(blocks, shelf, TIDY, rng=np.random.default_rng(0))
    assert [len(block.items) for block in placed] == counts


def test_taken_items_leave_holes_at_the_front() -> None:
    params = FacingParams(missing=0.9)
    (block,) = set_in_facings([FacingBlock(CUBE, 1, 3)], board(), params, rng=np.random.default_rng(1))
    (pose,) = block.poses
    assert pose[1, 3] > 2.0 - 0.175 + 0.2


def test_layers_lie_on_each_other_and_the_uppermost_item_is_taken_first() -> None:
    (block,) = set_in_facings(
        [FacingBlock(CUBE, 1, 1, layers=4)], board(height=0.31), TIDY, rng=np.random.default_rng(0)
    )
    assert [pose[2, 3] for pose in block.poses] == pytest.approx([1.2, 1.3, 1.4], abs=1e-3)  # three have room
    taken = FacingParams(missing=0.6)
    for seed in range(10):
        (block,) = set_in_facings([FacingBlock(CUBE, 1, 2, layers=2)], board(), taken, rng=np.random.default_rng(seed))
        levels = {row: sorted(item.layer for item in block.items if item.row == row) for row in (0, 1)}
        assert all(found == list(range(len(found))) for found in levels.values())
        assert not levels[0] or len(levels[1]) == 2


def test_a_sold_out_column_keeps_its_place_and_a_block_may_be_told_where_to_start() -> None:
    blocks = [FacingBlock(CUBE, 2, left=-0.3), FacingBlock(CUBE, 1)]
    params = FacingParams(gap=(0.01, 0.01), turn=0.0, sold_out=1.0)
    first, second = set_in_facings(blocks, board(), params, rng=np.random.default_rng(0))
    assert [item.column for item in first.items] == [0]  # what the shelf has is seen at least once
    assert first.columns == (pytest.approx((-0.3, -0.2)), pytest.approx((-0.19, -0.09)))
    assert first.empty_columns == (1,)
    (none,) = set_in_facings([FacingBlock(CUBE, 2, stocked=False)], board(), TIDY, rng=np.random.default_rng(0))
    assert (none.items, none.empty_columns) == ((), (0, 1))
    assert second.columns == (pytest.approx((-0.08, 0.02)),)
    assert first.height == pytest.approx(0.1)


@given(st.integers(0, 10_000))
def test_facings_stay_on_the_board_and_never_intersect(seed: int) -> None:
    shelf, arrangement = board(), Arrangement()
    params = FacingParams(gap=(0.001, 0.02), turn=0.2, missing=0.3)
    blocks = [FacingBlock(CUBE, 3, 2, 0.4, layers=2), FacingBlock(CUBE, 4, 3)]
    for pose in (
        pose for block in set_in_facings(blocks, shelf, params, rng=np.random.default_rng(seed)) for pose in block.poses
    ):
        assert arrangement.distance(CUBE, pose) > 0
        arrangement.add(CUBE, pose)
        local = transform(np.linalg.inv(shelf.world_from_support), transform(pose, CUBE.hull_vertices))
        assert (np.abs(local[:, :2]) <= np.array([0.5, 0.175]) + 1e-9).all()
        assert local[:, 2].min() > -1e-9


def test_an_arrangement_stays_on_a_bounded_support_and_leaves_out_what_has_no_room() -> None:
    floor = Support(pose_at(1, 1, 0.5), 0.5, 0.5)
    params = ArrangementParams(0.4, 0.4, 0.5, (0.0, 0.1), 0.0, stack=0.3)
    items = [Item(CUBE), *(Item(CUBE, copy_of=0 if number % 3 == 0 else None) for number in range(40))]
    poses = arrange(items, params, floor, rng=np.random.default_rng(3))
    found = [pose for pose in poses if pose is not None]
    assert 5 < len(found) < len(items)
    for pose in found:
        corners = transform(pose, CUBE.hull_vertices)
        assert (np.abs(corners[:, :2] - 1) <= 0.25 + 1e-9).all()
        assert corners[:, 2].min() > 0.5 - 1e-9


@pytest.mark.parametrize("sizes", [(0, 1, 1), (1, -1, 1)])
def test_a_support_has_a_size(sizes: tuple[float, float, float]) -> None:
    with pytest.raises(ValueError, match="over 0 m"):
        Support(np.eye(4), *sizes)
