"""Packages made from sizes and artwork: cartons, cans and bottles for products that nobody has modelled.

The front of a package faces -Y: who stands there and looks along +Y sees it, with +X to the right.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from assets.artwork import CARTON_PANELS, carton_sheet, label_colors, wrap_sheet
from assets.catalog import Sku
from assets.errors import SynthError
from assets.lathe import Outline, sweep
from assets.limits import broken_picture, open_picture
from assets.mesh import Material, Mesh, Part
from assets.mesh_file import mesh_key

SEGMENTS = 64
# Cardboard folds with about this radius.
BEVEL_M = 0.0012
# A wrapped label starts and ends at the back (+Y): its middle then faces -Y.
BACK = np.pi / 2
PAPER, FILM, METAL = 0.55, 0.35, 0.32


class _Pieces:
    """A mesh under construction: blocks of vertices and faces, each of one material."""

    def __init__(self) -> None:
        self._blocks: list[tuple[NDArray, NDArray, NDArray]] = []
        self._faces: list[NDArray] = []
        self._parts: list[Part] = []
        self._corners = self._count = 0

    def add(self, corners: NDArray, normals: NDArray, uv: NDArray, faces: NDArray, material: Material) -> None:
        """One part: (V, 3), (V, 3), (V, 2), (F, 3) outward."""
        self._blocks.append((corners, normals, uv))
        self._faces.append(faces + self._corners)
        self._parts.append(Part(self._count, self._count + len(faces), material))
        self._corners += len(corners)
        self._count += len(faces)

    def mesh(self, size: NDArray) -> Mesh:
        """Everything, stretched to exactly `size` metres and set on z = 0."""
        corners, normals, uv = (np.concatenate(columns) for columns in zip(*self._blocks, strict=True))
        low, high = corners.min(axis=0), corners.max(axis=0)
        stretch = size / (high - low)
        corners = (corners - [*(low + high)[:2] / 2, low[2]]) * stretch
        normals = normals / stretch
        normals /= np.linalg.norm(normals, axis=1, keepdims=True)
        arrays = {
            "vertices": corners.astype(np.float32),
            "normals": normals.astype(np.float32),
            "faces": np.concatenate(self._faces).astype(np.int32),
            "uv": uv.astype(np.float32),
        }
        return Mesh(key=mesh_key(self._parts, **arrays), parts=tuple(self._parts), **arrays)


def make_package(sku: Sku, root: Path) -> Mesh:
    """The package of a SKU from its sizes, colours, words and packshot (a path relative to `root`), normalised.

    Raises SynthError where a size is missing, the kind is unknown or the packshot cannot be read.
    """
    if sku.width_m is None or sku.depth_m is None or sku.height_m is None:
        expected = "width_m, depth_m and height_m"
        raise SynthError("a package needs its sizes", where=f"SKU {sku.sku!r}", expected=expected)
    pieces = _Pieces()
    size = np.array([sku.width_m, sku.depth_m, sku.height_m])
    MAKERS[sku.package](pieces, sku, size, _packshot(sku, root))
    return pieces.mesh(size)


def _packshot(sku: Sku, root: Path) -> NDArray[np.uint8] | None:
    if not sku.packshot:
        return None
    from PIL import ImageOps

    path = root / sku.packshot
    where = f"{path}, of SKU {sku.sku!r}"
    with open_picture(path, where, "the packshot") as image:
        try:
            return np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
        except MemoryError:
            raise
        except Exception as error:  # decoders raise many kinds
            raise broken_picture("the packshot", where, error) from error


def _seed(sku: Sku) -> int:
    return int.from_bytes(hashlib.sha256(sku.sku.encode()).digest()[:8], "big")


def _opaque(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.dstack([picture, np.full(picture.shape[:2], 255, np.uint8)])


def _plain(color: tuple[float, float, float], roughness: float, metallic: float = 0.0) -> Material:
    return Material(np.array([*color, 1.0]), None, roughness, metallic)


def _linear(color: tuple[int, int, int]) -> tuple[float, float, float]:
    red, green, blue = (np.array(color) / 255.0) ** 2.2
    return float(red), float(green), float(blue)


def _make_carton(pieces: _Pieces, sku: Sku, size: NDArray, packshot: NDArray[np.uint8] | None) -> None:
    """A box with folded edges: six panels, and between them strips and corners that carry the panels' borders on."""
    sheet, rectangles = carton_sheet(sku, packshot)
    material = Material(np.ones(4), _opaque(sheet), roughness=PAPER)
    half = size / 2
    bevel = min(BEVEL_M, float(half.min()) / 4)
    corners: list[NDArray] = []
    normals: list[NDArray] = []
    uv: list[list[float]] = []
    faces: list[list[int]] = []
    spots: dict[tuple[tuple[int, ...], int], int] = {}
    for panel, (axis, sign) in CARTON_PANELS.items():
        normal = np.eye(3)[axis] * sign
        up = np.array([0.0, 0, 1]) if axis < 2 else np.array([0.0, sign, 0])
        right = np.cross(up, normal)
        left, top, width, height = rectangles[panel]
        for a, b in ((-1, -1), (1, -1), (1, 1), (-1, 1)):
            direction = normal + a * right + b * up
            spots[tuple(int(part) for part in np.sign(direction)), axis] = len(corners)
            corners.append(direction * (half - bevel) + normal * bevel)
            normals.append(normal)
            uv.append([left + width * (a + 1) / 2, 1 - top - height * (1 - b) / 2])
        start = len(corners) - 4
        faces += [[start, start + 1, start + 2], [start, start + 2, start + 3]]
    points = np.array(corners)
    faces += [_outward(points, triangle) for triangle in _folds(spots)]
    pieces.add(points, np.array(normals), np.array(uv), np.array(faces), material)


def _folds(spots: dict[tuple[tuple[int, ...], int], int]) -> list[list[int]]:
    """Triangles between the panels: two for each of the 12 edges, one for each of the 8 corners."""
    triangles = []
    signs = (-1, 1)
    for axis in range(3):
        first, second = (other for other in range(3) if other != axis)
        for a in signs:
            for b in signs:
                low, high = [0, 0, 0], [0, 0, 0]
                low[axis], high[axis] = -1, 1
                for end in (low, high):
                    end[first], end[second] = a, b
                quad = [
                    spots[tuple(low), first],
                    spots[tuple(high), first],
                    spots[tuple(high), second],
                    spots[tuple(low), second],
                ]
                triangles += [[quad[0], quad[1], quad[2]], [quad[0], quad[2], quad[3]]]
    for corner in ((x, y, z) for x in signs for y in signs for z in signs):
        triangles.append([spots[corner, 0], spots[corner, 1], spots[corner, 2]])
    return triangles


def _outward(points: NDArray, triangle: list[int]) -> list[int]:
    a, b, c = points[triangle]
    inwards = np.cross(b - a, c - a) @ (a + b + c) < 0
    return triangle[::-1] if inwards else triangle


def _sweep_into(pieces: _Pieces, outline: Outline, squeeze: float, material: Material) -> None:
    strip = sweep(outline, SEGMENTS, start=-3 * np.pi / 2)
    oval = np.array([1.0, squeeze, 1.0])
    pieces.add(strip.corners * oval, strip.normals / oval, strip.uv, strip.faces, material)


def _wrap(sku: Sku, size: NDArray, height: float, packshot: NDArray[np.uint8] | None, roughness: float) -> Material:
    around = np.pi * (size[0] + size[1]) / 2
    return Material(np.ones(4), _opaque(wrap_sheet(sku, around / height, packshot)), roughness)


def _make_can(pieces: _Pieces, sku: Sku, size: NDArray, packshot: NDArray[np.uint8] | None) -> None:
    """A tin with rims and a recessed lid, wrapped in paper."""
    r, h = float(size[0]) / 2, float(size[2])
    squeeze = float(size[1] / size[0])
    tin = _plain((0.62, 0.62, 0.6), METAL, 1.0)
    rim = min(0.0035, h * 0.05)
    wall = r - 0.0008
    label: Outline = [(wall, rim * 1.6), (wall, h - rim * 1.6)]
    _sweep_into(pieces, [(0, rim), (r * 0.9, rim)], squeeze, tin)
    _sweep_into(
        pieces, [(r * 0.9, rim), (r * 0.93, 0), (r * 0.985, 0), (r, rim * 0.6), (wall, rim * 1.6)], squeeze, tin
    )
    _sweep_into(pieces, label, squeeze, _wrap(sku, size, h - 3.2 * rim, packshot, PAPER))
    top: Outline = [(wall, h - rim * 1.6), (r, h - rim * 0.6), (r * 0.985, h), (r * 0.93, h), (r * 0.9, h - rim)]
    _sweep_into(pieces, top, squeeze, tin)
    rings: Outline = [
        (r * 0.9, h - rim),
        (r * 0.72, h - rim),
        (r * 0.68, h - rim * 0.7),
        (r * 0.64, h - rim),
        (0, h - rim),
    ]
    _sweep_into(pieces, rings, squeeze, tin)


def _make_bottle(pieces: _Pieces, sku: Sku, size: NDArray, packshot: NDArray[np.uint8] | None) -> None:
    """A bottle of coloured plastic with shoulder, neck and cap, and a label band that stands off by a hair."""
    r, h = float(size[0]) / 2, float(size[2])
    squeeze = float(size[1] / size[0])
    body, second = (_linear(color) for color in label_colors(sku)[:2])
    neck = r * 0.36
    bend = np.linspace(0, np.pi / 2, 9)
    foot = [(r * (0.9 + 0.1 * np.sin(t)), h * 0.03 * (1 - np.cos(t))) for t in bend]
    shoulder = [(neck + (r - neck) * (0.5 + 0.5 * np.cos(2 * t)), h * (0.58 + 0.24 * t / (np.pi / 2))) for t in bend]
    plastic = _plain(body, 0.22)
    _sweep_into(pieces, [(0, 0), (r * 0.9, 0)], squeeze, plastic)
    _sweep_into(pieces, [*foot, (r, h * 0.1), (r, h * 0.5), *shoulder, (neck, h * 0.9)], squeeze, plastic)
    band: Outline = [(r + 3e-4, h * 0.1), (r + 3e-4, h * 0.54)]
    _sweep_into(pieces, band, squeeze, _wrap(sku, size, h * 0.44, packshot, FILM))
    cap_r = neck * 1.18
    cap = _plain(second, 0.4)
    _sweep_into(pieces, [(neck, h * 0.88), (cap_r, h * 0.88)], squeeze, cap)
    _sweep_into(pieces, [(cap_r, h * 0.88), (cap_r, h * 0.99), (cap_r * 0.93, h)], squeeze, cap)
    _sweep_into(pieces, [(cap_r * 0.93, h), (0, h)], squeeze, cap)


Maker = Callable[[_Pieces, Sku, NDArray, "NDArray[np.uint8] | None"], None]
MAKERS: dict[str, Maker] = {"carton": _make_carton, "can": _make_can, "bottle": _make_bottle}
