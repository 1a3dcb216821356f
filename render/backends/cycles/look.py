"""Conversion of materials to Blender: one per part of a mesh, shared by all its placements.

What differs between placements (tint, roughness) is stored on the object, so materials are never rebuilt.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from assets.mesh.types import Material, Mesh
from render.scene import Finish

# Prefixed names, because Cycles returns black for an attribute that is named just "color".
COLOR_LAYER, UV_LAYER = "synth_color", "synth_uv"
# Custom properties of an object that hold its finish; Cycles passes them to the material as attributes.
TINT, ROUGHNESS, OWN_ROUGHNESS = "synth_tint", "synth_roughness", "synth_own_roughness"
# The index of refraction of ink, paper, plastic and varnish is close to 1.5.
IOR = 1.5


def set_finish(item: Any, finish: Finish) -> None:
    """Store a placement's finish on its object."""
    item[TINT] = list(finish.tint)
    item[ROUGHNESS] = 0.0 if finish.roughness is None else float(finish.roughness)
    item[OWN_ROUGHNESS] = 1.0 if finish.roughness is None else 0.0


def texture_image(bpy: Any, name: str, texture: NDArray[np.uint8]) -> Any:
    """Create an image in Blender from a texture (H, W, 4) uint8, sRGB + alpha."""
    height, width = texture.shape[:2]
    image = bpy.data.images.new(name, width, height, alpha=True)
    image.alpha_mode = "CHANNEL_PACKED"  # keeps the colour where alpha is 0, which a solid surface ignores
    image.pixels.foreach_set((texture[::-1].astype(np.float32) / 255.0).ravel())
    return image


def make_material(bpy: Any, name: str, mesh: Mesh, look: Material, image: Any) -> Any:
    """Create the material of one part: texture * base colour * vertex colours * tint on a dielectric or a metal."""
    material = bpy.data.materials.new(name)
    material.use_nodes = True
    tree = material.node_tree
    tree.nodes.clear()
    surface = tree.nodes.new("ShaderNodeBsdfPrincipled")
    surface.inputs["IOR"].default_value = IOR
    surface.inputs["Metallic"].default_value = look.metallic
    texel = _texel(tree, image) if image is not None and mesh.uv is not None else None
    paint = _vertex_colors(tree) if mesh.colors is not None else None
    tree.links.new(_base_color(tree, look, texel, paint), surface.inputs["Base Color"])
    tree.links.new(_roughness(tree, look.roughness), surface.inputs["Roughness"])
    shader = surface.outputs["BSDF"]
    if look.alpha_cutoff is not None:
        shader = _cut_out(tree, look, texel, paint, shader)
    output = tree.nodes.new("ShaderNodeOutputMaterial")
    tree.links.new(shader, output.inputs["Surface"])
    return material


def _texel(tree: Any, image: Any) -> Any:
    uv, texel = tree.nodes.new("ShaderNodeUVMap"), tree.nodes.new("ShaderNodeTexImage")
    uv.uv_map = UV_LAYER
    texel.image, texel.interpolation, texel.extension = image, "Linear", "REPEAT"
    tree.links.new(uv.outputs["UV"], texel.inputs["Vector"])
    return texel


def _vertex_colors(tree: Any) -> Any:
    paint = tree.nodes.new("ShaderNodeVertexColor")
    paint.layer_name = COLOR_LAYER
    return paint


def _object_attribute(tree: Any, name: str) -> Any:
    attribute = tree.nodes.new("ShaderNodeAttribute")
    attribute.attribute_type, attribute.attribute_name = "OBJECT", name
    return attribute


def _base_color(tree: Any, look: Material, texel: Any, paint: Any) -> Any:
    """Return the socket of the product of all colour factors."""
    color = _object_attribute(tree, TINT).outputs["Vector"]
    fixed = tree.nodes.new("ShaderNodeCombineXYZ")
    for socket, value in zip(fixed.inputs, look.base_color[:3], strict=True):
        socket.default_value = value
    factors = [fixed.outputs["Vector"], *(node.outputs["Color"] for node in (texel, paint) if node is not None)]
    for factor in factors:
        product = tree.nodes.new("ShaderNodeVectorMath")
        product.operation = "MULTIPLY"
        tree.links.new(color, product.inputs[0])
        tree.links.new(factor, product.inputs[1])
        color = product.outputs["Vector"]
    return color


def _roughness(tree: Any, roughness: float) -> Any:
    """Return the socket of own * material's roughness + the finish's roughness (0 if it has none)."""
    own = _object_attribute(tree, OWN_ROUGHNESS).outputs["Fac"]
    finish = _object_attribute(tree, ROUGHNESS).outputs["Fac"]
    blend = tree.nodes.new("ShaderNodeMath")
    blend.operation = "MULTIPLY_ADD"
    blend.inputs[1].default_value = roughness
    tree.links.new(own, blend.inputs[0])
    tree.links.new(finish, blend.inputs[2])
    return blend.outputs[0]


def _cut_out(tree: Any, look: Material, texel: Any, paint: Any, shader: Any) -> Any:
    """Make the surface transparent where alpha is below the cut-off, the same rule by which labels are traced."""
    alpha = tree.nodes.new("ShaderNodeValue")
    alpha.outputs[0].default_value = look.base_color[3]
    opacity = alpha.outputs[0]
    for node in (texel, paint):
        if node is not None:
            product = _math_node(tree, "MULTIPLY", opacity)
            tree.links.new(node.outputs["Alpha"], product.inputs[1])
            opacity = product.outputs[0]
    hole = _math_node(tree, "LESS_THAN", opacity)
    hole.inputs[1].default_value = look.alpha_cutoff
    mix, nothing = tree.nodes.new("ShaderNodeMixShader"), tree.nodes.new("ShaderNodeBsdfTransparent")
    tree.links.new(hole.outputs[0], mix.inputs[0])
    tree.links.new(shader, mix.inputs[1])
    tree.links.new(nothing.outputs["BSDF"], mix.inputs[2])
    return mix.outputs["Shader"]


def _math_node(tree: Any, operation: str, value: Any) -> Any:
    node = tree.nodes.new("ShaderNodeMath")
    node.operation = operation
    tree.links.new(value, node.inputs[0])
    return node
