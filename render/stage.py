"""Meshes of placements, looked up in the library."""

from __future__ import annotations

from assets.library import Library
from assets.mesh.types import Mesh
from render.scene import Placement


def mesh_of(library: Library, placement: Placement) -> Mesh:
    """Return the placement's mesh, with the wear of its finish. Raises SynthError if it cannot be loaded."""
    if placement.shape is not None and placement.texture is not None:
        return library.prop(placement.shape, placement.texture, wear=placement.finish.wear)
    if placement.fixture is not None:
        return library.fixture(placement.fixture, wear=placement.finish.wear)
    return library.product(placement.key, wear=placement.finish.wear)
