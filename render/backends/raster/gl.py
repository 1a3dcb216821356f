"""OpenGL helpers of the raster backend: context, programs, textures, framebuffers.

Importing this module binds PyOpenGL to EGL; only an open raster backend imports it.
"""

from __future__ import annotations

import ctypes
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from assets.errors import SynthError

os.environ.setdefault("PYOPENGL_PLATFORM", "egl")
if not hasattr(np, "infty"):  # pyrender 0.1.45 uses it, numpy 2 has removed it
    setattr(np, "infty", np.inf)  # noqa: B010

# pyrender first: once PyOpenGL 3.1.0 has loaded its EGL part, importing its shader part fails.
# isort: off
from pyrender.platforms.egl import EGLPlatform, query_devices
from pyrender.shader_program import ShaderProgram
from OpenGL import EGL, GL
from OpenGL.GL.shaders import compileShader
# isort: on

SHADERS = Path(__file__).parent / "shaders"
SOFTWARE = ("llvmpipe", "softpipe", "swrast", "swiftshader")
MAX_ANISOTROPY = 0x84FE  # GL_TEXTURE_MAX_ANISOTROPY of EXT_texture_filter_anisotropic, in every driver since 2000
HINT = "on Debian: apt-get install libegl1 libegl-mesa0 libgl1-mesa-dri (software), or the GPU's driver with EGL"


class Context(EGLPlatform):
    """pyrender's EGL context, which can be deleted without taking the display from other contexts of the process."""

    _egl_context: Any

    def name(self) -> str:
        """Return the renderer's name as reported by the driver."""
        return GL.glGetString(GL.GL_RENDERER).decode()

    def is_software(self) -> bool:
        return any(word in self.name().lower() for word in SOFTWARE)

    def delete_context(self) -> None:
        if self._egl_context is not None:
            EGL.eglMakeCurrent(self._egl_display, EGL.EGL_NO_SURFACE, EGL.EGL_NO_SURFACE, EGL.EGL_NO_CONTEXT)
            EGL.eglDestroyContext(self._egl_display, self._egl_context)
            self._egl_context = None


def open_context(device: str) -> Context:
    """Open a current OpenGL 4.1 context on the first device that matches "auto", "cpu" or "gpu".

    Raises SynthError if there is none.
    """
    seen = []
    for candidate in query_devices() or [None]:
        context = Context(1, 1, device=candidate)
        try:
            context.init_context()
        except Exception as error:  # any failure of a driver: the next device may work
            seen.append(f"{candidate}: {type(error).__name__}")
            continue
        if device == "auto" or (device == "cpu") == context.is_software():
            return context
        seen.append(context.name())
        context.delete_context()
    raise SynthError(
        f"no OpenGL device for rendering with device={device!r}",
        code="opengl-unavailable",
        found="; ".join(seen) or "no EGL device",
        hint=HINT,
    )


class LinkedShader(ShaderProgram):
    """pyrender's program, linked without pyrender's validation, which runs before samplers have their texture units.

    On Mesa that validation fails for every program with samplers of different kinds.
    """

    def _add_to_context(self) -> None:
        self._program_id = GL.glCreateProgram()
        for name, kind in ((self.vertex_shader, GL.GL_VERTEX_SHADER), (self.fragment_shader, GL.GL_FRAGMENT_SHADER)):
            shader = compileShader(self._load(name), kind)
            GL.glAttachShader(self._program_id, shader)
            GL.glDeleteShader(shader)
        GL.glLinkProgram(self._program_id)
        if GL.glGetProgramiv(self._program_id, GL.GL_LINK_STATUS) != GL.GL_TRUE:
            raise RuntimeError(GL.glGetProgramInfoLog(self._program_id))

    def _load(self, shader_filename: str) -> str:
        text = super()._load(shader_filename)
        return re.sub(r'#include "([\w.]+)"', lambda found: self._load(str(SHADERS / found[1])), text)

    def delete(self) -> None:
        GL.glDeleteProgram(self._program_id)


@cache
def uniform_setters() -> dict[int, tuple[Any, type, int]]:
    """Return GLSL type -> (GL call, dtype, numbers per element); more than 4 numbers mean a matrix."""
    return {
        GL.GL_INT: (GL.glUniform1iv, np.int32, 1),
        GL.GL_INT_VEC2: (GL.glUniform2iv, np.int32, 2),
        GL.GL_FLOAT: (GL.glUniform1fv, np.float32, 1),
        GL.GL_FLOAT_VEC2: (GL.glUniform2fv, np.float32, 2),
        GL.GL_FLOAT_VEC3: (GL.glUniform3fv, np.float32, 3),
        GL.GL_FLOAT_VEC4: (GL.glUniform4fv, np.float32, 4),
        GL.GL_FLOAT_MAT3: (GL.glUniformMatrix3fv, np.float32, 9),
        GL.GL_FLOAT_MAT4: (GL.glUniformMatrix4fv, np.float32, 16),
    }


class Program:
    """A linked pair of shaders with uniforms by name; unlike in GL, an unknown name is an error."""

    def __init__(self, vertex: str, fragment: str, defines: dict[str, int] | None = None) -> None:
        self._shader = LinkedShader(str(SHADERS / vertex), str(SHADERS / fragment), defines=defines)
        self._shader._add_to_context()
        self._units: dict[str, int] = {}
        # As last set: copies of a product share most of theirs, and a call of GL costs more than the comparison.
        self._values: dict[str, bytes] = {}
        program = self._shader._program_id
        self._uniforms: dict[str, tuple[int, int]] = {}
        for index in range(GL.glGetProgramiv(program, GL.GL_ACTIVE_UNIFORMS)):
            name, _, kind = GL.glGetActiveUniform(program, index)
            location = int(GL.glGetUniformLocation(program, name))
            self._uniforms[name.decode().removesuffix("[0]")] = (location, int(kind))

    def use(self) -> None:
        self._shader._bind()

    def delete(self) -> None:
        self._shader.delete()

    def set(self, name: str, value: float | Sequence[float] | NDArray) -> None:
        """Set a uniform of the bound program, or the first elements of an array; matrices are row-major as in numpy."""
        location, kind = self._uniforms[name]
        setter, dtype, width = uniform_setters()[kind]
        array: NDArray[Any] = np.ascontiguousarray(value, dtype=dtype).reshape(-1)
        content = array.tobytes()
        if self._values.get(name) == content:
            return
        self._values[name] = content
        if width > 4:
            setter(location, array.size // width, GL.GL_TRUE, array)
        else:
            setter(location, array.size // width, array)

    def bind_texture(self, name: str, texture: int, kind: int = GL.GL_TEXTURE_2D) -> None:
        """Bind a texture to a sampler; every sampler of a program has its own unit."""
        # Samplers of different kinds on one unit are an error on Mesa, which breaks pyrender's own shadows.
        if name not in self._units:
            self._units[name] = len(self._units)
            GL.glUniform1i(self._uniforms[name][0], self._units[name])
        GL.glActiveTexture(GL.GL_TEXTURE0 + self._units[name])
        GL.glBindTexture(kind, texture)


@cache
def texture_formats() -> dict[int, tuple[int, int]]:
    """Return internal format -> (format, type) of its pixels."""
    return {
        GL.GL_SRGB8_ALPHA8: (GL.GL_RGBA, GL.GL_UNSIGNED_BYTE),
        GL.GL_RGBA8: (GL.GL_RGBA, GL.GL_UNSIGNED_BYTE),
        GL.GL_RGBA16F: (GL.GL_RGBA, GL.GL_FLOAT),
        GL.GL_RGBA32F: (GL.GL_RGBA, GL.GL_FLOAT),
        GL.GL_RGB32F: (GL.GL_RGB, GL.GL_FLOAT),
        GL.GL_RG32F: (GL.GL_RG, GL.GL_FLOAT),
        GL.GL_R32I: (GL.GL_RED_INTEGER, GL.GL_INT),
        GL.GL_DEPTH_COMPONENT32F: (GL.GL_DEPTH_COMPONENT, GL.GL_FLOAT),
    }


def upload_image(pixels: NDArray[np.uint8], *, anisotropy: float) -> int:
    """Upload an sRGB image (H, W, 4) as a repeating texture with mipmaps in linear light; its first row is v = 0."""
    texture = GL.glGenTextures(1)
    GL.glBindTexture(GL.GL_TEXTURE_2D, texture)
    height, width = pixels.shape[:2]
    GL.glPixelStorei(GL.GL_UNPACK_ALIGNMENT, 1)
    GL.glTexImage2D(GL.GL_TEXTURE_2D, 0, GL.GL_SRGB8_ALPHA8, width, height, 0, GL.GL_RGBA, GL.GL_UNSIGNED_BYTE, pixels)
    GL.glGenerateMipmap(GL.GL_TEXTURE_2D)
    _set_parameters(GL.GL_TEXTURE_2D, GL.GL_LINEAR_MIPMAP_LINEAR, GL.GL_LINEAR, GL.GL_REPEAT)
    GL.glTexParameterf(GL.GL_TEXTURE_2D, MAX_ANISOTROPY, anisotropy)
    if anisotropy <= 1:
        # Plain mipmaps blur print, most of all at grazing angles. Of biases from 0 to -2, -1.5 came closest to images
        # rendered at three times the size and downscaled (RMS of products 4.6 code values at 320 px width, 7.2 for
        # -0.5), still with little aliasing.
        GL.glTexParameterf(GL.GL_TEXTURE_2D, GL.GL_TEXTURE_LOD_BIAS, -1.5)
    return int(texture)


def upload_levels(levels: Sequence[NDArray[np.float32]]) -> int:
    """Upload linear RGB maps, each half as wide as the one before, as mip levels of a texture that repeats along u."""
    texture = GL.glGenTextures(1)
    GL.glBindTexture(GL.GL_TEXTURE_2D, texture)
    GL.glPixelStorei(GL.GL_UNPACK_ALIGNMENT, 1)
    for level, pixels in enumerate(levels):
        height, width = pixels.shape[:2]
        GL.glTexImage2D(
            GL.GL_TEXTURE_2D,
            level,
            GL.GL_RGBA16F,
            width,
            height,
            0,
            GL.GL_RGB,
            GL.GL_FLOAT,
            np.ascontiguousarray(pixels),
        )
    GL.glTexParameteri(GL.GL_TEXTURE_2D, GL.GL_TEXTURE_MAX_LEVEL, len(levels) - 1)
    _set_parameters(GL.GL_TEXTURE_2D, GL.GL_LINEAR_MIPMAP_LINEAR, GL.GL_LINEAR, GL.GL_REPEAT)
    GL.glTexParameteri(GL.GL_TEXTURE_2D, GL.GL_TEXTURE_WRAP_T, GL.GL_CLAMP_TO_EDGE)
    return int(texture)


def _set_parameters(target: int, shrinking: int, growing: int, wrap: int) -> None:
    GL.glTexParameteri(target, GL.GL_TEXTURE_MIN_FILTER, shrinking)
    GL.glTexParameteri(target, GL.GL_TEXTURE_MAG_FILTER, growing)
    GL.glTexParameteri(target, GL.GL_TEXTURE_WRAP_S, wrap)
    GL.glTexParameteri(target, GL.GL_TEXTURE_WRAP_T, wrap)


@dataclass
class Target:
    """A framebuffer with its textures. samples: 0 for plain textures, else multisampled. layers: of a depth array.

    depth: with depth buffer of its own. depth_of: another target, whose depth buffer it uses.
    """

    width: int
    height: int
    formats: tuple[int, ...]
    samples: int = 0
    depth: bool = False
    layers: int = 0
    depth_of: Target | None = None
    framebuffer: int = 0
    textures: list[int] = field(default_factory=list)
    _depth: int = 0

    def __post_init__(self) -> None:
        self.framebuffer = int(GL.glGenFramebuffers(1))
        GL.glBindFramebuffer(GL.GL_FRAMEBUFFER, self.framebuffer)
        self.textures = [self._texture(item) for item in self.formats]
        if self.layers:
            GL.glDrawBuffer(GL.GL_NONE)
            GL.glReadBuffer(GL.GL_NONE)
            return
        kind = GL.GL_TEXTURE_2D_MULTISAMPLE if self.samples else GL.GL_TEXTURE_2D
        for slot, texture in enumerate(self.textures):
            GL.glFramebufferTexture2D(GL.GL_FRAMEBUFFER, GL.GL_COLOR_ATTACHMENT0 + slot, kind, texture, 0)
        GL.glDrawBuffers(len(self.textures), [GL.GL_COLOR_ATTACHMENT0 + slot for slot in range(len(self.textures))])
        if self.depth:
            self._add_depth()
        elif self.depth_of is not None:
            self._attach_depth(self.depth_of._depth)
        status = GL.glCheckFramebufferStatus(GL.GL_FRAMEBUFFER)
        if status != GL.GL_FRAMEBUFFER_COMPLETE:
            raise SynthError(
                "the graphics driver refuses a framebuffer required for rendering",
                code="opengl-unavailable",
                found=f"status {status}",
            )

    def _texture(self, internal: int) -> int:
        texture = int(GL.glGenTextures(1))
        pixels, kind = texture_formats()[internal]
        size = (self.width, self.height)
        if self.layers:
            target = GL.GL_TEXTURE_2D_ARRAY
            GL.glBindTexture(target, texture)
            GL.glTexImage3D(target, 0, internal, *size, self.layers, 0, pixels, kind, None)
            _set_parameters(target, GL.GL_NEAREST, GL.GL_NEAREST, GL.GL_CLAMP_TO_EDGE)
        elif self.samples:
            GL.glBindTexture(GL.GL_TEXTURE_2D_MULTISAMPLE, texture)
            GL.glTexImage2DMultisample(GL.GL_TEXTURE_2D_MULTISAMPLE, self.samples, internal, *size, GL.GL_TRUE)
        else:
            GL.glBindTexture(GL.GL_TEXTURE_2D, texture)
            GL.glTexImage2D(GL.GL_TEXTURE_2D, 0, internal, *size, 0, pixels, kind, None)
            _set_parameters(GL.GL_TEXTURE_2D, GL.GL_NEAREST, GL.GL_NEAREST, GL.GL_CLAMP_TO_EDGE)
        return texture

    def _add_depth(self) -> None:
        self._depth = int(GL.glGenRenderbuffers(1))
        GL.glBindRenderbuffer(GL.GL_RENDERBUFFER, self._depth)
        GL.glRenderbufferStorageMultisample(
            GL.GL_RENDERBUFFER, self.samples, GL.GL_DEPTH_COMPONENT32F, self.width, self.height
        )
        self._attach_depth(self._depth)

    def _attach_depth(self, buffer: int) -> None:
        GL.glFramebufferRenderbuffer(GL.GL_FRAMEBUFFER, GL.GL_DEPTH_ATTACHMENT, GL.GL_RENDERBUFFER, buffer)

    def bind(self, layer: int = 0) -> None:
        """Make this the target of draw calls; `layer` selects one of a depth array."""
        GL.glBindFramebuffer(GL.GL_FRAMEBUFFER, self.framebuffer)
        if self.layers:
            GL.glFramebufferTextureLayer(GL.GL_FRAMEBUFFER, GL.GL_DEPTH_ATTACHMENT, self.textures[0], 0, layer)
        GL.glViewport(0, 0, self.width, self.height)

    def read(self, slot: int = 0) -> NDArray[Any]:
        """Read the pixels of one texture, first row first: (H, W, channels), or (H, W) for a single channel."""
        pixels, kind = texture_formats()[self.formats[slot]]
        channels = {GL.GL_RGBA: 4, GL.GL_RG: 2, GL.GL_RED_INTEGER: 1}[pixels]
        dtype = {GL.GL_FLOAT: np.float32, GL.GL_INT: np.int32, GL.GL_UNSIGNED_BYTE: np.uint8}[kind]
        out = np.empty((self.height, self.width, channels), dtype)
        GL.glBindFramebuffer(GL.GL_FRAMEBUFFER, self.framebuffer)
        GL.glReadBuffer(GL.GL_COLOR_ATTACHMENT0 + slot)
        GL.glPixelStorei(GL.GL_PACK_ALIGNMENT, 1)
        GL.glReadPixels(0, 0, self.width, self.height, pixels, kind, out)
        return out[..., 0] if channels == 1 else out

    def delete(self) -> None:
        GL.glDeleteFramebuffers(1, [self.framebuffer])
        GL.glDeleteTextures(self.textures)
        if self._depth:
            GL.glDeleteRenderbuffers(1, [self._depth])


def render_faces(start: int, stop: int) -> None:
    """Draw the faces [start, stop) of the bound vertex array."""
    GL.glDrawElements(GL.GL_TRIANGLES, 3 * (stop - start), GL.GL_UNSIGNED_INT, ctypes.c_void_p(12 * start))
