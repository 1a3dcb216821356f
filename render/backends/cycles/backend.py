"""Cycles renderer.

Meshes, textures, materials and HDRIs stay in Blender between scenes; objects, camera and lights are created anew for
each, so that no scene affects the next.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from cachetools import LRUCache
from numpy.typing import NDArray

from assets.files.scratch import scratch_folder
from assets.library import Library
from render.backends.cycles.camera import blender_matrix, set_camera
from render.backends.cycles.edges import smooth_silhouettes
from render.backends.cycles.lights import add_area_light, hdri_image, make_world, set_environment
from render.backends.cycles.look import set_finish
from render.backends.cycles.meshes import ResidentMeshes
from render.backends.cycles.start import (
    configure,
    configure_ids,
    device_name,
    guide_denoiser,
    read_exr,
    silence,
    start_blender,
)
from render.backends.protocol import RenderSettings
from render.scene import SceneSpec, mesh_of

# A scan with its texture of 1024 x 1024 takes about 5 MB, so a hundred products fit.
MESH_BYTES = 512 * 2**20
MAX_HDRIS = 8
# From this many samples on, coverage is smooth without correction.
SMOOTH_SAMPLES = 64


class CyclesBackend:
    """A Blender scene with the data that stays loaded for it; close() removes all of it."""

    def __init__(self, library: Library, settings: RenderSettings) -> None:
        self._bpy = start_blender()
        self._library, self._settings = library, settings
        data = self._bpy.data
        self._stage = data.collections.new("synth")
        self._camera = data.objects.new("camera", data.cameras.new("camera"))
        self._world = make_world(self._bpy, "synth")
        self._scene = self._make_scene("synth")
        configure(self._bpy, self._scene, settings)
        self._scene.world = self._world
        self._ids: Any = None
        self._meshes = ResidentMeshes(self._bpy, limit=MESH_BYTES)
        self._hdris: LRUCache[str, Any] = LRUCache(MAX_HDRIS)
        self._folder = scratch_folder("cycles")

    @property
    def device(self) -> str:
        """Processor or graphics card that Cycles computes on."""
        return device_name(self._bpy, self._scene.cycles.device)

    def render(self, scene: SceneSpec) -> NDArray[np.float32]:
        """Render by path tracing: (H, W, 4) float32, linear RGB premultiplied by coverage alpha."""
        with self.staged(scene) as blender_scene:
            image = self._render_image(blender_scene)[: scene.camera.height, : scene.camera.width]
        if self._settings.samples < SMOOTH_SAMPLES:
            smooth_silhouettes(image, scene, self._library)
        # The denoiser leaves about 1e-5 of light in empty pixels.
        image[image[..., 3] == 0] = 0
        return image

    @contextmanager
    def staged(self, scene: SceneSpec) -> Iterator[Any]:
        """Yield a Blender scene with everything of `scene`, ready for bpy.ops.render.render; emptied afterwards."""
        set_environment(self._world, self._hdri(scene.environment.hdri), scene.environment)
        self._scene.cycles.seed = _seed(scene)
        guide_denoiser(self._scene.cycles, self._settings, glass=_has_glass(scene, self._library))
        with self._placed(scene):
            for light in scene.lights:
                add_area_light(self._bpy, self._stage, light)
            set_camera(self._scene, self._camera, scene.camera)
            yield self._scene

    def trace_ids(self, scene: SceneSpec) -> NDArray[np.int32]:
        """Render Cycles' object index pass with one path through each pixel's centre, (H, W) int32."""
        if self._ids is None:
            self._ids = self._make_scene("synth ids")
            configure_ids(self._bpy, self._ids, self._settings)
        with self._placed(scene):
            set_camera(self._ids, self._camera, scene.camera)
            image = self._render_image(self._ids)[: scene.camera.height, : scene.camera.width]
        return np.rint(image[..., 0]).astype(np.int32)

    def close(self) -> None:
        """Remove everything of this backend from Blender."""
        data = self._bpy.data
        self._meshes.clear()
        scenes = [scene for scene in (self._scene, self._ids) if scene is not None]
        data.batch_remove([*self._hdris.values(), self._stage, self._camera, self._camera.data, self._world, *scenes])
        self._hdris.clear()
        self._folder.cleanup()

    def _make_scene(self, name: str) -> Any:
        scene = self._bpy.data.scenes.new(name)
        scene.collection.children.link(self._stage)
        scene.collection.objects.link(self._camera)
        scene.camera = self._camera
        return scene

    @contextmanager
    def _placed(self, scene: SceneSpec) -> Iterator[None]:
        """Put the placements on the stage, and clear the stage afterwards."""
        try:
            for index, placement in enumerate(scene.placements, start=1):
                mesh = self._meshes.take(mesh_of(self._library, placement))
                item = self._bpy.data.objects.new("placement", mesh)
                item.matrix_world = blender_matrix(placement.world_from_object)
                item.pass_index = index
                set_finish(item, placement.finish)
                self._stage.objects.link(item)
            yield
        finally:
            items = list(self._stage.objects)
            lamps = [item.data for item in items if item.type == "LIGHT"]
            self._bpy.data.batch_remove([*items, *lamps])
            self._meshes.trim()

    def _render_image(self, blender_scene: Any) -> NDArray[np.float32]:
        # Without a window, Blender returns a render only as a file; uncompressed, that costs 0.02 s.
        path = Path(self._folder.name) / "image.exr"
        blender_scene.render.filepath = str(path)
        with silence():
            self._bpy.ops.render.render(write_still=True, scene=blender_scene.name)
        image = read_exr(self._bpy, path)
        path.unlink()  # so that a killed worker process leaves only an empty folder behind
        return image

    def _hdri(self, key: str) -> Any:
        if key not in self._hdris:
            if len(self._hdris) == MAX_HDRIS:
                self._bpy.data.images.remove(self._hdris.popitem()[1])
            self._hdris[key] = hdri_image(self._bpy, "hdri", self._library.backdrops.hdri(key))
        return self._hdris[key]


def _has_glass(scene: SceneSpec, library: Library) -> bool:
    meshes = (mesh_of(library, placement) for placement in scene.placements)
    return any(part.material.transmission for mesh in meshes for part in mesh.parts)


def _seed(scene: SceneSpec) -> int:
    """Return Cycles' seed for a scene: the same on every machine, different for each image of a run."""
    digest = hashlib.blake2b(f"{scene.seed} {scene.index} {scene.view}".encode(), digest_size=4).digest()
    return int.from_bytes(digest, "big") & 0x7FFFFFFF
