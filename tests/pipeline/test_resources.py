"""What the command line asks of a renderer reaches it."""

from __future__ import annotations

from pathlib import Path

import pytest

from assets.cores import usable_cores
from pipeline.cli_types import Workers
from pipeline.resources import render_settings
from pipeline.run_settings import RunSettings


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
    monkeypatch.setattr("pipeline.memory.memory_share_mb", lambda count: memory_mb / count)
    assert Workers().convert("auto", None, None) == workers
