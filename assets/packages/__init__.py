"""Shapes of packages: one file per kind, each closed, of exactly the stated size, its front towards -Y."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from assets.errors import unknown_name

if TYPE_CHECKING:
    from assets.mesh import Mesh
    from assets.packages.plan import PackagePlan

KINDS = {
    "carton": "assets.packages.carton",
    "gable_top": "assets.packages.gable_top",
    "can": "assets.packages.can",
    "bottle": "assets.packages.bottle",
    "jar": "assets.packages.jar",
    "pouch": "assets.packages.pouch",
    "bag": "assets.packages.bag",
    "tube": "assets.packages.tube",
    "tray": "assets.packages.tray",
    "blister": "assets.packages.blister",
    "multipack": "assets.packages.multipack",
}


def builder_of(kind: str) -> Callable[[PackagePlan], Mesh]:
    """The function `build` of a kind, imported when asked for. Raises SynthError for a kind that is not in KINDS."""
    import importlib

    if kind not in KINDS:
        raise unknown_name("kind of package", kind, KINDS)
    build: Callable[[PackagePlan], Mesh] = importlib.import_module(KINDS[kind]).build
    return build
