"""Library of meshes by name: finds, loads, normalises and caches what a scene refers to."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Hashable
from functools import cached_property
from pathlib import Path
from threading import RLock
from typing import TYPE_CHECKING, TypeVar

from cachetools import LRUCache

from assets.backdrops.collection import Backdrops
from assets.catalog.sku_lists import Root, folder_of
from assets.catalog.types import Catalog, Sku
from assets.errors import SynthError
from assets.files.source_pins import SourcePins
from assets.mesh.rest import Rest, rest_from_mesh
from assets.mesh.sources import source_digest
from assets.mesh.store import load_or_make, read_mesh, read_rest, write_mesh, write_rest
from assets.mesh.types import Mesh
from assets.props.look import Fixture, ProductChange, Shape, Texture

if TYPE_CHECKING:
    from assets.mesh.load import LoadedMesh
    from assets.planogram.stocked import StockedPlanogram

# Incremented whenever normalisation, packages or resting poses change; older cache entries are then ignored.
FORMAT = 2
T = TypeVar("T")
# Props are random and hardly ever reused after the views of their scene.
PROP_BYTES = 64 << 20
REST_BYTES = 256 << 20


class Library:
    """Meshes of a catalogue and of props, cached in memory with least-recently-used eviction.

    pins: source digests of the products of a data set, which may not change.
    Normalised meshes and resting poses are cached under cache_dir by content, for later runs and other workers. Safe
    for several threads, and for several processes on one cache_dir (writes are atomic).
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
        self._meshes: _Cache[Mesh] = _Cache(memory_mb << 20, lambda mesh: mesh.nbytes)
        self._props: _Cache[Mesh] = _Cache(PROP_BYTES, lambda mesh: mesh.nbytes)
        self._rests: _Cache[Rest] = _Cache(REST_BYTES, lambda rest: rest.hull_vertices.nbytes + rest.hull_faces.nbytes)

    @cached_property
    def planograms(self) -> tuple[StockedPlanogram, ...]:
        """The planograms of the backdrops with their products of the catalogue. Raises SynthError for unusable ones."""
        from assets.planogram.stocked import stock_planograms

        return stock_planograms([self.backdrops.files[key] for key in self.backdrops.planograms], self.catalog).stocked

    def product(self, sku: str, *, wear: float = 0.0) -> Mesh:
        """Return the SKU's normalised mesh; with wear > 0, one with worn textures and its own key.

        Raises SynthError with the SKU, its row and its file if that is unusable.
        """
        if wear > 0:
            return self._meshes.get_or_make((sku, wear), lambda: _wear_mesh(self.product(sku), wear))
        return self._meshes.get_or_make(sku, lambda: self._load_mesh(self.catalog.find(sku)))

    def prop(self, shape: Shape, texture: Texture, *, wear: float = 0.0) -> Mesh:
        """Return the mesh of a prop with a procedural texture or one of the backdrops."""
        from assets.props.bodies import make_prop
        from assets.props.decoys import make_decoy

        def make() -> Mesh:
            if shape.kind == "pack":
                decoy = make_decoy(shape, texture.seed)
                return _wear_mesh(decoy, wear) if wear > 0 else decoy
            image = self.backdrops.texture_image(texture)
            mesh = make_prop(shape, image, texture.size_m, _digest("prop", repr(shape), repr(texture)))
            return _wear_mesh(mesh, wear) if wear > 0 else mesh

        return self._props.get_or_make((shape, texture, wear), make)

    def fixture(self, fixture: Fixture, *, wear: float = 0.0) -> Mesh:
        """Return the mesh of a fixture. Raises SynthError for an unknown kind, invalid settings and unusable files."""
        from assets.fixtures import build_fixture

        if wear > 0:
            return self._meshes.get_or_make((fixture, wear), lambda: _wear_mesh(self.fixture(fixture), wear))
        return self._meshes.get_or_make(fixture, lambda: build_fixture(fixture, self.backdrops))

    def changed(self, mesh: Mesh, change: ProductChange) -> Mesh:
        """Return a copy of a mesh of this library in another material, dented or with a sticker, with its own key."""
        return self._meshes.get_or_make((mesh.key, change), lambda: _change_mesh(mesh, change))

    def rest(self, sku: str) -> Rest:
        """Return the convex hull and stable poses of the SKU's mesh."""

        def load() -> Rest:
            mesh = self.product(sku)
            path = self._path(_digest("rest 2", mesh.key), ".rest.npz")
            return load_or_make(path, read_rest, lambda: rest_from_mesh(mesh), write_rest)

        return self._rests.get_or_make(sku, load)

    def lighter(self, mesh: Mesh, faces: int) -> Mesh:
        """Simplify a mesh of this library, or a worn copy, to about `faces` faces; see assets/mesh/simplify.py."""
        from assets.mesh.simplify import lighter_mesh

        path = self._path(_digest("lighter 1", mesh.shape_key, str(faces)), ".npz")
        return load_or_make(path, read_mesh, lambda: lighter_mesh(mesh, faces), write_mesh)

    def _load_mesh(self, sku: Sku) -> Mesh:
        try:
            root = self.catalog.root_of(sku.sku)
            if not sku.mesh:
                return self._load_package(sku, root)
            path = self._pin_sources(sku, self._mesh_path(sku))
            return load_or_make(path, read_mesh, lambda: self._load_unchanged(sku, root, path), write_mesh)
        except SynthError as error:
            where = f"SKU {sku.sku!r}, {self.catalog.place_of(sku.sku)}" + (f": {error.where}" if error.where else "")
            raise error.with_where(where) from error

    def _load_package(self, sku: Sku, root: Root) -> Mesh:
        """Build a package; those made from images are cached, see assets/packages/store.py."""
        from assets.packages.build import make_package
        from assets.packages.store import has_images, stored_package

        if not has_images(sku):
            return make_package(sku, root)
        path = self._pin_sources(sku, self._package_path(sku))
        return stored_package(path, lambda: make_package(sku, root))

    def _pin_sources(self, sku: Sku, path: Path) -> Path:
        """Return `path`, which contains the source digest, after checking that the data set uses the same sources."""
        if self._pins is not None:
            self._pins.pin(sku.sku, path.stem)
        return path

    def _load_unchanged(self, sku: Sku, root: Root, path: Path) -> Mesh:
        """Load the product's mesh. Raises SynthError if its files changed while they were read."""
        mesh = self._load_product(sku, root).mesh
        if self._mesh_path(sku) != path:
            raise SynthError(
                "the files of a product changed while they were read",
                code="product-files-changed",
                hint="run the command again",
            )
        return mesh

    def stored_path(self, sku: Sku) -> Path | None:
        """Return the cache path of the product of a row; None for packages without images, which are not cached.

        Raises SynthError if an image cannot be read.
        """
        from assets.packages.store import has_images

        if sku.mesh:
            return self._mesh_path(sku)
        return self._package_path(sku) if has_images(sku) else None

    def _mesh_path(self, sku: Sku) -> Path:
        index = self._cache_dir / "index-2"
        return self._path(source_digest(sku, self.catalog.root_of(sku.sku), version=FORMAT, index_dir=index), ".npz")

    def _package_path(self, sku: Sku) -> Path:
        from assets.packages.build import TEXTURE_PX
        from assets.packages.store import package_digest

        return self._path(package_digest(sku, self.catalog.root_of(sku.sku), TEXTURE_PX), ".pkg")

    def _path(self, digest: str, suffix: str) -> Path:
        return self._cache_dir / digest[:2] / f"{digest}{suffix}"


def check_sources(pins: SourcePins, library: Library) -> None:
    """Raise SynthError if the files of products used by a data set have changed."""

    def digest_of(sku: str) -> str | None:
        path = library.stored_path(library.catalog.find(sku))
        return None if path is None else path.stem

    pins.check(digest_of)


def load_product(sku: Sku, root: Root) -> LoadedMesh:
    """Load a SKU's mesh file, normalised and with notes, without caches. root: the folder or folders of its files.

    Raises SynthError if the file is unusable.
    """
    from assets.mesh.load import load_mesh

    size = (sku.width_m, sku.depth_m, sku.height_m)
    path = root / sku.mesh
    return load_mesh(path, units=sku.units, up=sku.up, front=sku.front, size=size, root=folder_of(root, path))


def _digest(*texts: str) -> str:
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()


def _wear_mesh(mesh: Mesh, wear: float) -> Mesh:
    from assets.props.wear import worn_mesh

    return worn_mesh(mesh, wear)


def _change_mesh(mesh: Mesh, change: ProductChange) -> Mesh:
    from assets.props.dents import dented_mesh
    from assets.props.materials import with_material
    from assets.props.stickers import stickered_mesh

    mesh = with_material(mesh, change.material)
    mesh = dented_mesh(mesh, change.dents) if change.dents > 0 else mesh
    return mesh if change.sticker is None else stickered_mesh(mesh, change.sticker)


class _Cache(LRUCache[Hashable, T]):
    """Least-recently-used cache of up to max_bytes, but at least one value; one thread at a time makes a value."""

    def __init__(self, max_bytes: int, size_of: Callable[[T], int]) -> None:
        max_bytes = max(1, max_bytes)
        super().__init__(max_bytes, lambda value: min(size_of(value), max_bytes))
        self._lock = RLock()  # reentrant: a worn mesh is made from the plain one, which is also cached here

    def get_or_make(self, key: Hashable, make: Callable[[], T]) -> T:
        with self._lock:
            if key not in self:
                self[key] = make()
            return self[key]
