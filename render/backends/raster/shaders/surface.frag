#version 330 core
// The visible surface before lighting: colour, normal, roughness, metalness, id and depth.
centroid in vec3 world_normal;
centroid in vec2 texture_uv;
centroid in vec4 vertex_color;
centroid in float camera_depth;

uniform sampler2D base_texture;
uniform vec4 base_color;
uniform float roughness;
uniform float metallic;
uniform float emission;
uniform float cutoff;
uniform float instance;

layout(location = 0) out vec4 out_color;
layout(location = 1) out vec4 out_normal;
layout(location = 2) out vec2 out_place;

void main() {
    vec4 color = texture(base_texture, texture_uv) * base_color * vertex_color;
    if (color.a < cutoff) discard;
    // Opposite normals of the corners can cancel out; such a point is dark instead of NaN.
    vec3 n = world_normal / max(length(world_normal), 1e-6);
    // Lamps have their radiance, below zero, in place of metalness.
    out_color = vec4(min(color.rgb, vec3(1.0)), emission > 0.0 ? -emission : metallic);
    out_normal = vec4(gl_FrontFacing ? n : -n, roughness);
    out_place = vec2(instance, camera_depth);
}
