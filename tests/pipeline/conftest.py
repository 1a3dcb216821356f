"""A small real data set, rendered once for all tests of the pipeline."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from assets.demo import demo_list
from assets.errors import SynthError
from dataset.layout import Layout
from pipeline.run.dataset_info import claim_folder, describe_run
from pipeline.run.render import run_render
from pipeline.run.resources import open_library, render_settings
from pipeline.run.scene import SceneWorker, write_image
from pipeline.run.settings import RunSettings
from render.recipes import load_recipe
from render.scene import SceneSpec
from support.console import quiet
from support.work_here import work_here

# Both bring an LLVM: triton (of torchvision) crashes where Mesa's software renderer was started before it.
with contextlib.suppress(ImportError):
    import torchvision  # noqa: F401


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder of normalised meshes for the whole session."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="session")
def rendered(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> RunSettings:
    """Four scenes of two views of the demo catalogue with everything stored, made here. Not to be changed."""
    out = tmp_path_factory.mktemp("rendered") / "set"
    settings = RunSettings(
        sku_list=demo_list(),
        out=out,
        scenes=4,
        views=2,
        width=96,
        height=72,
        splits=(("train", 0.5), ("val", 0.5)),
        extras=("depth", "normals", "ids"),
        licence="CC0",
        cache=cache,
    )
    try:
        with work_here():
            summary = run_render(settings, quiet())
    except SynthError as error:
        if "OpenGL" in str(error):
            pytest.skip(f"the raster backend cannot start here: {error}")
        raise
    assert not summary.failures
    return settings


SMALL_SHELF = """
recipe: shelf
products: {count: 3, facings: [1, 3], rows: [1, 2], sold_out: 0.4, misplaced: 0.2}
tags: {tagged: 1}
"""


class _Painter:
    """A renderer of one grey, which hides the room behind it."""

    device = "none"

    def render(self, scene: SceneSpec) -> np.ndarray:
        pixels = np.full((scene.camera.height, scene.camera.width, 4), 0.5, np.float32)
        pixels[..., 3] = 1
        return pixels


@pytest.fixture(scope="session")
def shop(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> RunSettings:
    """Two scenes of small shelves with labels of shops, in one grey, made in this process. Not to be changed."""
    folder = tmp_path_factory.mktemp("shop")
    (folder / "small.yaml").write_text(SMALL_SHELF)
    settings = RunSettings(demo_list(), folder / "set", scenes=2, width=64, height=48, extras=("shop",), cache=cache)
    settings = replace(settings, recipe=str(folder / "small.yaml"))
    library, recipe = open_library(settings.sku_list, settings.backdrops, cache), load_recipe(settings.recipe)
    claim_folder(
        Layout(settings.out),
        describe_run(settings, library.catalog, library.backdrops, recipe, render_settings(settings)),
    )
    worker = SceneWorker(settings, library, recipe, _Painter())  # type: ignore[arg-type]
    for index in range(settings.scenes):
        write_image(worker.sample(index, 0), library, worker.backend, settings)
    assert run_render(settings, quiet()).found == settings.scenes
    return settings


@pytest.fixture
def no_images(monkeypatch: pytest.MonkeyPatch) -> None:
    """Verify renders no image again, which would start a worker with a renderer for each test."""
    from pipeline.verify import rendered
    from pipeline.verify.images import ImagesChecked

    monkeypatch.setattr(rendered, "check_images", lambda *_, **__: ImagesChecked())
