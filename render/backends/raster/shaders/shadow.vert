#version 330 core
layout(location = 0) in vec3 position;
layout(location = 2) in vec2 uv;
uniform mat4 clip_from_object;
out vec2 texture_uv;

void main() {
    gl_Position = clip_from_object * vec4(position, 1.0);
    texture_uv = vec2(uv.x, 1.0 - uv.y);
}
