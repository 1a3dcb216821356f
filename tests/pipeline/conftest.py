"""A small real data set, rendered once for all tests of the pipeline."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest

from assets.demo import demo_list
from assets.errors import SynthError
from pipeline.run.render import run_render
from pipeline.run.settings import RunSettings
from support.console import quiet

# Both bring an LLVM: triton (of torchvision) crashes where Mesa's software renderer was started before it.
with contextlib.suppress(ImportError):
    import torchvision  # noqa: F401


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder of normalised meshes for the whole session."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="session")
def rendered(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> RunSettings:
    """Four scenes of two views of the demo catalogue with everything stored, by one worker. Not to be changed."""
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
        summary = run_render(settings, quiet())
    except SynthError as error:
        if "OpenGL" in str(error):
            pytest.skip(f"the raster backend cannot start here: {error}")
        raise
    assert not summary.failures
    return settings


@pytest.fixture
def no_images(monkeypatch: pytest.MonkeyPatch) -> None:
    """Verify renders no image again, which would start a worker with a renderer for each test."""
    from pipeline.verify import rendered
    from pipeline.verify.images import ImagesChecked

    monkeypatch.setattr(rendered, "check_images", lambda *_, **__: ImagesChecked())
