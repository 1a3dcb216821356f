#version 330 core
in vec2 texture_uv;
uniform sampler2D base_texture;
uniform float cutoff;

void main() {
    if (cutoff >= 0.0 && texture(base_texture, texture_uv).a < cutoff) discard;
}
