"""Products made ahead: kept once, told when they are bad, gone on with when stopped, the same from any workers."""

from __future__ import annotations

import io
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner
from PIL import Image, ImageDraw
from rich.console import Console

import pipeline.products.build as build
from assets.interrupt import never
from assets.progress import Reporter
from pipeline.cli.main import main
from pipeline.products.build import (
    AssetBuildSettings,
    BuildSummary,
    ProductBuildSettings,
    build_assets,
    note_lines,
    print_build,
)
from pipeline.workers.process import SceneFunctions

COUNT = 6


@pytest.fixture
def listed(tmp_path: Path) -> Path:
    """Six cans with packshots of their own colours, one drawn carton, one product with a mesh."""
    rows = ["sku,name,package,mesh,width_m,depth_m,height_m,packshot"]
    for number in range(COUNT):
        image = Image.new("RGB", (160, 220), "white")
        ImageDraw.Draw(image).rectangle((30, 30, 129, 189), fill=(30 * number, 90, 160))
        image.save(tmp_path / f"{number}.png")
        rows.append(f"can {number},Can {number},auto,,.075,.075,.12,{number}.png")
    (tmp_path / "cube.obj").write_text(
        "v 0 0 0\nv .1 0 0\nv 0 .1 0\nv 0 0 .1\nf 1 3 2\nf 1 2 4\nf 2 3 4\nf 1 4 3\n", encoding="utf-8"
    )
    rows += ["drawn,Drawn,carton,,.1,.05,.15,", "mesh,Mesh,,cube.obj,,,,"]
    (tmp_path / "list.csv").write_text("\n".join(rows), encoding="utf-8")
    return tmp_path / "list.csv"


def run(listed: Path, cache: Path, stop: Callable[[], bool] = never, **more: object) -> tuple[BuildSummary, str]:
    told = io.StringIO()
    reporter = Reporter(Console(file=told, width=300))
    settings = AssetBuildSettings(listed, cache=cache, **more)  # type: ignore[arg-type]
    summary = build_assets(settings, reporter, stop=stop)
    print_build(reporter, listed, summary)
    return summary, told.getvalue()


def kept(cache: Path) -> dict[str, bytes]:
    files = [*cache.rglob("*.pkg"), *cache.rglob("meshes-*/??/*.npz")]
    return {str(file.relative_to(cache)): file.read_bytes() for file in files}


def test_products_are_made_once(listed: Path, tmp_path: Path) -> None:
    first, told = run(listed, tmp_path / "cache", workers=2)
    assert (first.built, first.found, first.drawn, first.failures) == (COUNT + 1, 0, 1, [])
    assert len(kept(tmp_path / "cache")) == COUNT + 1
    assert "7 built, 0 cached before, 1 without mesh and images" in told and "GB for 170,000" in told
    assert "note: 6 SKUs (can 0, can 1, can 2, …): package: can, chosen from the silhouette" in told
    again, told = run(listed, tmp_path / "cache")
    assert (again.built, again.found) == (0, COUNT + 1)
    assert "0 built, 7 cached before" in told
    run(listed, tmp_path / "other")
    assert kept(tmp_path / "other") == kept(tmp_path / "cache")


@pytest.mark.usefixtures("here")
def test_some_of_them(listed: Path, tmp_path: Path) -> None:
    first, _ = run(listed, tmp_path / "cache", limit=2)
    assert (first.skus, first.built) == (2, 2)
    second, _ = run(listed, tmp_path / "cache", skus=("can 1", "can 4"))
    assert (second.skus, second.built, second.found) == (2, 1, 1)


def test_every_bad_product_is_told_and_ends_nothing(listed: Path, tmp_path: Path) -> None:
    (tmp_path / "1.png").write_bytes(b"no image")
    (tmp_path / "3.png").write_bytes((tmp_path / "4.png").read_bytes()[:200])
    summary, told = run(listed, tmp_path / "cache", workers=2)
    assert (summary.built, [sku for sku, _ in summary.failures]) == (COUNT - 1, ["can 1", "can 3"])
    for number in (1, 3):
        (line,) = [line for line in told.splitlines() if line.startswith(f"failed: can {number}")]
        assert f"{number}.png" in line and "the packshot" in line and f"row {number + 2}" in line


def _dies_once(settings: ProductBuildSettings, place: int) -> tuple[int, int]:
    flag = settings.sku_list.parent / "died"
    if place == 2 and not flag.exists():
        flag.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return build._build_one(settings, place)


def test_a_worker_that_dies_ends_nothing(listed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build, "BUILDING", SceneFunctions(scene=_dies_once, start=build._open_library))
    summary, _ = run(listed, tmp_path / "cache", workers=2)
    assert (summary.built, summary.failures) == (COUNT + 1, [])
    assert (tmp_path / "died").exists()


@pytest.mark.usefixtures("here")
def test_stopped_and_gone_on_with(listed: Path, tmp_path: Path) -> None:
    looks = iter([False] * 3)
    summary, told = run(listed, tmp_path / "cache", stop=lambda: next(looks, True))
    assert summary.interrupted and summary.built < COUNT + 1 and "interrupted" in told
    rest, _ = run(listed, tmp_path / "cache")
    assert not rest.interrupted and rest.built + rest.found == COUNT + 1


@pytest.mark.usefixtures("here")
def test_the_command(listed: Path, tmp_path: Path) -> None:
    sheet = tmp_path / "sheets" / "sheet.png"
    options = ["--cache", str(tmp_path / "cache"), "--workers", "1", "--limit", "2"]
    good = CliRunner().invoke(main, ["assets", "build", str(listed), *options, "--sheet", str(sheet)])
    assert good.exit_code == 0, good.output
    assert "2 built" in good.output
    with Image.open(sheet) as image:
        assert image.width > 600
    (tmp_path / "0.png").write_bytes(b"")
    bad = CliRunner().invoke(main, ["assets", "build", str(listed), *options])
    assert bad.exit_code == 1 and "failed: can 0" in bad.output
    wrong = CliRunner().invoke(main, ["assets", "build", str(listed), "--sku", "can 9"])
    assert wrong.exit_code == 1 and "unknown SKU 'can 9'" in wrong.output


def test_notes_of_many_are_few_lines() -> None:
    notes = [(f"s{number}", "dark") for number in range(1000)] + [
        ("a", "one"),
        ("b", "two\x1b[2J"),
        ("c", "two\x1b[2J"),
    ]
    assert note_lines(notes) == [
        "1000 SKUs (s0, s1, s2, …): dark",
        "2 SKUs (b, c): two\\x1b[2J",
        "a: one",
    ]
    lines = note_lines([(f"s{number}", f"{number} %") for number in range(1000)])
    assert len(lines) == 101 and lines[-1] == "and 900 more kinds of notes"


def test_the_check_tells_what_does_not_fit(listed: Path) -> None:
    text = listed.read_text(encoding="utf-8").replace("can 2,Can 2,auto,,.075", "can 2,Can 2,can,,.2")
    listed.write_text(text, encoding="utf-8")
    result = CliRunner().invoke(main, ["catalog", "check", str(listed)])
    assert result.exit_code == 0, result.output
    words = " ".join(result.output.split())
    assert "note: can 2: packshot: 0.62 times as wide as high, 1.67 by the stated sizes" in words
    assert "depth x height would fit" in words
