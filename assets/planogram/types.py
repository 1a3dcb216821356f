"""Value types of planograms: what stands where on the shelves of a bay. Metres and radians.

Frame of a planogram: origin at the left end of its front bottom edge, x to the right, y up, z away from the shopper.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from math import isfinite
from typing import Literal, get_args

from assets.errors import UNPRINTABLE
from assets.limits import LIST_KEY, LIST_TEXT, SHELF_POSITIONS
from assets.planogram.orientation import ORIENTATIONS

ShelfKind = Literal[
    "shelf",
    "chest",
    "bin",
    "polygonal_shelf",
    "rod",
    "lateral_rod",
    "bar",
    "pegboard",
    "multi_row_pegboard",
    "curved_rod",
    "obstruction",
    "sign",
    "gravity_feed",
    "subplanogram",
]
MerchStyle = Literal["unit", "tray", "case", "display", "alternate", "loose", "log_stack"]
DoorHinge = Literal["", "left", "right"]
# The order of both is that of the codes in PSA files.
SHELF_KINDS: tuple[ShelfKind, ...] = get_args(ShelfKind)
MERCH_STYLES: tuple[MerchStyle, ...] = get_args(MerchStyle)
# Products hang in front of these instead of standing on them.
HANGING: tuple[ShelfKind, ...] = ("rod", "lateral_rod", "bar", "pegboard", "multi_row_pegboard", "curved_rod")
# Kinds that carry nothing: those that are seen, and those that are not.
BARE: tuple[ShelfKind, ...] = ("obstruction", "sign")
UNSEEN: tuple[ShelfKind, ...] = ("subplanogram",)
# How pydantic reads these types from a file: no further keys, no strings for numbers.
_FILE_CONFIG = {"extra": "forbid", "strict": True}
# Larger than any aisle: the number must be in another unit.
MAX_LENGTH_M = 100.0
MAX_FACINGS = 500
MAX_LAYERS = 20
# Units of one position: more than fit into any bay.
MAX_UNITS = 10_000
Size = tuple[float, float, float]


class InvalidField(ValueError):
    """Field of a value outside its range: its name, what was found and what is expected."""

    def __init__(self, name: str, found: str, expected: str) -> None:
        self.name, self.found, self.expected = name, found, expected
        super().__init__(f"{name}: found {found}, expected {expected}")


@dataclass(frozen=True)
class MerchTray:
    """Tray, case or display that holds several units of a product, in front orientation.

    width, height, depth: outer size, metres. wide, high, deep: units along each of them.
    """

    __pydantic_config__ = _FILE_CONFIG

    width: float
    height: float
    depth: float
    wide: int = 1
    high: int = 1
    deep: int = 1

    def __post_init__(self) -> None:
        _check_lengths(self, "width", "height", "depth", above=0)
        _check_counts(self, "wide", "high", "deep")

    @property
    def size(self) -> Size:
        """Width, height and depth."""
        return self.width, self.height, self.depth


@dataclass(frozen=True)
class MerchCap:
    """Further units beside, on top of or behind a block of facings, in an orientation of their own.

    layers: number of layers; each holds as many units as fit in the area that it is put against, at least one.
    nesting: room that each layer takes beyond the one that it is put into, such as that of a bowl in a bowl, metres;
    0 = that of its units, which are put against each other.
    """

    __pydantic_config__ = _FILE_CONFIG

    layers: int
    orientation: str
    nesting: float = 0.0

    def __post_init__(self) -> None:
        _check_counts(self, "layers", most=MAX_LAYERS)
        _check_lengths(self, "nesting", minimum=0)
        _check_choice("orientation", self.orientation, ORIENTATIONS)


@dataclass(frozen=True)
class PlanogramPosition:
    """Block of facings of one product on a shelf.

    id: unique on its shelf. sku: product key, as the file gives it or, once matched, as the catalogue does.
    wide, high, deep: facings (or trays) side by side, on top of and behind each other. x: left end, from the left end
    of the shelf; None: right of the position before. y: bottom, above the surface of the shelf; of what hangs, above
    the bottom of the board. z: front, from the front edge of the shelf backwards; None: flush with it. size: width,
    height and depth of the block as the file states them. peg: id of the peg. row: its line in the file, for messages.
    """

    __pydantic_config__ = _FILE_CONFIG

    id: str
    sku: str
    wide: int = 1
    high: int = 1
    deep: int = 1
    orientation: str = "front"
    x: float | None = None
    y: float = 0.0
    z: float | None = None
    merch_style: MerchStyle = "unit"
    tray: MerchTray | None = None
    x_cap: MerchCap | None = None
    y_cap: MerchCap | None = None
    z_cap: MerchCap | None = None
    size: Size | None = None
    peg: str = ""
    row: int = field(default=0, compare=False)

    def __post_init__(self) -> None:
        _check_text("id", self.id, LIST_KEY.maximum, required=True)
        _check_text("sku", self.sku, LIST_KEY.maximum, required=True)
        _check_text("peg", self.peg, LIST_KEY.maximum)
        _check_counts(self, "wide", "high", "deep")
        tray = (self.tray.wide * self.tray.high * self.tray.deep) if self.tray else 1
        if (units := self.wide * self.high * self.deep * tray) > MAX_UNITS:
            raise InvalidField("facings", f"{units:,} units", f"at most {MAX_UNITS:,}")
        _check_choice("orientation", self.orientation, ORIENTATIONS)
        _check_choice("merch_style", self.merch_style, MERCH_STYLES)
        _check_lengths(self, "x", "y", "z")
        for length in self.size or ():
            _check_length("size", length, above=0)


@dataclass(frozen=True)
class PegHoles:
    """Grid of holes of a pegboard: the first one, from its left bottom corner, and the steps, metres."""

    __pydantic_config__ = _FILE_CONFIG

    x_start: float
    y_start: float
    x_step: float
    y_step: float

    def __post_init__(self) -> None:
        _check_lengths(self, "x_start", "y_start")
        _check_lengths(self, "x_step", "y_step", above=0)


@dataclass(frozen=True)
class PlanogramShelf:
    """Shelf board, pegboard or another part of a bay that carries products.

    id: unique in its planogram. x, y, z: left end, bottom and front edge in the planogram's frame. thickness: products
    stand at y + thickness. slope: the front edge is lower by this angle. overhang: products may stick out at the left,
    the right and the front so far. positions: from left to right where they have no x.
    """

    __pydantic_config__ = _FILE_CONFIG

    id: str
    kind: ShelfKind
    x: float
    y: float
    z: float
    width: float
    thickness: float
    depth: float
    slope: float = 0.0
    overhang: Size = (0.0, 0.0, 0.0)
    holes: PegHoles | None = None
    positions: tuple[PlanogramPosition, ...] = ()
    row: int = field(default=0, compare=False)

    def __post_init__(self) -> None:
        _check_text("id", self.id, LIST_KEY.maximum, required=True)
        _check_choice("kind", self.kind, SHELF_KINDS)
        _check_lengths(self, "x", "y", "z")
        _check_lengths(self, "width", "depth", above=0)
        _check_lengths(self, "thickness", minimum=0)
        if not abs(self.slope) <= 1.5:
            raise InvalidField("slope", f"{self.slope:g}", "radians from -1.5 to 1.5")
        for length in self.overhang:
            _check_length("overhang", length)
        if len(self.positions) > SHELF_POSITIONS.maximum:
            raise InvalidField("positions", f"{len(self.positions):,}", f"at most {SHELF_POSITIONS.maximum:,}")

    @property
    def surface(self) -> float:
        """Height on which products stand, of what hangs: the bottom of the board."""
        return self.y if self.kind in HANGING else self.y + self.thickness


@dataclass(frozen=True)
class PlanogramBay:
    """Segment of a planogram between two uprights. door: the side of its hinge, "" if there is no door."""

    __pydantic_config__ = _FILE_CONFIG

    name: str
    x: float
    width: float
    height: float
    depth: float
    door: DoorHinge = ""
    frame_width: float = 0.0

    def __post_init__(self) -> None:
        _check_text("name", self.name, LIST_TEXT.maximum)
        _check_lengths(self, "x")
        _check_lengths(self, "width", "height", "depth", "frame_width", minimum=0)
        _check_choice("door", self.door, get_args(DoorHinge))


@dataclass(frozen=True)
class Planogram:
    """Plan of one or more bays: their size, shelves and what stands on them.

    base_*: plinth. back_depth: thickness of the back panel. notch_offset, notch_spacing, notch_width: of the slots in
    the uprights; 0 where the file does not say.
    """

    __pydantic_config__ = _FILE_CONFIG

    name: str
    width: float
    height: float
    depth: float
    shelves: tuple[PlanogramShelf, ...] = ()
    bays: tuple[PlanogramBay, ...] = ()
    base_width: float = 0.0
    base_height: float = 0.0
    base_depth: float = 0.0
    back_depth: float = 0.0
    notch_offset: float = 0.0
    notch_spacing: float = 0.0
    notch_width: float = 0.0

    def __post_init__(self) -> None:
        _check_text("name", self.name, LIST_TEXT.maximum)
        _check_lengths(self, "width", "height", "depth", above=0)
        _check_lengths(self, "base_width", "base_height", "base_depth", "back_depth", minimum=0)
        _check_lengths(self, "notch_spacing", "notch_width", minimum=0)
        _check_lengths(self, "notch_offset")
        seen: set[str] = set()
        for shelf in self.shelves:
            if shelf.id in seen:
                raise InvalidField("shelf", f"the id {shelf.id!r} twice", "each id once")
            seen.add(shelf.id)

    def positions(self) -> Iterator[tuple[PlanogramShelf, PlanogramPosition]]:
        """Iterate over all positions with their shelves, in the order of the file."""
        return ((shelf, position) for shelf in self.shelves for position in shelf.positions)

    @property
    def position_count(self) -> int:
        """Number of positions of all shelves."""
        return sum(len(shelf.positions) for shelf in self.shelves)

    def shown_positions(self) -> Iterator[PlanogramPosition]:
        """Iterate over the positions on parts that carry products."""
        return (position for shelf, position in self.positions() if shelf.kind not in (*BARE, *UNSEEN))

    def free_height(self, shelf: PlanogramShelf) -> float:
        """Return the height above a shelf's surface, metres, up to the next part over it or the planogram's top."""
        above = [other.y for other in self.shelves if other.y > shelf.y and _is_over(other, shelf)]
        return max(min([*above, self.height]) - shelf.surface, 0.0)


@dataclass(frozen=True)
class PlanogramProduct:
    """Product as a planogram file describes it. keys: all keys that the file gives, the one of its positions first.

    size: width, height and depth in front orientation, metres, None if it is not stated.
    """

    __pydantic_config__ = _FILE_CONFIG

    keys: tuple[str, ...]
    name: str = ""
    brand: str = ""
    size: Size | None = None

    def __post_init__(self) -> None:
        if not self.keys:
            raise InvalidField("keys", "nothing", "at least one")
        for key in self.keys:
            _check_text("sku", key, LIST_KEY.maximum, required=True)
        _check_text("name", self.name, LIST_TEXT.maximum)
        _check_text("brand", self.brand, LIST_TEXT.maximum)
        for length in self.size or ():
            _check_length("size", length, above=0)


@dataclass(frozen=True)
class PlanogramSet:
    """Content of a planogram file.

    unknown_rows: how many rows of each unknown kind were passed over. ignored: what else of the file is not followed,
    such as ("reversed cap", 3).
    """

    planograms: tuple[Planogram, ...]
    products: tuple[PlanogramProduct, ...] = ()
    unknown_rows: tuple[tuple[str, int], ...] = ()
    ignored: tuple[tuple[str, int], ...] = ()

    @property
    def left_out(self) -> dict[str, int]:
        """What of the file is not followed, and how often."""
        return {**{f"{kind!r} row": count for kind, count in self.unknown_rows}, **dict(self.ignored)}


def _is_over(upper: PlanogramShelf, lower: PlanogramShelf) -> bool:
    """Return whether two parts overlap as seen from above by more than a millimetre."""
    across = min(upper.x + upper.width, lower.x + lower.width) - max(upper.x, lower.x)
    deep = min(upper.z + upper.depth, lower.z + lower.depth) - max(upper.z, lower.z)
    return across > 0.001 and deep > 0.001


def _check_text(name: str, value: str, most: int, *, required: bool = False) -> None:
    if required and not value:
        raise InvalidField(name, "nothing", "a text")
    if len(value) > most:
        raise InvalidField(name, f"{len(value):,} characters", f"at most {most:,}")
    if UNPRINTABLE.search(value) or "\n" in value:
        raise InvalidField(name, f"{value!a:.60}", "one line without control characters")


def _check_choice(name: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise InvalidField(name, f"{value!a:.40}", f"one of {', '.join(filter(None, allowed))}")


def _check_counts(owner: object, *names: str, most: int = MAX_FACINGS) -> None:
    for name in names:
        value = getattr(owner, name)
        if not isinstance(value, int) or not 1 <= value <= most:
            raise InvalidField(name, f"{value!r:.40}", f"a whole number from 1 to {most}")


def _check_lengths(owner: object, *names: str, minimum: float | None = None, above: float | None = None) -> None:
    for name in names:
        if (value := getattr(owner, name)) is not None:
            _check_length(name, value, minimum=minimum, above=above)


def _check_length(name: str, value: float, *, minimum: float | None = None, above: float | None = None) -> None:
    low = -MAX_LENGTH_M if minimum is None else minimum
    if not isfinite(value) or not low <= value <= MAX_LENGTH_M or (above is not None and value <= above):
        least = f"over {above:g}" if above is not None else f"from {low:g}"
        raise InvalidField(name, f"{value:g}", f"metres {least}, at most {MAX_LENGTH_M:g}")
