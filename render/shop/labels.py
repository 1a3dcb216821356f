"""Exact labels of shops beyond products: price tags, gaps, shelf lines, and where each product belongs.

A pixel belongs to a gap or a line if the rectangle of its mark is nearer to the camera than everything in the scene.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from assets.library import Library
from assets.mesh.types import Material, Mesh, MeshPart
from dataset.shop import SIDES, MarkKind
from render.frame import Annotation, Geometry, MaskCrop
from render.geometry import invert_pose, project
from render.labels import DECIMALS, NEAR, crop_mask, visible_part
from render.marks import GapMark, LineMark, ShopMarks, TagMark
from render.scene import Camera, SceneSpec, mesh_of

Point = tuple[float, float]
# Of SIDES, by the axis x, y, z of a product's own frame that a surface faces: positive and negative direction.
_SIDE_OF_AXIS = np.array([[3, 2], [1, 0], [4, 5]])
# Normals are compared after rounding, so that a bevel of 45 degrees is on the same side on every machine.
NORMAL_DECIMALS = 4
# Samples a pixel of a centre line, and the most of them.
SAMPLES, MAX_SAMPLES = 2, 16384


@dataclass(frozen=True, eq=False)
class MarkLabel:
    """A price tag, a gap or a shelf line with at least one visible pixel.

    position: where products belong; of a line, the name of its board. text: of a tag. sku: of a gap. instance: of a
    tag's placement, else 0. ends: of the visible part of a line's centre, pixels, to half a pixel; None if it is
    hidden, and of tags and gaps.
    """

    kind: MarkKind
    position: str
    visible: MaskCrop
    text: str = ""
    sku: str = ""
    instance: int = 0
    ends: tuple[Point, Point] | None = None

    @property
    def area(self) -> int:
        """Number of visible pixels."""
        return int(self.visible.mask.sum())


@dataclass(frozen=True)
class ProductLink:
    """Where an annotated product belongs, and which of its sides are seen.

    instance: of the product. position: its place in the plan, "" if it has none or stands elsewhere. tag: instance of
    the visible tag of that position, else 0. sides: shares of the visible pixels, in the order of SIDES.
    """

    instance: int
    position: str
    tag: int
    sides: tuple[float, ...]


@dataclass(frozen=True)
class ShopLabels:
    """Labels of an image beyond its products. marks: tags, gaps, then lines. links: one per annotated product."""

    marks: tuple[MarkLabel, ...]
    links: tuple[ProductLink, ...]


def label_shop(scene: SceneSpec, geometry: Geometry, annotations: Sequence[Annotation], library: Library) -> ShopLabels:
    """Return the labels beyond products of a traced scene; a scene without marks has links alone.

    annotations: of `annotate`. Raises SynthError if a mesh cannot be loaded.
    """
    marks = scene.marks or ShopMarks()
    labels = (
        *_tags(marks.tags, geometry),
        *_gaps(marks.gaps, scene.camera, geometry),
        *_lines(marks.lines, scene.camera, geometry),
    )
    tags: dict[str, int] = {}
    for label in labels:
        if label.kind == "price_tag":
            tags.setdefault(label.position, label.instance)
    sides = (_side_shares(one, mesh_of(library, scene.placements[one.instance - 1]), geometry) for one in annotations)
    return ShopLabels(labels, tuple(_links(scene, marks.positions, annotations, tags, sides)))


def _tags(marks: Sequence[TagMark], geometry: Geometry) -> Iterator[MarkLabel]:
    for mark in marks:
        visible = crop_mask(geometry.ids == mark.instance, 0, 0)
        if visible.mask.size:
            yield MarkLabel("price_tag", mark.position, visible, text=mark.text, instance=mark.instance)


def _gaps(marks: Sequence[GapMark], camera: Camera, geometry: Geometry) -> Iterator[MarkLabel]:
    for mark in marks:
        visible = visible_part(camera, _rectangle(mark.corners), geometry)
        if visible.mask.size:
            yield MarkLabel("gap", mark.position, visible, sku=mark.sku)


def _lines(marks: Sequence[LineMark], camera: Camera, geometry: Geometry) -> Iterator[MarkLabel]:
    for mark in marks:
        visible = visible_part(camera, _rectangle(mark.corners), geometry)
        if visible.mask.size:
            yield MarkLabel("shelf_line", mark.name, visible, ends=_visible_ends(camera, mark.corners, visible))


def _rectangle(corners: NDArray[np.float64]) -> Mesh:
    faces = np.array([[0, 1, 2], [0, 2, 3]])
    normal = np.cross(corners[1] - corners[0], corners[3] - corners[0])
    normals = np.tile(normal / max(float(np.linalg.norm(normal)), 1e-30), (4, 1))
    return Mesh(
        "mark",
        corners.astype(np.float32),
        faces.astype(np.int32),
        normals.astype(np.float32),
        (MeshPart(0, 2, Material(np.ones(4))),),
    )


def _visible_ends(camera: Camera, corners: NDArray[np.float64], visible: MaskCrop) -> tuple[Point, Point] | None:
    """Return the first and last visible point of the line between the middles of the left and the right edge."""
    left, right = (corners[0] + corners[3]) / 2, (corners[1] + corners[2]) / 2
    ends, depth = project(camera, np.array([left, right]))
    length = np.abs(ends[1] - ends[0]).sum() if (depth > NEAR).all() else np.inf
    count = int(np.clip(np.nan_to_num(length, nan=np.inf) * SAMPLES, 2, MAX_SAMPLES))
    pixels, depth = project(camera, left + np.linspace(0, 1, count)[:, None] * (right - left))
    height, width = visible.mask.shape
    pixels = np.where((depth > NEAR)[:, None], pixels, np.nan)
    inside = np.floor(np.nan_to_num(pixels - [visible.x, visible.y], nan=-1, posinf=-1, neginf=-1))
    within = np.flatnonzero(((inside >= 0) & (inside < [width, height])).all(axis=1))
    column, row = inside[within].astype(int).T
    seen = within[visible.mask[row, column]]
    if not len(seen):
        return None
    first, last = (tuple(round(float(value), 2) for value in pixels[number]) for number in (seen[0], seen[-1]))
    return (first[0], first[1]), (last[0], last[1])


def _links(
    scene: SceneSpec,
    positions: Sequence[str],
    annotations: Sequence[Annotation],
    tags: Mapping[str, int],
    sides: Iterable[tuple[float, ...]],
) -> Iterator[ProductLink]:
    # Positions count the products alone.
    products = (number for number, one in enumerate(scene.placements, start=1) if one.kind == "product")
    places = dict(zip(products, positions, strict=False))
    for annotation, shares in zip(annotations, sides, strict=True):
        position = places.get(annotation.instance, "")
        yield ProductLink(annotation.instance, position, tags.get(position, 0), shares)


def _side_shares(annotation: Annotation, mesh: Mesh, geometry: Geometry) -> tuple[float, ...]:
    """Return the shares of the visible pixels that show each of SIDES."""
    visible = annotation.visible
    rows, columns = np.nonzero(visible.mask)
    # All pixels of a face show the same side: all rays start at the centre of the camera.
    faces, counts = np.unique(geometry.faces[visible.y + rows, visible.x + columns], return_counts=True)
    a, b, c = mesh.vertices[mesh.faces[faces]].astype(np.float64).transpose(1, 0, 2)
    normals = np.cross(b - a, c - a)
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-30)
    centre = invert_pose(annotation.camera_from_object)[:3, 3]
    normals[((a - centre) * normals).sum(axis=1) > 0] *= -1
    normals = np.round(normals, NORMAL_DECIMALS)
    axes = np.abs(normals).argmax(axis=1)
    backwards = (normals[np.arange(len(axes)), axes] < 0).astype(int)
    pixels = np.bincount(_SIDE_OF_AXIS[axes, backwards], weights=counts, minlength=len(SIDES))
    return tuple(round(float(share), DECIMALS) for share in pixels / max(len(rows), 1))
