"""Products on hooks: what can hang, where it hangs, and that nothing intersects."""

from __future__ import annotations

import numpy as np
import pytest
import trimesh
from hypothesis import given, settings
from hypothesis import strategies as st

from assets.catalog.types import Sku
from assets.mesh.rest import rest_from_mesh
from render.geometry import transform
from render.layout import Support
from render.placement.facings import FacingBlock
from render.placement.hanging import BELOW, HOLE, can_hang, hang_blocks, hook_places, wire_height
from support.scenes import mesh_from

THIN = np.array([0.08, 0.02, 0.12])


def card(width: float, depth: float, height: float, **values: float) -> FacingBlock:
    shape = trimesh.creation.box((width, depth, height))
    shape.apply_translation([0, 0, height / 2])
    return FacingBlock(rest_from_mesh(mesh_from(shape, "card")), **{"columns": 1, **values})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("package", "mass_kg", "size", "hangs"),
    [
        ("blister", None, THIN, True),
        ("flow pack", 0.1, THIN, True),
        ("blister", 0.5, THIN, False),  # too heavy
        ("bag", None, THIN * 3, False),  # too large
        ("can", None, THIN, False),
        ("carton", None, THIN, True),  # with a euro hole
        ("carton", None, THIN * [1, 2, 1], False),
        ("", None, THIN, True),  # a mesh of unknown kind
        ("", None, THIN * [0.5, 1, 1], False),
    ],
)
def test_what_hangs(package: str, mass_kg: float | None, size: np.ndarray, hangs: bool) -> None:
    assert can_hang(Sku("a", "a", package=package, mass_kg=mass_kg), size) is hangs


@given(
    sizes=st.lists(st.tuples(*[st.floats(0.02, 0.12), st.floats(0.004, 0.05), st.floats(0.05, 0.2)]), min_size=1),
    columns=st.integers(1, 3),
    seed=st.integers(0, 9),
)
@settings(max_examples=12, deadline=None)
def test_products_hang_from_their_hooks_and_never_intersect(
    sizes: list[tuple[float, float, float]], columns: int, seed: int
) -> None:
    blocks = [card(*size, columns=columns, rows=3) for size in sizes[:4]]
    support = Support(np.eye(4), 3.0, 0.2, wire_height(blocks))
    hung = hang_blocks(blocks, support, 0.5, 0.3, rng=np.random.default_rng(seed))
    boxes = []
    for block, one, places in zip(blocks, hung, hook_places(blocks, 3.0), strict=True):
        assert len(one.columns) == columns and 0 not in one.empty_columns
        for item in one.items:
            points = transform(item.world_from_object, block.shape.hull_vertices)
            low, high = points.min(axis=0), points.max(axis=0)
            left, right = one.columns[item.column]
            assert left < low[0] < places[item.column] < high[0] < right
            assert low[1] > -0.1 and high[1] < 0.1 and low[2] > BELOW / 2
            assert high[2] == pytest.approx(support.height + HOLE, abs=0.005)
            boxes.append((low, high))
    lows, highs = (np.array(corners) for corners in zip(*boxes, strict=True))
    meet = ((lows[:, None] < highs) & (lows < highs[:, None])).all(axis=2)
    assert meet.sum() == len(boxes)  # each with itself


def test_hooks_of_what_is_sold_out_are_empty() -> None:
    blocks = [card(*THIN, columns=2, stocked=False), card(*THIN, columns=2)]
    support = Support(np.eye(4), 1.0, 0.2, wire_height(blocks))
    first, second = hang_blocks(blocks, support, 0.0, 1.0, rng=np.random.default_rng(0))
    assert not first.items and first.empty_columns == (0, 1)
    assert second.items and second.empty_columns == (1,)
