"""Transparent surfaces, drawn over the lit image from back to front."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from render.backends.raster.gl import GL, Program, Target, render_faces
from render.backends.raster.meshes import Chunk, GpuMesh
from render.backends.raster.uniforms import project_meshes
from render.geometry import transform
from render.scene import Camera, Placement

# Placement, and the chunks of it that are drawn together, outermost first.
GlassLayer = tuple[int, list[Chunk]]


def glass_layers(camera_poses: list[NDArray[np.float64]], meshes: list[GpuMesh]) -> list[GlassLayer]:
    """Return the transparent chunks from back to front: those of each placement together, then all panes.

    Panes hang before what is seen through them, and a door as wide as a fridge has no depth to sort it by.
    """
    found: list[tuple[bool, float, GlassLayer]] = []
    for index, (pose, mesh) in enumerate(zip(camera_poses, meshes, strict=True)):
        chunks = [chunk for chunk in mesh.chunks if chunk.middle is not None]
        panes = [[chunk] for chunk in chunks if chunk.material.pane]
        for layer in (*panes, [chunk for chunk in chunks if not chunk.material.pane]):
            if layer:
                depth = float(transform(pose, np.array([chunk.middle for chunk in layer]))[:, 2].mean())
                found.append((layer[0].material.pane, -depth, (index, layer)))
    return [layer for *_, layer in sorted(found, key=lambda item: item[:2])]


class GlassPass:
    """Shaders of transparent surfaces, and the multisampled image into which they are drawn."""

    def __init__(self, samples: int, defines: dict[str, int]) -> None:
        self._samples = samples
        self._spread = Program("screen.vert", "spread.frag")
        self._glass = Program("surface.vert", "glass.frag", defines)
        self._resolve = Program("screen.vert", "resolve.frag", defines)
        self._target: Target | None = None

    def render(
        self,
        camera: Camera,
        placements: tuple[Placement, ...],
        meshes: list[GpuMesh],
        targets: dict[str, Target],
        set_light: Callable[[Program], None],
    ) -> None:
        """Draw the transparent surfaces of a scene, if any, over targets["light"], tested against "surface"'s depths.

        set_light: sets the uniforms of light.glsl. A vertex array without attributes is bound.
        """
        poses, _, projection = project_meshes(camera, placements, meshes)
        layers = glass_layers(poses, meshes)
        if not layers:
            return
        self._fill_screen(self._spread, self._image(targets["surface"]), targets["light"], GL.GL_TEXTURE_2D)
        self._glass.use()
        set_light(self._glass)
        self._start_blending()
        bound = GL.glGetIntegerv(GL.GL_VERTEX_ARRAY_BINDING)
        for index, chunks in layers:
            self._glass.set("clip_from_object", projection @ poses[index])
            self._glass.set("camera_from_object", poses[index])
            self._glass.set("world_from_object", placements[index].world_from_object[:3, :3])
            GL.glBindVertexArray(meshes[index].shape.levels[0][0].vertex_array)
            # The far walls of a bottle from the outermost inwards, then its near walls outwards.
            for side, ordered in ((GL.GL_FRONT, chunks), (GL.GL_BACK, chunks[::-1])):
                GL.glCullFace(side)
                for chunk in ordered:
                    self._draw(chunk, placements[index])
        GL.glCullFace(GL.GL_BACK)
        GL.glDisable(GL.GL_BLEND)
        GL.glBlendFunc(GL.GL_ONE, GL.GL_ZERO)  # Mesa refuses two sources with several targets even without blending
        GL.glDepthMask(GL.GL_TRUE)
        GL.glBindVertexArray(bound)
        self._fill_screen(
            self._resolve, targets["light"], self._image(targets["surface"]), GL.GL_TEXTURE_2D_MULTISAMPLE
        )

    def release(self) -> None:
        """Free the image, which belongs to one size of the others."""
        if self._target is not None:
            self._target.delete()
        self._target = None

    def delete(self) -> None:
        self.release()
        for program in (self._spread, self._glass, self._resolve):
            program.delete()

    def _image(self, surface: Target) -> Target:
        if self._target is None:
            size = (surface.width, surface.height)
            self._target = Target(*size, (GL.GL_RGBA16F,), samples=self._samples, depth_of=surface)
        return self._target

    def _fill_screen(self, program: Program, target: Target, source: Target, kind: int) -> None:
        target.bind()
        GL.glDisable(GL.GL_DEPTH_TEST)
        GL.glDisable(GL.GL_CULL_FACE)
        program.use()
        program.bind_texture("image", source.textures[0], kind)
        GL.glDrawArrays(GL.GL_TRIANGLES, 0, 3)

    def _start_blending(self) -> None:
        GL.glEnable(GL.GL_DEPTH_TEST)
        GL.glDepthMask(GL.GL_FALSE)
        GL.glEnable(GL.GL_CULL_FACE)
        GL.glEnable(GL.GL_BLEND)
        # What is there already, times what the surface lets through, plus the surface's own light.
        GL.glBlendFuncSeparate(GL.GL_ONE, GL.GL_SRC1_COLOR, GL.GL_ONE, GL.GL_SRC1_ALPHA)

    def _draw(self, chunk: Chunk, placement: Placement) -> None:
        material, finish = chunk.material, placement.finish
        self._glass.set("base_color", material.base_color * [*finish.tint, 1.0])
        self._glass.set("cutoff", chunk.cutoff)
        self._glass.bind_texture("base_texture", chunk.texture)
        self._glass.set("roughness", float(material.roughness if finish.roughness is None else finish.roughness))
        self._glass.set("transmission", float(material.transmission))
        self._glass.set("pane", int(material.pane))
        render_faces(chunk.start, chunk.stop)
