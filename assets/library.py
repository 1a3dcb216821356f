"""Library: from a name to a mesh. What a scene refers to by key is found, loaded, normalised and cached here."""

from __future__ import annotations

from pathlib import Path

from assets.backdrops import Backdrops
from assets.catalog import Catalog
from assets.look import Shape, Texture
from assets.mesh import Mesh
from assets.rest import Rest


class Library:
    """The meshes of a catalogue and of props, each loaded once; memory bounded by least-recently-used eviction.

    Normalised meshes and rest poses are kept on disk under cache_dir by content, so a second run or another worker
    reads them back. Safe for several processes on one cache_dir (files appear whole or not).
    """

    def __init__(self, catalog: Catalog, backdrops: Backdrops, *, cache_dir: Path, memory_mb: int = 1024) -> None: ...

    def product(self, sku: str, *, wear: float = 0.0) -> Mesh:
        """The SKU's normalised mesh; wear > 0 gives one with worn textures and a key of its own."""

    def prop(self, shape: Shape, texture: Texture, *, wear: float = 0.0) -> Mesh:
        """The mesh of a prop, its texture drawn or read from the backdrops."""

    def rest(self, sku: str) -> Rest:
        """Convex hull and stable poses of the SKU's mesh."""
