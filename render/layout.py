"""Result of a recipe: the positions of products and props, and its requests for camera and lights.

Everything else (finishes, lights, background, sensor) is sampled the same way for every recipe: render/sample.py.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from assets.fixtures.surface import Surface
from assets.library import Library
from assets.planogram.stocked import StockedPlanogram
from render.choice import Orientation, SceneProducts
from render.framing import Framing
from render.marks import ShopMarks
from render.scene import AreaLight, Camera, Finish, Placement, rigid_pose
from render.streams import Streams


@dataclass(frozen=True, eq=False)
class SceneRequest:
    """Input of a recipe: one view of one scene to be laid out. width, height: of the image, pixels.

    products: SKUs to show, in this order; a recipe may show several copies of each. streams: the random streams.
    planogram: where they stand, if that is given.
    """

    library: Library
    products: SceneProducts
    streams: Streams
    width: int
    height: int
    planogram: StockedPlanogram | None = None

    @property
    def aspect(self) -> float:
        """Width / height of the image."""
        return self.width / self.height

    @property
    def skus(self) -> tuple[str, ...]:
        """SKUs to show."""
        return self.products.skus

    @property
    def orientations(self) -> tuple[Orientation, ...]:
        """Orientation of each SKU; empty if the recipe chooses."""
        return self.products.orientations


@dataclass(frozen=True, eq=False)
class PlacedProduct:
    """A product in the scene. finish: None samples one from the recipe's ranges."""

    sku: str
    world_from_object: NDArray[np.float64]
    finish: Finish | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "world_from_object", rigid_pose(self.world_from_object, "world_from_object"))


@dataclass(frozen=True, eq=False)
class Support:
    """A flat surface that carries products: a table top, a shelf board, a belt, the floor of a bin, a peg.

    world_from_support: (4, 4), origin in the middle of the surface, X to the right along its front edge, Y to the back,
    Z out of the surface. width, depth, height: extent along X and Y and free height along Z, metres; inf = unbounded.
    props: the fixtures that form it; they are traced, occlude products and are never annotated.
    """

    world_from_support: NDArray[np.float64]
    width: float = np.inf
    depth: float = np.inf
    height: float = np.inf
    props: tuple[Placement, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "world_from_support", rigid_pose(self.world_from_support, "world_from_support"))
        if min(self.width, self.depth, self.height) <= 0:
            raise ValueError(f"support: sizes must be over 0 m, found {self.width} x {self.depth} x {self.height}")
        if any(prop.kind != "prop" for prop in self.props):
            raise ValueError("support: only props can carry products")

    @staticmethod
    def of(surface: Surface, world_from_fixture: NDArray[np.float64]) -> Support:
        """Return the support on a fixture's surface; the fixture itself is a prop of the layout."""
        pose = world_from_fixture @ surface.fixture_from_surface
        return Support(pose, surface.width, surface.depth, surface.height)

    def place(self, support_from_object: NDArray[np.float64]) -> NDArray[np.float64]:
        """Convert a pose on this support to world_from_object (4, 4)."""
        # Multiplying by the identity would turn -0.0 into 0.0 and change the bytes of tabletop scenes.
        at_origin = np.array_equal(self.world_from_support, np.eye(4))
        return support_from_object if at_origin else self.world_from_support @ support_from_object

    def holds(self, x: float, y: float, radius: float) -> bool:
        """Return whether a circle with that centre and radius, metres, lies on the surface."""
        return abs(x) + radius <= self.width / 2 and abs(y) + radius <= self.depth / 2


# The whole plane z = 0.
UNBOUNDED = Support(np.eye(4))


@dataclass(frozen=True, eq=False)
class LightWish:
    """Allowed positions of area lights: they shine on `target` (3,), metres, from directions within these ranges.

    azimuth: radians from +X. rise: sine of the elevation.
    """

    target: NDArray[np.float64]
    azimuth: tuple[float, float] = (-np.pi, np.pi)
    rise: tuple[float, float] = (0.25, 1.0)


@dataclass(frozen=True, eq=False)
class SceneLayout:
    """A scene as laid out by a recipe; instance ids count products, then props, then the props of the supports.

    camera: a camera, or a framing from which it is computed. lights: positions of area lights; None = all around the
    origin. fixed_lights: further lights, such as those of a fridge. marks: what else can be labelled; the instances of
    its tags are indices of props.
    """

    products: tuple[PlacedProduct, ...]
    camera: Camera | Framing
    props: tuple[Placement, ...] = ()
    supports: tuple[Support, ...] = ()
    lights: LightWish | None = None
    fixed_lights: tuple[AreaLight, ...] = ()
    marks: ShopMarks | None = None
