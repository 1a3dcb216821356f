"""Opening what scenes are drawn from: the same way in the parent, in every worker and in verify."""

from __future__ import annotations

from pathlib import Path

from assets.backdrops import Backdrops
from assets.catalog import load_catalog
from assets.library import Library
from pipeline.run_settings import BackdropFolders, RunSettings
from render.backends import RenderSettings


def open_backdrops(folders: BackdropFolders) -> Backdrops:
    """The backdrops in the user's folders. Raises SynthError where one is missing or empty."""
    return Backdrops.open(hdri_dir=folders.hdri, photo_dir=folders.photos, surface_dir=folders.surfaces)


def open_library(sku_list: Path, folders: BackdropFolders, cache: Path) -> Library:
    """The library over a SKU list. Raises SynthError that lists everything wrong with it."""
    return Library(load_catalog(sku_list), open_backdrops(folders), cache_dir=cache)


def render_settings(settings: RunSettings) -> RenderSettings:
    """How the backend is to render. Raises SynthError for an unknown backend or preset."""
    from dataclasses import replace

    from render.presets import resolve_preset

    preset = resolve_preset(settings.backend, settings.preset)
    return replace(preset, device=settings.device, threads=settings.threads)
