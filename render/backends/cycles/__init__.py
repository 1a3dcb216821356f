"""Path-tracing backend: Cycles through Blender's Python module."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING

from assets.errors import SynthError
from render.backends.protocol import BackendInfo, Device, Preset, Probe, RenderSettings

if TYPE_CHECKING:
    from assets.library import Library
    from render.backends.cycles.backend import CyclesBackend

INFO = BackendInfo(
    "Path tracing with Blender's Cycles: realistic light, on a GPU or slowly on a CPU.",
    # Measured by benchmarks/samples.py (docs/results.md): one denoised sample is as close to the converged image as 16
    # raw ones; 4 cost twice as much and cut the error by a quarter, 16 cost three times as much for another quarter.
    # "best" is meant for human viewers.
    {"draft": Preset(4, denoise=True), "good": Preset(16, denoise=True), "best": Preset(128, denoise=True)},
    "apt-get install libgl1 libsm6 libx11-6 libxext6 libxfixes3 libxi6 libxkbcommon0 libxrender1",
)


def probe(device: Device) -> Probe:
    """Return Blender's version and the GPU that Cycles would use. Raises SynthError if bpy does not load."""
    if find_spec("bpy") is None:
        hint = "Python 3.11 and: pip install 'bpy>=4.5,<4.6'"
        raise SynthError("bpy is not installed", code="dependency-missing", hint=hint)
    from render.backends.cycles.start import choose_device, device_name, start_blender

    bpy = start_blender()
    chosen = choose_device(bpy, "cpu" if device == "cpu" else "auto")
    return Probe(f"Blender {bpy.app.version_string}", device_name(bpy, chosen) if chosen == "GPU" else "")


def open_backend(library: Library, settings: RenderSettings) -> CyclesBackend:
    """Open a Cycles renderer. Raises SynthError if bpy does not load, or if a GPU is requested and there is none."""
    from render.backends.cycles.backend import CyclesBackend

    return CyclesBackend(library, settings)
