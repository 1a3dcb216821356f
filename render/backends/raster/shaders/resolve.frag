#version 330 core
// The mean of the samples of each pixel.
uniform sampler2DMS image;

layout(location = 0) out vec4 out_light;

void main() {
    out_light = vec4(0.0);
    for (int k = 0; k < SAMPLES; ++k) out_light += texelFetch(image, ivec2(gl_FragCoord.xy), k) / float(SAMPLES);
}
