"""Opening of a stream: everything is checked before the training starts."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np

from assets.catalog.category_ids import ids_of
from assets.catalog.load import load_catalog
from assets.errors import SynthError
from assets.files.atomic import sweep_cache
from assets.files.source_pins import SourcePins
from assets.library import check_sources
from dataset.categories import catalog_categories
from dataset.identity import DataIdentity
from dataset.layout import Layout
from dataset.problems import Problems
from detectors.data.read_coco import read_classes
from detectors.data.settings import BoxKind
from detectors.data.source import LiveSource
from pipeline.run.dataset_info import DatasetInfo, describe_run
from pipeline.run.identity import json_digest
from pipeline.run.resources import open_backdrops, open_library, open_planograms, render_settings
from pipeline.run.settings import BackdropFolders, recipe_text
from pipeline.stream.renderer import StreamRenderer
from pipeline.stream.scene import STREAMING
from pipeline.stream.settings import STREAM, StreamSettings
from pipeline.stream.source import RenderedStream
from pipeline.workers.process import SceneFunctions


@contextmanager
def open_stream(
    settings: StreamSettings, run: Path, functions: SceneFunctions = STREAMING, *, boxes: BoxKind = "visible"
) -> Iterator[LiveSource]:
    """Open a stream of rendered images for a training; its workers end with the block.

    run: folder of the training, in which the stream records what it is made from. boxes: kind of the boxes. Raises
    SynthError for a bad list, recipe or setting, and if a training that is resumed used other files of the products.
    """
    from render.recipes import load_recipe

    render = replace(settings.render, out=run / "data" / STREAM, scenes=1)
    catalog = load_catalog(render.sku_list)
    backdrops = open_backdrops(render.backdrops)
    recipe = load_recipe(render.recipe, streams=render.streams)
    if backdrops.planograms:
        open_planograms(catalog, backdrops, recipe)
    info = describe_run(render, catalog, backdrops, recipe, render_settings(render))
    if Layout(render.out).sources.exists():
        library = open_library(render.sku_list, render.backdrops, render.cache)
        check_sources(SourcePins(Layout(render.out).sources), library)
    sweep_cache(render.cache)
    with StreamRenderer(render, functions) as renderer:
        ids = ids_of(catalog)
        classes, own_label = read_classes(catalog_categories(catalog, ids), Problems(STREAM), str(catalog.source))
        images = RenderedStream(
            name=STREAM,
            root=f"recipe {recipe_text(render.recipe)}",
            classes=classes,
            own=classes,
            ids={key: ids.of(key) for key in catalog.keys},
            own_label=own_label,
            label_of=np.arange(len(classes), dtype=np.int32),
            order=settings.order,
            info=info,
            renderer=renderer,
            boxes=boxes,
        )
        yield LiveSource(images, _identity_of(info, settings))


def _identity_of(info: DatasetInfo, settings: StreamSettings) -> DataIdentity:
    """Return what the stream is known by: a digest of each setting that decides its images or their order."""
    content = {**info.identity.content(), "reuse": settings.reuse, "window": settings.window}
    digest = json_digest(content)
    return DataIdentity(digest, digest, {name: json_digest(value) for name, value in content.items()})


@contextmanager
def open_streams(settings: StreamSettings, run: Path, *, boxes: BoxKind) -> Iterator[tuple[LiveSource, ...]]:
    """Open the stream of a command, if its options ask for one.

    Raises SynthError if options of a stream are given without --stream, or --stream without a SKU list.
    """
    given, render = bool(settings.render.recipe), settings.render
    if given and render.sku_list is None:
        raise SynthError("--stream renders products of a list", code="option-missing", hint="give --sku-list FILE")
    if not given and (render.sku_list is not None or render.backdrops != BackdropFolders()):
        raise SynthError(
            "a SKU list and backdrops belong to a stream", code="option-missing", hint="give --stream RECIPE"
        )
    if not given:
        yield ()
        return
    with open_stream(settings, run, boxes=boxes) as stream:
        yield (stream,)
