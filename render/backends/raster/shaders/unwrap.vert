#version 330 core
// The mesh laid out flat over its texture.
layout(location = 2) in vec2 uv;

void main() {
    gl_Position = vec4(uv.x * 2.0 - 1.0, 1.0 - uv.y * 2.0, 0.0, 1.0);
}
