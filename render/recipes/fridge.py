"""Fridges: upright coolers with products behind glass doors, lit by strips in the mullions; chest freezers."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from assets.color import srgb_from_linear
from assets.fixtures.cooler import DOOR, DOOR_GAP, MULLION, STRIP, WALL, CoolerFixture
from assets.fixtures.cooler import depth as cooler_depth
from assets.planogram.types import Planogram
from assets.props.look import Color, FixtureValue
from render.geometry import look_at, rotation_about_z
from render.layout import SceneLayout, SceneRequest
from render.placement.shelving import BayRanges
from render.recipes.boards import Fittings, ShelvesRecipe
from render.recipes.chests import Chests, lay_out_chests
from render.recipes.parts import CountSpan, Section, Share, ShareSpan, Span
from render.recipes.planograms import PlanogramStand, back_of, lay_out_planogram, plinth_of
from render.recipes.shelves import (
    BayPlans,
    lay_out_shelves,
    sample_room,
    stand_bay,
    tint,
)
from render.recipes.shop import MAX_STRIPS, STRIP_M, Bay, ShelfProducts, sample_strip, stand_fixture
from render.scene import AreaLight, Placement
from render.streams import StreamPurpose

# Widths of a door (24 to 30 in) and depths of shelves, metres.
DOOR_WIDTHS, DEPTHS = (0.61, 0.66, 0.71, 0.762), (0.45, 0.5, 0.6, 0.7)
# Colours of the cabinet: black, white, grey, dark blue.
CABINETS = ((0.1, 0.1, 0.11), (0.9, 0.9, 0.9), (0.55, 0.56, 0.58), (0.1, 0.16, 0.32))
MAX_DOORS = 60
# Of a mullion without light at its ends, metres, both together.
STRIP_ENDS = 0.1
# Share of scenes with chest freezers.
CHESTS = 0.2


class Coolers(Section):
    """The coolers."""

    doors: CountSpan = Field((1, 3), description="doors of a cooler")
    height_m: Span = Field((1.4, 1.75), description="of the highest shelf at most, metres")
    headroom_m: Span = Field((0.03, 0.1), description="over the products of a shelf, metres")
    closed: Share = Field(0.75, description="chance that a cooler has doors")
    open: Share = Field(0.12, description="chance that a door stands open")
    slope_deg: Span = Field((0.0, 7.0), description="slope of the shelves towards the front")
    clear: Span = Field((0.86, 0.98), description="share of light that each side of a door lets through")
    haze: Span = Field((0.01, 0.12), description="roughness of the glass: condensation, wiped film")
    misted: Share = Field(0.25, description="chance that the glass of a shop's doors is misted from below")
    mist: ShareSpan = Field((0.05, 0.6), description="height of the condensation, as a share of the glass")
    strip_kelvin: Span = Field((3000.0, 6500.0), description="colour temperature of the strips of light")
    strip_share: Span = Field(
        (0.4, 2.5), description="light of a strip on products, as a multiple of the environment's"
    )


class FridgeRecipe(ShelvesRecipe):
    """Ranges of the fridge recipe."""

    kind: Literal["any", "upright", "chest"] = Field(
        "any", description="upright coolers or chest freezers; any: one in five scenes has chest freezers"
    )
    products: ShelfProducts = Field(
        default_factory=lambda: ShelfProducts(rows=(1, 4), stack=0.2, setback_m=(0.002, 0.02)),
        description="what stands on the shelves",
    )
    coolers: Coolers = Field(default_factory=Coolers, description="the coolers")
    chests: Chests = Field(default_factory=Chests, description="the chest freezers")

    def without_planograms(self) -> str:
        return f"{self.recipe} with kind: chest" if self.kind == "chest" else ""


SETTINGS = FridgeRecipe


def lay_out(recipe: FridgeRecipe, request: SceneRequest) -> SceneLayout:
    """Lay out coolers or chest freezers in a room; all views share them. Planograms are those of coolers."""
    rng = request.streams.scene(StreamPurpose.TABLE)
    if request.planogram is not None:
        return lay_out_planogram(recipe, request, lambda planogram: _cooler_around(recipe, request, planogram, rng))
    chests = request.streams.scene(StreamPurpose.FIXTURES).random() < CHESTS
    if recipe.kind == "chest" or (recipe.kind == "any" and chests):
        return lay_out_chests(recipe, recipe.chests, request, rng)
    doors = int(rng.integers(recipe.coolers.doors[0], recipe.coolers.doors[1] + 1))
    ranges = BayRanges(
        width=doors * float(rng.choice(DOOR_WIDTHS)),
        height=float(rng.uniform(*recipe.coolers.height_m)),
        base=float(np.round(rng.uniform(0.22, 0.35), 2)),
        depth=float(rng.choice(DEPTHS)),
        thickness=0.016,
        headroom=recipe.coolers.headroom_m,
        boards=7,
    )
    look = _sample_look(recipe.coolers, rng)
    ranges = replace(ranges, slope=np.radians(look.slope_deg))
    return lay_out_shelves(
        recipe, request, ranges, lambda fitted, plans: _fittings(recipe, request, fitted, plans, doors, look, rng)
    )


@dataclass(frozen=True)
class _CoolerLook:
    """How the coolers of one shop look. cloth: of the sign, header: its height, metres."""

    frame: Color
    cloth: Color
    inside: Color
    closed: bool
    slope_deg: float
    header: float


def _sample_look(looks: Coolers, rng: np.random.Generator) -> _CoolerLook:
    frame, (red, green, blue) = tint(CABINETS[int(rng.integers(len(CABINETS)))], rng=rng), rng.uniform(0.05, 0.9, 3)
    inside, closed = tint((0.93, 0.93, 0.92), rng=rng), bool(rng.random() < looks.closed)
    slope, header = float(rng.uniform(*looks.slope_deg)), float(np.round(rng.uniform(0.12, 0.35), 2))
    return _CoolerLook(frame, (float(red), float(green), float(blue)), inside, closed, slope, header)


def _fittings(
    recipe: FridgeRecipe,
    request: SceneRequest,
    ranges: BayRanges,
    plans: BayPlans,
    doors: int,
    look: _CoolerLook,
    rng: np.random.Generator,
) -> Fittings:
    """Stand a cooler per plan, with doors and strips of light."""
    looks, count, header = recipe.coolers, doors if look.closed else 0, look.header
    highest = max(plan[-1].height for plan in plans) + ranges.headroom[1]
    # A shelf on top needs room for its products under the sign.
    height = round(min(max(highest + 0.42 + header + ranges.depth * np.sin(ranges.slope), 1.2), 3.0), 2)
    pitch = ranges.width + 2 * WALL + 0.004
    plinth = min(0.16, round(min(plan[0].height for plan in plans) - 0.04, 2))
    shine = _sample_strips(looks, ranges.width / doors, height - header - plinth, rng)
    bays, around, lights = [], [], []
    for number in range(len(plans)):
        bay = stand_bay(
            "cooler",
            "cooler",
            number,
            ranges,
            plans,
            pitch,
            slopes_deg=(look.slope_deg,),
            height=height,
            doors=count,
            rail_height=0.03,
            rail_tilt_deg=float(rng.uniform(0, 20)),
            inside_color=look.inside,
            frame_color=look.frame,
            header=header,
            header_color=look.cloth,
            plinth=plinth,
            strip_color=shine.color,
            strip_radiance=shine.radiance,
        )
        bays.append(bay)
        interior = _interior_of(bay, height - header)
        lights += _strips(shine, interior, doors)
        if look.closed:
            around += _doors(looks, interior, count, look.frame, rng)
    seen = recipe.camera.reach(len(plans) * pitch, height, request.aspect)
    room = sample_room(len(plans) * pitch, ranges.depth + 0.2, height, seen, goods=False, rng=rng)
    return Fittings(tuple(bays), (*around, room), tuple(lights[:MAX_STRIPS]), DOOR_GAP if look.closed else np.inf)


def _cooler_around(
    recipe: FridgeRecipe, request: SceneRequest, planogram: Planogram, rng: np.random.Generator
) -> PlanogramStand:
    """Stand one cooler around the shelves of a planogram; its doors follow the planogram's, if it has any."""
    looks, hinged = recipe.coolers, sum(bool(bay.door) for bay in planogram.bays)
    frame, cloth = tint(CABINETS[int(rng.integers(len(CABINETS)))], rng=rng), rng.uniform(0.05, 0.9, size=3)
    doors = int(np.clip(hinged or round(planogram.width / DOOR_WIDTHS[2]), 1, MAX_DOORS))
    closed = bool(rng.random() < looks.closed) or bool(hinged)
    header = float(np.clip(3.0 - planogram.height, 0.0, np.round(rng.uniform(0.12, 0.35), 2)))
    tilt, inner, back = float(rng.uniform(0, 20)), tint((0.93, 0.93, 0.92), rng=rng), back_of(planogram)
    width, height = max(planogram.width, 0.2), float(np.clip(planogram.height + header, 1.0, 3.0))
    plinth = plinth_of(planogram, 0.4)
    shine = _sample_strips(looks, width / doors, height - header - plinth, rng)
    settings: dict[str, FixtureValue] = {
        "width": width,
        "height": height,
        "boards": (),
        "board_depths": (float(np.clip(back, 0.1, 1.5)),),
        "doors": doors if closed else 0,
        "rail_height": 0.03,
        "rail_tilt_deg": tilt,
        "inside_color": inner,
        "frame_color": frame,
        "header": header,
        "header_color": tuple(float(part) for part in cloth),
        "plinth": plinth,
        "strip_color": shine.color,
        "strip_radiance": shine.radiance,
    }
    cooler = CoolerFixture.model_validate(settings)
    reach, top = cooler_depth(cooler) / 2, cooler.height - cooler.header
    interior = _Interior(0.0, cooler.width, -reach + (DOOR if closed else 0.0), cooler.plinth, top)
    cabinet = stand_fixture("cooler", np.eye(4), "cooler", **settings).placement
    hung = _doors(looks, interior, doors, frame, rng) if closed else []
    strips = _strips(shine, interior, doors)
    lit = np.unique(np.linspace(0, len(strips) - 1, MAX_STRIPS).round().astype(int))
    seen = recipe.camera.reach(planogram.width, cooler.height, request.aspect)
    room = sample_room(planogram.width + 2 * WALL, min(2 * reach, 1.5), cooler.height, seen, goods=False, rng=rng)
    look: dict[str, FixtureValue] = {"rail_height": 0.03, "rail_tilt_deg": tilt, "color": inner}
    return PlanogramStand(reach - WALL - back, look, (cabinet, *hung, room), tuple(strips[i] for i in lit), wires=True)


@dataclass(frozen=True)
class _Interior:
    """The inside of a cabinet: x of its middle, width, y of its front, heights of its lower and upper end, metres."""

    x: float
    width: float
    front: float
    plinth: float
    top: float


def _interior_of(bay: Bay, top: float) -> _Interior:
    assert bay.placement.fixture is not None
    values = dict(bay.placement.fixture.settings)
    board = bay.surfaces[0]
    rail = board.fixture_from_rail
    assert rail is not None
    front, plinth = float(rail[1, 3]) - DOOR_GAP, float(values["plinth"])  # type: ignore[arg-type]
    return _Interior(float(bay.placement.world_from_object[0, 3]), board.width, front, plinth, top)


def _doors(looks: Coolers, interior: _Interior, count: int, frame: Color, rng: np.random.Generator) -> list[Placement]:
    """Hang the doors, hinges at the outer side; a few stand open."""
    inner = interior.width
    width, clear, haze = inner / count, float(rng.uniform(*looks.clear)), float(rng.uniform(*looks.haze))
    mist = float(rng.uniform(*looks.mist)) if rng.random() < looks.misted else 0.0
    doors = []
    for number in range(count):
        left = number < (count + 1) // 2 and count > 1  # hinge at the left
        angle = float(rng.uniform(0.6, 1.7)) if rng.random() < looks.open else 0.0
        x = interior.x - inner / 2 + width * number
        origin = np.array([x if left else x + width, interior.front - DOOR / 2, interior.plinth])
        hinge = _hinge(origin, -angle if left else angle)
        shift = np.eye(4)
        shift[0, 3] = (width / 2) * (1 if left else -1)
        door = stand_fixture(
            "door",
            hinge @ shift,
            f"door {number + 1}",
            width=round(width - 0.004, 4),
            height=round(interior.top - interior.plinth, 4),
            frame=0.045,
            frame_color=frame,
            handle="right" if left else "left",
            clear=clear,
            haze=haze,
            mist=round(mist * float(rng.uniform(0.7, 1.0)), 3),
            seed=int(rng.integers(16)),
        )
        doors.append(door.placement)
    return doors


def _hinge(origin: NDArray[np.float64], angle: float) -> NDArray[np.float64]:
    """Return the pose (4, 4) at `origin`, turned about the vertical."""
    pose = np.eye(4)
    pose[:3, :3], pose[:3, 3] = rotation_about_z(angle), origin
    return pose


@dataclass(frozen=True)
class _Shine:
    """Light of the strips of a cooler. color: sRGB. radiance: in the unit of the environment. rgb: linear, relative."""

    color: Color
    radiance: float
    rgb: Color


def _sample_strips(looks: Coolers, door: float, height: float, rng: np.random.Generator) -> _Shine:
    """Sample the light of strips beside doors of a width and height, metres."""
    rgb, radiance = sample_strip(looks.strip_kelvin, looks.strip_share, door / 2, height - STRIP_ENDS, rng=rng)
    red, green, blue = (round(float(part), 3) for part in srgb_from_linear(np.array(rgb) / max(rgb)))
    return _Shine((red, green, blue), round(radiance, 2), rgb)


def _strips(shine: _Shine, interior: _Interior, doors: int) -> list[AreaLight]:
    """Put a strip of light into each mullion, shining inwards on the fronts."""
    inner, x0, front = interior.width, interior.x, interior.front
    length, middle = interior.top - interior.plinth - STRIP_ENDS, (interior.top + interior.plinth) / 2
    red, green, blue = (shine.radiance * part for part in shine.rgb)
    strips = []
    for number in range(doors + 1):
        x = x0 - inner / 2 + number * inner / doors
        aim = np.sign(x0 - x) * 0.25 if number in (0, doors) else 0.0
        x += float(np.sign(x0 - x)) * MULLION / 2 if number in (0, doors) else 0.0
        pose = look_at(np.array([x, front + 0.04 + STRIP[1] + 0.003, middle]), np.array([x + aim, front + 0.4, middle]))
        strips.append(AreaLight(pose, STRIP_M, length, (red, green, blue)))
    return strips
