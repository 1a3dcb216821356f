"""Render passes of the raster backend: surfaces, shadow maps, masks, lighting.

Deferred shading: visible surfaces are first drawn with a cheap shader (a scan has more triangles than pixels in the
image), then lit once per pixel.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from cachetools import LRUCache
from numpy.typing import NDArray

from render.backends.protocol import RenderSettings
from render.backends.raster.environment import EnvironmentLight, fit_environment
from render.backends.raster.gl import GL, Context, Program, Target, render_faces, upload_levels
from render.backends.raster.glass import GlassPass
from render.backends.raster.lights import (
    MAX_AREAS,
    MAX_GROUNDS,
    MAX_LIGHTS,
    MAX_SUNS,
    LightRig,
    rig_lights,
)
from render.backends.raster.meshes import GpuMesh, MeshStore
from render.backends.raster.scene import caster_ball, ground_of, shadow_casters
from render.backends.raster.uniforms import project_meshes, set_camera, set_rig
from render.scene import Camera, Placement, SceneSpec, mesh_of

if TYPE_CHECKING:
    from assets.library import Library

# Texels along a shadow map, which covers everything on the ground: 2 mm each on a typical table. Compared with path
# tracing, 1024 are no better (error 4.15, else 4.16 of 255) and made a frame a third slower in software.
SHADOW_MAP = 512
# Square pixels: four samples miss a hole this small, so culling the back faces behind it is invisible.
SEEN_HOLE = 0.1
# Squared diagonals: about three texels of a shadow map.
SHADOWED_HOLE = 3e-5
# Metres. Closer to the camera a mesh may be cut open by the near plane and show its inside.
NEAREST_CULLED = 0.01
# Metres: more than the distance of shadow shells from the full mesh (0.3 mm on the scans), so that surfaces do not
# shadow themselves.
DEPTH_BIAS = 0.0008
# Metres; occluders within two thirds of it count fully. With less, tall objects did not darken the table at their feet.
OCCLUSION_RADIUS = 0.35
# Weight of the table as an occluder of what stands on it, whose light from the table is already included except in
# crevices. Of 0, 0.3, 0.5, 0.8 and 1 the first two came closest to path tracing.
GROUND_OCCLUSION = 0.3
# Contact shadows: at its foot an object gets this share of the ground's light, most of it from this height on, metres.
# Of 0.08 and 0.15 m the latter came closer to path tracing (benchmarks/contact_shadows.py).
CONTACT_MIN, CONTACT_HEIGHT = 0.5, 0.15
# Weight of each neighbour in a pixel; with the pixel's own box this is a filter of 0.38 px standard deviation. Of 0,
# 0.03 and 0.07 it came closest to images rendered at three times the size and downscaled; 0.07 lost a tenth of the
# print's detail.
SOFTNESS = 0.03
# Transparent surfaces that let more through cast no shadow, as if they let all light through.
SHADOWLESS = 0.5
MEMORY_LIMIT = 768 << 20
KEPT_ENVIRONMENTS = 16


# What is in the shadow maps: the views of the lights, and the pose and mesh of each caster.
ShadowContent = tuple[tuple[bytes, ...], tuple[tuple[bytes, GpuMesh], ...]]


class RasterBackend:
    """Renderer with one GL context; meshes, textures and environments stay on the GPU between scenes."""

    def __init__(self, library: Library, settings: RenderSettings, context: Context) -> None:
        self._library = library
        self._context = context
        self._samples = 4 if settings.samples >= 4 else 1
        self._scale = max(int(np.sqrt(settings.samples / 4)), 1)
        self._store = MeshStore(library, MEMORY_LIMIT, software=context.is_software())
        self._programs = _compile(self._samples)
        self._glass = GlassPass(self._samples, _defines(self._samples))
        self._shadow_maps = Target(SHADOW_MAP, SHADOW_MAP, (GL.GL_DEPTH_COMPONENT32F,), layers=MAX_LIGHTS)
        self._shadowed: ShadowContent | None = None
        self._targets: dict[str, Target] = {}
        self._size = (0, 0)
        self._environments: LRUCache[str, tuple[EnvironmentLight, int]] = LRUCache(KEPT_ENVIRONMENTS)
        self._empty = int(GL.glGenVertexArrays(1))
        GL.glVertexAttrib4f(3, 1.0, 1.0, 1.0, 1.0)  # the colour of meshes without vertex colours

    @property
    def device(self) -> str:
        """Name of the renderer as reported by the driver."""
        self._context.make_current()
        return self._context.name()

    def render(self, scene: SceneSpec) -> NDArray[np.float32]:
        """Render without background and sensor: (H, W, 4) float32, linear RGB premultiplied by coverage alpha."""
        self._context.make_current()
        camera = _enlarged(scene.camera, self._scale)
        self._resize(camera.width, camera.height)
        meshes = self._fetch(scene.placements)
        environment, reflections = self._environment(scene.environment.hdri)
        rig = rig_lights(scene, environment, caster_ball(scene.placements, meshes), ground_of(scene.placements, meshes))
        self._render_surfaces(camera, scene.placements, meshes)
        self._render_shadows(rig, scene.placements, meshes)
        self._render_masks(camera, rig)
        self._smooth_masks()
        self._shade(camera, rig, reflections)
        self._glass.render(
            camera,
            scene.placements,
            meshes,
            self._targets,
            lambda program: self._set_light(program, camera, rig, reflections),
        )
        image = self._targets["light"].read()
        GL.glUseProgram(0)
        if self._scale > 1:
            rows, columns = scene.camera.height, scene.camera.width
            image = image.reshape(rows, self._scale, columns, self._scale, 4).mean(axis=(1, 3), dtype=np.float32)
        return image if self._samples == 1 else _soften(image)

    def trace_ids(self, scene: SceneSpec) -> NDArray[np.int32]:
        """Render instance ids (H, W) int32 at pixel centres, without antialiasing, to prove this backend's framing."""
        self._context.make_current()
        camera = scene.camera
        meshes = self._fetch(scene.placements)
        target = Target(camera.width, camera.height, (GL.GL_R32I,), depth=True)
        target.bind()
        self._clear_depth()
        GL.glClearBufferiv(GL.GL_COLOR, 0, np.zeros(4, np.int32))
        program = self._programs["ids"]
        program.use()
        self._render_placements(program, camera, scene.placements, meshes)
        ids = target.read()
        target.delete()
        return ids

    def close(self) -> None:
        """Free everything on the GPU; the backend cannot be used afterwards."""
        self._context.make_current()
        self._store.close()
        for target in [self._shadow_maps, *self._targets.values()]:
            target.delete()
        for program in self._programs.values():
            program.delete()
        self._glass.delete()
        for _, texture in self._environments.values():
            GL.glDeleteTextures([texture])
        GL.glDeleteVertexArrays(1, [self._empty])
        self._context.delete_context()

    def _fetch(self, placements: tuple[Placement, ...]) -> list[GpuMesh]:
        return self._store.fetch([mesh_of(self._library, placement) for placement in placements])

    def _resize(self, width: int, height: int) -> None:
        if self._size == (width, height):
            return
        for target in self._targets.values():
            target.delete()
        self._glass.release()
        surface = (GL.GL_RGBA16F, GL.GL_RGBA16F, GL.GL_RG32F)
        self._targets = {
            "surface": Target(width, height, surface, samples=self._samples, depth=True),
            "masks": Target(width, height, (GL.GL_RGBA8,) * 3),
            "masks2": Target(width, height, (GL.GL_RGBA8,) * 3),
            "light": Target(width, height, (GL.GL_RGBA32F,)),
        }
        self._size = (width, height)

    def _environment(self, key: str) -> tuple[EnvironmentLight, int]:
        if key not in self._environments:
            if len(self._environments) == KEPT_ENVIRONMENTS:
                _, (_, texture) = self._environments.popitem()
                GL.glDeleteTextures([texture])
            light = fit_environment(self._library.backdrops.hdri(key), suns=MAX_SUNS)
            self._environments[key] = (light, upload_levels(light.levels))
        return self._environments[key]

    def _clear_depth(self) -> None:
        GL.glEnable(GL.GL_DEPTH_TEST)
        GL.glDepthMask(GL.GL_TRUE)
        GL.glDepthFunc(GL.GL_LESS)
        GL.glDisable(GL.GL_BLEND)
        # Rows run downwards here, so faces that are counter-clockwise in the mesh are clockwise in GL.
        GL.glFrontFace(GL.GL_CW)
        GL.glClearBufferfv(GL.GL_DEPTH, 0, np.ones(1, np.float32))

    def _render_surfaces(self, camera: Camera, placements: tuple[Placement, ...], meshes: list[GpuMesh]) -> None:
        target = self._targets["surface"]
        target.bind()
        GL.glEnable(GL.GL_MULTISAMPLE)
        self._clear_depth()
        for slot in range(3):
            GL.glClearBufferfv(GL.GL_COLOR, slot, np.zeros(4, np.float32))
        program = self._programs["surface"]
        program.use()
        self._render_placements(program, camera, placements, meshes)

    def _render_placements(
        self, program: Program, camera: Camera, placements: tuple[Placement, ...], meshes: list[GpuMesh]
    ) -> None:
        """Draw every placement, nearest first so that hidden ones cost little; ids count the placements."""
        poses, depths, projection = project_meshes(camera, placements, meshes)
        flat = program is self._programs["ids"]
        for index in sorted(range(len(placements)), key=lambda k: float(depths[k].max())):
            mesh, finish = meshes[index], placements[index].finish
            program.set("clip_from_object", projection @ poses[index])
            if flat:
                program.set("instance", index + 1)
            else:
                program.set("instance", float(index + 1))
                program.set("camera_from_object", poses[index])
                program.set("world_from_object", placements[index].world_from_object[:3, :3])
            diagonal = _diagonal_px(camera, mesh, depths[index])
            arrays, faces = mesh.shape.level(diagonal)
            _cull_backs(arrays.holes * diagonal**2 < SEEN_HOLE)
            GL.glBindVertexArray(arrays.vertex_array)
            for chunk in mesh.chunks_of(arrays, faces):
                material = chunk.material
                if material.pane if flat else material.transmission:
                    continue
                program.set("base_color", material.base_color * [*finish.tint, 1.0])
                program.set("cutoff", chunk.cutoff)
                program.bind_texture("base_texture", chunk.texture)
                if not flat:
                    program.set(
                        "roughness", float(material.roughness if finish.roughness is None else finish.roughness)
                    )
                    program.set("metallic", float(material.metallic))
                    program.set("emission", float(material.emission))
                render_faces(chunk.start, chunk.stop)
        GL.glBindVertexArray(0)

    def _render_shadows(self, rig: LightRig, placements: tuple[Placement, ...], meshes: list[GpuMesh]) -> None:
        """Draw the shadow maps, unless they are there from another view of the scene."""
        casters = shadow_casters(placements, meshes)
        content = (
            tuple(view.clip_from_world.tobytes() for view in rig.shadows),
            tuple((placement.world_from_object.tobytes(), mesh) for placement, mesh in casters),
        )
        if content == self._shadowed:
            return
        self._shadowed = None  # until all of them are drawn
        program = self._programs["shadow"]
        program.use()
        # Objects between the light and its near plane must cast shadows, too.
        GL.glEnable(GL.GL_DEPTH_CLAMP)
        for layer, view in enumerate(rig.shadows):
            self._shadow_maps.bind(layer)
            self._clear_depth()
            for placement, mesh in casters:
                program.set("clip_from_object", view.clip_from_world @ placement.world_from_object)
                shell, _ = mesh.shape.shell
                _cull_backs(shell.holes < SHADOWED_HOLE)
                GL.glBindVertexArray(shell.vertex_array)
                for chunk in mesh.shell_chunks:
                    if chunk.material.transmission > SHADOWLESS:
                        continue
                    program.set("cutoff", chunk.cutoff)
                    if chunk.cutoff >= 0:
                        program.bind_texture("base_texture", chunk.texture)
                    render_faces(chunk.start, chunk.stop)
        GL.glDisable(GL.GL_DEPTH_CLAMP)
        GL.glBindVertexArray(0)
        self._shadowed = content

    def _start_screen_pass(self, name: str, target: str) -> Program:
        self._targets[target].bind()
        GL.glDisable(GL.GL_DEPTH_TEST)
        _cull_backs(False)
        program = self._programs[name]
        program.use()
        GL.glBindVertexArray(self._empty)
        return program

    def _bind_surface(self, program: Program, *names: str) -> None:
        slots = {"colors": 0, "normals": 1, "places": 2}
        for name in names:
            texture = self._targets["surface"].textures[slots[name]]
            program.bind_texture(name, texture, GL.GL_TEXTURE_2D_MULTISAMPLE)

    def _bind_masks(self, program: Program, target: str) -> None:
        for name, texture in zip(("first", "second", "third"), self._targets[target].textures, strict=True):
            program.bind_texture(name, texture)

    def _render_masks(self, camera: Camera, rig: LightRig) -> None:
        program = self._start_screen_pass("masks", "masks")
        self._bind_surface(program, "normals", "places")
        program.bind_texture("shadows", self._shadow_maps.textures[0], GL.GL_TEXTURE_2D_ARRAY)
        set_camera(program, camera)
        program.set("light_count", len(rig.shadows))
        program.set("ground_count", len(rig.ground_heights))
        if rig.ground_heights:
            program.set("ground_height", rig.ground_heights)
        if rig.shadows:
            program.set("ground_weight", rig.ground_weight)
            program.set("light_from_world", np.array([view.light_from_world for view in rig.shadows]))
            program.set("light_lens", np.array([view.lens for view in rig.shadows]))
            program.set("light_size", np.array([view.size for view in rig.shadows]))
        suns = [view for view in rig.shadows if not view.lens[3]]
        # One and a half texels of the shadow map.
        program.set("normal_bias", 1.5 / (suns[0].lens[0] * SHADOW_MAP) if suns else 0.001)
        program.set("depth_bias", DEPTH_BIAS)
        program.set("occlusion_radius", OCCLUSION_RADIUS)
        program.set("ground_occlusion", GROUND_OCCLUSION)
        program.set("contact_height", CONTACT_HEIGHT)
        program.set("contact_least", CONTACT_MIN)
        GL.glDrawArrays(GL.GL_TRIANGLES, 0, 3)

    def _smooth_masks(self) -> None:
        for source, target, axis in (("masks", "masks2", (1, 0)), ("masks2", "masks", (0, 1))):
            program = self._start_screen_pass("smooth", target)
            self._bind_surface(program, "places")
            self._bind_masks(program, source)
            program.set("axis", axis)
            GL.glDrawArrays(GL.GL_TRIANGLES, 0, 3)

    def _shade(self, camera: Camera, rig: LightRig, reflections: int) -> None:
        program = self._start_screen_pass("shade", "light")
        self._bind_surface(program, "colors", "normals")
        self._set_light(program, camera, rig, reflections)
        GL.glDrawArrays(GL.GL_TRIANGLES, 0, 3)

    def _set_light(self, program: Program, camera: Camera, rig: LightRig, reflections: int) -> None:
        """Set the uniforms of light.glsl and of the masks that it reads."""
        self._bind_surface(program, "places")
        self._bind_masks(program, "masks")
        program.bind_texture("reflections", reflections)
        set_camera(program, camera)
        set_rig(program, rig)


def _diagonal_px(camera: Camera, mesh: GpuMesh, depths: NDArray[np.float64]) -> float:
    """Return the largest possible diagonal of the mesh's box in pixels; inf if the near plane may cut it open."""
    nearest = float(depths.min())
    length = float(np.linalg.norm(np.ptp(mesh.corners, axis=0)))
    return max(camera.K[0, 0], camera.K[1, 1]) * length / nearest if nearest > NEAREST_CULLED else np.inf


def _cull_backs(hidden: bool) -> None:
    """Skip back faces if none is visible: half of all triangles, and in software half of the time."""
    if hidden:
        GL.glEnable(GL.GL_CULL_FACE)
    else:
        GL.glDisable(GL.GL_CULL_FACE)


def _defines(samples: int) -> dict[str, int]:
    return {"MAX_LIGHTS": MAX_LIGHTS, "MAX_AREAS": MAX_AREAS, "MAX_GROUNDS": MAX_GROUNDS, "SAMPLES": samples}


def _compile(samples: int) -> dict[str, Program]:
    defines = _defines(samples)
    return {
        "surface": Program("surface.vert", "surface.frag"),
        "ids": Program("surface.vert", "ids.frag"),
        "shadow": Program("shadow.vert", "shadow.frag"),
        "masks": Program("screen.vert", "masks.frag", defines),
        "smooth": Program("screen.vert", "smooth.frag"),
        "shade": Program("screen.vert", "shade.frag", defines),
    }


def _enlarged(camera: Camera, scale: int) -> Camera:
    if scale == 1:
        return camera
    grown = camera.K * np.array([[scale], [scale], [1.0]])
    return Camera(camera.width * scale, camera.height * scale, grown, camera.world_from_camera)


def _soften(image: NDArray[np.float32]) -> NDArray[np.float32]:
    """Apply a filter slightly wider than the pixel: four samples in a box leave steps in outlines."""
    import cv2

    kernel = np.array([SOFTNESS, 1 - 2 * SOFTNESS, SOFTNESS], np.float32)
    return cv2.sepFilter2D(image, -1, kernel, kernel, borderType=cv2.BORDER_REPLICATE)
