"""The raster backend: OpenGL through pyrender's EGL context."""
