"""The contract of image sources: labelled columns, shards and photographs are read by the same calls."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from dataset.find import open_source as find_source
from dataset.problems import Problems
from dataset.storage.path import StoragePath
from detectors.data.class_match import PRODUCT, Classes
from detectors.data.photos import read_photos
from detectors.data.read_coco import read_images
from detectors.data.shard_prepare import open_shards, reopen_source
from detectors.data.source import ImageSource
from pipeline.shards.pack import pack_data
from pipeline.shards.settings import PackSettings
from support.errors import raises
from support.sets.shapes import write_shapes

IMAGES = 5


def columns(file: Path) -> ImageSource:
    return read_images(find_source(file, name="x", splits=("train",)), Problems("x"))


def shards(file: Path) -> ImageSource:
    place = StoragePath(str(file.parent / "shards"))
    pack_data(file, place, Console(quiet=True), PackSettings(shard_images=2))
    return open_shards("x", place, ("train",), Problems("x"), cache_bytes=10**9)


def photos(file: Path) -> ImageSource:
    return read_photos(file, "x", Problems("x"), Classes(("a", "b"), ("A", "B")))


@pytest.fixture(params=[columns, shards, photos], ids=lambda kind: kind.__name__)
def source(request: pytest.FixtureRequest, tmp_path: Path) -> ImageSource:
    kind: Callable[[Path], ImageSource] = request.param
    return kind(write_shapes(tmp_path / "plain", IMAGES, seed=3))


def test_every_source_keeps_the_contract(source: ImageSource, tmp_path: Path) -> None:
    assert len(source) == IMAGES and source.name == "x" and not source.rendered and source.live is None
    assert source.sizes.shape[1] == 2 and (source.sizes > 0).all()
    labelled = sum(len(source.read_sample(index, masks=True).boxes) for index in range(IMAGES))
    assert source.box_count == labelled and not source.missing_masks
    source.fetch_ahead([0])
    if source.windows is not None:
        assert source.windows.sizes.sum() == IMAGES
    if source.columns is not None:
        assert len(source.columns) == IMAGES
    for index in range(IMAGES):
        sample = source.read_sample(index, masks=False)
        np.testing.assert_array_equal(source.read_image(index), sample.image)
        assert sample.visibility is not None and source.locate(index)
        assert ((sample.labels >= -1) & (sample.labels < len(source.classes))).all()


def test_every_source_can_be_relabelled_and_handed_to_other_processes(source: ImageSource, tmp_path: Path) -> None:
    product = source.relabelled(PRODUCT)
    assert product.classes == PRODUCT and product.lost_classes(PRODUCT) == []
    lost = source.lost_classes(Classes(("other",), ("Other",)))
    assert (not lost) == (source.box_count == 0)
    product.save(tmp_path / "stored")
    for other in (reopen_source(tmp_path / "stored"), pickle.loads(pickle.dumps(product))):
        assert len(other) == IMAGES and other.classes == PRODUCT and other.box_count == product.box_count
        for index in range(IMAGES):
            np.testing.assert_array_equal(
                other.read_sample(index, masks=False).labels, product.read_sample(index, masks=False).labels
            )


def test_photographs_of_a_folder_are_found_below_it_in_natural_order(tmp_path: Path) -> None:
    for name in ("b/10.jpg", "b/2.png", "a.jpg", ".hidden/1.jpg", "._a.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.new("RGB", (20, 30)).save(tmp_path / name)
    (tmp_path / "broken.jpg").write_bytes(b"no image")
    (tmp_path / "notes.txt").write_text("no image")
    problems = Problems("x")
    found = read_photos(tmp_path, "shop", problems, PRODUCT)
    assert [name.decode() for name in map(found.file_names.__getitem__, range(3))] == ["a.jpg", "b/2.png", "b/10.jpg"]
    assert found.sizes.tolist() == [[20, 30]] * 3 and problems.bad_count == 1


def test_photographs_of_a_coco_file_come_without_its_labels(tmp_path: Path) -> None:
    file = write_shapes(tmp_path / "plain", IMAGES, seed=3)
    found = read_photos(file, "x", Problems("x"), PRODUCT)
    assert len(found) == IMAGES and found.box_count == 0
    np.testing.assert_array_equal(found.read_image(2), columns(file).read_image(2))


def test_a_folder_without_photographs_is_refused(tmp_path: Path) -> None:
    with raises("images-missing"):
        read_photos(tmp_path, "x", Problems("x"), PRODUCT)
