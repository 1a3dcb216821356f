"""`synth planogram`: what a check, a drawing, made-up bays and a conversion say and write."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image

from assets.catalog.load import load_catalog
from assets.demo import demo_list
from assets.planogram import load_planograms
from assets.planogram.types import Planogram, PlanogramBay, PlanogramPosition, PlanogramShelf
from pipeline.cli.main import main
from pipeline.planograms.draw import HEAD_PX, SIDE_PX, PlanogramDrawing, draw_planogram

LIST = str(demo_list())
RED, BLUE = (255, 0, 0), (0, 0, 255)


def synth(*words: object) -> Result:
    return CliRunner().invoke(main, ["planogram", *map(str, words)])


@pytest.fixture
def bays(tmp_path: Path) -> Path:
    assert synth("generate", "--sku-list", LIST, "--out", tmp_path / "bays.csv").exit_code == 0
    return tmp_path / "bays.csv"


def test_made_up_bays_pass_the_check_in_every_format(tmp_path: Path, bays: Path) -> None:
    written = synth("convert", bays, tmp_path / "a.toml", "--sku-list", LIST)
    assert written.exit_code == 0 and "not in" not in written.output
    for file in (bays, tmp_path / "a.toml"):
        found = synth("check", file, "--sku-list", LIST, "--json")
        said = json.loads(found.stdout)
        assert found.exit_code == 0 and said["misfits"] == [] and said["positions"] == 16
    catalog = load_catalog(demo_list())
    assert load_planograms(tmp_path / "a.toml", catalog) == load_planograms(bays, catalog)


def test_a_check_names_rows_and_ends_with_one(tmp_path: Path, bays: Path) -> None:
    rows = bays.read_text().splitlines()
    bays.write_text("\n".join([*rows, "1,unknown,Bay 1,99,1,1,1,front"]))
    found = synth("check", bays, "--sku-list", LIST)
    assert found.exit_code == 1 and "unknown" in found.stdout
    said = json.loads(synth("check", bays, "--sku-list", LIST, "--json").stdout)
    assert said["misfits"][0]["row"] == len(rows) + 1
    assert said["kinds"] == {"missing": 1}


def test_a_conversion_says_what_is_lost_and_overwrites_nothing(tmp_path: Path, bays: Path) -> None:
    synth("convert", bays, tmp_path / "a.toml", "--sku-list", LIST)
    text = (tmp_path / "a.toml").read_text().replace("[[planogram.shelf]]", "[[planogram.shelf]]\nslope_deg = 4", 1)
    (tmp_path / "b.toml").write_text(text)
    written = synth("convert", tmp_path / "b.toml", tmp_path / "c.csv")
    assert "1 shelf slope" in written.output
    catalog = load_catalog(demo_list())
    places = [
        [(one.sku, one.wide, one.high, one.deep) for _, one in plan.positions()]
        for file in (bays, tmp_path / "c.csv")
        for plan in load_planograms(file, catalog).planograms
    ]
    assert places[: len(places) // 2] == places[len(places) // 2 :]
    for name in ("c.csv", "d.psa", "e"):
        refused = synth("convert", bays, tmp_path / name, "--sku-list", LIST)
        assert refused.exit_code == 1 and "code: " in refused.output


def test_a_drawing_is_to_scale_with_the_faces_where_the_blocks_are() -> None:
    shelf = PlanogramShelf(
        "1",
        "shelf",
        *(0.0, 0.2, 0.0, 1.0, 0.05, 0.4),
        positions=(PlanogramPosition("1", "a", wide=2, x=0.1), PlanogramPosition("2", "b", orientation="side", x=0.6)),
    )
    plan = Planogram("Bay", 1.0, 1.0, 0.4, (shelf,), (PlanogramBay("x", 0.0, 1.0, 1.0, 0.4),))
    asked = []

    def face(sku: str, orientation: str) -> Image.Image | None:
        asked.append((sku, orientation))
        return Image.new("RGBA", (4, 4), (*RED, 255)) if sku == "a" else Image.new("RGBA", (4, 4), (*BLUE, 255))

    sizes = {"a": (0.1, 0.2, 0.1), "b": (0.1, 0.3, 0.2)}
    drawn = draw_planogram(plan, PlanogramDrawing(sizes.get, face, wrong={("1", "2")}, pixels=200))
    assert set(asked) == {("a", "front"), ("b", "side")}
    pixels = np.asarray(drawn).astype(int)
    for color, (left, right, bottom, top) in {RED: (0.1, 0.3, 0.25, 0.45), BLUE: (0.6, 0.8, 0.25, 0.55)}.items():
        rows, columns = np.nonzero((np.abs(pixels - color) < 8).all(axis=2))
        found = [
            columns.min() - SIDE_PX,
            columns.max() - SIDE_PX,
            HEAD_PX + 200 - rows.max(),
            HEAD_PX + 200 - rows.min(),
        ]
        assert found == pytest.approx([left * 200, right * 200, bottom * 200, top * 200], abs=4)


def test_show_writes_a_sheet_without_models(tmp_path: Path, bays: Path) -> None:
    out = tmp_path / "show.png"
    shown = synth("show", bays, "--sku-list", LIST, "--out", out, "--no-faces", "--scale", 60, "--json")
    assert shown.exit_code == 0 and json.loads(shown.stdout)["misfits"] == 0
    with Image.open(out) as sheet:
        assert sheet.width > 100
    assert synth("show", bays, "--sku-list", LIST, "--out", out, "--name", "Bay 77").exit_code == 1
