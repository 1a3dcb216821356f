"""Stacks on pallets: every item and carton rests on what is below it, nothing intersects or leaves the pallet."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assets.mesh.rest import Rest, rest_from_mesh
from render.geometry import transform
from render.layout import Support
from render.placement.arrangement import Arrangement
from render.placement.facings import FacingBlock
from render.placement.pallets import PACKED, Packing, PalletStack, StackParams, sample_packing, stack_block
from render.placement.stacking import MAX_SLENDERNESS
from support.scenes import can, cube, pose_at

DECK = Support(pose_at(0.5, -1.0, 0.144), 1.2, 0.8, 1.5)
CAN, CUBE = rest_from_mesh(can(0.04, 0.1)), rest_from_mesh(cube(0.12))
packings = st.sampled_from(["loose", "tray", "case"])


def stacked(
    shape: Rest, packing: Packing, params: StackParams, *, columns: int = 4, rows: int = 2, seed: int = 0
) -> PalletStack:
    block = FacingBlock(shape, columns, rows)
    return stack_block(block, -0.3, DECK, packing, params, rng=np.random.default_rng(seed))


def boxes(stack: PalletStack, shape: Rest) -> tuple[np.ndarray, np.ndarray]:
    """Lowest and highest corners on the deck of the items (N, 2, 3) and of the cartons (M, 2, 3)."""
    deck_from_world = np.linalg.inv(DECK.world_from_support)
    items = [transform(deck_from_world @ pose, shape.hull_vertices) for pose in stack.stocked.poses]
    feet = [(deck_from_world @ carton.world_from_carton)[:3, 3] for carton in stack.cartons]
    half = [np.array([*carton.size[:2] / 2, 0]) for carton in stack.cartons]
    cartons = [
        (foot - side, foot + side + [0, 0, one.size[2]])
        for foot, side, one in zip(feet, half, stack.cartons, strict=True)
    ]
    return np.array([(points.min(axis=0), points.max(axis=0)) for points in items]), np.array(cartons).reshape(-1, 2, 3)


@given(
    packing=packings, columns=st.integers(1, 6), rows=st.integers(1, 4), height=st.floats(0.05, 1.3), half=st.booleans()
)
@settings(max_examples=25, deadline=None)
def test_everything_rests_on_what_is_below_it(
    packing: Packing, columns: int, rows: int, height: float, half: bool
) -> None:
    for shape in (CAN, CUBE):
        stack = stacked(shape, packing, StackParams(height, 0.02, half, 0.3), columns=columns, rows=rows)
        items, cartons = boxes(stack, shape)
        carriers = np.concatenate([items, cartons])
        for low, high in carriers:
            if low[2] < 0.004:  # on the deck, or on the floor of a carton there
                continue
            gap = low[2] - np.concatenate([carriers[:, 1, 2], cartons[:, 0, 2] + 0.003])
            wide = np.concatenate([carriers, cartons])
            beside = (np.minimum(wide[:, 1, :2], high[:2]) - np.maximum(wide[:, 0, :2], low[:2])).min(axis=1) > 0.002
            assert (beside & (gap > -1e-6) & (gap < 1.5e-3)).any(), (low, high)
        half_deck = np.array([DECK.width, DECK.depth]) / 2
        assert (carriers[:, 0, 1] >= -half_deck[1] - 1e-9).all() and (carriers[:, 1, 1] <= half_deck[1] + 1e-9).all()
        assert np.ptp(carriers[..., 0]) <= columns * (np.ptp(shape.hull_vertices[:, 0]) + PACKED)
        layers = 1 + max(item.layer for item in stack.stocked.items)
        assert layers == 1 or items[:, 1, 2].max() <= height + 1e-6
        front = np.ptp(items[:, :, 1]) + 0.01
        assert layers == 1 or items[:, 1, 2].max() <= MAX_SLENDERNESS * front
        assert {item.column for item in stack.stocked.items} == set(range(columns))  # no column is empty


@pytest.mark.parametrize("packing", ["loose", "tray", "case"])
def test_nothing_intersects(packing: Packing) -> None:
    stack, arrangement = stacked(CAN, packing, StackParams(0.35, half=True), columns=3), Arrangement()
    for pose in stack.stocked.poses:
        assert arrangement.distance(CAN, pose) >= 0
        arrangement.add(CAN, pose)
    items, cartons = boxes(stack, CAN)
    insides = cartons + np.array([[0.003, 0.003, 0.003], [-0.003, -0.003, 0]])
    for carton, inside, (low, high) in zip(stack.cartons, insides, cartons, strict=True):
        across = (np.minimum(items[:, 1], high) - np.maximum(items[:, 0], low)).min(axis=1) > 1e-6
        assert not (carton.closed and across.any())
        assert (items[across, 0] >= inside[0] - 1e-6).all() and (items[across, 1, :2] <= inside[1, :2] + 1e-6).all()


def test_what_carries_nothing_is_in_cases_and_what_is_sold_out_leaves_its_place() -> None:
    pyramid = rest_from_mesh(can(0.04, 0.1))
    points = pyramid.hull_vertices * np.where(pyramid.hull_vertices[:, 2:] > 0.05, [0.1, 0.1, 1], 1)
    bottle = Rest(**{**vars(pyramid), "hull_vertices": points})
    assert {sample_packing(FacingBlock(bottle, 1), 0.0, rng=np.random.default_rng(i)) for i in range(5)} == {"case"}
    assert sample_packing(FacingBlock(CAN, 1), 0.0, rng=np.random.default_rng(0)) == "loose"
    block = FacingBlock(CAN, 3, stocked=False)
    empty = stack_block(block, 0.0, DECK, "tray", StackParams(0.5), rng=np.random.default_rng(0))
    assert empty.cartons == () and empty.stocked.empty_columns == (0, 1, 2) and empty.stocked.height > 0.4
