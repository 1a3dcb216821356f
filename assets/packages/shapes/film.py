"""Film: a front and a back sheet joined at their sides, and thin slabs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from assets.mesh.types import Material
from assets.packages.print.label_colors import hash_number
from assets.packages.shapes.pieces import Pieces
from assets.packages.shapes.plan import PackagePlan
from assets.packages.shapes.sheet import Sheet

COLUMNS = 25
# Columns from the left border (-1) to the right one (1), denser where the film bends over to the other side.
ACROSS = np.sin(np.linspace(-np.pi / 2, np.pi / 2, COLUMNS))
# Amplitude of folds from filling and sealing, relative to the depth.
FOLD = 0.035


@dataclass(frozen=True, eq=False)
class Film:
    """Front and back sheet over the same outline, metres.

    z: (R,) heights of the rows. left, right: (R,) x of the borders. front, back: (R, C) bulge of the sheets towards -Y
    and +Y at ACROSS, 0 at the borders. notch: (C,) added to the height of the first, subtracted from the last row.
    """

    z: NDArray[np.float64]
    left: NDArray[np.float64]
    right: NDArray[np.float64]
    front: NDArray[np.float64]
    back: NDArray[np.float64]
    notch: NDArray[np.float64] | None = None

    def points(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the points (R, C, 3) of the front and of the back, both with columns from -X to +X."""
        middle, half = (self.left + self.right) / 2, (self.right - self.left) / 2
        x = middle[:, None] + half[:, None] * ACROSS
        z = np.repeat(self.z[:, None], COLUMNS, axis=1)
        if self.notch is not None:
            z[0] += self.notch
            z[-1] -= self.notch
        front, back = self.front.copy(), self.back.copy()
        front[:, [0, -1]] = back[:, [0, -1]] = 0.0
        return np.stack([x, -front, z], axis=2), np.stack([x, back, z], axis=2)


def add_film(pieces: Pieces, film: Film, sheet: Sheet, material: Material, *, turned: bool = False) -> None:
    """Add both sheets with their images ("front", "back" of the texture sheet), and the cut edges at top and bottom.

    turned: the images' up is -X instead of Z (a bar whose seals are left and right).
    """
    front, back = film.points()
    size = np.array([np.ptp(front[..., 0]), np.ptp(front[..., 2])])
    low = front.reshape(-1, 3).min(axis=0)

    def share(points: NDArray) -> NDArray:
        across, up = (points[..., 0] - low[0]) / size[0], (points[..., 2] - low[2]) / size[1]
        return np.stack([up, 1 - across] if turned else [across, up], axis=-1)

    pieces.add_patch(front, sheet.uv("front", share(front)), material)
    mirrored = share(back) * [-1, 1] + [1, 0]
    pieces.add_patch(back[:, ::-1], sheet.uv("back", mirrored)[:, ::-1], material)
    background = sheet.spread("background", 3, COLUMNS)
    pieces.add_patch(np.stack([front[-1], back[-1]]), background[:2], material, normal=np.array([0, 0, 1.0]))
    floor = np.stack([back[0], back[0] * 0.5 + front[0] * 0.5, front[0]])
    # The bottom of a pouch is pulled up between its rims.
    floor[1, :, 2] += np.minimum((back[0, :, 1] - front[0, :, 1]) * 0.2, (film.z[-1] - film.z[0]) * 0.05)
    floor[1, [0, -1]] = front[0, [0, -1]]
    pieces.add_patch(floor, background, material)


def folds(plan: PackagePlan, rows: NDArray, seals: NDArray, strength: float = 1.0) -> NDArray[np.float64]:
    """Sample relative bulges (R, C): folds that run from the seals into the sheet and fade. rows: (R,) 0 to 1 along.

    seals: (R,) proximity of each row to a seal, 0 to 1.
    """
    rng = np.random.default_rng([hash_number(plan.sku.sku, 1 << 31), 11])
    count = 4
    waves, phases = rng.uniform(2.0, 9.0, count), rng.uniform(0, 2 * np.pi, count)
    lean = rng.uniform(-2.5, 2.5, count)
    angle = np.pi * waves * ACROSS[:, None] + phases + lean * rows[:, None, None]
    return 1 + FOLD * strength * seals[:, None] * np.sin(angle).sum(axis=2)


def add_slab(
    pieces: Pieces,
    outline: tuple[NDArray, NDArray, NDArray],
    near: NDArray,
    far: NDArray,
    uv: tuple,
    material: Material,
) -> None:
    """Add a closed slab between two sheets: outline z, left, right (R,); near, far (R,) their y; uv: two (R, 2, 2)."""
    z, left, right = outline
    x = np.stack([left, right], axis=1)
    high = np.repeat(z[:, None], 2, axis=1)
    front = np.stack([x, np.repeat(near[:, None], 2, axis=1), high], axis=2)
    back = np.stack([x, np.repeat(far[:, None], 2, axis=1), high], axis=2)
    front_uv, back_uv = uv
    pieces.add_patch(front, front_uv, material)
    pieces.add_patch(back[:, ::-1], back_uv[:, ::-1], material)
    for column, pair in ((0, (back, front)), (1, (front, back))):
        side = np.stack([pair[0][:, column], pair[1][:, column]], axis=1)
        edge = np.stack([front_uv[:, column], front_uv[:, column]], axis=1)
        pieces.add_patch(side, edge, material)
    top, bottom = np.array([0, 0, 1.0]), np.array([0, 0, -1.0])
    pieces.add_patch(np.stack([front[-1], back[-1]]), np.stack([front_uv[-1]] * 2), material, normal=top)
    pieces.add_patch(np.stack([back[0], front[0]]), np.stack([front_uv[0]] * 2), material, normal=bottom)
