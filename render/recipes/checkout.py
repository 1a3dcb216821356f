"""Checkouts: products on a belt or on the tray of a self-checkout, seen from straight above.

The levels are those of the RPC data set (Wei et al. 2019): how many products of how many kinds lie there.
"""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from assets.library import Library
from assets.mesh.rest import Rest
from render.choice import with_copies
from render.framing import Framing, direction_of
from render.geometry import transform
from render.layout import PlacedProduct, SceneLayout, SceneRequest
from render.placement.arrange import ArrangementParams, Item, RestingPose, arrange
from render.recipes.cameras import CAMERAS
from render.recipes.parts import Finishes, Optics, SceneRecipe, Section, Share, Span, shop_finishes, within
from render.recipes.shop import stand_fixture
from render.scene import Placement
from render.streams import StreamPurpose

LevelName = Literal["any", "easy", "medium", "hard"]
# Different products, and products with their copies.
LEVELS: dict[str, tuple[tuple[int, int], tuple[int, int]]] = {
    "easy": ((3, 5), (4, 10)),
    "medium": ((5, 8), (10, 15)),
    "hard": ((8, 10), (15, 20)),
}
# Smallest width and depth of a plate, depths of belts and their least length, metres.
PLATE, BELT_DEPTHS, BELT_LENGTH = (0.4, 0.35), (0.4, 0.45, 0.5, 0.55), 1.2


def _span(level: LevelName, which: int) -> tuple[int, int]:
    """Return the lowest and highest number of products, different (0) or all (1), of a level or of all levels."""
    spans = [sizes[which] for name, sizes in LEVELS.items() if level in ("any", name)]
    return spans[0][0], spans[-1][1]


class CheckoutProducts(Section):
    """What lies on the tray."""

    level: LevelName = Field(
        "any", description="easy, medium or hard: 4, 6 or 9 kinds and 7, 12 or 17 products on average"
    )
    lie: Share = Field(0.6, description="chance that a product lies; the others stand")
    touch: Share = Field(0.3, description="chance that a product is pushed against a neighbour")
    density: Annotated[Span, within(0.05, 0.9)] = Field((0.3, 0.55), description="share of the area they cover")

    @property
    def kinds(self) -> tuple[int, int]:
        """Lowest and highest number of different products."""
        return _span(self.level, 0)

    @property
    def count(self) -> tuple[int, int]:
        """Lowest and highest number of products with their copies."""
        return _span(self.level, 1)


class OverheadCamera(Section):
    """A camera above the middle."""

    lens_mm: Annotated[Span, within(8, 400)] = Field(
        CAMERAS["self_checkout"].lens_mm, description="focal length, 35 mm equivalent"
    )
    tilt_deg: Annotated[Span, within(0, 60)] = Field((0.0, 3.0), description="from straight down")
    distance: Annotated[Span, within(0.2, 10)] = Field(
        (1.0, 1.3), description="1 = all products just fit into the image"
    )


class CheckoutRecipe(SceneRecipe):
    """Ranges of the checkout recipe."""

    products: CheckoutProducts = Field(default_factory=CheckoutProducts, description="what lies on the tray")
    tray: Share = Field(0.6, description="chance of the tray of a self-checkout; else a belt")
    camera: OverheadCamera = Field(default_factory=OverheadCamera, description="pose and lens of the camera")
    finish: Finishes = Field(default_factory=shop_finishes, description="surface of the products")
    optics: Optics = Field(
        default_factory=lambda: Optics(**CAMERAS["self_checkout"].optics),
        description="lens, shutter and colour filters",
    )

    def product_count(self) -> tuple[int, int]:
        return self.products.kinds


SETTINGS = CheckoutRecipe


def lay_out(recipe: CheckoutRecipe, request: SceneRequest) -> SceneLayout:
    """Lay out a checkout; all views share it."""
    products = _arrange(recipe, request)
    points = _corners(request.library, products)
    middle = (points.min(axis=0) + points.max(axis=0))[:2] / 2
    fixture = _fixture(recipe, request, middle, np.ptp(points, axis=0))
    rng = request.streams.of_view(StreamPurpose.CAMERA)
    tilt, lens = np.radians(rng.uniform(*recipe.camera.tilt_deg)), float(rng.uniform(*recipe.camera.lens_mm))
    towards = direction_of(rng.uniform(-np.pi, np.pi), np.pi / 2 - tilt)
    roll, distance = float(rng.uniform(-np.pi, np.pi)), float(rng.uniform(*recipe.camera.distance))
    framing = Framing(points, np.array([*middle, 0.0]), towards, lens, distance, roll)
    return SceneLayout(tuple(products), framing, (fixture,))


def _copies(recipe: CheckoutRecipe, request: SceneRequest) -> list[int]:
    """Return which products get copies, as the level of that many kinds wants."""
    kinds, rng = len(request.skus), request.streams.scene(StreamPurpose.REPEATS)
    names = [name for name in LEVELS if recipe.products.level in ("any", name)]
    fitting = [name for name in names if LEVELS[name][0][0] <= kinds <= LEVELS[name][0][1]] or names
    low, high = LEVELS[str(rng.choice(fitting))][1]
    return [int(i) for i in rng.integers(kinds, size=max(int(rng.integers(low, high + 1)) - kinds, 0))]


def _arrange(recipe: CheckoutRecipe, request: SceneRequest) -> list[PlacedProduct]:
    """Set the products down on an unbounded plane, in random order; the fixture is made to fit."""
    rng, ranges = request.streams.scene(StreamPurpose.LAYOUT), recipe.products
    order = with_copies(request.skus, _copies(recipe, request), rng=rng)
    items = [Item(request.library.rest(sku), _resting(request.library.rest(sku), ranges.lie, rng)) for sku in order]
    params = ArrangementParams(ranges.touch, 0.0, float(rng.uniform(*ranges.density)), (0.0, 0.0), 0.0, compact=4)
    poses = arrange(items, params, rng=rng)
    return [PlacedProduct(sku, pose) for sku, pose in zip(order, poses, strict=True) if pose is not None]


def _resting(rest: Rest, lie: float, rng: np.random.Generator) -> RestingPose:
    return "lie" if rng.random() < lie and len(rest.rotations) > 1 else "stand"


def _corners(library: Library, products: list[PlacedProduct]) -> NDArray[np.float64]:
    """Return the corners of all products' hulls in the world (N, 3), for framing."""
    return np.concatenate(
        [transform(each.world_from_object, library.rest(each.sku).hull_vertices) for each in products]
    )


def _fixture(recipe: CheckoutRecipe, request: SceneRequest, middle: NDArray, size: NDArray) -> Placement:
    """Stand a tray or a belt under products that cover that size, metres, rounded to centimetres for the cache."""
    rng, height = request.streams.scene(StreamPurpose.TABLE), 0.85
    tray = bool(rng.random() < recipe.tray)
    grey = float(rng.uniform(0.45, 0.85) if tray else rng.uniform(0.05, 0.2))
    margin = 0.04 + rng.uniform(0, 0.1, size=2)
    least = PLATE if tray else (BELT_LENGTH, float(rng.choice(BELT_DEPTHS)))
    width, depth = (round(float(max(a, b + 2 * c)), 2) for a, b, c in zip(least, size[:2], margin, strict=True))
    pose = np.eye(4)
    pose[:3, 3] = *middle, -height
    return stand_fixture(
        "checkout",
        pose,
        "checkout",
        style="tray" if tray else "belt",
        width=width,
        depth=depth,
        height=height,
        rim=round(float(rng.uniform(0.005, 0.04)), 3),
        color=(grey, grey, grey),
        counter_color=tuple(
            float(part) for part in rng.uniform(0.25, 0.9) * rng.uniform(0.92, 1.05, size=3).clip(0, 1)
        ),
    ).placement
