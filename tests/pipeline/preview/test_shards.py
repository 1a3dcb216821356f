"""Contact sheets of sharded sets, and the commands that take either kind of data set."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from dataset.records import AnnotationRecord, CategoryRecord, Head, ImageRecord
from dataset.shards.index import ShardSample, write_categories, write_index, write_shard
from dataset.storage.path import StoragePath
from dataset.store import open_dataset
from pipeline.cli.main import main
from pipeline.preview.draw import chosen_images, preview_set
from pipeline.preview.types import PreviewSettings
from support.errors import raises
from support.scenes import rle_of_mask

CATEGORIES = [CategoryRecord(id=3, name="Tea", sku="tea")]
WIDTH, HEIGHT = 40, 30


def jpeg(width: int = WIDTH, height: int = HEIGHT) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (width, height), (90, 90, 90)).save(buffer, "JPEG")
    return buffer.getvalue()


def sample(number: int, **record: object) -> ShardSample:
    """An image with one box, of which the mask is the upper half; nothing else is known of it."""
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[5:10, 10:30] = True
    annotation = {"id": number, "image_id": number, "category_id": 3, "bbox": [10, 5, 20, 10], "area": 100.0}
    image = ImageRecord(id=number, file_name=f"{number}.jpg", width=WIDTH, height=HEIGHT)
    stated = AnnotationRecord.parse({**annotation, "segmentation": rle_of_mask(mask), **record})
    return ShardSample(str(number), {"jpg": jpeg()}, image, [stated])


def place_of(folder: Path, *shards: list[ShardSample]) -> StoragePath:
    place = StoragePath(str(folder))
    entries = [write_shard(place, f"train-{i}", "train", samples, Head(CATEGORIES)) for i, samples in enumerate(shards)]
    write_index(place, entries)
    write_categories(place, CATEGORIES)
    return place


def preview(place: StoragePath, out: Path, **options: Any) -> Path:
    return preview_set(place.url, out, PreviewSettings(**options))


def test_images_come_from_all_over_the_set(tmp_path: Path) -> None:
    place = place_of(tmp_path / "set", [sample(1), sample(2), sample(3)], [], [sample(4)])
    sheet = Image.open(preview(place, tmp_path / "sheet.png", count=4))
    # All of both shards that have some: two rows of two.
    assert sheet.width == 1952 and sheet.height > 2 * 480
    colors = np.asarray(sheet.convert("RGB")).reshape(-1, 3)
    assert (np.ptp(colors.astype(int), axis=1) > 60).any()


@pytest.mark.parametrize("segmentation", [None, [[10, 5, 30, 5, 30, 15]], {"size": [30, 40], "counts": [0, 5]}])
def test_outlines_of_other_forms_are_left_out(tmp_path: Path, segmentation: object) -> None:
    place = place_of(tmp_path / "set", [sample(1, segmentation=segmentation, iscrowd=1)])
    assert preview(place, tmp_path / "sheet.png").exists()


def test_damaged_labels_are_told(tmp_path: Path) -> None:
    place = place_of(tmp_path / "set", [sample(1, bbox="wide")])
    with raises("records-invalid", what="cannot be drawn"):
        preview(place, tmp_path / "sheet.png")
    with raises("dataset-empty"):
        preview(place_of(tmp_path / "none", []), tmp_path / "sheet.png")


def test_instances_are_chosen_in_shards(tmp_path: Path) -> None:
    hidden = [[sample(2 * shard + number, visibility=0.1 * shard) for number in (1, 2)] for shard in range(8)]
    place = place_of(tmp_path / "set", *hidden)
    source = chosen_images(open_dataset(place.url), PreviewSettings(count=3, below_visibility=0.35))
    assert [image.records[0].id for image in source.images] == [1, 3, 6]
    with raises("unknown-sku", what="'Tea'"):
        preview(place, tmp_path / "sheet.png", skus=("Tea",))
    with raises("filter-empty"):
        preview(place, tmp_path / "sheet.png", skus=("tea",), below_visibility=0.0)


def test_commands_take_shards(tmp_path: Path) -> None:
    place = place_of(tmp_path / "set", [sample(1), sample(2)])
    result = CliRunner().invoke(main, ["verify", place.url])
    assert result.exit_code == 0 and "clean: 2 images, 2 annotations" in result.output, result.output
    result = CliRunner().invoke(main, ["preview", place.url, "--out", str(tmp_path / "sheet.png")])
    assert result.exit_code == 0 and (tmp_path / "sheet.png").exists(), result.output
    (tmp_path / "set" / "shards" / "train-0.tar").write_bytes(b"")
    assert CliRunner().invoke(main, ["verify", place.url]).exit_code == 1
    nowhere = CliRunner().invoke(main, ["verify", str(tmp_path / "nowhere")])
    assert nowhere.exit_code == 1 and "no such data set" in nowhere.output
