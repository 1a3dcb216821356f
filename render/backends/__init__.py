"""Rendering backends: one folder and one line in TABLE each, imported only when asked for.

A backend's module defines `INFO`, a BackendInfo; `probe(device) -> Probe`, which raises SynthError if it cannot work on
this machine; and `open_backend(library, settings) -> Backend`. The types are in render/backends/protocol.py.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from assets.errors import unknown_name
from assets.library import Library
from assets.plugins import PluginTable
from render.backends.protocol import Backend, RenderSettings

TABLE = PluginTable(
    "backend",
    {"cycles": "render.backends.cycles", "raster": "render.backends.raster"},
    "synth.backends",
    ("INFO", "probe", "open_backend"),
    files=True,
)
BACKENDS = TABLE.modules
# The default for scenes, product views and gallery crops.
DEFAULT_BACKEND = "raster"


def backend_names() -> tuple[str, ...]:
    """Return the names of the built-in backends and of those that installed packages provide."""
    return TABLE.names()


def backend_module(name: str) -> Any:
    """Import a backend, given its name or the path of a Python file. Raises SynthError for an unknown name."""
    return TABLE.load(name)


def open_backend(library: Library, settings: RenderSettings) -> Backend:
    """Open the backend that `settings` names. Raises SynthError if it is unknown or cannot work on this machine."""
    backend: Backend = backend_module(settings.backend).open_backend(library, settings)
    return backend


def resolve_preset(backend: str, preset: str) -> RenderSettings:
    """Return the settings of a preset: "draft", "good" or "best". Raises SynthError for an unknown name."""
    presets = backend_module(backend).INFO.presets
    if preset not in presets:
        raise unknown_name("preset", preset, presets, where=f"backend {Path(backend).name!r}")
    found = presets[preset]
    return RenderSettings(backend=backend, preset=preset, samples=found.samples, denoise=found.denoise)
