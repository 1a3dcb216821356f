"""Presets: how much work a backend puts into a picture, by name. None of it changes a label."""

from __future__ import annotations

from assets.errors import unknown_name
from render.backends import BACKENDS, RenderSettings

# Measured by benchmarks/samples.py (docs/results.md): one denoised sample is as near to the converged picture as 16 raw
# ones; 4 cost twice as much and are nearer by a quarter, 16 three times as much for another quarter. "best" is for
# looking at. Raster takes 4 samples in a pixel, then those of a picture 2 and 4 times as large.
SAMPLES = {
    "cycles": {"draft": 4, "good": 16, "best": 128},
    "raster": {"draft": 4, "good": 16, "best": 64},
}


def resolve_preset(backend: str, preset: str) -> RenderSettings:
    """The settings behind a preset's name: "draft", "good" or "best". Raises SynthError for an unknown name."""
    if backend not in BACKENDS:
        raise unknown_name("backend", backend, BACKENDS)
    samples = SAMPLES[backend]
    if preset not in samples:
        raise unknown_name("preset", preset, samples, where=f"backend {backend!r}")
    return RenderSettings(backend=backend, preset=preset, samples=samples[preset], denoise=backend == "cycles")
