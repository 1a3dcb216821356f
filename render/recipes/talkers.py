"""Shelf talkers: printed cards that stand out of a price rail like a flag, or hang below it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from assets.fixtures.surface import Surface
from assets.props.look import Color, Fixture, FixtureValue
from assets.props.stickers import TEXTS
from render.geometry import rotation_about_z
from render.scene import Placement

WORDS = (*TEXTS, "NEW", "OFFER", "BIO", "VEGAN", "LOCAL", "BEST PRICE")
COLORS: tuple[Color, ...] = (
    (0.85, 0.1, 0.1),
    (0.99, 0.87, 0.15),
    (0.12, 0.45, 0.2),
    (0.1, 0.25, 0.6),
    (0.95, 0.5, 0.1),
)
# Widths and heights of flags and of hanging cards, metres.
FLAG_M, CARD_M = ((0.05, 0.08), (0.05, 0.11)), ((0.08, 0.14), (0.07, 0.11))
# Free room before the rails that hanging cards and flags need, metres.
CARD_REACH, FLAG_REACH = 0.045, 0.1
# From a rail to a card, and to the side of the tag beside which a flag stands, metres.
AHEAD, BESIDE = 0.0016, 0.004


@dataclass(frozen=True, eq=False)
class ShelfTalker:
    """A card. right: x of its right side on the surface, metres."""

    placement: Placement
    right: float


def sample_talker(
    brand: str,
    surface: Surface,
    world_from_fixture: NDArray[np.float64],
    between: tuple[float, float],
    reach: float,
    *,
    rng: np.random.Generator,
) -> ShelfTalker | None:
    """Sample a card at the rail of a board: a flag between two price tags, or one that hangs below them.

    between: x of the tags' sides on the surface, metres; cards begin at the first. reach: free room before the rails,
    metres. None without room: there, beyond the end of the rail, and on slopes, where products may lean out.
    """
    x, free = between
    flag = bool(rng.random() < 0.5) and reach >= FLAG_REACH and x + 2 * BESIDE <= free
    spans = FLAG_M if flag else CARD_M
    width, height = (round(float(rng.uniform(*span)), 3) for span in spans)
    color, word = COLORS[int(rng.integers(len(COLORS)))], WORDS[int(rng.integers(len(WORDS)))]
    rise, facing = float(rng.uniform(-0.5, 0.0)), float(rng.choice([-1.0, 1.0]))
    right = x + (2 * BESIDE if flag else width)
    sloped = abs(surface.fixture_from_surface[1, 2]) > 1e-6
    if surface.fixture_from_rail is None or sloped or right > surface.rail_width / 2 or reach < CARD_REACH:
        return None
    rail_from_card = np.eye(4)
    if flag:
        low = rise * (height - surface.rail_height)
        # What stands over a tilted rail leans back, over the board.
        back = (height + low - surface.rail_height) * surface.fixture_from_rail[1, 2] / surface.fixture_from_rail[2, 2]
        rail_from_card[:3, :3] = rotation_about_z(facing * np.pi / 2)
        rail_from_card[:3, 3] = x + BESIDE, -AHEAD - back - width / 2, low
    else:
        rail_from_card[:3, 3] = x + width / 2, -AHEAD, -height
    settings: dict[str, FixtureValue] = {
        "style": "talker",
        "width": width,
        "height": height,
        "name": brand[:40],
        "price": word,
        "accent": color,
    }
    pose = world_from_fixture @ surface.fixture_from_rail @ rail_from_card
    placement = Placement("prop", "shelf talker", pose, fixture=Fixture("tag", tuple(settings.items())))
    return ShelfTalker(placement, right)
