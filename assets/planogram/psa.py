"""PSA planograms: files of Blue Yonder Space Planning (formerly JDA, ProSpace)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from math import radians
from pathlib import Path
from typing import Any, cast

from assets.catalog.problems import Findings, Problem
from assets.catalog.types import Catalog
from assets.planogram.orientation import ORIENTATIONS, oriented_size
from assets.planogram.psa_rows import PsaFile, PsaFixture, PsaPlanogram, PsaRow, read_rows
from assets.planogram.reading import checked, planogram_error
from assets.planogram.types import (
    HANGING,
    MERCH_STYLES,
    SHELF_KINDS,
    MerchCap,
    MerchStyle,
    MerchTray,
    PegHoles,
    Planogram,
    PlanogramBay,
    PlanogramPosition,
    PlanogramProduct,
    PlanogramSet,
    PlanogramShelf,
    ShelfKind,
    Size,
)

SUFFIXES = (".psa",)
# Metres of one inch and of one centimetre, by Project[11].
MEASUREMENTS = {"inches": 0.0254, "centimetres": 0.01}
PRIMARY_KEYS = ("upc", "id", "both")
# Sizes and counts of a tray begin here in a Product row; those of a case, a display, ... each 8 columns later.
TRAY_COLUMN = 45
STYLES_WITH_TRAYS = MERCH_STYLES[1:6]
# First column and usual orientation of the caps in a Position row.
CAPS = {"x_cap": (16, "side"), "y_cap": (20, "top"), "z_cap": (24, "side")}
# What a unit adds to a row, stack and file of nested ones, in a Product row.
NESTING_COLUMN = 15
SAME_M = 0.001


def read_planograms(path: Path, catalog: Catalog | None = None) -> PlanogramSet:
    """Read a PSA file. Raises one SynthError that lists every bad cell."""
    problems = Findings()
    file = read_rows(path, problems)
    project = _read_project(file, problems)
    plans = [_planogram(plan, project) for plan in file.planograms]
    if not plans and not problems:
        problems.add([Problem(0, "", "no Planogram row", "at least one")])
    if problems:
        raise planogram_error(path, sorted(problems, key=lambda problem: problem.row))
    unknown, ignored = (tuple(sorted((+counts).items())) for counts in (file.unknown, project.ignored))
    return PlanogramSet(tuple(plan for plan in plans if plan), tuple(project.products.values()), unknown, ignored)


@dataclass
class _Project:
    """What holds for a whole file. metres: of its unit. rows, products: by the key that positions refer to.

    shared: UPCs of several products, which their ids tell apart. ignored: what the file says that nothing follows.
    """

    metres: float
    primary: str
    shared: frozenset[str]
    problems: Findings
    rows: dict[str, PsaRow] = field(default_factory=dict)
    products: dict[str, PlanogramProduct] = field(default_factory=dict)
    ignored: Counter[str] = field(default_factory=Counter)

    def length(self, row: PsaRow, place: int, column: str) -> float:
        """Return a length in metres, without binary rounding noise: 7 cm is 0.07 m."""
        return float(f"{row.number_at(place, column) * self.metres:.12g}")

    def size(self, row: PsaRow, places: tuple[int, int, int]) -> Size | None:
        """Return width, height and depth; None where one of them is not stated."""
        width, height, depth = (
            self.length(row, place, name) for place, name in zip(places, ("width", "height", "depth"), strict=True)
        )
        return (width, height, depth) if min(width, height, depth) > 0 else None

    def keys(self, row: PsaRow) -> tuple[str, ...]:
        """Return the keys of a Product or Position row, the one that identifies its product first."""
        upc, key = row.text(0), row.text(1)
        by_id = self.primary == "id" or upc in self.shared
        return tuple(dict.fromkeys(filter(None, (key, upc) if by_id else (upc, key))))


def _read_project(file: PsaFile, problems: Findings) -> _Project:
    measurement = file.project.code_at(11, "measurement", tuple(MEASUREMENTS), 1)
    primary = file.project.code_at(2, "primary_key", PRIMARY_KEYS)
    upcs = Counter(row.text(0) for row in file.products) if primary == "both" else Counter()
    shared = frozenset(upc for upc, count in upcs.items() if count > 1)
    project = _Project(MEASUREMENTS[measurement], primary, shared, problems)
    for row in file.products:
        product = partial(PlanogramProduct, project.keys(row), row.line(2), row.line(231), project.size(row, (4, 5, 6)))
        made = checked(problems, row.number, product)
        if made is not None and made.keys[0] not in project.products:
            project.products[made.keys[0]], project.rows[made.keys[0]] = made, row
    return project


def _planogram(plan: PsaPlanogram, project: _Project) -> Planogram | None:
    row, size = plan.row, {}
    ends = {"width": (2, 3, 4), "height": (3, 5, 6), "depth": (4, 7, 8)}
    for name, (place, start, extent) in ends.items():
        far = [project.length(one.row, start, name) + project.length(one.row, extent, name) for one in plan.fixtures]
        size[name] = project.length(row, place, name) or max(far, default=0.0)
    frames = _frames_of(plan, project)
    shelves = [_shelf(one, number, size, frames, project) for number, one in enumerate(plan.fixtures, start=1)]
    lengths = {
        **{"back_depth": 6, "base_width": 8, "base_height": 9, "base_depth": 10},
        **{"notch_offset": 14, "notch_spacing": 15, "notch_width": 54},
    }
    make = partial(
        Planogram,
        name=row.line(0) or row.line(1),
        shelves=_with_unique_ids([shelf for shelf in shelves if shelf]),
        bays=tuple(bay for segment in plan.segments if (bay := _bay(segment, project))),
        **size,
        **{name: project.length(row, place, name) for name, place in lengths.items()},
    )
    return checked(project.problems, row.number, make)


def _bay(row: PsaRow, project: _Project) -> PlanogramBay | None:
    places = {"x": 2, "width": 3, "height": 5, "depth": 7, "frame_width": 43}
    lengths = {name: project.length(row, place, name) for name, place in places.items()}
    hinge = row.code_at(12, "door_direction", ("left", "right"))
    door = hinge if row.whole_at(11, "door", 0) else ""
    return checked(
        project.problems, row.number, partial(PlanogramBay, name=row.line(0), door=cast(Any, door), **lengths)
    )


def _shelf(
    fixture: PsaFixture, number: int, size: dict[str, float], frames: _Frames, project: _Project
) -> PlanogramShelf | None:
    row, length = fixture.row, project.length
    x, width, depth = (length(row, place, name) for place, name in ((3, "x"), (4, "width"), (8, "depth")))
    depth = depth or size["depth"]
    kind = cast(ShelfKind, row.code_at(0, "type", SHELF_KINDS))
    grid = [length(row, place, name) for place, name in zip((16, 17, 14, 15), ("x", "y", "x", "y"), strict=True)]
    positions = [
        _position(one, place, fixture, kind, frames, project) for place, one in enumerate(fixture.positions, start=1)
    ]
    make = partial(
        PlanogramShelf,
        id=row.line(1)[:80] or row.line(2)[:80] or str(number),
        kind=kind,
        x=x,
        y=length(row, 5, "y"),
        # Shelves hang at the back panel: where z starts and which way it goes is not established.
        z=round(max(size["depth"] - depth, 0.0), 9),
        width=width or size["width"] - x,
        thickness=length(row, 6, "height"),
        depth=depth,
        slope=radians(row.number_at(9, "slope")),
        overhang=(length(row, 26, "left"), length(row, 27, "right"), length(row, 31, "front")),
        holes=PegHoles(*grid) if min(grid[2:]) > 0 else None,
        positions=_packed([one for one in positions if one]),
        row=row.number,
    )
    return checked(project.problems, row.number, make)


@dataclass(frozen=True)
class _Frames:
    """What positions are measured from: their fixture or the planogram. Files differ, and none of them says."""

    x_of_planogram: bool
    y_of_planogram: bool


def _frames_of(plan: PsaPlanogram, project: _Project) -> _Frames:
    """Choose the frame in which more products stand on their shelf; without any hint x and y are the fixture's."""
    x_votes, y_votes = 0, 0
    for fixture in plan.fixtures:
        left, width, bottom, board = (project.length(fixture.row, place, "x, y") for place in (3, 4, 5, 6))
        for row in fixture.positions:
            x, y = project.length(row, 3, "x"), project.length(row, 5, "y")
            if left > SAME_M and width > SAME_M:
                x_votes += (x > width - SAME_M) - (x < left - SAME_M)
            if bottom > SAME_M:
                y_votes += (abs(y - bottom - board) < SAME_M) - (min(abs(y), abs(y - board)) < SAME_M)
    return _Frames(x_votes > 0, y_votes > 0)


def _position(
    row: PsaRow, number: int, fixture: PsaFixture, kind: ShelfKind, frames: _Frames, project: _Project
) -> PlanogramPosition | None:
    keys = project.keys(row)
    style = cast(MerchStyle, row.code_at(12, "merch_style", MERCH_STYLES))
    facings = {"wide": (13, "h_facings"), "high": (14, "v_facings"), "deep": (15, "d_facings")}
    make = partial(
        PlanogramPosition,
        id=row.line(2)[:80] or str(number),
        sku=keys[0] if keys else "",
        orientation=row.code_at(28, "orientation", ORIENTATIONS),
        x=project.length(row, 3, "x") - (project.length(fixture.row, 3, "x") if frames.x_of_planogram else 0.0),
        y=_height_above(row, fixture, kind, frames, project),
        merch_style=style,
        tray=_tray(keys, style, project),
        size=project.size(row, (4, 6, 8)),
        peg=row.line(41)[:80],
        row=row.number,
        **cast(Any, {name: row.whole_at(place, column, 1) for name, (place, column) in facings.items()}),
        **cast(Any, {name: _cap(row, name, *columns, project) for name, columns in CAPS.items()}),
    )
    return checked(project.problems, row.number, make)


def _height_above(row: PsaRow, fixture: PsaFixture, kind: ShelfKind, frames: _Frames, project: _Project) -> float:
    """Return the height of a position above the surface of its shelf, or above the bottom of what it hangs at."""
    y = project.length(row, 5, "y") - (project.length(fixture.row, 5, "y") if frames.y_of_planogram else 0.0)
    board = 0.0 if kind in HANGING else project.length(fixture.row, 6, "height")
    above = y - board if frames.y_of_planogram or y >= board else y
    return round(above, 9) if above > SAME_M else 0.0


def _cap(row: PsaRow, name: str, place: int, usual: str, project: _Project) -> MerchCap | None:
    layers = row.whole_at(place, f"{name}_num", 0)
    orientation = row.code_at(place + 3, f"{name}_orientation", ORIENTATIONS, ORIENTATIONS.index(usual))
    if layers:
        nested = row.whole_at(place + 1, f"{name}_nested", 0) != 0
        nesting = _nesting(row, name, orientation, project) if nested else 0.0
        # Without the room that a nested unit takes it is packed like those of a block; so is what is reversed.
        project.ignored["nested cap"] += nested and not nesting
        project.ignored["reversed cap"] += row.whole_at(place + 2, f"{name}_reversed", 0) != 0
        return checked(project.problems, row.number, partial(MerchCap, layers, orientation, nesting))
    return None


def _nesting(row: PsaRow, name: str, orientation: str, project: _Project) -> float:
    """Return the room that a unit takes in another one, metres, towards the side of a cap; 0 where none is stated.

    The nesting height is what each nested unit adds to the height of a stack (Oracle Retail AI Foundation, stacking and
    nesting).
    """
    keys = project.keys(row)
    product = project.rows.get(keys[0]) if keys else None
    if product is None:
        return 0.0
    width, height, depth = (max(project.length(product, NESTING_COLUMN + axis, "nesting"), 0.0) for axis in range(3))
    return oriented_size((width, height, depth), orientation)[tuple(CAPS).index(name)]


def _tray(keys: Sequence[str], style: MerchStyle, project: _Project) -> MerchTray | None:
    """Return the tray, case, ... of a product; None where its Product row states no size or no count of it."""
    product = project.rows.get(keys[0]) if keys else None
    if product is None or style not in STYLES_WITH_TRAYS:
        return None
    start = TRAY_COLUMN + 8 * STYLES_WITH_TRAYS.index(style)
    size = project.size(product, (start, start + 1, start + 2))
    counts = [product.whole_at(start + 3 + axis, f"{style}_number", 0) for axis in range(3)]
    if size is None or max(counts) < 1:
        return None
    return checked(project.problems, product.number, partial(MerchTray, *size, *(max(count, 1) for count in counts)))


def _packed(positions: list[PlanogramPosition]) -> tuple[PlanogramPosition, ...]:
    """Return positions with unique ids; where none of several has a place, they are packed from the left."""
    if len(positions) > 1 and not any(position.x or position.y for position in positions):
        positions = [replace(position, x=None) for position in positions]
    return tuple(_with_unique_ids(positions))


def _with_unique_ids(values: list[Any]) -> tuple[Any, ...]:
    """Append a number to ids that an earlier value has."""
    seen: Counter[str] = Counter()
    result = []
    for value in values:
        seen[value.id] += 1
        new = value.id if seen[value.id] == 1 else f"{value.id} ({seen[value.id]})"
        result.append(value if new == value.id else replace(value, id=new))
    return tuple(result)
