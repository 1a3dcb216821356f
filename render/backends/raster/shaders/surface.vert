#version 330 core
// Camera axes as in OpenCV; row 0 of the framebuffer is the top row of the image, so nothing is flipped later.
layout(location = 0) in vec3 position;
layout(location = 1) in vec3 normal;
layout(location = 2) in vec2 uv;
layout(location = 3) in vec4 color;

uniform mat4 clip_from_object;
uniform mat4 camera_from_object;
uniform mat3 world_from_object;

// Centroid interpolation: values at pixel centres outside the triangle drew dark seams along outlines.
centroid out vec3 world_normal;
centroid out vec2 texture_uv;
centroid out vec4 vertex_color;
centroid out float camera_depth;

vec3 linear_from_srgb(vec3 c) {
    return mix(c / 12.92, pow((c + 0.055) / 1.055, vec3(2.4)), step(vec3(0.04045), c));
}

void main() {
    gl_Position = clip_from_object * vec4(position, 1.0);
    camera_depth = (camera_from_object * vec4(position, 1.0)).z;
    world_normal = world_from_object * normal;
    // Textures are uploaded with their first row at v = 0; in a mesh v = 0 is their last row.
    texture_uv = vec2(uv.x, 1.0 - uv.y);
    vertex_color = vec4(linear_from_srgb(color.rgb), color.a);
}
