"""Products in facings on the boards of your own shelf: the meshes of `--fixtures FOLDER`, their boards found by shape.

synth render --demo --recipe examples/recipe_own_shelf.py --fixtures my/shelves --out data/own_shelf
"""

from __future__ import annotations

import numpy as np
from pydantic import Field

from assets.errors import SynthError
from assets.mesh.types import Mesh, cross_products
from render.framing import Framing, direction_of
from render.layout import LightWish, PlacedProduct, SceneLayout, SceneRequest, Support
from render.placement.facings import FacingBlock, FacingParams, set_in_facings
from render.recipes.parts import CountSpan, SceneRecipe, Span
from render.recipes.sampling import fixture_placement, sample_fixture_key
from render.streams import StreamPurpose

# An upward surface is a board if it covers this share of the shelf's footprint.
MIN_BOARD = 0.3
# Metres: lower rooms between boards hold no product.
MIN_ROOM = 0.05
# The front of a shelf faces -Y.
FRONT = -np.pi / 2


class OwnShelfRecipe(SceneRecipe):
    """Ranges of the recipe."""

    count: CountSpan = Field((6, 12), description="different products per scene")
    facings: CountSpan = Field((1, 5), description="copies of a product side by side")
    rows: CountSpan = Field((1, 2), description="copies of a product behind each other")
    side_deg: Span = Field((-25.0, 25.0), description="how far the camera stands beside the middle of the shelf")
    distance: Span = Field((0.6, 1.0), description="1 = the whole shelf just fits into the frame")
    lens_mm: Span = Field((24.0, 32.0), description="focal length, 35 mm equivalent")

    def product_count(self) -> tuple[int, int]:
        return self.count


SETTINGS = OwnShelfRecipe


def lay_out(recipe: OwnShelfRecipe, request: SceneRequest) -> SceneLayout:
    """Choose a shelf, then fill its boards from left to right, each product on the board with most room left."""
    rng = request.streams.scene(StreamPurpose.LAYOUT)
    shelf = fixture_placement(sample_fixture_key(request.library.backdrops, rng=rng), np.eye(4))
    assert shelf.fixture is not None
    mesh = request.library.fixture(shelf.fixture)
    supports = _boards(mesh)
    blocks: list[list[tuple[str, FacingBlock]]] = [[] for _ in supports]
    for number, sku in enumerate(request.skus):
        columns, rows = (int(rng.integers(low, high + 1)) for low, high in (recipe.facings, recipe.rows))
        blocks[number % len(blocks)].append((sku, FacingBlock(request.library.rest(sku), columns, rows)))
    products = []
    for support, some in zip(supports, blocks, strict=True):
        placed = set_in_facings([block for _, block in some], support, FacingParams(), rng=rng)
        products += [
            PlacedProduct(sku, pose) for (sku, _), block in zip(some, placed, strict=True) for pose in block.poses
        ]
    lights = LightWish(np.array([0.0, 0.0, mesh.size[2] / 2]), (FRONT - 1.1, FRONT + 1.1), (0.25, 0.8))
    return SceneLayout(tuple(products), _framing(recipe, request, mesh), (shelf,), supports, lights)


def _boards(mesh: Mesh) -> tuple[Support, ...]:
    """Return the upward surfaces that are large enough to be boards, from below, with the free height above each."""
    corners = mesh.vertices[mesh.faces].astype(np.float64)
    normals = cross_products(corners)
    areas = np.linalg.norm(normals, axis=1) / 2
    flat = normals[:, 2] > 0.99 * 2 * areas
    levels, index = np.unique(np.round(corners[flat].mean(axis=1)[:, 2], 3), return_inverse=True)
    covered = np.bincount(index, weights=areas[flat], minlength=len(levels))
    width, depth, height = (float(side) for side in mesh.size)
    tops = levels[covered > MIN_BOARD * width * depth]
    rooms = np.diff([*tops, max(height, tops[-1] + 0.3) if len(tops) else 0.0])
    boards = [
        Support(_at(float(top)), 0.94 * width, 0.94 * depth, float(room))
        for top, room in zip(tops, rooms, strict=False)
        if room > MIN_ROOM
    ]
    if not boards:
        raise SynthError("the mesh has no boards", code="fixture-invalid", expected="horizontal surfaces to stand on")
    return tuple(boards)


def _at(z: float) -> np.ndarray:
    pose = np.eye(4)
    pose[2, 3] = z
    return pose


def _framing(recipe: OwnShelfRecipe, request: SceneRequest, mesh: Mesh) -> Framing:
    rng = request.streams.of_view(StreamPurpose.CAMERA)
    low, high = mesh.bounds
    points = np.array([[x, low[1], z] for x in (low[0], high[0]) for z in (low[2], high[2])])
    towards = direction_of(FRONT + np.radians(rng.uniform(*recipe.side_deg)), np.radians(rng.uniform(2, 20)))
    lens, distance = float(rng.uniform(*recipe.lens_mm)), float(rng.uniform(*recipe.distance))
    return Framing(points, points.mean(axis=0), towards, lens, distance)
