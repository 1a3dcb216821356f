#version 330 core
// The image as the start of each sample.
uniform sampler2D image;

layout(location = 0) out vec4 out_light;

void main() {
    out_light = texelFetch(image, ivec2(gl_FragCoord.xy), 0);
}
