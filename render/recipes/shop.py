"""What recipes of shops share: bays, surroundings, price tags, occluders and cameras in an aisle."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Discriminator, Field, Tag

from assets.catalog.types import Sku
from assets.fixtures import surfaces_of
from assets.fixtures.surface import Surface
from assets.props.look import Color, Fixture, FixtureValue, Shape, Texture
from render.framing import FULL_FRAME_MM, Framing, direction_of
from render.geometry import rotation_about_z, transform
from render.light_color import relative_rgb
from render.placement.facings import StockedBlock
from render.recipes.parts import CountSpan, Section, Share, ShareSpan, Span, within
from render.recipes.sampling import prop_placement
from render.scene import Finish, Placement

# The front of a shelf is where products look by themselves.
FRONT = -np.pi / 2
# Side of a product's box as a share of the root of the image's area, in public sets of photographs of shelves: the root
# of the mean share of the area that a box covers (arXiv 1912.09476, table 1), from SKU-110K to GroZi-3.2k.
BOX_SHARES: dict[str, tuple[float, float]] = {
    "any": (0.055, 0.2),
    "sku110k": (0.045, 0.062),
    "webmarket": (0.09, 0.13),
    "tobacco": (0.085, 0.125),
    "holoselecta": (0.08, 0.12),
    "grozi": (0.15, 0.23),
    "capg": (0.14, 0.21),
    # Close-ups: the middle 80 % of the 2,941 boxes of the Freiburg Groceries Dataset with boxes.
    "freiburg": (0.28, 0.67),
}
# Larger products are in close views, of a few facings, which people aim at products instead of somewhere on the shelf.
CLOSE = 0.23
LikeSet = Literal["any", "sku110k", "webmarket", "tobacco", "holoselecta", "grozi", "capg", "freiburg"]
BoxSize = Annotated[
    Annotated[LikeSet, Tag("set")] | Annotated[Span, within(0.01, 0.95), Tag("size")],
    Discriminator(lambda value: "set" if isinstance(value, str) else "size"),
]
# Paints of steel shelves, sRGB: white, light grey, beige, dark grey, black.
# Light ones are the rule.
PAINTS: tuple[Color, ...] = (
    (0.93, 0.93, 0.92),
    (0.9, 0.89, 0.86),
    (0.9, 0.9, 0.88),
    (0.78, 0.79, 0.8),
    (0.86, 0.82, 0.74),
    (0.38, 0.39, 0.41),
    (0.16, 0.16, 0.17),
)
FLOORS: tuple[Color, ...] = (
    (0.74, 0.73, 0.7),
    (0.62, 0.62, 0.63),
    (0.8, 0.77, 0.7),
    (0.5, 0.42, 0.33),
    (0.4, 0.41, 0.43),
)
# Shopping baskets: red, blue, green, black, grey.
BASKETS: tuple[Color, ...] = (
    (0.75, 0.08, 0.08),
    (0.1, 0.22, 0.55),
    (0.1, 0.42, 0.2),
    (0.1, 0.1, 0.11),
    (0.45, 0.46, 0.48),
)
MAX_RAIL_M = 0.1
# Width of the strips of light in fixtures, metres, and how many of a scene shine: each costs a shadow map.
STRIP_M, MAX_STRIPS = 0.02, 3
# Where fixtures end: a wide door over a low window asks for more.
MOST_RADIANCE = 1000.0
# Fields behind prices: white paper, yellow, red and orange offers.
ACCENTS: tuple[Color, ...] = (
    (0.98, 0.98, 0.97),
    (0.98, 0.98, 0.97),
    (0.99, 0.87, 0.15),
    (0.85, 0.1, 0.1),
    (0.97, 0.6, 0.1),
)


class ShelfProducts(Section):
    """What stands on the boards."""

    count: Annotated[CountSpan, within(1, 500)] = Field((14, 36), description="different products per scene")
    facings: Annotated[CountSpan, within(1, 40)] = Field((1, 8), description="copies of a product side by side")
    rows: Annotated[CountSpan, within(1, 20)] = Field((1, 3), description="copies of a product behind each other")
    stack: Share = Field(0.4, description="chance that products with level tops are stacked")
    gap_m: Annotated[Span, within(0, 0.2)] = Field((0.001, 0.008), description="between neighbours, metres")
    setback_m: Annotated[Span, within(0, 0.3)] = Field((0.003, 0.03), description="from the front edge, metres")
    turn_deg: Annotated[Span, within(0, 45)] = Field(
        (0.0, 3.0), description="how carelessly products are turned, standard deviation"
    )
    missing: ShareSpan = Field((0.0, 0.25), description="chance that the front item of a column has been taken")
    sold_out: ShareSpan = Field(
        (0.0, 0.08), description="chance that a column is empty; as many further products are sold out altogether"
    )
    misplaced: ShareSpan = Field((0.0, 0.03), description="share of front items that are another product of the scene")
    turned: ShareSpan = Field((0.0, 0.04), description="share of front items that show a side or their back")
    capped: Share = Field(0.25, description="chance that further items lie on a block, if it carries them")
    leaning: ShareSpan = Field((0.0, 0.5), description="chance that an item beside a hole leans on a neighbour")


class Disturbance(Section):
    """How shelves differ from the planogram that they follow; by default not at all."""

    setback_m: Annotated[Span, within(0, 0.3)] = Field(
        (0.0, 0.0), description="of a block from its place, as far as the shelf is deep, metres"
    )
    missing: ShareSpan = Field((0.0, 0.0), description="chance that the front item of a column has been taken")
    sold_out: ShareSpan = Field((0.0, 0.0), description="chance that a position is empty, or a column of it")
    misplaced: ShareSpan = Field((0.0, 0.0), description="share of front items that are another product of the scene")
    turned: ShareSpan = Field((0.0, 0.0), description="share of front items that show a side or their back")
    rows: Annotated[int, Field(ge=1, le=500)] = Field(
        500, description="rows behind each other that are stood up at most: further ones can hardly be seen"
    )


class PriceTags(Section):
    """The tags on the rails."""

    tagged: ShareSpan = Field((0.7, 1.0), description="chance that a block of facings has a tag")
    electronic: Share = Field(0.3, description="chance that the shop has electronic labels")
    talkers: ShareSpan = Field(
        (0.0, 0.15), description="chance that a printed card stands out or hangs down beside a tag (shelf talker)"
    )


@dataclass(frozen=True)
class CameraReach:
    """Where a camera may be at most: metres from the shelf, and over the floor."""

    away: float
    high: float


class AisleCamera(Section):
    """A photographer in the aisle."""

    like: BoxSize = Field(
        "any", description="public set whose size of products is followed, or that size as in [0.08, 0.2]"
    )
    lens_mm: Annotated[Span, within(8, 400)] = Field((24.0, 30.0), description="focal length, 35 mm equivalent")
    side_deg: Annotated[Span, within(-70, 70)] = Field((-20.0, 20.0), description="how far it stands to the side")
    height_deg: Annotated[Span, within(-60, 80)] = Field((-8.0, 18.0), description="how far it looks down")
    roll_deg: Annotated[Span, within(-180, 180)] = Field((-2.5, 2.5), description="turn about the optical axis")

    def reach(self, width: float, height: float, aspect: float) -> CameraReach:
        """Return where it may be before a shelf of that size. aspect: width / height of the image."""
        # A view shows at most all of the shelf in one direction; the rest is for tilted and turned views.
        away = 1.3 * self.lens_mm[1] / FULL_FRAME_MM * max(width, height * aspect) + 0.5
        return CameraReach(away, height + away * float(np.sin(np.radians(max(self.height_deg[1], 0.0)))))


class Occluders(Section):
    """Things before the shelf that hide products and are never labelled."""

    chance: Share = Field(0.12, description="chance of an arm before the shelf")
    basket: Share = Field(0.1, description="chance of a shopping basket, on the floor or carried")


def sample_strip(
    kelvin: Span, share: Span, distance: float, length: float, *, rng: np.random.Generator
) -> tuple[Color, float]:
    """Sample the light of a strip in a fixture: its colour, linear and relative to 6500 K, and its radiance.

    share: of its light on products at that distance, metres, as a multiple of the environment's.
    """
    color = relative_rgb(float(rng.uniform(*kelvin)))
    # A strip of radiance L and area A gives the irradiance L A / d^2 at a distance d.
    radiance = float(rng.uniform(*share)) * np.pi * distance**2 / (length * STRIP_M)
    return color, min(radiance, MOST_RADIANCE)


@dataclass(frozen=True, eq=False)
class Bay:
    """A fixture with boards as placed. surfaces: in the frame of the fixture."""

    placement: Placement
    surfaces: tuple[Surface, ...]

    @property
    def name(self) -> str:
        """Its name, with which positions begin."""
        return self.placement.key


def stand_fixture(kind: str, pose: NDArray, name: str, **settings: FixtureValue) -> Bay:
    """Return a fixture at world_from_fixture `pose` with its surfaces."""
    fixture = Fixture(kind, tuple(settings.items()))
    return Bay(Placement("prop", name, pose, fixture=fixture), surfaces_of(fixture))


@dataclass(frozen=True)
class TagStyle:
    """How the tags of one shop look. width, height: metres. accent: of the field behind the price."""

    style: str
    width: float
    height: float
    accent: Color


def sample_tag_style(tags: PriceTags, rail_height: float, *, rng: np.random.Generator) -> TagStyle:
    """Sample paper or electronic tags that fit the rail; where that is as high as a sheet of paper, it is a sign."""
    electronic, wide = bool(rng.random() < tags.electronic), float(rng.uniform(0.06, 0.09))
    accent = ACCENTS[int(rng.integers(len(ACCENTS)))]
    if rail_height > MAX_RAIL_M:
        return TagStyle("paper", round(rail_height * np.sqrt(2), 3), rail_height, accent)
    height = round(min(rail_height - 0.002, 0.037), 4)
    if electronic:
        return TagStyle("electronic", 0.071, height, (0.89, 0.89, 0.87))
    return TagStyle("paper", round(wide, 3), height, accent)


def tag_placement(
    style: TagStyle,
    sku: Sku,
    surface: Surface,
    world_from_fixture: NDArray,
    x: float,
    key: str,
    *,
    rng: np.random.Generator,
) -> tuple[Placement, str]:
    """Return a tag on the rail with its centre at `x`, metres on the surface, and the text on it."""
    cents = (9, 9, 9, 5, 0)[int(rng.integers(5))]
    price = f"{np.exp(rng.uniform(np.log(0.4), np.log(25))):.1f}{cents}"
    name = f"{sku.brand} {sku.name}".strip()[:80] or sku.sku
    unit = f"{float(price) * rng.uniform(1.2, 9):.2f} / kg"
    settings: dict[str, FixtureValue] = {
        "style": style.style,
        "width": style.width,
        "height": style.height,
        "name": name,
        "price": price,
        "unit_price": unit,
        "code": (sku.barcode or sku.sku)[:40],
        "accent": style.accent,
    }
    assert surface.fixture_from_rail is not None
    shift = np.eye(4)
    # Half the thickness of an electronic label, so that none sinks into the rail.
    shift[:3, 3] = x, -0.0065 if style.style == "electronic" else -0.0012, (surface.rail_height - style.height) / 2
    pose = world_from_fixture @ surface.fixture_from_rail @ shift
    text = f"{name} {price}"
    return Placement("prop", key, pose, fixture=Fixture("tag", tuple(settings.items()))), text


def opening(
    support_pose: NDArray, left: float, right: float, depth: float, height: float, below: float = 0.0
) -> NDArray[np.float64]:
    """Return the corners (4, 3) of a rectangle at the front of a support, metres, world.

    depth: of the support, whose front edge is at -depth / 2. height: of the upper edge over the support.
    """
    y = -depth / 2
    corners = np.array([[left, y, below], [right, y, below], [right, y, height], [left, y, height]])
    return transform(support_pose, corners)


def frame_part(
    camera: AisleCamera,
    shelf: tuple[NDArray, NDArray],
    fronts: NDArray,
    side: float,
    size: tuple[int, int],
    *,
    up: int = 2,
    rng: np.random.Generator,
) -> Framing:
    """Sample a camera in the aisle that sees a part of the shelf in which products have the wanted size.

    shelf: lowest and highest corner (3,) of the fronts, metres. fronts: middles (N, 3) of facings; close views have one
    in the middle. side: of a typical product, metres. size: width and height of the image, pixels. up: the axis that
    points up in the image: 2, or 1 for what is seen from above.
    """
    low, high = shelf
    shares = BOX_SHARES[camera.like] if isinstance(camera.like, str) else camera.like
    share = float(np.exp(rng.uniform(*np.log(shares))))
    area = (side / share) ** 2
    width = np.sqrt(area * size[0] / size[1])
    seen = np.array([width, width * size[1] / size[0]])
    axes = [0, up]
    room = (high - low)[axes]
    aside = np.maximum(room - seen, 0) / 2
    middle = ((low + high) / 2)[axes] + rng.uniform(-1, 1, size=2) * aside
    if share > CLOSE and len(fronts):
        middle = fronts[np.linalg.norm(fronts[:, axes] - middle, axis=1).argmin()][axes]
    # What lies beyond the shelf has no labels: the view is at most as large as the shelf in one direction.
    whole, cut = float((room / seen).max()), float((room / seen).min())
    half = seen / 2 * min(1.0, cut + (whole - cut) * float(rng.uniform(0, 0.7)))
    points = np.tile(np.array([low[0], low[1], high[2]]), (4, 1))
    points[:, axes] = [middle + half * [a, b] for a in (-1, 1) for b in (-1, 1)]
    towards = direction_of(
        FRONT + np.radians(rng.uniform(*camera.side_deg)), np.radians(rng.uniform(*camera.height_deg))
    )
    lens, roll = float(rng.uniform(*camera.lens_mm)), float(np.radians(rng.uniform(*camera.roll_deg)))
    return Framing(points, points.mean(axis=0), towards, lens, 1.0, roll)


def sample_occluders(occluders: Occluders, target: NDArray, *, rng: np.random.Generator) -> tuple[Placement, ...]:
    """Sample an arm that reaches for a product; mostly nothing."""
    if rng.random() >= occluders.chance:
        return ()
    skin = tuple(float(part) for part in np.array([0.86, 0.64, 0.5]) * rng.uniform(0.4, 1.05))
    sleeve = tuple(float(part) for part in rng.uniform(0.08, 0.8, size=3))
    reach = np.eye(4)
    # Along -Y, upwards a little, into the shelf.
    yaw, pitch = rng.uniform(-0.5, 0.5), np.pi / 2 + rng.uniform(-0.5, 0.2)
    reach[:3, :3] = _turn(yaw, pitch)
    reach[:3, 3] = target + reach[:3, :3] @ [0, 0, -0.42]
    color = (skin[0], skin[1], skin[2])
    cloth = (sleeve[0], sleeve[1], sleeve[2])
    hand = prop_placement(
        Shape("capsule", 0.08, 0.05, 0.34),
        Texture("solid", colors=(color, color)),
        Finish(roughness=0.6),
        reach,
        "hand",
    )
    arm = reach.copy()
    arm[:3, 3] -= reach[:3, :3] @ [0, 0, 0.501]
    forearm = prop_placement(
        Shape("cylinder", 0.11, 0.11, 0.5),
        Texture("fabric", colors=(cloth, cloth), size_m=0.05),
        Finish(roughness=0.9),
        arm,
        "sleeve",
    )
    return hand, forearm


def sample_basket(
    occluders: Occluders, extent: tuple[NDArray, NDArray], *, rng: np.random.Generator
) -> tuple[Placement, ...]:
    """Sample a shopping basket before the shelf; mostly nothing.

    extent: lowest and highest corner (3,) of the fronts, metres.
    """
    if rng.random() >= occluders.basket:
        return ()
    low, high = extent
    color = BASKETS[int(rng.integers(len(BASKETS)))]
    carried, height = bool(rng.random() < 0.5), float(rng.uniform(0.3, 0.95))
    pose = np.eye(4)
    pose[:3, :3] = rotation_about_z(rng.normal(0, 0.3))
    # Clear of the doors of coolers.
    pose[:3, 3] = rng.uniform(low[0], high[0]), low[1] - rng.uniform(0.4, 0.6), height if carried else 0.0
    return (stand_fixture("basket", pose, "basket", raised=carried, color=color).placement,)


def _turn(yaw: float, pitch: float) -> NDArray[np.float64]:
    """Return the rotation that tips +Z backwards by `pitch`, then turns it about Z by `yaw`."""
    cosine, sine = np.cos(pitch), np.sin(pitch)
    return rotation_about_z(yaw) @ np.array([[1, 0, 0], [0, cosine, sine], [0, -sine, cosine]])


def typical_side(blocks: list[StockedBlock], sizes: list[NDArray]) -> float:
    """Return the median over items of the root of the area of their fronts, metres."""
    sides = [np.sqrt(size[0] * size[2]) for block, size in zip(blocks, sizes, strict=True) for _ in block.columns]
    return float(np.median(sides)) if sides else 0.1
