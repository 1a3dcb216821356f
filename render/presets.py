"""Presets: how much work a backend puts into a picture, by name. None of it changes a label."""

from __future__ import annotations

from assets.errors import unknown_name
from render.backends import BACKENDS, RenderSettings

# Few samples and a denoiser teach a detector as well as many samples (see docs); "best" is for looking at.
SAMPLES = {
    "cycles": {"draft": 4, "good": 16, "best": 128},
    "raster": {"draft": 4, "good": 8, "best": 16},
}


def resolve_preset(backend: str, preset: str) -> RenderSettings:
    """The settings behind a preset's name: "draft", "good" or "best". Raises SynthError for an unknown name."""
    if backend not in BACKENDS:
        raise unknown_name("backend", backend, BACKENDS)
    samples = SAMPLES[backend]
    if preset not in samples:
        raise unknown_name("preset", preset, samples, where=f"backend {backend!r}")
    return RenderSettings(backend=backend, preset=preset, samples=samples[preset], denoise=backend == "cycles")
