#version 330 core
// A transparent surface over what lies behind it: its own light is added to the image times what it lets through, which the
// blending of the second output does. Nothing is refracted.
centroid in vec3 world_normal;
centroid in vec2 texture_uv;
centroid in vec4 vertex_color;
centroid in float camera_depth;

uniform sampler2DMS places;
uniform sampler2D base_texture;
uniform vec4 base_color;
uniform float roughness;
uniform float cutoff;
uniform float transmission;
uniform int pane;

layout(location = 0, index = 0) out vec4 out_light;
layout(location = 0, index = 1) out vec4 out_through;

#include "light.glsl"

void main() {
    vec4 color = texture(base_texture, texture_uv) * base_color * vertex_color;
    if (color.a < cutoff) discard;
    ivec2 at = ivec2(gl_FragCoord.xy);
    // The shell of a bottle lies in the shade of what it encloses; a pane hangs free before what is seen through it.
    for (int k = 0; k < 12; ++k) seen[k] = 1.0;
    if (pane == 0 && texelFetch(places, at, 0).x > 0.5) read_masks(at);
    vec3 whole;
    vec3 n = gl_FrontFacing ? world_normal : -world_normal;
    vec3 light = shade(vec4(color.rgb * (1.0 - transmission), 0.0), vec4(n, roughness), camera_depth, whole);
    vec3 through = (1.0 - whole) * transmission * color.rgb;
    float share = dot(through, vec3(1.0 / 3.0));
    out_light = vec4(light, 1.0 - share);
    out_through = vec4(through, share);
}
