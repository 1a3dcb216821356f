"""Anchors at the cells of grids: decoding of what a head says there, and which object each is responsible for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
import torchvision
from torch import Tensor

from detectors.models.darknet.anchors import shape_overlaps
from detectors.models.ignoring import ignored_in
from detectors.models.parts import covered_by

# Largest |log| of a box's side relative to its anchor: beyond it exp overflows before gradients pull it back.
MAX_LOG = 8.0
MOSTLY_IGNORED = 0.5
Target = dict[str, Tensor]


class Level(NamedTuple):
    """A grid and its anchors. grid: rows and columns. anchors: (A, 2) pixels. sensitivity: as in `decode_boxes`."""

    grid: tuple[int, int]
    anchors: Tensor
    sensitivity: float = 1.0


class Places(NamedTuple):
    """N anchors at cells: level by level, in a level row by row, in a row cell by cell, in a cell by anchor.

    cells: (N, 2) column and row. cell_sizes: (N, 2) pixels. anchors: (N, 2) pixels. sensitivity: (N, 1).
    starts: (L,) index of each level's first place. levels: those they are of.
    """

    cells: Tensor
    cell_sizes: Tensor
    anchors: Tensor
    sensitivity: Tensor
    starts: tuple[int, ...]
    levels: tuple[Level, ...]

    @property
    def anchor_boxes(self) -> Tensor:
        """(N, 4) xyxy pixels of the anchors, each in the middle of its cell."""
        middle, half = (self.cells + 0.5) * self.cell_sizes, self.anchors / 2
        return torch.cat([middle - half, middle + half], 1)

    @property
    def cell_boxes(self) -> Tensor:
        """(N, 4) xyxy pixels of the cells."""
        return torch.cat([self.cells * self.cell_sizes, (self.cells + 1) * self.cell_sizes], 1)


class GridOutputs(NamedTuple):
    """What heads say at N places of B images, float32. raw: (B, N, 4) tx ty tw th. objectness: (B, N) logits.

    classes: (B, N, C) logits.
    """

    places: Places
    raw: Tensor
    objectness: Tensor
    classes: Tensor


class AssignedPlaces(NamedTuple):
    """The M places that are responsible for an object. images, places: (M,) indices. boxes: (M, 4). labels: (M,).

    objects: (M,) index of the object in its image's target.
    """

    images: Tensor
    places: Tensor
    boxes: Tensor
    labels: Tensor
    objects: Tensor


def make_places(levels: Sequence[Level], width: int, height: int) -> Places:
    """Return the places of grids that divide an image of `width` x `height` pixels evenly."""
    cells, sizes, anchors, sensitivity, starts, start = [], [], [], [], [], 0
    for level in levels:
        (rows, columns), device, count = level.grid, level.anchors.device, len(level.anchors)
        column, row = torch.arange(columns, device=device), torch.arange(rows, device=device)
        grid = torch.stack(torch.meshgrid(column, row, indexing="xy"), 2).reshape(-1, 2)
        cells.append(grid.repeat_interleave(count, 0).to(level.anchors.dtype))
        sizes.append(level.anchors.new_tensor([[width / columns, height / rows]]).expand(len(cells[-1]), 2))
        anchors.append(level.anchors.repeat(rows * columns, 1))
        sensitivity.append(level.anchors.new_full((len(cells[-1]), 1), level.sensitivity))
        starts.append(start)
        start += rows * columns * count
    return Places(
        torch.cat(cells),
        torch.cat(sizes),
        torch.cat(anchors),
        torch.cat(sensitivity),
        tuple(starts),
        tuple(levels),
    )


def read_head(maps: Tensor, anchors: int) -> Tensor:
    """Return (B, A * V, h, w) outputs of a convolution as (B, h * w * A, V) float32 values of its places."""
    batch, values, rows, columns = maps.shape
    split = maps.float().reshape(batch, anchors, values // anchors, rows, columns)
    return split.permute(0, 3, 4, 1, 2).reshape(batch, rows * columns * anchors, values // anchors)


def decode_centres(raw: Tensor, places: Places) -> Tensor:
    """Return (..., N, 2) centres in cells: s * sigmoid(t) - (s - 1) / 2 from the cell's corner.

    With sensitivity s > 1 (YOLOv4) a centre on the border of its cell needs no infinite t.
    """
    scale = places.sensitivity
    return scale * raw[..., :2].sigmoid() - (scale - 1) / 2


def decode_boxes(raw: Tensor, places: Places) -> Tensor:
    """Return (..., N, 4) xyxy boxes in pixels: centres of `decode_centres`, sides anchor * exp(t)."""
    centres = (decode_centres(raw, places) + places.cells) * places.cell_sizes
    half = places.anchors * raw[..., 2:].clamp(-MAX_LOG, MAX_LOG).exp() / 2
    return torch.cat([centres - half, centres + half], -1)


def encode_boxes(boxes: Tensor, places: Places, chosen: Tensor) -> Tensor:
    """Return (M, 4) what decodes to (M, 4) boxes at `chosen` places: offsets in cells in 0..1, and logs of sides."""
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2 / places.cell_sizes[chosen] - places.cells[chosen]
    sides = (boxes[:, 2:] - boxes[:, :2]).clamp(min=1e-3) / places.anchors[chosen]
    return torch.cat([centres.clamp(0, 1), sides.log()], 1)


def best_anchor(overlaps: Tensor) -> Tensor:
    """Return (G, K) the one anchor of each object: that of the highest overlap of shapes, the first of equal ones."""
    return torch.zeros_like(overlaps, dtype=torch.bool).scatter_(1, overlaps.argmax(1, keepdim=True), value=True)


def anchors_above(threshold: float) -> Callable[[Tensor], Tensor]:
    """Return a choice of all anchors whose overlap exceeds `threshold`, and of the best one in any case."""
    return lambda overlaps: best_anchor(overlaps) | (overlaps > threshold)


@torch.no_grad()
def match_objects(places: Places, targets: Sequence[Target], choose: Callable[[Tensor], Tensor]) -> AssignedPlaces:
    """Return the places of all objects: the cell with the centre of the box, and the anchors that `choose` chooses.

    choose: takes the (G, K) overlaps of the shapes of objects and of all levels' anchors, returns a mask. A place that
    several objects want goes to the one whose shape its anchor fits best.
    """
    anchors = torch.cat([level.anchors for level in places.levels])
    found = []
    for number, target in enumerate(targets):
        boxes = target["boxes"]
        overlaps = shape_overlaps(boxes[:, 2:] - boxes[:, :2], anchors)
        chosen = choose(overlaps) if len(boxes) else overlaps > 2
        owner, anchor = chosen.nonzero(as_tuple=True)
        best = overlaps[owner, anchor].argsort(descending=True, stable=True)
        owner, anchor = owner[best], anchor[best]
        place = _places_of(places, (boxes[:, :2] + boxes[:, 2:])[owner] / 2, anchor)
        first = _first_of_each(place)
        owner, place = owner[first], place[first]
        found.append((torch.full_like(place, number), place, boxes[owner], target["labels"][owner], owner))
    return AssignedPlaces(*(torch.cat(column) for column in zip(*found, strict=True)))


def _places_of(places: Places, centres: Tensor, anchor: Tensor) -> Tensor:
    """Return (M,) the place of each anchor, counted over all levels, at the cell of (M, 2) centres in pixels."""
    found = torch.zeros_like(anchor)
    before = 0
    for start, level in zip(places.starts, places.levels, strict=True):
        count, (rows, columns) = len(level.anchors), level.grid
        column, row = (centres / places.cell_sizes[start]).floor().long().unbind(1)
        cell = row.clamp(0, rows - 1) * columns + column.clamp(0, columns - 1)
        here = (anchor >= before) & (anchor < before + count)
        found = torch.where(here, start + cell * count + anchor - before, found)
        before += count
    return found


def _first_of_each(values: Tensor) -> Tensor:
    """Return the indices, rising, at which each value of (M,) occurs first."""
    _, inverse = values.unique(return_inverse=True)
    order = torch.arange(len(values), device=values.device)
    first = order.new_full((int(inverse.amax()) + 1 if len(values) else 0,), len(values))
    return first.scatter_reduce(0, inverse, order, "amin").sort().values


@torch.no_grad()
def background_places(places: Places, boxes: Tensor, targets: Sequence[Target], threshold: float) -> Tensor:
    """Return (B, N) bool: whether a place counts as background if it is responsible for no object.

    It does not if its predicted box overlaps an object by more than `threshold`, or if the box or its cell lies mostly
    in an ignored region. boxes: (B, N, 4) predicted, pixels.
    """
    counted = []
    for found, target in zip(boxes, targets, strict=True):
        kept = torch.ones(len(found), dtype=torch.bool, device=found.device)
        if len(target["boxes"]):
            kept &= torchvision.ops.box_iou(found, target["boxes"]).amax(1) <= threshold
        regions = ignored_in(target)
        for one in (found, places.cell_boxes):
            kept &= covered_by(one, regions) <= MOSTLY_IGNORED
        counted.append(kept)
    return torch.stack(counted)


def paired_overlap(boxes: Tensor, others: Tensor) -> Tensor:
    """Return (...) the IoU of (..., 4) boxes with (..., 4) others, pair by pair."""
    low, high = torch.maximum(boxes[..., :2], others[..., :2]), torch.minimum(boxes[..., 2:], others[..., 2:])
    common = (high - low).clamp(min=0).prod(-1)
    areas = [(one[..., 2:] - one[..., :2]).clamp(min=0).prod(-1) for one in (boxes, others)]
    return common / (areas[0] + areas[1] - common).clamp(min=1e-9)
