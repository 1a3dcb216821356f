"""Opening of catalogues, backdrops and render settings, the same in the parent, in every worker and in verify."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from assets.backdrops.collection import Backdrops
from assets.catalog.load import load_catalog
from assets.catalog.sku_lists import Root, SkuSource
from assets.catalog.types import Catalog, Sku
from assets.files.source_pins import SourcePins
from assets.library import Library
from pipeline.run.settings import BackdropFolders, RunSettings
from render.backends.protocol import RenderSettings

if TYPE_CHECKING:
    from assets.mesh.load import LoadedMesh
    from assets.planogram.stocked import PlanogramShop
    from render.recipes.mix import Recipe


def open_backdrops(folders: BackdropFolders) -> Backdrops:
    """Open the backdrops in the user's folders. Raises SynthError if one is missing or empty."""
    return Backdrops.open(
        hdri_dir=folders.hdri,
        photo_dir=folders.photos,
        surface_dir=folders.surfaces,
        fixture_dir=folders.fixtures,
        planograms=folders.planogram,
    )


def open_planograms(catalog: Catalog, backdrops: Backdrops, recipe: Recipe) -> PlanogramShop:
    """Read the planograms of a run. Raises SynthError for unusable ones, and if the recipe stands none up."""
    from assets.planogram.stocked import stock_planograms
    from render.recipes import check_takes_planograms

    check_takes_planograms(recipe)
    return stock_planograms([backdrops.files[key] for key in backdrops.planograms], catalog)


def open_library(
    sku_list: SkuSource,
    folders: BackdropFolders,
    cache: Path,
    *,
    load: Callable[[Sku, Root], LoadedMesh] | None = None,
    pins: SourcePins | None = None,
) -> Library:
    """Open the library of a SKU list. load: reads meshes. pins: files that the data set's products are made from.

    Raises SynthError that lists all problems.
    """
    return Library(load_catalog(sku_list), open_backdrops(folders), cache_dir=cache, load=load, pins=pins)


def render_settings(settings: RunSettings) -> RenderSettings:
    """Return the settings of the backend. Raises SynthError for an unknown backend or preset."""
    from dataclasses import replace

    from render.backends import resolve_preset

    preset = resolve_preset(settings.backend, settings.preset)
    samples = preset.samples if settings.samples is None else settings.samples
    denoise = preset.denoise if settings.denoise is None else settings.denoise
    return replace(preset, samples=samples, denoise=denoise, device=settings.device, threads=settings.threads)
