"""Start of Blender, once per process, and the settings of a render."""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from assets.errors import SynthError
from render.backends.cycles.look import IDS
from render.backends.protocol import Device, RenderSettings

# In order of preference; OptiX uses the RT cores, which CUDA does not.
GPU_KINDS = ("OPTIX", "CUDA", "HIP", "ONEAPI", "METAL")
# Resolution of the importance map of the HDRI. By default Cycles takes 0.8 s per frame to prepare it; with this value
# it takes under 0.01 s and the noise is the same.
WORLD_SAMPLING_SIZE = 512


@lru_cache(maxsize=1)
def start_blender() -> Any:
    """Import bpy and open an empty file. Raises SynthError if bpy is not installed or does not load."""
    try:
        with silence():
            import bpy

            bpy.ops.wm.read_factory_settings(use_empty=True)
    except ImportError as error:
        raise SynthError(
            "the Cycles renderer needs Blender as a Python module (bpy), which did not load",
            code="dependency-missing",
            found=str(error),
            expected="bpy 4.5 on Python 3.11",
            hint="pip install 'bpy>=4.5,<4.6', and on a bare Linux: apt-get install libxxf86vm1 libxfixes3 libxi6 "
            "libxkbcommon0 libsm6 libgl1; or render with --backend raster",
        ) from error
    return bpy


@contextmanager
def silence() -> Iterator[None]:
    """Discard what C code writes to standard output; Python's own output is printed before and after.

    Blender reports each frame and each saved file with printf, below sys.stdout, which would garble a progress bar.
    """
    sys.stdout.flush()
    _flush_c()
    kept, nowhere = os.dup(1), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 1)
        yield
    finally:
        _flush_c()
        os.dup2(kept, 1)
        os.close(kept)
        os.close(nowhere)


def _flush_c() -> None:
    # C buffers output to a pipe or file; without a flush it would appear after the silence has ended.
    if os.name == "posix":
        ctypes.CDLL(None).fflush(None)


def choose_device(bpy: Any, device: Device) -> str:
    """Make Cycles use a GPU if requested ("gpu") or found ("auto"); returns "CPU" or "GPU".

    Raises SynthError if "gpu" is requested and there is none.
    """
    if device == "cpu":
        return "CPU"
    preferences = bpy.context.preferences.addons["cycles"].preferences
    for kind in GPU_KINDS:
        if any(entry.type == kind for entry in preferences.get_devices_for_type(kind) or ()):
            preferences.compute_device_type = kind
            for entry in preferences.get_devices_for_type(kind):
                entry.use = entry.type == kind
            return "GPU"
    if device == "gpu":
        raise SynthError(
            "no GPU usable by Cycles",
            code="gpu-unavailable",
            expected=f"one of {', '.join(GPU_KINDS)} with its driver",
            hint="use --device cpu, or auto to use a GPU only if there is one",
        )
    return "CPU"


def device_name(bpy: Any, device: str) -> str:
    """Return Blender's name of the device that Cycles uses; device: "CPU" or "GPU", as returned by `choose_device`."""
    preferences = bpy.context.preferences.addons["cycles"].preferences
    kind = "CPU" if device == "CPU" else preferences.compute_device_type
    entries = preferences.get_devices_for_type(kind) or ()
    return ", ".join(sorted({str(entry.name) for entry in entries if entry.type == kind})) or device


def configure(bpy: Any, scene: Any, settings: RenderSettings) -> None:
    """Configure a new Blender scene for linear RGBA with `settings.samples` paths per pixel."""
    render, cycles = scene.render, scene.cycles
    render.engine = "CYCLES"
    cycles.device = choose_device(bpy, settings.device)
    render.threads_mode = "FIXED" if settings.threads else "AUTO"
    render.threads = settings.threads or 1
    _configure_light_paths(cycles)
    _configure_denoiser(cycles, settings)
    # Adaptive sampling stops at a measured noise level, which would make the bytes depend on the machine.
    cycles.samples, cycles.use_adaptive_sampling = settings.samples, False
    # A sensor's pixel integrates over its own area. With Blender's wider default the RMS distance to an image that was
    # rendered at three times the size and downscaled, as photographs are, was a fifth larger.
    cycles.pixel_filter_type, cycles.filter_width = "BOX", 1.0
    cycles.use_auto_tile = False
    render.film_transparent = True
    render.use_compositing = render.use_sequencer = False
    render.dither_intensity = 0.0
    scene.view_settings.view_transform = "Raw"
    image = render.image_settings
    image.file_format, image.color_mode, image.color_depth, image.exr_codec = "OPEN_EXR", "RGBA", "32", "NONE"


def configure_ids(bpy: Any, scene: Any, settings: RenderSettings) -> None:
    """Configure a new Blender scene to render object indices, with one path through each pixel's centre."""
    configure(bpy, scene, settings)
    cycles, render = scene.cycles, scene.render
    cycles.samples, cycles.use_denoising, cycles.max_bounces = 1, False, 0
    cycles.pixel_filter_type, cycles.filter_width = "BLACKMAN_HARRIS", 0.01
    scene.view_layers[0].use_pass_object_index = True
    scene.view_layers[0][IDS] = 1.0
    # A single-layer file contains only the composited image, so the index pass is routed into that.
    render.use_compositing = scene.use_nodes = True
    nodes = scene.node_tree.nodes
    nodes.clear()
    layers, output = nodes.new("CompositorNodeRLayers"), nodes.new("CompositorNodeComposite")
    layers.scene = scene
    scene.node_tree.links.new(layers.outputs["IndexOB"], output.inputs["Image"])


def read_exr(bpy: Any, path: Path) -> NDArray[np.float32]:
    """Read a single-layer EXR file without conversion, (H, W, 4) float32, top row first."""
    image = bpy.data.images.load(str(path))
    try:
        image.colorspace_settings.name = "Non-Color"
        image.alpha_mode = "PREMUL"
        width, height = image.size
        pixels = np.empty(height * width * 4, np.float32)
        image.pixels.foreach_get(pixels)
    finally:
        bpy.data.images.remove(image)
    return np.ascontiguousarray(pixels.reshape(height, width, 4)[::-1])


def _configure_light_paths(cycles: Any) -> None:
    cycles.max_bounces, cycles.diffuse_bounces = 6, 2
    cycles.glossy_bounces = cycles.transmission_bounces = 4
    # As many holes of a cut-out as the labels' rays pass through (MAX_HOLES of render/trace.py).
    cycles.transparent_max_bounces = 32
    cycles.caustics_reflective = cycles.caustics_refractive = False
    cycles.sample_clamp_indirect = 4.0
    cycles.blur_glossy = 1.0


def _configure_denoiser(cycles: Any, settings: RenderSettings) -> None:
    cycles.use_denoising = settings.denoise
    if settings.denoise:
        cycles.denoiser = "OPENIMAGEDENOISE"
        cycles.denoising_input_passes = "RGB_ALBEDO_NORMAL"
        # At 640x360 and 4 samples: 0.4 s, error 28; "FAST" 0.25 s, 30; "HIGH" with "ACCURATE" 1.3 s, 26.
        patient = settings.samples >= 64
        cycles.denoising_quality = "HIGH" if patient else "BALANCED"
        guide_denoiser(cycles, settings)


def guide_denoiser(cycles: Any, settings: RenderSettings, *, glass: bool = False) -> None:
    """Choose whether the passes that guide the denoiser are themselves denoised first.

    With 4 samples these albedo and normal passes are nearly free of noise: prefiltering them only blurs the print
    (error 4.69 of 255, without it 4.48). With fewer samples they are jagged (error 6.70 with, 7.03 without
    prefiltering), and glass, where each path either passes or reflects, is grainy in them.
    """
    quick = "NONE" if settings.samples >= 4 and not glass else "FAST"
    cycles.denoising_prefilter = "ACCURATE" if settings.samples >= 64 else quick
