#version 330 core
in vec2 texture_uv;
uniform sampler2D picture;
uniform float cutoff;

void main() {
    if (cutoff >= 0.0 && texture(picture, texture_uv).a < cutoff) discard;
}
