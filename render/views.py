"""Views of one product alone, from which galleries are built and embedders are trained.

The views of one lighting are rendered as one frame: a row of poses in front of one long lens, each turned towards its
own ray, cut apart afterwards. Eight views then take as long as a scene of 640 x 240; one by one they took 1.6 times as
long.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from assets.backdrops.collection import Backdrops
from assets.catalog.load import load_catalog
from assets.catalog.sku_lists import SkuSource
from assets.files.source_pins import SourcePins
from assets.library import Library
from assets.mesh.types import Mesh
from render.backends import DEFAULT_BACKEND, open_backend
from render.backends.protocol import Backend, RenderSettings
from render.geometry import box_of_mask, camera_from_world, look_at, project
from render.scene import Camera, Environment, Placement, SceneSpec, Sensor
from render.sensor import develop, meter

# Version of the views, part of their digest: increase it when the same SKU would get other images.
VIEWS_FORMAT = 1
MAX_VIEWS = 24
# Degrees: turn to the right around the product, front first, and elevation. Ordered so that the first N are the best N:
# the four sides, the top, then what somebody sees who stands in front of a shelf.
DIRECTIONS = (
    (0, 10),
    (180, 10),
    (90, 15),
    (-90, 15),
    (0, 75),
    (35, 25),
    (-35, 25),
    (145, 30),
    (-145, 30),
    (20, 5),
    (-20, 5),
    (0, 40),
    (65, 35),
    (-65, 35),
    (115, 10),
    (-115, 10),
    (160, 55),
    (35, 55),
    (-35, 55),
    (0, -15),
    (180, 75),
    (50, 0),
    (-50, 0),
    (180, 40),
)
# Views that share a frame and its light: more of them would lie too far off the axis.
ROW = 4
# Camera distance over the product's longest side: as a shelf is photographed from a metre and a half.
DISTANCE = 10.0
# Border around the product as a share of its sides, so that the margin of a crop shows background.
SPARE = 0.08
# Elevation in degrees of the camera of every row; the products' poses make up the difference.
CAMERA_ELEVATION = 15.0
# A surface that reflects 18 % gets about 18 % of full scale, so that dark products stay dark and white ones white.
EXPOSURE = 1.1
SEED = 20


@dataclass(frozen=True)
class Lighting:
    """Light of a row of views: a built-in room, rotated. temperature: linear RGB gains of the camera."""

    room: str
    rotation: float
    temperature: tuple[float, float, float]


LIGHTINGS = (
    Lighting("builtin/supermarket", 0.4, (1.0, 1.0, 1.0)),
    Lighting("builtin/daylight", 2.1, (0.98, 1.0, 1.03)),
    Lighting("builtin/studio", 4.0, (1.03, 1.0, 0.95)),
)


@dataclass(frozen=True, eq=False)
class ProductView:
    """Image of one product. image: (H, W, 3) uint8 sRGB. coverage: (H, W) uint8, 255 = product.

    box: (4,) float64 xyxy pixels, far edge exclusive, of the pixels that are covered by at least one half.
    """

    image: NDArray[np.uint8]
    coverage: NDArray[np.uint8]
    box: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class _Tile:
    """Position of a view in its row. x, width, height: pixels. pose: camera_from_object before the turn to its ray."""

    x: int
    width: int
    height: int
    pose: NDArray[np.float64]


def views_of(library: Library, backend: Backend, sku: str, views: int, *, side: int) -> list[ProductView]:
    """Render the first `views` views of a SKU, with its longest side `side` pixels long.

    They depend on the product, the number of the view and the side only: not on other SKUs, and not on how many are
    rendered. Raises SynthError if the product cannot be loaded, ValueError for more than MAX_VIEWS.
    """
    if not 0 < views <= MAX_VIEWS:
        raise ValueError(f"{views} views: 1 to {MAX_VIEWS} can be made")
    mesh = library.product(sku)
    made: list[ProductView] = []
    for first in range(0, views, ROW):
        numbers = range(first, min(first + ROW, views))
        made += islice(_render_row(mesh, backend, sku, range(first, first + ROW), side), len(numbers))
    return made


def view_row(library: Library, backend: Backend, sku: str, row: int, *, side: int) -> list[ProductView]:
    """Render the ROW views of a SKU that share a frame: those of `views_of` from number `row * ROW` on."""
    return _render_row(library.product(sku), backend, sku, range(row * ROW, (row + 1) * ROW), side)


def _render_row(mesh: Mesh, backend: Backend, sku: str, numbers: Sequence[int], side: int) -> list[ProductView]:
    """Render the views of one lighting; always the whole row, whose light must not depend on the number wanted."""
    lighting = LIGHTINGS[numbers[0] // ROW % len(LIGHTINGS)]
    scene, tiles = view_scene(mesh, sku, numbers, lighting, side)
    light = backend.render(scene)
    middle = scene.camera.height // 2
    made = []
    for number, tile in zip(numbers, tiles, strict=True):
        top = middle - tile.height // 2
        part = light[top : top + tile.height, tile.x : tile.x + tile.width]
        made.append(_develop_view(part, lighting, rng=np.random.default_rng([SEED, number, zlib.crc32(sku.encode())])))
    return made


def view_scene(
    mesh: Mesh, sku: str, numbers: Sequence[int], lighting: Lighting, side: int
) -> tuple[SceneSpec, list[_Tile]]:
    """Return the scene of a row of views, in which instance k is the k-th view, and the position of each view."""
    tiles, x = [], 0
    middle = mesh.bounds.astype(np.float64).mean(axis=0)
    points = mesh.vertices.astype(np.float64) - middle
    for number in numbers:
        tile = _tile(points, middle, DIRECTIONS[number], side, x)
        tiles.append(tile)
        x += tile.width
    height = max(tile.height for tile in tiles)
    focal = DISTANCE * side
    intrinsics = np.array([[focal, 0, x / 2], [0, focal, height / 2], [0, 0, 1]])
    elevation = np.radians(CAMERA_ELEVATION)
    camera = Camera(x, height, intrinsics, look_at(np.array([0, -np.cos(elevation), np.sin(elevation)]), np.zeros(3)))
    placements = []
    for tile in tiles:
        # The vertical centre of the tile's own pixels, whatever the height of the row.
        row = height // 2 - tile.height // 2 + tile.height / 2
        ray = np.array([(tile.x + tile.width / 2 - x / 2) / focal, (row - height / 2) / focal, 1.0])
        placements.append(Placement("product", sku, camera.world_from_camera @ _turn_to(ray) @ tile.pose))
    environment = Environment(lighting.room, lighting.rotation)
    return SceneSpec("views", 0, 0, numbers[0], camera, tuple(placements), (), environment), tiles


def _tile(
    points: NDArray[np.float64], middle: NDArray[np.float64], direction: tuple[int, int], side: int, x: int
) -> _Tile:
    """Return the tile in which the product is seen from `direction`, its longest side `side` pixels.

    points: (N, 3), its vertices relative to its `middle` (3,).
    """
    right, up = np.radians(direction)
    towards = np.array([np.sin(right) * np.cos(up), -np.cos(right) * np.cos(up), np.sin(up)])
    turned = points @ look_at(towards, np.zeros(3))[:3, :3]
    distance = DISTANCE * float(np.ptp(turned[:, :2], axis=0).max())
    camera = Camera(1, 1, np.diag([DISTANCE, DISTANCE, 1.0]), look_at(towards * distance, np.zeros(3)))
    pixels, _ = project(camera, points)
    low, high = pixels.min(axis=0), pixels.max(axis=0)
    longest = float((high - low).max())
    # Under perspective the nearer parts look larger: correct the distance and centre the visible outline on the axis.
    pose = camera_from_world(camera)
    pose[2, 3] *= longest
    pose[:2, 3] -= (low + high) / 2 / longest * pose[2, 3] / DISTANCE
    pose[:3, 3] -= pose[:3, :3] @ middle
    width, height = (int(np.ceil(part / longest * side * (1 + 2 * SPARE))) + 2 for part in high - low)
    return _Tile(x, width, height, pose)


def _turn_to(ray: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the (4, 4) rotation that takes the optical axis to `ray` (3,) by the shortest way."""
    forward = ray / np.linalg.norm(ray)
    axis = np.array([-forward[1], forward[0], 0.0])
    cross = np.array([[0, 0, axis[1]], [0, 0, -axis[0]], [-axis[1], axis[0], 0]])
    turn = np.eye(4)
    turn[:3, :3] += cross + cross @ cross / (1 + forward[2])
    return turn


def _develop_view(light: NDArray[np.float32], lighting: Lighting, *, rng: np.random.Generator) -> ProductView:
    """Develop a premultiplied (H, W, 4) part of a row, composited over a background of its own."""
    coverage = np.clip(light[..., 3:], 0, 1)
    image = np.nan_to_num(light[..., :3]) + (1 - coverage) * _sample_background(light.shape[0], rng)
    sensor = Sensor(white_balance=lighting.temperature)
    # `develop` meters each image by itself, but all products shall be exposed alike.
    sensor = replace(sensor, exposure_ev=float(np.log2(EXPOSURE / meter(image))))
    covered = (coverage[..., 0] * 255 + 0.5).astype(np.uint8)
    return ProductView(develop(image, sensor), covered, _box(covered >= 128))


def _sample_background(height: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Sample a plain background (H, 1, 3), linear light: dark to light grey, slightly tinted, darker at the bottom."""
    grey, tint = np.exp(rng.uniform(np.log(0.08), np.log(0.7))), rng.uniform(0.92, 1.08, size=3)
    fall = np.linspace(1.0, rng.uniform(0.6, 1.0), height)
    return grey * fall[:, None, None] * tint


def _box(covered: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return the tight xyxy box; the whole image if nothing is covered (a mesh thinner than a pixel)."""
    whole = (0.0, 0.0, float(covered.shape[1]), float(covered.shape[0]))
    return np.array(box_of_mask(covered) if covered.any() else whole)


def open_studio(sku_list: SkuSource, cache: Path, pins: SourcePins | None = None) -> tuple[Library, Backend]:
    """Open the library and backend for views: the products of a list in built-in rooms, whatever else is installed.

    pins: the sources of the products of a data set. Raises SynthError for a list with mistakes, and if the raster
    backend does not work.
    """
    library = Library(load_catalog(sku_list), Backdrops.open(), cache_dir=cache, pins=pins)
    return library, open_backend(library, RenderSettings(backend=DEFAULT_BACKEND, samples=4, threads=1))
