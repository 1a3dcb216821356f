"""Procedural HDR rooms: indoor lighting for users without their own HDRIs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

WIDTH, HEIGHT = 512, 256


@dataclass(frozen=True)
class Room:
    """Box-shaped room around the camera. size: metres along x, y, z; eye: height of the camera above the floor.

    lamps: number of ceiling lamps along x and y; lamp_size: metres; lamp: radiance relative to the walls; lamp_color:
    RGB. window: radiance of a window wall at +x, 0 = none. shelves: fraction of the walls covered with goods.
    """

    size: tuple[float, float, float]
    eye: float
    lamps: tuple[int, int]
    lamp_size: tuple[float, float]
    lamp: float
    lamp_color: tuple[float, float, float]
    window: float
    wall: tuple[float, float, float]
    floor: tuple[float, float, float]
    shelves: float
    seed: int


WARM, NEUTRAL, COLD = (1.25, 1.0, 0.68), (1.05, 1.0, 0.95), (0.88, 1.0, 1.18)
ROOMS = {
    "supermarket": Room(
        (24, 18, 4.2), 1.2, (6, 3), (1.5, 0.25), 60, NEUTRAL, 0, (0.7, 0.7, 0.68), (0.5, 0.5, 0.48), 0.9, 1
    ),
    "discounter": Room(
        (30, 14, 3.6), 1.1, (7, 2), (2.4, 0.2), 90, COLD, 0, (0.8, 0.8, 0.8), (0.55, 0.55, 0.55), 0.8, 2
    ),
    "corner-shop": Room(
        (7, 5, 2.8), 1.1, (2, 1), (0.6, 0.6), 45, WARM, 25, (0.75, 0.68, 0.58), (0.35, 0.25, 0.18), 0.7, 3
    ),
    "kitchen": Room(
        (4.5, 3.6, 2.5), 0.9, (2, 1), (0.3, 0.3), 70, WARM, 35, (0.85, 0.83, 0.78), (0.4, 0.32, 0.25), 0.3, 4
    ),
    "office": Room(
        (8, 6, 2.7), 0.9, (3, 2), (1.2, 0.6), 28, NEUTRAL, 18, (0.85, 0.85, 0.85), (0.3, 0.32, 0.36), 0.2, 5
    ),
    "storeroom": Room(
        (10, 8, 4.0), 1.0, (2, 1), (1.2, 0.15), 120, COLD, 0, (0.45, 0.45, 0.45), (0.3, 0.3, 0.3), 0.9, 6
    ),
    "studio": Room((6, 6, 3.2), 1.0, (1, 2), (1.6, 1.2), 35, NEUTRAL, 0, (0.25, 0.25, 0.25), (0.2, 0.2, 0.2), 0.0, 7),
    "daylight": Room((9, 7, 3.0), 1.0, (1, 1), (0.4, 0.4), 8, WARM, 60, (0.8, 0.8, 0.78), (0.5, 0.42, 0.32), 0.2, 8),
}


def render_room(room: Room) -> NDArray[np.float32]:
    """Render the panorama of a room, (256, 512, 3) float32 linear, equirectangular (docs/conventions.md)."""
    rng = np.random.default_rng(room.seed)
    direction = _directions()
    half = np.array(room.size) / 2
    low = np.array([-half[0], -half[1], -room.eye])
    high = np.array([half[0], half[1], room.size[2] - room.eye])
    with np.errstate(divide="ignore"):
        reach = np.where(direction > 0, high / direction, low / direction)
    axis = reach.argmin(axis=-1)
    point = direction * reach.min(axis=-1, keepdims=True)
    light = np.where((axis == 2)[..., None], np.array(room.floor), np.array(room.wall)) * np.ones_like(point)
    ceiling = (axis == 2) & (direction[..., 2] > 0)
    light[ceiling] = np.array(room.wall) * 1.1
    walls = axis < 2
    light[walls] *= _sample_goods(room, point[walls], axis[walls], rng)
    # Light falls off downwards from the lamps.
    depth = (high[2] - point[..., 2]) / room.size[2]
    light *= (1.15 - 0.55 * depth)[..., None]
    light[ceiling & _lamp_mask(room, point)] = room.lamp * np.array(room.lamp_color)
    window = (axis == 0) & (direction[..., 0] > 0) & _window_mask(room, point, low)
    light[window] = room.window * np.array(COLD) if room.window else light[window]
    return light.astype(np.float32)


def _directions() -> NDArray[np.float64]:
    azimuth = (0.5 - (np.arange(WIDTH) + 0.5) / WIDTH) * 2 * np.pi
    polar = (np.arange(HEIGHT) + 0.5) / HEIGHT * np.pi
    sine = np.sin(polar)[:, None]
    x, y = sine * np.cos(azimuth), sine * np.sin(azimuth)
    return np.stack([x, y, np.broadcast_to(np.cos(polar)[:, None], x.shape)], axis=-1)


def _lamp_mask(room: Room, point: NDArray) -> NDArray[np.bool_]:
    """Return the mask of a grid of lamps on the ceiling, shifted by half a step so that none is directly above."""
    cells = np.array(room.lamps)
    step = np.array(room.size[:2]) / cells
    inside = np.abs((point[..., :2] + np.array(room.size[:2]) / 2) % step - step / 2)
    return (inside < np.array(room.lamp_size) / 2).all(axis=-1)


def _window_mask(room: Room, point: NDArray, low: NDArray) -> NDArray[np.bool_]:
    height = point[..., 2] - low[2]
    across = np.abs(point[..., 1]) / room.size[1]
    frame = ((point[..., 1] % 1.2) > 0.08) & (np.abs(height - room.size[2] * 0.6) > 0.03)
    return (across < 0.35) & (height > room.size[2] * 0.3) & (height < room.size[2] * 0.9) & frame


def _sample_goods(room: Room, point: NDArray, axis: NDArray, rng: np.random.Generator) -> NDArray[np.float64]:
    """Sample the colour factors of wall points, (N, 3): boards with packs of many colours where there are shelves."""
    along = np.where(axis == 0, point[:, 1], point[:, 0])
    height = point[:, 2] + room.eye
    row, column = np.floor(height / 0.38).astype(int), np.floor(along / 0.23).astype(int)
    palette = rng.uniform(0.1, 1.3, size=(997, 3))
    stocked = rng.random(997) < room.shelves
    cell = (row * 131 + column * 17 + axis * 389) % 997
    color = np.where(stocked[cell][:, None], palette[cell], 1.0)
    color[(height % 0.38) < 0.035] *= 0.55 if room.shelves else 1.0
    return np.where((height < room.size[2] * 0.62)[:, None], color, 1.0)
