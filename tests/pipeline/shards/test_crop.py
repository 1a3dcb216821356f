"""`synth data crop`: which products, which pixels, and folders that names cannot lead astray."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image
from rich.console import Console

from dataset.coco_writer import write_coco
from dataset.records import AnnotationRecord, CategoryRecord, Head, ImageLabels, ImageRecord
from pipeline.cli.main import main
from pipeline.shards.crop import CroppingSummary, Folders, crop_data
from pipeline.shards.settings import CroppingSettings

QUIET = Console(quiet=True)
# Of products: SKU, box and other fields.
PRODUCTS = [
    ("tea", [10, 20, 20, 20], {}),
    ("Tea", [30, 20, 10, 10], {"visibility": 0.5}),
    ("../../x y", [0, 0, 20, 20], {}),
    ("tea", [40, 40, 5, 5], {}),
    ("tea", [40, 20, 20, 20], {"visibility": 0.1}),
    ("tea", [10, 20, 20, 20], {"ignore": 1}),
]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """An image whose red is its column and whose green is its row, times 4."""
    folder = tmp_path / "source"
    (folder / "images" / "val" / "a").mkdir(parents=True)
    (folder / "annotations").mkdir()
    y, x = np.mgrid[:60, :60]
    pixels = np.stack([4 * x, 4 * y, 0 * x], axis=-1).astype(np.uint8)
    Image.fromarray(pixels).save(folder / "images" / "val" / "a" / "1.png")
    skus = sorted({sku for sku, _, _ in PRODUCTS})
    records = [
        AnnotationRecord.parse(
            {"id": number, "image_id": 1, "category_id": skus.index(sku) + 1, "sku": sku, "bbox": box, **fields}
        )
        for number, (sku, box, fields) in enumerate(PRODUCTS, start=1)
    ]
    labels = ImageLabels(ImageRecord(id=1, file_name="a/1.png", width=60, height=60), records)
    head = Head([CategoryRecord(id=number, name=sku, sku=sku) for number, sku in enumerate(skus, start=1)])
    write_coco(folder / "annotations" / "instances_val.json", [labels], head)
    return folder


def crop(source: Path, **settings: float) -> tuple[CroppingSummary, Path, list[dict[str, str]]]:
    out = source.parent / "out"
    summary = crop_data(source, out, CroppingSettings(**{"min_side": 10.0, **settings}), QUIET)  # type: ignore[arg-type]
    with (out / "crops.csv").open(newline="") as file:
        return summary, out, list(csv.DictReader(file))


def test_products_that_count_are_cropped(source: Path) -> None:
    summary, out, rows = crop(source)
    assert (summary.images, summary.crops, summary.skus, summary.left_out) == (1, 3, 3, 3)
    assert [row["sku"] for row in rows] == ["tea", "Tea", "../../x y"] and rows[1]["visibility"] == "0.5"
    files = {path.relative_to(out).as_posix() for path in out.rglob("*.jpg")}
    assert files == {row["file"] for row in rows} and all(name.startswith("val/") for name in files)
    # Also where the file system does not tell capitals, each SKU has a folder of its own.
    assert len({name.split("/")[1].casefold() for name in files}) == 3
    assert sorted(path.name for path in source.parent.iterdir()) == ["out", "source"]


def test_the_margin_is_a_share_of_the_longer_side_and_ends_at_the_border(source: Path) -> None:
    _, out, rows = crop(source, margin=0.25)
    pixels = np.array(Image.open(out / rows[0]["file"]))
    assert pixels.shape == (30, 30, 3)
    np.testing.assert_allclose(pixels[0, 0, :2], [4 * 5, 4 * 15], atol=6)
    assert np.array(Image.open(out / rows[2]["file"])).shape == (25, 25, 3)


def test_folders_of_different_texts_differ() -> None:
    folders = Folders()
    texts = ["a b", "a_b", "A_B", "..", ".", "a/b", "ä", "é", "", "x" * 100, "x" * 101, "tea", "TEA"]
    names = [folders.of(text) for text in texts]
    assert len({name.casefold() for name in names}) == len(texts) and [folders.of(text) for text in texts] == names
    assert all(name and not name.startswith(".") and "/" not in name and len(name) < 120 for name in names)
    assert folders.of("a_b") == "a_b" and folders.of("tea") == "tea"


def test_command(source: Path) -> None:
    out = source.parent / "out"
    done = CliRunner().invoke(main, ["data", "crop", str(source), str(out), "--min-side", "10"])
    assert done.exit_code == 0 and f"wrote 3 crops of 3 SKUs to {out}; left out: 3" in done.output, done.output
    assert CliRunner().invoke(main, ["data", "crop", str(source), str(out)]).exit_code == 1
