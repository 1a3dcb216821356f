#version 330 core
// Lights the surfaces that surface.frag stored. Each pixel is shaded once per placement among its samples, so silhouettes are
// smooth while other pixels are shaded only once.

uniform sampler2DMS colors;
uniform sampler2DMS normals;
uniform sampler2DMS places;

layout(location = 0) out vec4 out_light;

#include "light.glsl"

// Masks belong to each pixel's first sample; a placement that is visible in another sample only uses a neighbour's.
ivec2 mask_of(ivec2 at, float instance) {
    ivec2 last = textureSize(first, 0) - 1;
    for (int k = 0; k < 5; ++k) {
        ivec2 step = k == 0 ? ivec2(0) : (k < 3 ? ivec2(2 * k - 3, 0) : ivec2(0, 2 * k - 7));
        ivec2 there = clamp(at + step, ivec2(0), last);
        if (texelFetch(places, there, 0).x == instance) return there;
    }
    return at;
}

void main() {
    ivec2 at = ivec2(gl_FragCoord.xy);
    vec2 place[SAMPLES];
    for (int k = 0; k < SAMPLES; ++k) place[k] = texelFetch(places, at, k).xy;
    // Samples that are the first of their placement, one bit each.
    int fresh = 0;
    for (int k = 0; k < SAMPLES; ++k) {
        bool seen_before = place[k].x < 0.5;
        for (int j = 0; j < k; ++j) seen_before = seen_before || place[j].x == place[k].x;
        fresh |= seen_before ? 0 : 1 << k;
    }
    vec4 light = vec4(0.0);
    // The loop's length is unknown to the compiler: unrolled, a software renderer would shade every pixel SAMPLES times.
    for (int left = fresh; left != 0; left &= left - 1) {
        int k = (left & 1) != 0 ? 0 : (left & 2) != 0 ? 1 : (left & 4) != 0 ? 2 : 3;
        float instance = texelFetch(places, at, k).x;
        vec4 color = vec4(0.0), normal = vec4(0.0);
        float depth = 0.0, count = 0.0;
        for (int j = 0; j < SAMPLES; ++j) {
            float mine = place[j].x == instance ? 1.0 : 0.0;
            color += mine * texelFetch(colors, at, j);
            normal += mine * texelFetch(normals, at, j);
            depth += mine * place[j].y;
            count += mine;
        }
        normal.w /= count;
        read_masks(mask_of(at, instance));
        vec3 whole;
        vec3 shaded = shade(color / count, normal, depth / count, whole);
        light += vec4(shaded, 1.0) * (count / float(SAMPLES));
    }
    out_light = light;
}
