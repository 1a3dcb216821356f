#version 330 core
// Averages the 4-pixel pattern of the masks along one axis, over pixels of the same surface only.
uniform sampler2DMS places;
uniform sampler2D first;
uniform sampler2D second;
uniform sampler2D third;
uniform ivec2 axis;

layout(location = 0) out vec4 out_first;
layout(location = 1) out vec4 out_second;
layout(location = 2) out vec4 out_third;

void main() {
    ivec2 at = ivec2(gl_FragCoord.xy);
    vec2 place = texelFetch(places, at, 0).xy;
    ivec2 last = textureSize(first, 0) - 1;
    vec4 sum_first = vec4(0.0), sum_second = vec4(0.0), sum_third = vec4(0.0);
    float total = 0.0;
    for (int k = -2; k < 2; ++k) {
        ivec2 there = clamp(at + axis * k, ivec2(0), last);
        vec2 other = texelFetch(places, there, 0).xy;
        // Binary weights: any others would leave the pattern visible on slanted surfaces.
        float weight = other.x == place.x && abs(other.y - place.y) < 0.03 * place.y ? 1.0 : 0.0;
        sum_first += weight * texelFetch(first, there, 0);
        sum_second += weight * texelFetch(second, there, 0);
        sum_third += weight * texelFetch(third, there, 0);
        total += weight;
    }
    out_first = sum_first / total;
    out_second = sum_second / total;
    out_third = sum_third / total;
}
