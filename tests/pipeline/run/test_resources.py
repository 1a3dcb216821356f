"""What the command line asks of a renderer reaches it."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from assets.catalog.load import load_catalog
from assets.demo import demo_list
from assets.machine import usable_cores
from dataset.storage.path import StoragePath
from pipeline.cli.types import Workers
from pipeline.jobs.settings import JobSettings, claim_location, identity_of, read_settings
from pipeline.run.dataset_info import backdrop_folders, describe_run
from pipeline.run.resources import open_backdrops, render_settings
from pipeline.run.settings import BackdropFolders, RunSettings
from render.recipes import load_recipe


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({}, (4, True)),
        ({"preset": "good"}, (16, True)),
        ({"samples": 3}, (3, True)),
        ({"samples": 1, "denoise": False}, (1, False)),
        ({"backend": "raster"}, (4, False)),
        ({"backend": "raster", "samples": 16}, (16, False)),
    ],
)
def test_samples_and_denoiser_stand_in_for_the_preset(asked: dict[str, object], expected: tuple[int, bool]) -> None:
    settings = RunSettings(**{"sku_list": Path(), "out": Path(), "scenes": 1, "backend": "cycles", **asked})  # type: ignore[arg-type]
    found = render_settings(settings)
    assert (found.samples, found.denoise) == expected


@pytest.mark.parametrize("names", [(), ("a",), ("a", "b", "c")])
def test_folders_of_backdrops_come_back_from_what_sets_and_jobs_store(tmp_path: Path, names: tuple[str, ...]) -> None:
    folders = tuple(tmp_path / name for name in names)
    for number, folder in enumerate(folders):
        folder.mkdir()
        Image.new("RGB", (8, 8), (number, 0, 0)).save(folder / "x.png")
    plans = tuple(folder / "plan.csv" for folder in folders)
    for number, plan in enumerate(plans):
        plan.write_text(f"shelf,sku\n1,{number}\n")
    given = BackdropFolders(photos=folders, planogram=plans)
    settings = RunSettings(demo_list(), tmp_path / "set", 1, backdrops=given, cache=tmp_path)
    recipe, render = load_recipe("tabletop"), render_settings(settings)
    info = describe_run(settings, load_catalog(demo_list()), open_backdrops(given), recipe, render)
    assert backdrop_folders(info, settings.out) == given
    numbered = [f"{kind}{end}" for kind in ("photos", "planogram") for end in ("", "-2", "-3")[: len(names)]]
    assert [name for name in info.sources if name != "sku_list"] == numbered
    assert [name for name in info.backdrops if "plan" in name] == [f"planograms/{n}/plan.csv" for n in (1, 2, 3)][
        : len(names)
    ]
    place = StoragePath(str(tmp_path / "job"))
    job = JobSettings(settings, place)
    claim_location(job, identity_of(job))
    assert read_settings(place, tmp_path / "recipe.yaml").render.backdrops == given


def test_workers_share_the_cores_that_may_be_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda pid: set(range(8)))
    assert usable_cores() == 8
    assert [RunSettings(Path(), Path(), 1, workers=count).threads for count in (1, 3, 8, 20)] == [8, 2, 1, 1]
    monkeypatch.setattr("os.sched_getaffinity", lambda pid: set())
    assert usable_cores() == 1


@pytest.mark.parametrize(("cores", "memory_mb", "workers"), [(4, 64_000, 4), (64, 64_000, 31), (8, 1_000, 1)])
def test_auto_starts_no_more_workers_than_fit(
    monkeypatch: pytest.MonkeyPatch, cores: int, memory_mb: float, workers: int
) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda pid: set(range(cores)))
    monkeypatch.setattr("assets.machine.memory_share_mb", lambda count: memory_mb / count)
    assert Workers().convert("auto", None, None) == workers
