"""Mosaic and CutMix of a batch of network inputs: rectangles of its images in each other, with their targets.

Mosaic: Bochkovskiy et al. 2020 (arXiv 2004.10934). CutMix: Yun et al. 2019 (arXiv 1905.04899), for boxes. Targets are
those of `Detector.losses`. Chance comes from torch's generator on the CPU, so that devices agree.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from detectors.augment.view import ENOUGH_LEFT, Rectangle

# Position of the common corner of the four, as a fraction of width and height.
CENTRE = (0.35, 0.65)
Target = dict[str, Tensor]


class Patch(NamedTuple):
    """A rectangle of an output, xyxy pixels, and an image of the batch that fills it from its `left`, `top` on."""

    tile: Rectangle
    image: int
    left: int
    top: int


def mosaic_batch(images: Tensor, targets: list[Target], chance: float) -> tuple[Tensor, list[Target]]:
    """Return (B, 3, H, W) images and targets of which each is, with `chance`, made of four images of the batch.

    Its own image fills the corner at the top left. Around a random corner each fills its quarter with a part of that
    size, unscaled.
    """
    height, width = images.shape[-2:]
    made, said = images.clone(), list(targets)
    for number in range(len(images)):
        if not _happens(chance) or min(height, width) < 2:
            continue
        x, y = (min(max(round(size * _uniform(*CENTRE)), 1), size - 1) for size in (width, height))
        tiles = ((0, 0, x, y), (x, 0, width, y), (0, y, x, height), (x, y, width, height))
        sources = [number, *(_below(len(images)) for _ in tiles[1:])]
        patches = [_sample_patch(tile, source, width, height) for tile, source in zip(tiles, sources, strict=True)]
        made[number], said[number] = compose_patches(images, targets, patches)
    return made, said


def cutmix_batch(images: Tensor, targets: list[Target], chance: float) -> tuple[Tensor, list[Target]]:
    """Return (B, 3, H, W) images and targets in which, with `chance`, a rectangle shows another image of the batch.

    The rectangle shows that image at the same place; its share of the area is uniform, as is its place.
    """
    height, width = images.shape[-2:]
    made, said = images.clone(), list(targets)
    for number in range(len(images)):
        if not _happens(chance):
            continue
        share = _uniform(0, 1) ** 0.5
        columns, rows = (max(1, round(size * share)) for size in (width, height))
        left, top = _below(width - columns + 1), _below(height - rows + 1)
        tile = (left, top, left + columns, top + rows)
        patches = [Patch((0, 0, width, height), number, 0, 0), Patch(tile, _below(len(images)), left, top)]
        made[number], said[number] = compose_patches(images, targets, patches)
    return made, said


def compose_patches(images: Tensor, targets: list[Target], patches: list[Patch]) -> tuple[Tensor, Target]:
    """Return a (3, H, W) image of patches, later ones over earlier ones, and its target.

    A box of which less than ENOUGH_LEFT is left, by area, becomes an ignored region, or nothing where nothing is left.
    """
    made = torch.zeros_like(images[0])
    said: Target | None = None
    for patch in patches:
        left, top, right, bottom = patch.tile
        columns, rows = slice(patch.left, patch.left + right - left), slice(patch.top, patch.top + bottom - top)
        made[:, top:bottom, left:right] = images[patch.image][:, rows, columns]
        shown = _shown(targets[patch.image], patch, made.shape[-2:])
        said = shown if said is None else _join(_covered(said, patch.tile), shown)
    assert said is not None
    return made, said


def _shown(target: Target, patch: Patch, shape: torch.Size) -> Target:
    """Return the part of an image's target that a patch shows, in pixels of the output."""
    left, top, right, bottom = patch.tile
    shift = target["boxes"].new_tensor([left - patch.left, top - patch.top] * 2)
    low, high = shift.new_tensor([left, top] * 2), shift.new_tensor([right, bottom] * 2)
    clipped = {name: (target[name] + shift).clamp(low, high) for name in ("boxes", "ignored") if name in target}
    moved = dict(target, **clipped)
    if "masks" in target:
        moved["masks"] = target["masks"].new_zeros((len(target["boxes"]), *shape))
        rows, columns = slice(patch.top, patch.top + bottom - top), slice(patch.left, patch.left + right - left)
        moved["masks"][:, top:bottom, left:right] = target["masks"][:, rows, columns]
    return _keep_enough(moved, _area(moved["boxes"]) / _area(target["boxes"]).clamp(min=1e-6))


def _covered(target: Target, tile: Rectangle) -> Target:
    """Return a target of which a rectangle is hidden: boxes shrink where it hides them from one side to the other."""
    hidden = target["boxes"].new_tensor(tile)
    low, high = torch.maximum(target["boxes"][:, :2], hidden[:2]), torch.minimum(target["boxes"][:, 2:], hidden[2:])
    area = _area(target["boxes"]).clamp(min=1e-6)
    left = 1 - (high - low).clamp(min=0).prod(1) / area
    changed = dict(target, boxes=_shrunk(target["boxes"], hidden))
    if "ignored" in target:
        changed["ignored"] = _shrunk(target["ignored"], hidden)
    if "masks" in target:
        changed["masks"] = target["masks"].clone()
        changed["masks"][:, tile[1] : tile[3], tile[0] : tile[2]] = 0
    return _keep_enough(changed, left)


def _shrunk(boxes: Tensor, hidden: Tensor) -> Tensor:
    """Return the (N, 4) smallest boxes around what a rectangle (4,) leaves of boxes; no area where it is nothing."""
    left, top, right, bottom = boxes.unbind(1)
    wide, high = (hidden[0] <= left) & (hidden[2] >= right), (hidden[1] <= top) & (hidden[3] >= bottom)
    top, bottom = (
        torch.where(wide & (hidden[1] <= top), hidden[3].clamp(min=top), top),
        torch.where(wide & (hidden[3] >= bottom), hidden[1].clamp(max=bottom), bottom),
    )
    left, right = (
        torch.where(high & (hidden[0] <= left), hidden[2].clamp(min=left), left),
        torch.where(high & (hidden[2] >= right), hidden[0].clamp(max=right), right),
    )
    return torch.stack([left, top, torch.maximum(left, right), torch.maximum(top, bottom)], 1)


def _keep_enough(target: Target, left: Tensor) -> Target:
    """Return a target without boxes under a pixel, and with those of which too little is left as ignored regions."""
    there = ((target["boxes"][:, 2:] - target["boxes"][:, :2]) >= 1 - 1e-6).all(1)
    kept, lost = there & (left >= ENOUGH_LEFT), there & (left < ENOUGH_LEFT)
    ignored = [target["boxes"][lost]]
    if "ignored" in target:
        ignored.append(target["ignored"][_area(target["ignored"]) > 0])
    changed: Target = {name: target[name][kept] for name in ("boxes", "labels", "masks") if name in target}
    changed["ignored"] = torch.cat(ignored)
    return changed


def _join(first: Target, second: Target) -> Target:
    return {name: torch.cat([first[name], second[name]]) for name in first}


def _sample_patch(tile: Rectangle, image: int, width: int, height: int) -> Patch:
    columns, rows = tile[2] - tile[0], tile[3] - tile[1]
    return Patch(tile, image, _below(width - columns + 1), _below(height - rows + 1))


def _area(boxes: Tensor) -> Tensor:
    return (boxes[:, 2:] - boxes[:, :2]).clamp(min=0).prod(1)


def _happens(chance: float) -> bool:
    return _uniform(0, 1) < chance


def _uniform(low: float, high: float) -> float:
    return low + (high - low) * float(torch.rand((), device="cpu"))


def _below(count: int) -> int:
    return int(torch.randint(count, (), device="cpu"))
