"""What values show in Jupyter: pictures that are made when asked for, and texts that stay texts; the tour runs."""

from __future__ import annotations

import ast
import copy
import io
import json
import math
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

import synth
from assets.catalog.types import Catalog
from assets.notebook import Dots, plan, table
from support.paths import ROOT
from support.sets.shapes import write_shapes

EVIL = "<script>alert('x')</script>\"&\x1b[31m"
TOUR = ROOT / "examples" / "tour.ipynb"


def parsed(html: str) -> ElementTree.Element:
    """The page as XML, which it is but for its images."""
    assert "<script" not in html and "\x1b" not in html
    return ElementTree.fromstring(f"<x>{html.replace('>', '/>') if html.startswith('<img') else closed(html)}</x>")


def closed(html: str) -> str:
    before, *rest = html.split("<img ")
    return before + "".join("<img " + one.replace(">", "/>", 1) for one in rest)


def test_a_catalogue_shows_fronts_and_rows(tmp_path: Path) -> None:
    Image.new("RGB", (40, 60), "red").save(tmp_path / "front.png")
    (tmp_path / "list").mkdir()
    Image.new("RGB", (9, 9), "red").save(tmp_path / "list" / "front.png")
    skus = [f"{EVIL}{number}" for number in range(20)]
    empty = [""] * 20
    columns: dict[str, Any] = {
        name: list(empty) for name in ("category", "mesh", "licence", "package", "brand", "barcode")
    }
    columns |= {"sku": skus, "name": [EVIL] * 20, "height_m": [0.2] * 20, "width_m": [0.1, None] * 10}
    columns["packshot"] = ["front.png", "../front.png", "missing.png", *empty[3:]]
    columns["colors"] = ["#ff0000 url(javascript:x)"] * 20
    html = Catalog(columns, tmp_path / "list" / "skus.csv")._repr_html_()
    page = parsed(html)
    assert "20 products, the first 12" in html and len(page.findall(".//tbody/tr")) == 12
    assert len(page.findall(".//img")) == 1  # one is missing, one lies outside the list's folder
    assert "javascript" not in "".join(page.itertext()).replace(EVIL, "") and 'fill="#ff0000"' not in html
    demo = synth.demo_catalog()._repr_html_()
    assert len(parsed(demo).findall(".//{http://www.w3.org/2000/svg}rect")) >= 12


def test_a_scene_shows_its_products_in_the_image_and_from_above() -> None:
    library = synth.open_library(synth.demo_catalog())
    scene = synth.sample_scene(library, "tabletop", seed=7, index=0, width=160, height=120)
    html = scene._repr_html_()
    page = parsed(html)
    svg = "{http://www.w3.org/2000/svg}"
    seen, above = page.findall(f".//{svg}svg")
    products = [one for one in scene.placements if one.kind == "product"]
    assert 1 <= len(seen.findall(f"{svg}circle")) <= len(products)
    assert len(above.findall(f"{svg}circle")) == len(products) + len(scene.lights) + 1
    assert f"{len(products)} products" in html


def test_a_frame_is_its_image() -> None:
    from render.frame import Frame

    rgb = np.arange(4 * 5 * 3, dtype=np.uint8).reshape(4, 5, 3)
    frame = Frame(rgb, None, ())  # type: ignore[arg-type]
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(frame._repr_png_()))), rgb)


def test_a_data_set_shows_images_and_counts(tmp_path: Path) -> None:
    for split, count in (("train", 3), ("val", 1)):
        write_shapes(tmp_path / "set", count, seed=1, split=split)
    dataset = synth.open_dataset(tmp_path / "set")
    assert dataset.splits == {"train": 3, "val": 1} and len(dataset) == 4 == len(list(dataset)) == len(list(dataset))
    assert len(list(dataset.images("val"))) == 1
    html = dataset._repr_html_()
    assert len(parsed(html).findall(".//img")) == 1 and str(tmp_path) not in html
    for file in (tmp_path / "set").rglob("*.png"):
        file.write_bytes(b"")
    assert not parsed(dataset._repr_html_()).findall(".//img")
    with pytest.raises(synth.SynthError):
        dataset.images("test")


def test_a_report_shows_its_metrics(tmp_path: Path) -> None:
    file = write_shapes(tmp_path / "set", 2, seed=1, split="val")
    content = json.loads(file.read_text())
    content["categories"][0]["name"] = EVIL
    content["categories"][0].pop("sku", None)
    file.write_text(json.dumps(content))
    rows = [
        {**{key: one[key] for key in ("image_id", "category_id", "bbox")}, "score": 0.5}
        for one in content["annotations"]
    ]
    (tmp_path / "found.json").write_text(json.dumps(rows))
    report = synth.evaluate_detections(file, tmp_path / "found.json")
    assert report.coco["AP"] == pytest.approx(1)
    cells = [[cell.text for cell in row] for row in parsed(report._repr_html_()).findall(".//tbody/tr")]
    assert ["AP", "1"] in [row[:2] for row in cells]


def test_numbers_that_are_none_and_long_texts() -> None:
    assert "nan" in table(("a",), [(math.nan,)])
    assert len(table(("a",), [("x" * 10_000,)])) < 1000
    parsed(plan((0, 0), (1, 1), [Dots("red", [(math.inf, 0.5), (0.5, 0.5)], ["far", "near"])], 100))


def test_the_tour_uses_the_public_interface_alone_and_stores_no_output() -> None:
    cells = [one for one in json.loads(TOUR.read_text())["cells"] if one["cell_type"] == "code"]
    assert all(not one["outputs"] and one["execution_count"] is None for one in cells)
    for node in (node for one in cells for node in ast.walk(ast.parse("".join(one["source"])))):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else [one.name for one in node.names]
            assert set(names) <= {"synth", "json", "pathlib", "PIL"}
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "synth":
            assert node.attr in synth.__all__


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_the_tour_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Twice the same pictures are tested elsewhere; here each cell runs and shows what it should."""
    nbclient = pytest.importorskip("nbclient")
    nbformat = pytest.importorskip("nbformat")
    for name in ("XDG_CACHE_HOME", "IPYTHONDIR", "JUPYTER_RUNTIME_DIR", "JUPYTER_CONFIG_DIR"):
        monkeypatch.setenv(name, str(tmp_path / name))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    book = nbformat.read(TOUR, as_version=4)
    client = nbclient.NotebookClient(copy.deepcopy(book), timeout=300, resources={"metadata": {"path": str(tmp_path)}})
    try:
        done = client.execute()
    except nbclient.exceptions.CellExecutionError as error:
        if "OpenGL" in str(error):
            pytest.skip(f"the raster backend cannot start here: {error}")
        raise
    shown = [one["data"] for cell in done.cells if cell.cell_type == "code" for one in cell.outputs if "data" in one]
    assert [sorted(set(one) - {"text/plain", "image/jpeg"}) for one in shown] == [
        *(["text/html"], ["text/html"], ["image/png"], ["image/png"], ["text/html"], ["text/html"]),
    ]
