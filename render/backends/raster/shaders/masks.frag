#version 330 core
// Per pixel: the visible share of each light's disc and of the sky (ambient occlusion). Each pixel takes few samples, which
// vary over a 4 x 4 pattern; smooth.frag averages the pattern out.
// Fernando, "Percentage-closer soft shadows", 2005; Jimenez et al., "Practical realtime strategies for accurate
// indirect occlusion", 2016.
const float PI = 3.14159265;
const int SEARCH_TAPS = 4;
const int SHADOW_TAPS = 4;
const int SLICES = 2;
const int STEPS = 4;

uniform sampler2DMS normals;
uniform sampler2DMS places;
uniform sampler2DArray shadows;

uniform vec4 lens;  // fx, fy, cx, cy
uniform mat4 world_from_camera;
uniform int light_count;
uniform mat4 light_from_world[MAX_LIGHTS];
uniform vec4 light_lens[MAX_LIGHTS];  // uv per metre (distant) or per tangent (near), near plane, far plane, 1 = near light
uniform vec2 light_size[MAX_LIGHTS];  // tangent of the angular radius (distant) or radius in metres (near); reach in metres
uniform float normal_bias;
uniform float depth_bias;
uniform float occlusion_radius;
uniform float ground_occlusion;
uniform int ground_count;
uniform float contact_height;  // metres above the ground at which a wall gets most of the ground's light
uniform float contact_least;   // share of that light that it gets at its foot
uniform float ground_height[MAX_GROUNDS];
uniform float ground_weight[MAX_LIGHTS];  // share of the ground's light that comes from each light; 0 for near lights

layout(location = 0) out vec4 out_first;
layout(location = 1) out vec4 out_second;
layout(location = 2) out vec4 out_third;

vec3 camera_point(vec2 pixel, float depth) {
    return vec3((pixel - lens.zw) / lens.xy, 1.0) * depth;
}

float map_depth(int light, vec2 uv) {
    float stored = texture(shadows, vec3(uv, float(light))).r;
    // Empty texels and points outside the map are unshadowed.
    if (stored >= 1.0 || any(greaterThan(abs(uv - 0.5), vec2(0.5)))) return 1e9;
    float n = light_lens[light].y, f = light_lens[light].z;
    return light_lens[light].w > 0.5 ? n * f / (f - stored * (f - n)) : n + stored * (f - n);
}

// Depth of the surface's own plane as seen from the light, `shift` metres beside the point, so that it does not shadow itself.
float plane_depth(bool near, vec3 p, vec3 n, vec2 shift) {
    float facing = min(n.z, -0.15);
    if (!near) return p.z - dot(n.xy, shift) / facing;
    vec2 ray = (p.xy + shift) / p.z;
    return dot(vec3(n.xy, facing), p) / min(dot(n.xy, ray) + facing, -0.05);
}

float light_seen(int light, vec3 world_point, vec3 world_normal, float turn, float jitter) {
    mat4 view = light_from_world[light];
    vec3 n = mat3(view) * world_normal;
    vec3 p = (view * vec4(world_point + world_normal * normal_bias, 1.0)).xyz;
    vec4 map = light_lens[light];
    bool near = map.w > 0.5;
    // The whole light lies below the surface's horizon (a rectangle extends further than the disc of the same area).
    float size = light_size[light].x;
    bool below = near ? dot(n, p) > 3.0 * size : n.z > size * inversesqrt(1.0 + size * size);
    float uv_scale = near ? map.x / p.z : map.x;
    bool outside = any(greaterThan(abs(p.xy * uv_scale), vec2(0.5)));

    float reach = light_size[light].y;
    float search = near ? light_size[light].x * reach / p.z : light_size[light].x * reach;
    float blockers = 0.0, blocker_depth = 0.0;
    // The loop counts, here and below, are unknown to the compiler: software runs every branch, but leaves a loop early.
    int searches = below || outside ? 0 : SEARCH_TAPS;
    for (int k = 0; k < searches; ++k) {
        float angle = turn + float(k) * 2.39996;
        // Denser towards the middle: evenly spread taps all missed narrow blockers nearby, and light leaked in.
        float out_to = (float(k) + jitter) / float(SEARCH_TAPS);
        vec2 shift = search * out_to * sqrt(out_to) * vec2(cos(angle), sin(angle));
        float z = map_depth(light, 0.5 + (p.xy + shift) * uv_scale);
        if (z < plane_depth(near, p, n, shift) - depth_bias) {
            blockers += 1.0;
            blocker_depth += z;
        }
    }
    int taps = blockers == 0.0 ? 0 : SHADOW_TAPS;
    float gap = max(p.z - blocker_depth / max(blockers, 1.0), 0.0);
    float spread = near ? light_size[light].x * gap / max(p.z - gap, 0.05) : light_size[light].x * gap;
    spread = clamp(spread, normal_bias, search);
    float open = 0.0;
    for (int k = 0; k < taps; ++k) {
        float angle = turn + 1.3 + float(k) * 2.39996;
        vec2 shift = spread * sqrt((float(k) + jitter) / float(SHADOW_TAPS)) * vec2(cos(angle), sin(angle));
        float z = map_depth(light, 0.5 + (p.xy + shift) * uv_scale);
        open += z < plane_depth(near, p, n, shift) - depth_bias ? 0.0 : 1.0;
    }
    return below ? 0.0 : taps == 0 ? 1.0 : open / float(SHADOW_TAPS);
}

// Height of the highest slab under a point; far below everything if there is none.
float ground_under(vec3 p) {
    float level = -1e9;
    for (int k = 0; k < ground_count; ++k) {
        if (ground_height[k] <= p.z + 0.002) level = max(level, ground_height[k]);
    }
    return level;
}

// Contact shadow: share of the ground's light that reaches a wall at this height above it. The wall hides half of the sky from
// the ground at its foot, and less further out, where the light of the wall's higher parts comes from.
float ground_open(vec3 p) {
    float level = ground_under(p);
    if (level < -1e8) return 1.0;
    float out_to = max(p.z - level, 0.0) / contact_height;
    return mix(contact_least, 1.0, out_to * inversesqrt(1.0 + out_to * out_to));
}

// Sunlit share of the part of the ground that reflects light onto this point.
float ground_lit(vec3 p, vec3 n, float jitter) {
    float level = ground_under(p);
    if (level < -1e8) return 1.0;
    float height = max(p.z - level, 0.0) + 0.01;
    vec3 base = vec3(p.xy + n.xy * (height * (0.3 + 1.7 * jitter)), level);
    float lit = 1.0;
    for (int light = 0; light < light_count; ++light) {
        if (ground_weight[light] <= 0.0) continue;
        vec3 q = (light_from_world[light] * vec4(base, 1.0)).xyz;
        if (map_depth(light, 0.5 + q.xy * light_lens[light].x) < q.z - 0.003) lit -= ground_weight[light];
    }
    return max(lit, 0.0);
}

bool on_ground(vec3 p) {
    float z = dot(vec3(world_from_camera[0][2], world_from_camera[1][2], world_from_camera[2][2]), p) + world_from_camera[3][2];
    bool found = false;
    for (int k = 0; k < ground_count; ++k) found = found || abs(z - ground_height[k]) < 0.004;
    return found;
}

float horizon(vec2 pixel, vec2 direction, float pixels, float jitter, vec3 p, vec3 view, float low) {
    float highest = low;
    for (int k = 0; k < STEPS; ++k) {
        float s = (float(k) + jitter) / float(STEPS);
        vec2 at = floor(pixel + direction * (s * s * pixels + 1.3)) + 0.5;
        if (any(lessThan(at, vec2(0.0))) || any(greaterThanEqual(at, vec2(textureSize(places))))) break;
        vec2 place = texelFetch(places, ivec2(at), 0).xy;
        if (place.x < 0.5) continue;
        vec3 there = camera_point(at, place.y);
        vec3 delta = there - p;
        float far = length(delta);
        float weight = clamp(3.0 - 3.0 * far / occlusion_radius, 0.0, 1.0);
        if (on_ground(there)) weight *= ground_occlusion;
        highest = max(highest, mix(low, dot(delta, view) / max(far, 1e-6), weight));
    }
    return highest;
}

float sky_seen(vec2 pixel, vec3 p, vec3 n, float turn, float jitter) {
    vec3 view = -normalize(p);
    float pixels = min(occlusion_radius * lens.x / p.z, 160.0);
    float seen = 0.0;
    for (int slice = 0; slice < SLICES; ++slice) {
        float angle = PI * (float(slice) + turn) / float(SLICES);
        vec3 along = vec3(cos(angle), sin(angle), 0.0);
        vec3 across = along - dot(along, view) * view;
        vec3 axis = normalize(cross(across, view));
        vec3 flat_normal = n - axis * dot(n, axis);
        float size = max(length(flat_normal), 1e-4);
        float tilt = sign(dot(across, flat_normal)) * acos(clamp(dot(flat_normal, view) / size, 0.0, 1.0));
        float ahead = horizon(pixel, along.xy, pixels, jitter, p, view, cos(tilt + PI / 2.0));
        float behind = horizon(pixel, -along.xy, pixels, jitter, p, view, cos(tilt - PI / 2.0));
        float h0 = -acos(clamp(behind, -1.0, 1.0)), h1 = acos(clamp(ahead, -1.0, 1.0));
        float arc = 2.0 * cos(tilt) + 2.0 * (h0 + h1) * sin(tilt) - cos(2.0 * h0 - tilt) - cos(2.0 * h1 - tilt);
        seen += size * arc / 4.0;
    }
    return clamp(seen / float(SLICES), 0.0, 1.0);
}

void main() {
    ivec2 at = ivec2(gl_FragCoord.xy);
    vec2 place = texelFetch(places, at, 0).xy;
    out_first = vec4(1.0);
    out_second = vec4(1.0);
    out_third = vec4(1.0);
    // Each of the sixteen pixels of the pattern has its own rotation and radius.
    int column = at.x & 3, row = at.y & 3;
    float turn = float(((column ^ row) & 3) * 4 + row) / 16.0;
    float jitter = (float((column * 4 + (row ^ (column >> 1)) * 7) & 15) + 0.5) / 16.0;
    vec3 n = texelFetch(normals, at, 0).xyz;
    vec3 p = camera_point(gl_FragCoord.xy, place.y);
    vec3 world_point = (world_from_camera * vec4(p, 1.0)).xyz;
    float seen[12];
    for (int k = 0; k < 12; ++k) seen[k] = 1.0;
    int lights = place.x < 0.5 ? 0 : light_count;
    for (int light = 0; light < lights; ++light) {
        seen[light] = light_seen(light, world_point, n, 2.0 * PI * turn, jitter);
    }
    if (place.x < 0.5) return;
    seen[9] = n.z < 0.8 ? ground_open(world_point) : 1.0;
    seen[10] = n.z < 0.8 ? ground_lit(world_point, n, jitter) : 1.0;
    seen[11] = sky_seen(gl_FragCoord.xy, p, transpose(mat3(world_from_camera)) * n, turn, jitter);
    out_first = vec4(seen[0], seen[1], seen[2], seen[3]);
    out_second = vec4(seen[4], seen[5], seen[6], seen[7]);
    out_third = vec4(seen[8], seen[9], seen[10], seen[11]);
}
