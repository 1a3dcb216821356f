#version 330 core
layout(location = 0) out vec4 out_used;

void main() {
    out_used = vec4(1.0);
}
