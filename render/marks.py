"""What can be labelled in a shop beside products: price tags, gaps, shelf lines, and which product belongs where."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from assets.mesh.types import frozen_array


@dataclass(frozen=True)
class TagMark:
    """A price tag. instance: id of its placement. position: of the products that it belongs to. text: what it says."""

    instance: int
    position: str
    text: str


@dataclass(frozen=True, eq=False)
class GapMark:
    """A hole on a shelf where products are sold out.

    position: where they belong. sku: of them. corners: (4, 3), metres, world: the opening at the front of the hole,
    from its lower left, counter-clockwise as seen from the aisle.
    """

    position: str
    sku: str
    corners: NDArray[np.float64]

    def __post_init__(self) -> None:
        object.__setattr__(self, "corners", frozen_array(self.corners, np.float64, (4, 3), "corners"))


@dataclass(frozen=True, eq=False)
class LineMark:
    """The front of a board. name: of the board. corners: (4, 3), metres, world, as those of a gap."""

    name: str
    corners: NDArray[np.float64]

    def __post_init__(self) -> None:
        object.__setattr__(self, "corners", frozen_array(self.corners, np.float64, (4, 3), "corners"))


@dataclass(frozen=True, eq=False)
class ShopMarks:
    """All marks of a scene. positions: of each product placement, in order: its place in the plan; "" = none."""

    tags: tuple[TagMark, ...] = ()
    gaps: tuple[GapMark, ...] = ()
    lines: tuple[LineMark, ...] = ()
    positions: tuple[str, ...] = ()
