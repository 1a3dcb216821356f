"""Geometry of a scene that its lights depend on: the ground, the shadow casters and their extent."""

from __future__ import annotations

import numpy as np

from render.backends.raster.lights import Ball, Ground
from render.backends.raster.meshes import GpuMesh
from render.geometry import transform
from render.scene import Placement


def is_ground(placement: Placement) -> bool:
    """Return whether the placement is a level slab: a table, shelf or floor that carries others."""
    return placement.shape is not None and placement.shape.kind == "slab" and placement.world_from_object[2, 2] > 0.95


def shadow_casters(placements: tuple[Placement, ...], meshes: list[GpuMesh]) -> list[tuple[Placement, GpuMesh]]:
    """Return everything that can cast a shadow: all but the lowest ground, under which there is nothing."""
    pairs = list(zip(placements, meshes, strict=True))
    lows = [float(transform(placement.world_from_object, mesh.corners)[:, 2].min()) for placement, mesh in pairs]
    standing = [low for low, pair in zip(lows, pairs, strict=True) if not is_ground(pair[0])]
    floor = min(standing, default=np.inf) + 0.005
    tops = [placement.world_from_object[2, 3] for placement, _ in pairs]
    return [pair for pair, top in zip(pairs, tops, strict=True) if not is_ground(pair[0]) or top > floor]


def caster_ball(placements: tuple[Placement, ...], meshes: list[GpuMesh]) -> Ball:
    """Return the sphere around everything that stands on the ground, or around the ground if nothing does."""
    pairs = list(zip(placements, meshes, strict=True))
    standing = [pair for pair in pairs if not is_ground(pair[0])] or pairs
    if not standing:
        return Ball(np.zeros(3), 1.0)
    points = np.concatenate([transform(placement.world_from_object, mesh.corners) for placement, mesh in standing])
    centre = (points.min(axis=0) + points.max(axis=0)) / 2
    return Ball(centre, max(float(np.linalg.norm(points - centre, axis=1).max()), 0.02))


def ground_of(placements: tuple[Placement, ...], meshes: list[GpuMesh]) -> Ground | None:
    """Return the slabs of a scene with their colour averaged by area; None if there are none."""
    sums, total, heights = np.zeros(3), 0.0, []
    for placement, mesh in zip(placements, meshes, strict=True):
        if placement.shape is not None and is_ground(placement):
            area = placement.shape.width * placement.shape.depth
            sums += np.clip(mesh.mean_color * placement.finish.tint, 0, 1) * area
            total += area
            heights.append(float(placement.world_from_object[2, 3]))
    return Ground(sums / total, tuple(heights)) if heights else None
