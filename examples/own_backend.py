"""A backend of one file: flat colours lit from the camera, by the rays that labels are traced with. Needs no OpenGL."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from assets.color import linear_from_srgb
from assets.library import Library
from assets.mesh.types import Material, Mesh
from render.backends.protocol import BackendInfo, Device, Preset, Probe, RenderSettings
from render.frame import Geometry
from render.geometry import invert_pose, transform, unproject
from render.labels import trace_geometry, trace_normals
from render.scene import Placement, SceneSpec, mesh_of

# One ray a pixel is all it has: every preset is the same.
INFO = BackendInfo("Flat colours, traced by Embree", {"draft": Preset(1), "good": Preset(1), "best": Preset(1)})
# Share of the light that comes from everywhere; the rest falls from the camera.
AMBIENT = 0.5


def probe(device: Device) -> Probe:
    """Embree is a dependency of synth: there is nothing that could be missing."""
    return Probe("Embree on the CPU")


def open_backend(library: Library, settings: RenderSettings) -> FlatBackend:
    """A backend over a library."""
    return FlatBackend(library)


class FlatBackend:
    """Surface colours times a light at the camera; there are no shadows and no reflections."""

    device = "Embree on the CPU"

    def __init__(self, library: Library) -> None:
        self._library = library

    def render(self, scene: SceneSpec) -> NDArray[np.float32]:
        """The scene: (H, W, 4) float32, linear RGB premultiplied by coverage alpha."""
        geometry = trace_geometry(scene, self._library)
        normals = trace_normals(scene, self._library, geometry)
        light = AMBIENT + (1 - AMBIENT) * np.abs(normals[..., 2:])
        light = light * (scene.environment.strength * np.asarray(scene.environment.tint))
        image = np.zeros((*geometry.ids.shape, 4), np.float32)
        image[..., :3] = self._albedo(scene, geometry) * light
        image[..., 3] = geometry.ids > 0
        image[geometry.ids == 0] = 0
        return image

    def trace_ids(self, scene: SceneSpec) -> NDArray[np.int32]:
        """(H, W) int32 instance ids."""
        return trace_geometry(scene, self._library).ids

    def close(self) -> None:
        """There is nothing to free."""

    def _albedo(self, scene: SceneSpec, geometry: Geometry) -> NDArray[np.float64]:
        """(H, W, 3) linear colours of what each pixel sees."""
        albedo = np.zeros((*geometry.ids.shape, 3))
        for instance, placement in enumerate(scene.placements, start=1):
            rows, columns = np.nonzero(geometry.ids == instance)
            if len(rows):
                pixels = np.column_stack([columns, rows]) + 0.5
                points = unproject(scene.camera, pixels, geometry.depth[rows, columns])
                albedo[rows, columns] = _colors(
                    mesh_of(self._library, placement), placement, points, geometry.faces[rows, columns]
                )
        return albedo


def _colors(mesh: Mesh, placement: Placement, points: NDArray, faces: NDArray) -> NDArray[np.float64]:
    """(N, 3) linear colours of a mesh at world points (N, 3) on its faces (N,)."""
    weights = _barycentric(
        mesh.vertices[mesh.faces[faces]], transform(invert_pose(placement.world_from_object), points)
    )
    colors = np.empty((len(faces), 3))
    for part in mesh.parts:
        mine = (faces >= part.face_start) & (faces < part.face_stop)
        colors[mine] = part.material.base_color[:3]
        if part.material.texture is not None and mesh.uv is not None:
            uv = (mesh.uv[mesh.faces[faces[mine]]] * weights[mine, :, None]).sum(axis=1)
            colors[mine] *= _texels(part.material, uv)
    return colors * np.asarray(placement.finish.tint)


def _barycentric(corners: NDArray, points: NDArray) -> NDArray[np.float64]:
    """(N, 3) weights of the corners (N, 3, 3) of triangles at points (N, 3) on them."""
    a, b, c = corners.astype(np.float64).transpose(1, 0, 2)
    normals = np.cross(b - a, c - a)
    areas = [np.cross(q - p, points - p) for p, q in ((b, c), (c, a), (a, b))]
    weights = np.stack([np.einsum("ij,ij->i", area, normals) for area in areas], axis=1)
    return weights / np.maximum(np.einsum("ij,ij->i", normals, normals), 1e-30)[:, None]


def _texels(material: Material, uv: NDArray) -> NDArray[np.float64]:
    """(N, 3) linear colours of the texture at uv (N, 2), v = 0 at its bottom, repeating beyond 0..1."""
    assert material.texture is not None
    height, width = material.texture.shape[:2]
    columns = np.floor(uv[:, 0] * width).astype(int) % width
    rows = np.floor((1 - uv[:, 1]) * height).astype(int) % height
    return linear_from_srgb(material.texture[rows, columns, :3] / 255.0)
