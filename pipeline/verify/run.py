"""`synth verify`: any data set checked as far as what it was made from is at hand."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from rich.console import Console

from assets.interrupt import never
from assets.machine import cache_folder
from dataset.layout import Layout
from dataset.shards.index import has_index
from dataset.storage.path import StoragePath
from pipeline.verify.coco import verify_coco
from pipeline.verify.folder import verify_dataset
from pipeline.verify.job import JobSources
from pipeline.verify.report import VerifyReport
from pipeline.verify.settings import VerifySettings
from pipeline.verify.shards import verify_shards


def verify_set(
    place: str, settings: VerifySettings, console: Console, *, stop: Callable[[], bool] = never
) -> VerifyReport:
    """All violations of the data set at `place`: a folder of `synth render`, any COCO file or folder with one, shards.

    stop: asked now and then; once it says True the report is of what was checked until then. Raises SynthError where
    there is no data set.
    """
    cache = settings.cache or cache_folder()
    if has_index(StoragePath(place)):
        sources = JobSources(settings.sample, settings.sku_list, cache, settings.plugins) if settings.sample else None
        return verify_shards(StoragePath(place), console, workers=settings.workers, sources=sources, stop=stop)
    path = Path(place)
    if Layout(path).info.exists():
        lists, plugins = settings.sku_list, settings.plugins
        return verify_dataset(path, sku_list=lists, sample=settings.sample, cache=cache, plugins=plugins, stop=stop)
    return verify_coco(path, images=settings.images, stop=stop)
