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
# The index of refraction of ink, paper, plastic, varnish and glass is close to 1.5: head on, 0.04 is reflected.
IOR, HEAD_ON = 1.5, 0.04
# Custom property of the view layer of the id pass, where panes do not exist and other transparent surfaces are solid.
IDS = "synth_ids"


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
    """Create the material of one part: texture * base colour * vertex colours * tint on a dielectric or a metal.

    Transparent surfaces are thin: light passes straight through, since caustics of 4 samples would be noise alone.
    """
    material = bpy.data.materials.new(name)
    material.use_nodes = True
    tree = material.node_tree
    tree.nodes.clear()
    surface = tree.nodes.new("ShaderNodeBsdfPrincipled")
    surface.inputs["IOR"].default_value = IOR
    surface.inputs["Metallic"].default_value = look.metallic
    texel = _texel(tree, image) if image is not None and mesh.uv is not None else None
    paint = _vertex_colors(tree) if mesh.colors is not None else None
    color, roughness = _base_color(tree, look, texel, paint), _roughness(tree, look.roughness)
    tree.links.new(color, surface.inputs["Base Color"])
    tree.links.new(roughness, surface.inputs["Roughness"])
    shader = surface.outputs["BSDF"]
    if look.emission:
        material.cycles.emission_sampling = "NONE"
        shader = _shine(tree, look, color)
    if look.transmission:
        shader = _let_through(tree, look, color, roughness, shader)
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
    return _mix(tree, hole.outputs[0], shader, _shader(tree, "ShaderNodeBsdfTransparent"))


def _shine(tree: Any, look: Material, color: Any) -> Any:
    """Return a surface that shines at cameras and in mirrors alone, and is black to all other rays."""
    path, emission = tree.nodes.new("ShaderNodeLightPath"), tree.nodes.new("ShaderNodeEmission")
    tree.links.new(color, emission.inputs["Color"])
    dark = _math_node(tree, "SUBTRACT", path.outputs["Is Diffuse Ray"], slot=1)
    dark.inputs[0].default_value = 1.0
    strength = _math_node(tree, "MULTIPLY", dark.outputs[0])
    strength.inputs[1].default_value = look.emission
    tree.links.new(strength.outputs[0], emission.inputs["Strength"])
    return emission.outputs["Emission"]


def _let_through(tree: Any, look: Material, color: Any, roughness: Any, solid: Any) -> Any:
    """Mix `solid` with a sheet that reflects by Schlick's formula and lets the rest through, times the colour."""
    sheet = _mix(
        tree,
        _reflectance(tree),
        _shader(tree, "ShaderNodeBsdfTransparent", Color=color),
        _shader(tree, "ShaderNodeBsdfGlossy", Roughness=roughness),
    )
    share = tree.nodes.new("ShaderNodeValue")
    share.outputs[0].default_value = look.transmission
    shader = _mix(tree, share.outputs[0], solid, sheet)
    in_ids = tree.nodes.new("ShaderNodeAttribute")
    in_ids.attribute_type, in_ids.attribute_name = "VIEW_LAYER", IDS
    return _mix(tree, in_ids.outputs["Fac"], shader, _shader(tree, "ShaderNodeBsdfTransparent") if look.pane else solid)


def _reflectance(tree: Any) -> Any:
    """Return the socket of Schlick's share of reflected light; Blender's Fresnel node takes back faces for water."""
    geometry, cosine = tree.nodes.new("ShaderNodeNewGeometry"), tree.nodes.new("ShaderNodeVectorMath")
    cosine.operation = "DOT_PRODUCT"
    tree.links.new(geometry.outputs["Normal"], cosine.inputs[0])
    tree.links.new(geometry.outputs["Incoming"], cosine.inputs[1])
    grazing = _math_node(tree, "SUBTRACT", _math_node(tree, "ABSOLUTE", cosine.outputs["Value"]).outputs[0], slot=1)
    grazing.inputs[0].default_value = 1.0
    power = _math_node(tree, "POWER", grazing.outputs[0])
    power.inputs[1].default_value = 5.0
    share = _math_node(tree, "MULTIPLY_ADD", power.outputs[0])
    share.inputs[1].default_value, share.inputs[2].default_value = 1 - HEAD_ON, HEAD_ON
    return share.outputs[0]


def _shader(tree: Any, kind: str, **inputs: Any) -> Any:
    node = tree.nodes.new(kind)
    for name, socket in inputs.items():
        tree.links.new(socket, node.inputs[name])
    return node.outputs["BSDF"]


def _mix(tree: Any, share: Any, first: Any, second: Any) -> Any:
    mix = tree.nodes.new("ShaderNodeMixShader")
    for socket, end in zip((share, first, second), mix.inputs, strict=True):
        tree.links.new(socket, end)
    return mix.outputs["Shader"]


def _math_node(tree: Any, operation: str, value: Any, *, slot: int = 0) -> Any:
    node = tree.nodes.new("ShaderNodeMath")
    node.operation = operation
    tree.links.new(value, node.inputs[slot])
    return node
