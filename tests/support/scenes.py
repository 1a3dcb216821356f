"""Analytic meshes and a library of them, for scenes whose labels one can work out on paper."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import trimesh
from numpy.typing import NDArray

from assets.catalog.types import Sku
from assets.fixtures import build_fixture
from assets.mesh.rest import Rest, rest_from_mesh
from assets.mesh.types import Material, Mesh, MeshPart
from assets.props.look import Fixture, ProductChange, Shape, Texture
from render.geometry import look_at
from render.recipes import load_recipe, recipe_from_yaml
from render.sample import sample_scene
from render.scene import Camera, Environment, Placement, SceneSpec


def mesh_from(shape: trimesh.Trimesh, key: str, material: Material | None = None, **arrays: Any) -> Mesh:
    """A Mesh of a trimesh, one part, white unless a material is given."""
    material = material or Material(np.ones(4))
    parts = (MeshPart(0, len(shape.faces), material),)
    return Mesh(key, shape.vertices, shape.faces, shape.vertex_normals, parts, **arrays)


def cube(side: float = 1.0, key: str = "cube") -> Mesh:
    """An axis-parallel cube standing on z = 0."""
    box = trimesh.creation.box((side, side, side))
    box.apply_translation([0, 0, side / 2])
    return mesh_from(box, key)


def can(radius: float, height: float, key: str = "can") -> Mesh:
    """A can of 20 sides standing on z = 0."""
    shape = trimesh.creation.cylinder(radius, height, sections=20)
    shape.apply_translation([0, 0, height / 2])
    return mesh_from(shape, key)


def sphere(radius: float = 1.0, key: str = "sphere", subdivisions: int = 4) -> Mesh:
    """A sphere about the origin (not standing: for cameras inside it)."""
    return mesh_from(trimesh.creation.icosphere(subdivisions=subdivisions, radius=radius), key)


def quad(width: float, depth: float, key: str = "quad", material: Material | None = None) -> Mesh:
    """A rectangle in z = 0 facing +Z, with texture coordinates 0..1."""
    corners = np.array([[-1, -1, 0], [1, -1, 0], [1, 1, 0], [-1, 1, 0]]) * [width / 2, depth / 2, 1]
    flat = trimesh.Trimesh(corners, [[0, 1, 2], [0, 2, 3]], process=False)
    return mesh_from(flat, key, material, uv=np.array([[0, 0], [1, 0], [1, 1], [0, 1]]))


class StubLibrary:
    """What scenes need of a Library, over meshes made in the test; props are grey cubes of their shape's size."""

    def __init__(self, meshes: Mapping[str, Mesh], hdris: Mapping[str, np.ndarray] | None = None) -> None:
        self._meshes = dict(meshes)
        self._rests: dict[str, Rest] = {}
        self._fixtures: dict[Fixture, Mesh] = {}
        self.catalog = SimpleNamespace(keys=tuple(sorted(meshes)), hash="stub")
        self.catalog.find = lambda key: Sku(key, key, mesh=f"{key}.obj")
        self.planograms: tuple = ()
        lights = dict(hdris or {"grey": np.ones((8, 16, 3), np.float32)})
        self.backdrops = SimpleNamespace(
            hdris=tuple(sorted(lights)),
            photos=(),
            surfaces=(),
            hdri=lights.__getitem__,
            texture_image=lambda texture, size=64: np.full((size, size, 3), 128, np.uint8),
        )

    def product(self, sku: str, *, wear: float = 0.0) -> Mesh:
        return self._meshes[sku]

    def prop(self, shape: Shape, texture: Texture, *, wear: float = 0.0) -> Mesh:
        key = f"{shape}"
        if key not in self._meshes:
            box = trimesh.creation.box((shape.width, shape.depth, shape.height))
            box.apply_translation([0, 0, shape.height / 2 * (-1 if shape.kind == "slab" else 1)])
            self._meshes[key] = mesh_from(box, key)
        return self._meshes[key]

    def fixture(self, fixture: Fixture, *, wear: float = 0.0) -> Mesh:
        if fixture not in self._fixtures:
            self._fixtures[fixture] = build_fixture(fixture, self.backdrops)  # type: ignore[arg-type]
        return self._fixtures[fixture]

    def changed(self, mesh: Mesh, change: ProductChange) -> Mesh:
        return mesh

    def rest(self, sku: str) -> Rest:
        if sku not in self._rests:
            self._rests[sku] = rest_from_mesh(self._meshes[sku])
        return self._rests[sku]


THREE_PRODUCTS = StubLibrary({"box": cube(0.12, "box"), "can": can(0.03, 0.11, "can"), "tube": can(0.02, 0.2, "tube")})


def draw(recipe: str, index: int, *, seed: int = 0, view: int = 0, width: int = 160, height: int = 120) -> SceneSpec:
    """A scene of the three products. recipe: a name, the path of a file, or the text of one."""
    settings = recipe_from_yaml(recipe, where="test") if ":" in recipe else load_recipe(recipe)
    return sample_scene(THREE_PRODUCTS, settings, seed=seed, index=index, view=view, width=width, height=height)


def pose_at(x: float = 0.0, y: float = 0.0, z: float = 0.0) -> np.ndarray:
    """world_from_object of something upright at a point."""
    pose = np.eye(4)
    pose[:3, 3] = [x, y, z]
    return pose


def camera_at(
    eye: tuple[float, float, float],
    target: tuple[float, float, float] = (0, 0, 0),
    *,
    width: int = 64,
    height: int = 48,
    focal: float = 64.0,
    offset: tuple[float, float] = (0, 0),
) -> Camera:
    """A camera with its principal point `offset` pixels off the middle."""
    K = np.array([[focal, 0, width / 2 + offset[0]], [0, focal, height / 2 + offset[1]], [0, 0, 1]])
    return Camera(width, height, K, look_at(np.array(eye, float), np.array(target, float)))


def scene_of(camera: Camera, *placements: Placement, **fields: Any) -> SceneSpec:
    """A scene with nothing random about it."""
    known = {"recipe": "test", "seed": 0, "index": 0, "view": 0, "lights": (), "environment": Environment("grey")}
    return SceneSpec(camera=camera, placements=placements, **{**known, **fields})


def product(key: str, pose: np.ndarray | None = None) -> Placement:
    """A product at a pose, the origin if none is given."""
    return Placement("product", key, np.eye(4) if pose is None else pose)


def rle_of_mask(mask: NDArray[np.bool_]) -> dict[str, Any]:
    """COCO's compressed run lengths of an (H, W) mask, as {"size": [H, W], "counts": text}."""
    from pycocotools import mask as codec

    encoded = codec.encode(np.asfortranarray(mask, dtype=np.uint8))
    return {"size": [int(side) for side in encoded["size"]], "counts": encoded["counts"].decode("ascii")}


def mask_of_rle(rle: dict[str, Any]) -> NDArray[np.bool_]:
    """The (H, W) bool mask that `rle_of_mask` encoded."""
    from pycocotools import mask as codec

    return codec.decode(rle).astype(bool)


def sign_files(folder: Path) -> None:
    """Makes all digests of a data set's folder fit its files, as somebody would who changed it and hides that."""
    for file in sorted(folder.glob("labels/*.json")):
        with suppress(ValueError, KeyError, TypeError, OSError, StopIteration):
            labels = json.loads(file.read_bytes())
            for name in labels["sha256"]:
                labels["sha256"][name] = _sha256(next(folder.glob(f"{name}/{file.stem}.*")))
            file.write_text(json.dumps(labels, separators=(",", ":")))
    files = (file for file in folder.rglob("*") if file.is_file() and file.name not in (".lock", "checksums.sha256"))
    lines = [f"{_sha256(file)}  {file.relative_to(folder).as_posix()}" for file in files]
    text = "".join(f"{line}\n" for line in sorted(lines, key=lambda line: line[66:].encode()))
    (folder / "checksums.sha256").write_text(text)


def _sha256(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()
