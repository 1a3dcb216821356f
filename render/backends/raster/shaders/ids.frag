#version 330 core
// Id pass: which placement covers the pixel's centre. Holes follow from the sharpest mip level, as with traced rays.
centroid in vec3 world_normal;
centroid in vec2 texture_uv;
centroid in vec4 vertex_color;
centroid in float camera_depth;

uniform sampler2D base_texture;
uniform vec4 base_color;
uniform float cutoff;
uniform int instance;

layout(location = 0) out int out_id;

void main() {
    if (cutoff >= 0.0 && textureLod(base_texture, texture_uv, 0.0).a * base_color.a * vertex_color.a < cutoff) discard;
    out_id = instance;
}
