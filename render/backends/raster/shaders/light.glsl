// Light on a surface, shared by shade.frag and glass.frag.
// Karis, "Real shading in Unreal Engine 4", 2013; Lagarde and de Rousiers, "Moving Frostbite to PBR", 2014.
const float PI = 3.14159265;

uniform sampler2D first;
uniform sampler2D second;
uniform sampler2D third;
uniform sampler2D reflections;

uniform vec4 lens;
uniform mat4 world_from_camera;
uniform mat3 hdri_from_world;
uniform vec3 environment_gain;
uniform vec3 harmonics[9];  // of the environment without its suns, gain included; order of sh_basis in environment.py
uniform vec3 ground;        // radiance of the ground without sunlight
uniform vec3 ground_sunlit; // and its radiance from sunlight alone
uniform float ground_share; // 1: a table or floor hides the lower half of the environment
uniform float last_level;
uniform float rest_weight;  // luminance of the environment without suns, the weight of the rest in reflections
uniform int sun_count;
uniform vec3 sun_direction[MAX_LIGHTS];
uniform vec3 sun_irradiance[MAX_LIGHTS];
uniform vec2 sun_radius[MAX_LIGHTS];  // sine of the angular radius, 1 - its cosine
uniform int area_count;
uniform mat4 world_from_area[MAX_AREAS];
uniform vec4 area_light[MAX_AREAS];   // radiance, mask slot (-1: unshadowed)
uniform vec2 area_size[MAX_AREAS];    // half width, half height

// Masks of the current pixel: lights by slot, then light and sunlight on the nearby ground, then ambient occlusion.
float seen[12];

struct Surface {
    vec3 color;
    vec3 f0;
    vec3 point;
    vec3 n;
    vec3 view;
    float roughness;
    float facing;
    vec3 whole;  // share of light that the glossy layer reflects, over all directions
};

vec3 diffuse_light(vec3 world_n) {
    vec3 n = hdri_from_world * world_n;
    vec3 light = harmonics[0] * 0.282094792 + harmonics[1] * (0.488602512 * n.y) + harmonics[2] * (0.488602512 * n.z)
        + harmonics[3] * (0.488602512 * n.x) + harmonics[4] * (1.092548431 * n.x * n.y)
        + harmonics[5] * (1.092548431 * n.y * n.z) + harmonics[6] * (0.315391565 * (3.0 * n.z * n.z - 1.0))
        + harmonics[7] * (1.092548431 * n.x * n.z) + harmonics[8] * (0.546274215 * (n.x * n.x - n.y * n.y));
    return max(light, vec3(0.0)) + (ground * seen[9] + ground_sunlit * seen[10]) * (0.5 - 0.5 * n.z);
}

// Karis's fit to the split sum of a GGX surface: scale and bias of F0.
vec2 glossy_terms(float roughness, float facing) {
    vec4 r = roughness * vec4(-1.0, -0.0275, -0.572, 0.022) + vec4(1.0, 0.0425, 1.04, -0.04);
    float a = min(r.x * r.x, exp2(-9.28 * facing)) * r.x + r.y;
    return vec2(-1.04, 1.04) * a + r.zw;
}

vec3 reflected_light(vec3 direction, float roughness) {
    vec3 d = hdri_from_world * direction;
    vec2 uv = vec2(0.5 - atan(d.y, d.x) / (2.0 * PI), acos(clamp(d.z, -1.0, 1.0)) / PI);
    vec3 light = textureLod(reflections, uv, roughness * last_level).rgb * environment_gain;
    float below = smoothstep(-0.05 - 0.5 * roughness, 0.05 + 0.5 * roughness, -direction.z) * ground_share;
    return mix(light, ground * seen[9] + ground_sunlit * seen[10], below);
}

float distribution(float roughness, float half_cosine) {
    float a2 = pow(max(roughness, 0.05), 4.0);
    float d = half_cosine * half_cosine * (a2 - 1.0) + 1.0;
    return a2 / (PI * d * d);
}

// The cosine of a distant disc above the horizon of the surface, smooth where the disc sets.
float disc_cosine(float cosine, float sine) {
    if (cosine >= sine) return cosine;
    if (cosine <= -sine) return 0.0;
    return (cosine + sine) * (cosine + sine) / (4.0 * sine);
}


vec3 sun_light(Surface s, out float mirror_seen) {
    vec3 sum = vec3(0.0);
    vec3 mirror = reflect(-s.view, s.n);
    float lobe = s.roughness * s.roughness;
    // Share of the reflection that comes from shadowed suns.
    float weight = rest_weight, open = rest_weight * seen[11];
    for (int k = 0; k < sun_count; ++k) {
        sum += sun_irradiance[k] * (seen[k] * disc_cosine(dot(s.n, sun_direction[k]), sun_radius[k].x));
        float spread = 2.0 * (lobe * lobe + sun_radius[k].y) + 1e-3;
        float w = dot(sun_irradiance[k], vec3(0.2126, 0.7152, 0.0722)) / (PI * spread)
            * exp(-(1.0 - dot(mirror, sun_direction[k])) / spread);
        weight += w;
        open += w * seen[k];
    }
    mirror_seen = open / weight;
    return s.color * sum / PI;
}

// Irradiance of a rectangle (Lambert); its part below the horizon is clipped as for a sphere of the same form factor.
float rectangle_form(mat4 pose, vec2 size, vec3 point, vec3 n) {
    vec3 x = pose[0].xyz * size.x, y = pose[1].xyz * size.y, c = pose[3].xyz - point;
    vec3 corner[4] = vec3[4](normalize(c - x - y), normalize(c + x - y), normalize(c + x + y), normalize(c - x + y));
    vec3 sum = vec3(0.0);
    for (int k = 0; k < 4; ++k) {
        vec3 u = corner[k], v = corner[(k + 1) & 3];
        float cosine = clamp(dot(u, v), -1.0, 1.0);
        float theta = acos(cosine);
        sum += cross(u, v) * (theta < 1e-3 ? 1.0 : theta / sqrt(max(1.0 - cosine * cosine, 1e-12)));
    }
    sum /= 2.0 * PI;
    float form = length(sum);
    if (dot(sum, c) < 0.0) sum = -sum;
    float cosine = dot(sum, n) / max(form, 1e-9);
    return form * disc_cosine(cosine, sqrt(clamp(form, 1e-6, 1.0)));
}

vec3 area_glint(Surface s, int k) {
    mat4 pose = world_from_area[k];
    vec3 mirror = reflect(-s.view, s.n);
    vec3 c = pose[3].xyz - s.point;
    float slope = dot(mirror, pose[2].xyz);
    vec3 hit = slope < -1e-3 ? mirror * (dot(c, pose[2].xyz) / slope) : c;
    vec2 on = clamp(vec2(dot(hit - c, pose[0].xyz), dot(hit - c, pose[1].xyz)), -area_size[k], area_size[k]);
    vec3 to = c + pose[0].xyz * on.x + pose[1].xyz * on.y;
    float far = length(to);
    vec3 l = to / far;
    float cosine = dot(s.n, l), emission = -dot(l, pose[2].xyz);
    if (cosine <= 0.0 || emission <= 0.0) return vec3(0.0);
    vec3 h = normalize(l + s.view);
    float alpha = max(s.roughness * s.roughness, 0.0025);
    // The nearest point stands for the whole rectangle: the lobe grows by the rectangle's size (Karis).
    float wide = clamp(alpha + 0.5 * sqrt(area_size[k].x * area_size[k].y) / far, 0.0, 1.0);
    float solid = 4.0 * area_size[k].x * area_size[k].y * emission / (far * far);
    float d = distribution(s.roughness, clamp(dot(s.n, h), 0.0, 1.0)) * (alpha * alpha) / (wide * wide);
    float g = alpha * 0.5;
    float visible = 0.25 / ((cosine * (1.0 - g) + g) * (s.facing * (1.0 - g) + g));
    vec3 fresnel = s.f0 + (1.0 - s.f0) * pow(1.0 - clamp(dot(l, h), 0.0, 1.0), 5.0);
    // A reflection cannot be brighter than the light itself.
    return area_light[k].rgb * fresnel * min(d * visible * cosine * solid, 1.0);
}

vec3 area_lights(Surface s) {
    vec3 sum = vec3(0.0);
    for (int k = 0; k < area_count; ++k) {
        mat4 pose = world_from_area[k];
        if (dot(s.point - pose[3].xyz, pose[2].xyz) <= 0.0) continue;
        int slot = int(area_light[k].w);
        float open = slot < 0 ? 1.0 : seen[slot];
        vec3 diffuse = s.color * area_light[k].rgb * rectangle_form(pose, area_size[k], s.point, s.n);
        sum += open * (diffuse * (1.0 - s.whole) + area_glint(s, k));
    }
    return sum;
}

// Ambient occlusion with interreflection in concavities (fit for albedo of Jimenez et al. 2016).
vec3 bounced(float open, vec3 albedo) {
    vec3 a = 2.0404 * albedo - 0.3324, b = -4.7951 * albedo + 0.6417, c = 2.7552 * albedo + 0.6903;
    return max(vec3(open), ((open * a + b) * open + c) * open);
}

void read_masks(ivec2 at) {
    vec4 a = texelFetch(first, at, 0), b = texelFetch(second, at, 0), c = texelFetch(third, at, 0);
    for (int k = 0; k < 4; ++k) {
        seen[k] = a[k];
        seen[k + 4] = b[k];
        seen[k + 8] = c[k];
    }
}

// Radiance towards the camera; whole: share of light that the glossy layer reflects.
vec3 shade(vec4 color, vec4 normal, float depth, out vec3 whole) {
    whole = vec3(0.0);
    if (color.a < 0.0) return color.rgb * -color.a;
    Surface s;
    vec3 p = vec3((gl_FragCoord.xy - lens.zw) / lens.xy, 1.0) * depth;
    s.point = (world_from_camera * vec4(p, 1.0)).xyz;
    s.n = normal.xyz / max(length(normal.xyz), 1e-6);
    s.view = -normalize(mat3(world_from_camera) * p);
    s.facing = clamp(abs(dot(s.n, s.view)), 0.02, 1.0);
    s.roughness = clamp(normal.w, 0.02, 1.0);
    s.f0 = mix(vec3(0.04), color.rgb, color.a);
    s.color = color.rgb * (1.0 - color.a);
    vec2 terms = glossy_terms(s.roughness, s.facing);
    s.whole = whole = s.f0 * terms.x + terms.y;

    float sky = seen[11];
    float mirror_seen;
    vec3 diffuse = sun_light(s, mirror_seen) + s.color * bounced(sky, 0.5 * s.color) * diffuse_light(s.n);
    float corner = clamp(pow(s.facing + sky, exp2(-16.0 * s.roughness - 1.0)) - 1.0 + sky, 0.0, 1.0);
    vec3 glossy = reflected_light(reflect(-s.view, s.n), s.roughness) * s.whole * min(corner, mirror_seen);
    return diffuse * (1.0 - s.whole) + glossy + area_lights(s);
}
