"""Baskets of freezers: items stand on the basket's floor or on each other, inside its walls, under the load line."""

from __future__ import annotations

import numpy as np
import pytest
import trimesh
from hypothesis import given, settings
from hypothesis import strategies as st

from assets.fixtures.wire_basket import WIRE_M
from assets.mesh.rest import Rest, rest_from_mesh
from render.geometry import transform
from render.layout import Support
from render.placement.arrangement import Arrangement
from render.placement.baskets import PLAY, BasketParams, FilledBasket, fill_basket, lay_flat
from render.placement.facings import FacingBlock
from support.scenes import can, mesh_from, pose_at

FLOOR = Support(pose_at(0.4, 0.2, 0.3), 1.4, 0.6, 0.45)


def box(width: float, depth: float, height: float) -> Rest:
    shape = trimesh.creation.box((width, depth, height))
    shape.apply_translation([0, 0, height / 2])
    return rest_from_mesh(mesh_from(shape, "box"))


CAN, PIZZA, TUB = rest_from_mesh(can(0.04, 0.1)), box(0.2, 0.03, 0.2), box(0.12, 0.1, 0.09)


def filled(block: FacingBlock, params: BasketParams, seed: int = 0) -> tuple[FilledBasket, np.ndarray]:
    """The basket, and lowest and highest corner of each item on the support, (N, 2, 3)."""
    basket = fill_basket(block, -0.5, FLOOR, params, rng=np.random.default_rng(seed))
    floor_from_world = np.linalg.inv(FLOOR.world_from_support)
    points = [transform(floor_from_world @ pose, block.shape.hull_vertices) for pose in basket.stocked.poses]
    return basket, np.array([(each.min(axis=0), each.max(axis=0)) for each in points]).reshape(-1, 2, 3)


@given(
    columns=st.integers(1, 4),
    stack=st.floats(0.02, 0.4),
    drop=st.floats(0, 0.2),
    missing=st.floats(0, 1),
    flat=st.booleans(),
)
@settings(max_examples=25, deadline=None)
def test_items_rest_inside_the_basket(columns: int, stack: float, drop: float, missing: float, flat: bool) -> None:
    for shape in (CAN, PIZZA, TUB):
        block = FacingBlock(shape, columns)
        block = lay_flat(block) if flat else block
        basket, items = filled(block, BasketParams(stack, drop, missing))
        assert len(items)
        foot = np.linalg.inv(FLOOR.world_from_support) @ basket.world_from_basket[:, 3]
        half = np.array([basket.size[0] / 2, basket.size[1] / 2]) - WIRE_M
        assert (np.abs(items[..., :2] - foot[:2]) <= half + 1e-9).all()
        floor = foot[2] + 2 * WIRE_M
        assert (items[:, 0, 2] >= floor).all() and (items[:, 1, 2] <= FLOOR.height + 1e-9).all()
        assert foot[2] + basket.size[2] == pytest.approx(FLOOR.height)
        assert basket.size[0] <= columns * (block.size[0] + PLAY)
        for item, (low, _) in zip(basket.stocked.items, items, strict=True):
            below = [
                high[2]
                for other, (_, high) in zip(basket.stocked.items, items, strict=True)
                if (other.column, other.row, other.layer + 1) == (item.column, item.row, item.layer)
            ]
            assert low[2] - (below[0] if item.layer else floor) < 1e-3


@pytest.mark.parametrize("shape", [CAN, PIZZA, TUB])
def test_nothing_in_a_basket_intersects(shape: Rest) -> None:
    arrangement = Arrangement()
    basket, _ = filled(lay_flat(FacingBlock(shape, 2)), BasketParams(0.12, missing=0.3), seed=2)
    for pose in basket.stocked.poses:
        assert arrangement.distance(shape, pose) >= 0
        arrangement.add(shape, pose)


def test_flat_packs_lie_with_their_fronts_upwards_and_others_stand() -> None:
    lying = lay_flat(FacingBlock(PIZZA, 1))
    assert lying.rotation @ [0, -1, 0] == pytest.approx([0, 0, 1])
    assert lying.size == pytest.approx([0.2, 0.2, 0.03])
    for shape in (CAN, TUB):
        assert lay_flat(FacingBlock(shape, 1)).rotation == pytest.approx(np.eye(3))


def test_packs_on_edge_are_taken_from_the_front() -> None:
    basket, _ = filled(FacingBlock(PIZZA, 2), BasketParams(0.3, missing=0.5), seed=1)
    for column in (0, 1):
        rows = sorted(item.row for item in basket.stocked.items if item.column == column)
        assert rows == list(range(rows[0], rows[-1] + 1)) and rows[-1] > 10


def test_a_sold_out_block_leaves_an_empty_basket() -> None:
    basket, items = filled(FacingBlock(CAN, 3, stocked=False), BasketParams(0.2))
    assert not len(items) and basket.stocked.empty_columns == (0, 1, 2) and basket.size[2] > 0.1
