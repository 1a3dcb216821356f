"""Library: from a name to a mesh. What a scene refers to by key is found, loaded, normalised and cached here."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Hashable
from pathlib import Path
from threading import RLock
from typing import TYPE_CHECKING, Generic, TypeVar

from assets.backdrops.collection import Backdrops
from assets.catalog.sku_lists import Root, folder_of
from assets.catalog.types import Catalog, Sku
from assets.errors import SynthError
from assets.files.source_pins import SourcePins
from assets.mesh.rest import Rest, rest_from_mesh
from assets.mesh.sources import source_digest
from assets.mesh.store import load_or_make, read_mesh, read_rest, write_mesh, write_rest
from assets.mesh.types import Mesh
from assets.props.look import Shape, Texture

if TYPE_CHECKING:
    from assets.mesh.load import LoadedMesh

# Raised whenever normalisation, packages or rest poses change: old cache entries are then left alone.
FORMAT = 2
T = TypeVar("T")
# Props are drawn at random and hardly ever come again after the views of their scene.
PROP_BYTES = 64 << 20


class Library:
    """The meshes of a catalogue and of props, each loaded once; memory bounded by least-recently-used eviction.

    pins: what products are made from in a data set, which no other files may take part in.
    Normalised meshes and rest poses are kept on disk under cache_dir by content, so a second run or another worker
    reads them back. Safe for several processes on one cache_dir (files appear whole or not), and for several threads.
    """

    def __init__(
        self,
        catalog: Catalog,
        backdrops: Backdrops,
        *,
        cache_dir: Path,
        memory_mb: int = 1024,
        load: Callable[[Sku, Root], LoadedMesh] | None = None,
        pins: SourcePins | None = None,
    ) -> None:
        self._pins = pins
        self._load_product = load or load_product
        self.catalog = catalog
        self.backdrops = backdrops
        self._cache_dir = cache_dir / f"meshes-{FORMAT}"
        self._meshes: _Recent[Mesh] = _Recent(memory_mb << 20, _bytes_of_mesh)
        self._props: _Recent[Mesh] = _Recent(PROP_BYTES, _bytes_of_mesh)
        self._rests: _Recent[Rest] = _Recent(256 << 20, lambda rest: rest.hull_vertices.nbytes + rest.hull_faces.nbytes)

    def product(self, sku: str, *, wear: float = 0.0) -> Mesh:
        """The SKU's normalised mesh; wear > 0 gives one with worn textures and a key of its own.

        Raises SynthError that names the SKU, its row and its file where that cannot be used.
        """
        if wear > 0:
            return self._meshes.get((sku, wear), lambda: _worn(self.product(sku), wear))
        return self._meshes.get(sku, lambda: self._load(self.catalog.find(sku)))

    def prop(self, shape: Shape, texture: Texture, *, wear: float = 0.0) -> Mesh:
        """The mesh of a prop, its texture drawn or read from the backdrops."""
        from assets.props.bodies import make_prop
        from assets.props.decoys import make_decoy

        def make() -> Mesh:
            if shape.kind == "pack":
                decoy = make_decoy(shape, texture.seed)
                return _worn(decoy, wear) if wear > 0 else decoy
            picture = self.backdrops.texture_image(texture)
            mesh = make_prop(shape, picture, texture.size_m, _digest("prop", repr(shape), repr(texture)))
            return _worn(mesh, wear) if wear > 0 else mesh

        return self._props.get((shape, texture, wear), make)

    def rest(self, sku: str) -> Rest:
        """Convex hull and stable poses of the SKU's mesh."""

        def load() -> Rest:
            mesh = self.product(sku)
            path = self._path(_digest("rest 2", mesh.key), ".rest.npz")
            return load_or_make(path, read_rest, lambda: rest_from_mesh(mesh), write_rest)

        return self._rests.get(sku, load)

    def lighter(self, mesh: Mesh, faces: int) -> Mesh:
        """A mesh of this library, or a worn copy of one, in about `faces` faces; see assets/mesh/lod.py."""
        from assets.mesh.lod import lighter_mesh

        path = self._path(_digest("lighter 1", mesh.shape_key, str(faces)), ".npz")
        return load_or_make(path, read_mesh, lambda: lighter_mesh(mesh, faces), write_mesh)

    def _load(self, sku: Sku) -> Mesh:
        try:
            root = self.catalog.root_of(sku.sku)
            if not sku.mesh:
                return self._package(sku, root)
            path = self._pinned(sku, self._mesh_path(sku))
            return load_or_make(path, read_mesh, lambda: self._unchanged(sku, root, path), write_mesh)
        except SynthError as error:
            where = f"SKU {sku.sku!r}, {self.catalog.place_of(sku.sku)}" + (f": {error.where}" if error.where else "")
            raise error.with_where(where) from error

    def _package(self, sku: Sku, root: Root) -> Mesh:
        """A package; those made from pictures are kept, see assets/packages/store.py."""
        from assets.packages.build import make_package
        from assets.packages.store import has_pictures, stored_package

        if not has_pictures(sku):
            return make_package(sku, root)
        path = self._pinned(sku, self._package_path(sku))
        return stored_package(path, lambda: make_package(sku, root))

    def _pinned(self, sku: Sku, path: Path) -> Path:
        """`path`, which says what the product is made from, once that is what the data set has used so far."""
        if self._pins is not None:
            self._pins.pin(sku.sku, path.stem)
        return path

    def _unchanged(self, sku: Sku, root: Root, path: Path) -> Mesh:
        """The product's mesh. Raises SynthError where its files were changed while they were read."""
        mesh = self._load_product(sku, root).mesh
        if self._mesh_path(sku) != path:
            raise SynthError(
                "the files of a product changed while they were read",
                code="product-files-changed",
                hint="run the command again",
            )
        return mesh

    def stored_path(self, sku: Sku) -> Path | None:
        """Where the product of a row is kept once it is made; None for packages without pictures, which are not.

        Raises SynthError where a picture cannot be read.
        """
        from assets.packages.store import has_pictures

        if sku.mesh:
            return self._mesh_path(sku)
        return self._package_path(sku) if has_pictures(sku) else None

    def _mesh_path(self, sku: Sku) -> Path:
        index = self._cache_dir / "index"
        return self._path(source_digest(sku, self.catalog.root_of(sku.sku), version=FORMAT, index_dir=index), ".npz")

    def _package_path(self, sku: Sku) -> Path:
        from assets.packages.build import TEXTURE_PX
        from assets.packages.store import package_digest

        return self._path(package_digest(sku, self.catalog.root_of(sku.sku), TEXTURE_PX), ".pkg")

    def _path(self, digest: str, suffix: str) -> Path:
        return self._cache_dir / digest[:2] / f"{digest}{suffix}"


def check_sources(pins: SourcePins, library: Library) -> None:
    """Raises SynthError where products that a data set has used are made from other files by now."""

    def digest_of(sku: str) -> str | None:
        path = library.stored_path(library.catalog.find(sku))
        return None if path is None else path.stem

    pins.check(digest_of)


def load_product(sku: Sku, root: Root) -> LoadedMesh:
    """A SKU's mesh file, normalised, with notes, past every cache. root: the folder of the SKU list, or all folders.

    Raises SynthError where the file cannot be used.
    """
    from assets.mesh.load import load_mesh

    size = (sku.width_m, sku.depth_m, sku.height_m)
    path = root / sku.mesh
    return load_mesh(path, units=sku.units, up=sku.up, front=sku.front, size=size, root=folder_of(root, path))


def _digest(*texts: str) -> str:
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()


def _worn(mesh: Mesh, wear: float) -> Mesh:
    from assets.props.wear import worn_mesh

    return worn_mesh(mesh, wear)


def _bytes_of_mesh(mesh: Mesh) -> int:
    arrays = [mesh.vertices, mesh.faces, mesh.normals, mesh.uv, mesh.colors]
    textures = [part.material.texture for part in mesh.parts]
    return sum(array.nbytes for array in (*arrays, *textures) if array is not None)


class _Recent(Generic[T]):
    """The values used last, up to a number of bytes; for several threads, of which one at a time makes a value."""

    def __init__(self, most_bytes: int, size_of: Callable[[T], int]) -> None:
        self._values: OrderedDict[Hashable, T] = OrderedDict()
        self._most, self._size_of, self._bytes = most_bytes, size_of, 0
        self._lock = RLock()  # a worn mesh is made from the plain one, which is asked for here as well

    def get(self, key: Hashable, make: Callable[[], T]) -> T:
        with self._lock:
            if key in self._values:
                self._values.move_to_end(key)
                return self._values[key]
            value = make()
            self._values[key] = value
            self._bytes += self._size_of(value)
            while self._bytes > self._most and len(self._values) > 1:
                _, dropped = self._values.popitem(last=False)
                self._bytes -= self._size_of(dropped)
            return value
