"""Data sets and jobs begun with earlier random streams go on as they began."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from assets.backdrops.collection import Backdrops
from assets.catalog.load import load_catalog
from assets.demo import demo_list
from dataset.layout import Layout
from pipeline.run.dataset_info import DatasetInfo, claim_folder, describe_run, keep_streams, read_info
from pipeline.run.settings import RunSettings
from render.backends.protocol import RenderSettings
from render.recipes import load_recipe
from support.errors import raises
from support.job_stubs import files_of, job_at, run, skus, write_list


def described(settings: RunSettings) -> DatasetInfo:
    recipe = load_recipe(settings.recipe, streams=settings.streams)
    return describe_run(
        settings, load_catalog(settings.sku_list), Backdrops.open(), recipe, RenderSettings("raster", samples=4)
    )


def test_an_old_set_goes_on_with_its_streams_and_its_recipe(tmp_path: Path) -> None:
    layout = Layout(tmp_path / "set")
    old = RunSettings(demo_list(), layout.root, scenes=2, recipe="scatter", streams=1)
    claim_folder(layout, described(old))
    assert read_info(layout).identity.streams == 1 and '"streams"' not in layout.info.read_text()
    again = keep_streams(replace(old, scenes=5, streams=2))
    assert again.streams == 1
    claim_folder(layout, described(again))
    assert read_info(layout).scenes == 5
    with raises("settings-differ"):
        claim_folder(layout, described(replace(again, streams=2)))


def test_a_set_of_a_later_version_is_refused(tmp_path: Path) -> None:
    layout = Layout(tmp_path / "set")
    settings = RunSettings(demo_list(), layout.root, scenes=2)
    claim_folder(layout, described(settings))
    assert read_info(layout).identity.streams == 2
    data = json.loads(layout.info.read_text())
    data["identity"]["streams"] = 3
    layout.info.write_text(json.dumps(data))
    with raises("format-version-unsupported"):
        keep_streams(settings)


def test_an_old_job_goes_on_whatever_remarks_its_recipe_has(tmp_path: Path) -> None:
    settings = job_at(tmp_path / "set", write_list(tmp_path / "skus.csv", skus(5)), times=1)
    run(replace(settings, render=replace(settings.render, streams=1)))
    file = tmp_path / "set" / "job.json"
    identity = json.loads(file.read_text())
    assert "streams" not in identity
    file.write_text(json.dumps({**identity, "recipe": identity["recipe"].replace("# ", "# once ")}))
    there = files_of(tmp_path / "set")
    summary = run(settings)
    assert (summary.ended, summary.made) == ("finished", 0)
    assert files_of(tmp_path / "set") == there
    with raises("settings-differ"):
        run(replace(settings, render=replace(settings.render, seed=5)))
