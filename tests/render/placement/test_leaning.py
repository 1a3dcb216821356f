"""Items lean where something has been taken: against a neighbour, on the shelf, never through anything."""

from __future__ import annotations

import numpy as np
import trimesh
from hypothesis import given, settings
from hypothesis import strategies as st

from assets.mesh.rest import rest_from_mesh
from render.geometry import transform
from render.layout import Support
from render.placement.arrangement import GAP, Arrangement
from render.placement.facings import FacingBlock, FacingParams, StockedBlock, set_in_facings
from render.placement.leaning import lean_items
from support.scenes import can, mesh_from, pose_at

SHELF = Support(pose_at(0.3, 1.0, 1.2), 0.6, 0.4, 0.4)
BOOK_SHAPE = trimesh.creation.box((0.03, 0.05, 0.2))
BOOK_SHAPE.apply_translation([0, 0, 0.1])
BOOK, CAN = rest_from_mesh(mesh_from(BOOK_SHAPE, "book")), rest_from_mesh(can(0.04, 0.1))
PARAMS = FacingParams(gap=(0.001, 0.004), setback=(0.01, 0.02), turn=0.02, missing=0.5, sold_out=0.2)


def shelf(blocks: list[FacingBlock], seed: int, chance: float) -> tuple[tuple[StockedBlock, ...], ...]:
    rng = np.random.default_rng(seed)
    before = set_in_facings(blocks, SHELF, PARAMS, rng=rng)
    return before, lean_items(blocks, before, SHELF, chance, rng=rng)


@given(st.integers(0, 10_000))
@settings(max_examples=8)
def test_leaning_items_touch_and_never_intersect(seed: int) -> None:
    blocks = [FacingBlock(BOOK, 9, 2), FacingBlock(CAN, 3, 2, layers=2)]
    before, after = shelf(blocks, seed, 1.0)
    empty = [block.columns[number] for block in after for number in block.empty_columns]
    arrangement = Arrangement()
    for block, old, new in zip(blocks, before, after, strict=True):
        assert new.columns == old.columns and len(new.items) == len(old.items)
        for one, other in zip(old.items, new.items, strict=True):
            assert arrangement.distance(block.shape, other.world_from_object) > 0
            arrangement.add(block.shape, other.world_from_object)
            points = transform(
                np.linalg.inv(SHELF.world_from_support), transform(other.world_from_object, block.shape.hull_vertices)
            )
            assert (np.abs(points[:, :2]) <= [0.3, 0.2]).all() and points[:, 2].max() <= SHELF.height
            assert points[:, 2].min() > -1e-9
            if one.world_from_object is not other.world_from_object:
                assert new.capped and block.shape is BOOK  # cans are too squat
                assert all(points[:, 0].max() <= left or points[:, 0].min() >= right for left, right in empty)


def test_a_leaning_item_is_held_by_its_neighbour() -> None:
    leaning = 0
    for seed in range(4):
        before, (block,) = shelf([FacingBlock(BOOK, 12, 2)], seed, 1.0)
        for one, other in zip(before[0].items, block.items, strict=True):
            tilt = other.world_from_object[:3, 2]
            if one.world_from_object is other.world_from_object:
                continue
            leaning += 1
            assert np.arccos(tilt[2]) > np.arctan(0.03 / 0.2)  # beyond its balance
            pressed = other.world_from_object.copy()
            pressed[:2, 3] += 3 * GAP * tilt[:2] / np.linalg.norm(tilt[:2])
            rest = Arrangement()
            for item in block.items:
                if item is not other:
                    rest.add(BOOK, item.world_from_object)
            assert rest.distance(BOOK, pressed) <= 0  # a hair further it would be inside of what holds it
    assert leaning


def test_full_shelves_and_a_chance_of_zero_change_nothing() -> None:
    blocks = [FacingBlock(BOOK, 9, 2)]
    before, after = shelf(blocks, 1, 0.0)
    assert after == before
    full = set_in_facings(blocks, SHELF, FacingParams(gap=(0.001, 0.001)), rng=np.random.default_rng(0))
    assert lean_items(blocks, full, SHELF, 1.0, rng=np.random.default_rng(0)) == full
