"""Package shapes, one file per kind: closed meshes of exactly the stated size, the front towards -Y."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from assets.errors import unknown_name

if TYPE_CHECKING:
    from assets.mesh.types import Mesh
    from assets.packages.shapes.plan import PackagePlan

KINDS = {
    "carton": "assets.packages.kinds.carton",
    "gable_top": "assets.packages.kinds.gable_top",
    "can": "assets.packages.kinds.can",
    "bottle": "assets.packages.kinds.bottle",
    "jar": "assets.packages.kinds.jar",
    "pouch": "assets.packages.kinds.pouch",
    "bag": "assets.packages.kinds.bag",
    "tube": "assets.packages.kinds.tube",
    "tray": "assets.packages.kinds.tray",
    "blister": "assets.packages.kinds.blister",
    "multipack": "assets.packages.kinds.multipack",
}


def builder_of(kind: str) -> Callable[[PackagePlan], Mesh]:
    """Return the function `build` of a kind, imported on demand. Raises SynthError for a kind not in KINDS."""
    import importlib

    if kind not in KINDS:
        raise unknown_name("kind of package", kind, KINDS)
    build: Callable[[PackagePlan], Mesh] = importlib.import_module(KINDS[kind]).build
    return build
