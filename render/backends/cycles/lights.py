"""Conversion of a scene's lights to Blender: an HDRI all around and area lights of a given radiance."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from render.backends.cycles.camera import blender_matrix
from render.backends.cycles.start import WORLD_SAMPLING_SIZE
from render.scene import AreaLight, Environment

# Blender's area lights shine along -Z, a scene's along +Z: half a turn about X, which keeps width along X.
LIGHT_FROM_BLENDER = np.diag([1.0, -1.0, -1.0, 1.0])
# A one-sided light of area A and constant radiance L emits the power L * A * pi, the quantity that Blender expects.
WATTS_PER_RADIANCE = math.pi


def make_world(bpy: Any, name: str) -> Any:
    """Create a world lit by an image that is rotated about Z and multiplied by a factor; set_environment sets both."""
    world = bpy.data.worlds.new(name)
    world.use_nodes = True
    nodes, links = world.node_tree.nodes, world.node_tree.links
    nodes.clear()
    kinds = {
        "direction": "ShaderNodeTexCoord",
        "turn": "ShaderNodeMapping",
        "hdri": "ShaderNodeTexEnvironment",
        "factor": "ShaderNodeVectorMath",
        "light": "ShaderNodeBackground",
        "output": "ShaderNodeOutputWorld",
    }
    for node_name, kind in kinds.items():
        nodes.new(kind).name = node_name
    nodes["factor"].operation = "MULTIPLY"
    nodes["turn"].vector_type = "POINT"
    links.new(nodes["direction"].outputs["Generated"], nodes["turn"].inputs["Vector"])
    links.new(nodes["turn"].outputs["Vector"], nodes["hdri"].inputs["Vector"])
    links.new(nodes["hdri"].outputs["Color"], nodes["factor"].inputs[0])
    links.new(nodes["factor"].outputs[0], nodes["light"].inputs["Color"])
    links.new(nodes["light"].outputs["Background"], nodes["output"].inputs["Surface"])
    world.cycles.sampling_method = "MANUAL"
    world.cycles.sample_map_resolution = WORLD_SAMPLING_SIZE
    return world


def hdri_image(bpy: Any, name: str, hdri: NDArray[np.float32]) -> Any:
    """Create a float image in Blender from an HDRI (H, W, 3), linear."""
    height, width = hdri.shape[:2]
    image = bpy.data.images.new(name, width, height, alpha=False, float_buffer=True)
    image.colorspace_settings.name = "Non-Color"  # linear as it is
    pixels = np.ones((height, width, 4), np.float32)
    pixels[..., :3] = hdri[::-1]
    image.pixels.foreach_set(pixels.ravel())
    return image


def set_environment(world: Any, image: Any, environment: Environment) -> None:
    """Light the world with an HDRI, rotated and scaled."""
    nodes = world.node_tree.nodes
    nodes["hdri"].image = image
    # The HDRI is sampled in direction Rz(-rotation) @ d for a world direction d.
    nodes["turn"].inputs["Rotation"].default_value = (0.0, 0.0, -environment.rotation)
    nodes["factor"].inputs[1].default_value = [environment.strength * tint for tint in environment.tint]


def add_area_light(bpy: Any, stage: Any, light: AreaLight) -> None:
    """Add a one-sided rectangle of the given radiance, invisible to the camera, to a collection."""
    lamp = bpy.data.lights.new("area", "AREA")
    lamp.shape, lamp.size, lamp.size_y = "RECTANGLE", light.width, light.height
    strongest = max(light.radiance)
    lamp.energy = strongest * light.width * light.height * WATTS_PER_RADIANCE
    if strongest > 0:
        lamp.color = [channel / strongest for channel in light.radiance]
    item = bpy.data.objects.new("area", lamp)
    item.visible_camera = False
    item.matrix_world = blender_matrix(light.world_from_light @ LIGHT_FROM_BLENDER)
    stage.objects.link(item)
