"""Caps lie on full stacks of level products, within the block and under the ceiling, never through another item."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import trimesh
from hypothesis import given, settings
from hypothesis import strategies as st

from assets.mesh.rest import Rest, rest_from_mesh
from render.geometry import transform
from render.layout import Support
from render.placement.arrangement import Arrangement
from render.placement.capping import cap_block
from render.placement.facings import FacingBlock, FacingParams, StockedBlock, set_in_facings
from support.scenes import can, mesh_from, pose_at

SHELF = Support(pose_at(0.3, 1.0, 1.2), 1.0, 0.4, 0.4)
TIDY = FacingParams(gap=(0.001, 0.001), setback=(0.01, 0.01), turn=0.0)


def box(width: float, depth: float, height: float) -> Rest:
    shape = trimesh.creation.box((width, depth, height))
    shape.apply_translation([0, 0, height / 2])
    return rest_from_mesh(mesh_from(shape, "box"))


CARTON, CAN = box(0.1, 0.06, 0.2), rest_from_mesh(can(0.04, 0.1))


def capped(block: FacingBlock, params: FacingParams, seed: int, support: Support = SHELF) -> StockedBlock:
    rng = np.random.default_rng(seed)
    (stocked,) = set_in_facings([block], support, params, rng=rng)
    return cap_block(block, stocked, support, params.turn, rng=rng)


def test_a_carton_lies_on_the_row_below_with_its_front_in_their_plane() -> None:
    block = FacingBlock(CARTON, 4, 3)
    seen = set()
    for seed in range(12):
        found = capped(block, TIDY, seed)
        assert found.capped
        caps = [item for item in found.items if item.column < 0]
        assert caps and len(found.items) - len(caps) == 12
        points = transform(caps[0].world_from_object, CARTON.hull_vertices)
        low, high = points.min(axis=0), points.max(axis=0)
        assert low == pytest.approx([0.3 - 0.5 + 0.001, 1.0 - 0.2 + 0.01, 1.4], abs=1e-3)
        size = tuple(np.round(high - low, 3))
        seen.add(size)
        front = transform(caps[0].world_from_object, np.array([[0, -0.03, 0.1]]))[0]
        if size == (0.2, 0.06, 0.1):  # on its side: its front still looks to the aisle
            assert front[1] == pytest.approx(low[1], abs=1e-3)
        else:  # on its back
            assert size == (0.1, 0.2, 0.06) and front[2] == pytest.approx(high[2], abs=1e-3)
    assert len(seen) == 2


@pytest.mark.parametrize(
    ("block", "support"),
    [
        (FacingBlock(CAN, 4, 2), SHELF),  # cans roll off
        (FacingBlock(CARTON, 4, 3), replace(SHELF, height=0.25)),  # no room
        (FacingBlock(CARTON, 1, 1), SHELF),  # lying on its back it is three times deeper, on its side twice wider
        (FacingBlock(CARTON, 4, 3, stocked=False), SHELF),
    ],
)
def test_what_cannot_be_capped_is_left_alone(block: FacingBlock, support: Support) -> None:
    for seed in range(4):
        found = capped(block, TIDY, seed, support)
        assert not found.capped and all(item.column >= 0 for item in found.items)


@given(st.integers(0, 10_000))
@settings(max_examples=10)
def test_caps_stay_within_the_shelf_and_never_intersect(seed: int) -> None:
    params = FacingParams(gap=(0.001, 0.01), turn=0.05, missing=0.3)
    found = capped(FacingBlock(CARTON, 5, 3), params, seed)
    arrangement = Arrangement()
    for item in found.items:
        assert arrangement.distance(CARTON, item.world_from_object) > 0
        arrangement.add(CARTON, item.world_from_object)
        points = transform(
            np.linalg.inv(SHELF.world_from_support), transform(item.world_from_object, CARTON.hull_vertices)
        )
        assert (np.abs(points[:, :2]) <= [0.5, 0.2]).all() and points[:, 2].max() <= SHELF.height
