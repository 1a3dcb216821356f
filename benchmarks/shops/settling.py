"""Processor time to drop items into a bin, and how still they lie: python benchmarks/shops/settling.py [COUNT ...].

Boxes and cans of the demo's size, products of `synth catalog generate`, and odd shapes made by trimesh, many of them
concave. `left out` counts items that did not come to rest; `deep` is the deepest penetration of the shapes that physics
knows, `moved` the longest way of any corner in half a second of steps a quarter as long.
"""

from __future__ import annotations

import sys
import tempfile
from itertools import chain, compress, pairwise
from pathlib import Path
from time import process_time

import numpy as np
import trimesh
from trimesh import creation
from trimesh.transformations import translation_matrix

from assets.catalog.generate import generate_csv
from assets.mesh.rest import Rest
from render.placement import physics
from render.placement.heap import WATCH_S, Heap, settle
from render.recipes.bin import tote_size
from synth import load_catalog, open_library

# Boxes and cans, metres.
BOXES, CANS = ((0.06, 0.04, 0.12), (0.19, 0.06, 0.28), (0.1, 0.1, 0.03)), ((0.033, 0.115), (0.02, 0.17))
PRODUCTS, FILL = 200, 0.2


def main() -> None:
    kinds = {"boxes and cans": boxes_and_cans(), "products": products(), "odd shapes": odd_shapes()}
    for kind, shapes in kinds.items():
        for count in map(int, sys.argv[1:] or ("20", "100", "300")):
            print(f"{kind}, {count}: {drop([shapes[i % len(shapes)] for i in range(count)])}", flush=True)


def drop(shapes: list[Rest]) -> str:
    """Drop items into a bin of the recipe's size and describe how they lie."""
    width, depth = tote_size(shapes, FILL)
    start = process_time()
    found = settle(tuple(shapes), float(width), float(depth), seed=0)
    seconds = process_time() - start
    out = sum(pose is None for pose in found.poses)
    return (
        f"{width:.2f} x {depth:.2f} m, {seconds:.2f} s, {out} left out, {1000 * found.depth:.2f} mm deep, "
        f"{1000 * moved(found, shapes, width, depth):.2f} mm moved, top {found.top:.2f} m"
    )


def moved(found: Heap, shapes: list[Rest], width: float, depth: float) -> float:
    """Return how far any corner of a heap moves while it is watched in finer steps, metres."""
    there = [pose is not None for pose in found.poses]
    bodies = list(map(physics.RigidBody, compress(shapes, there), compress(found.poses, there)))
    step, physics.STEP_S = physics.STEP_S, physics.STEP_S / 4
    watched = physics.simulate(bodies, (), width, depth, seconds=WATCH_S, drag=False)
    physics.STEP_S = step
    return float(watched.moved.max(initial=0))


def boxes_and_cans() -> list[Rest]:
    return list(map(rest_of, chain(map(creation.box, BOXES), (creation.cylinder(*size, sections=24) for size in CANS))))


def products() -> list[Rest]:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "skus.csv"
        file.write_bytes(generate_csv(2 * PRODUCTS, seed=0))
        library = open_library(load_catalog(str(file)))
        skus = [sku.sku for sku in library.catalog]
        return [library.rest(skus[i]) for i in np.random.default_rng(0).permutation(len(skus))[:PRODUCTS]]


def odd_shapes() -> list[Rest]:
    turns = np.linspace(0, 6 * np.pi, 90)
    coil = np.stack([0.03 * np.cos(turns), 0.03 * np.sin(turns), 0.0032 * turns], axis=1)
    bolt = [
        creation.cylinder(0.005, 0.08),
        creation.cylinder(0.012, 0.01, 6, transform=translation_matrix([0, 0, 0.045])),
    ]
    bars = [creation.box((0.1, 0.02, 0.03)), creation.box((0.02, 0.1, 0.03))]
    return [
        *map(
            rest_of,
            (creation.torus(0.05, 0.012), creation.annulus(0.03, 0.04, 0.08), creation.annulus(0.05, 0.06, 0.01)),
        ),
        *map(rest_of, (creation.capsule(0.08, 0.015), creation.cone(0.03, 0.09), creation.icosphere(2, 0.025))),
        rest_of(trimesh.util.concatenate([creation.cylinder(0.004, segment=part) for part in pairwise(coil)])),
        *map(rest_of, (trimesh.util.concatenate(bolt), trimesh.util.concatenate(bars), creation.icosphere(2, 0.006))),
        *map(rest_of, (creation.box((0.12, 0.08, 0.0002)), creation.box((0.003, 0.003, 0.2)))),
        *map(
            rest_of,
            (
                creation.icosphere(3).apply_scale((0.05, 0.05, 0.006)),
                creation.icosphere(3).apply_scale((0.03, 0.03, 0.042)),
            ),
        ),
    ]


def rest_of(solid: trimesh.Trimesh) -> Rest:
    hull = trimesh.convex.convex_hull(solid.vertices)
    return Rest(hull.vertices, hull.faces, np.eye(3)[None], np.ones(1))


if __name__ == "__main__":
    main()
