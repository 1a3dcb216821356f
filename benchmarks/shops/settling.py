"""Processor time to drop products of the demo's size into a bin: python benchmarks/shops/settling.py [COUNT ...]."""

from __future__ import annotations

import sys
from time import process_time

import numpy as np
import trimesh

from assets.mesh.rest import Rest
from render.placement.heap import settle

# Boxes and cans, metres.
BOXES, CANS = ((0.06, 0.04, 0.12), (0.19, 0.06, 0.28), (0.1, 0.1, 0.03)), ((0.033, 0.115), (0.02, 0.17))


def main() -> None:
    solids = [trimesh.creation.box(size) for size in BOXES]
    solids += [trimesh.creation.cylinder(radius, height, sections=24) for radius, height in CANS]
    shapes = [Rest(solid.vertices, solid.faces, np.eye(3)[None], np.ones(1)) for solid in solids]
    for count in map(int, sys.argv[1:] or ("20", "100", "300")):
        # Filled to a quarter of a metre, if half of the room is air.
        area = sum(solids[i % len(solids)].volume for i in range(count)) / 0.5 / 0.25
        width, depth = max(1.2 * area**0.5, 0.4), max(area**0.5 / 1.2, 0.35)
        start = process_time()
        found = settle(tuple(shapes[i % len(shapes)] for i in range(count)), width, depth, seed=0)
        print(
            f"{count} items, {width:.2f} x {depth:.2f} m: {process_time() - start:.2f} s, "
            f"{found.moving} moving, {1000 * found.depth:.2f} mm deep, top {found.top:.2f} m",
            flush=True,
        )


if __name__ == "__main__":
    main()
