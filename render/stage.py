"""From a placement to its mesh: the one place where a scene's keys meet the library."""

from __future__ import annotations

from assets.library import Library
from assets.mesh.types import Mesh
from render.scene import Placement


def mesh_of(library: Library, placement: Placement) -> Mesh:
    """The placement's mesh, worn as its finish says. Raises SynthError where it cannot be had."""
    if placement.shape is not None and placement.texture is not None:
        return library.prop(placement.shape, placement.texture, wear=placement.finish.wear)
    return library.product(placement.key, wear=placement.finish.wear)
