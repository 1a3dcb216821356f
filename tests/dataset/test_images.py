"""Image files: turned by EXIF or not, cut short, of odd formats, small."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from dataset.images import image_sizes, read_image
from dataset.problems import Problems
from dataset.records import ImageRecord
from support.errors import raises
from support.sets.coco_files import write_image


def look(path: Path, **record: object) -> tuple[tuple[int, int] | None, Problems]:
    """The size that the file is used at, and what is wrong with it."""
    problems = Problems("test")
    sizes = image_sizes(path.parent, [ImageRecord.parse({"file_name": path.name, **record})], problems)
    return sizes.get(path.name), problems


@pytest.mark.parametrize("suffix", ["jpg", "png", "tif", "webp"])
@pytest.mark.parametrize("turn", range(1, 9))
def test_images_are_turned_where_their_labels_are(tmp_path: Path, turn: int, suffix: str) -> None:
    path = tmp_path / f"photo.{suffix}"
    write_image(path, width=24, height=16, turn=turn)
    with Image.open(path) as file:
        stored, upright = np.array(file.convert("RGB")), np.array(ImageOps.exif_transpose(file).convert("RGB"))
    # Labelled as stored, and as seen by a viewer that minds EXIF.
    for expected in (stored, upright):
        height, width = expected.shape[:2]
        size, problems = look(path, width=width, height=height)
        assert size == (width, height) and not problems.bad
        found = read_image(path, width, height)
        # A turn by a half is not seen in the size: as stored, and told.
        right = stored if turn in (2, 3, 4) else expected
        assert np.abs(found.astype(int) - right).max() <= 3
        assert bool(problems.notes) == (turn in (2, 3, 4))


def test_images_of_no_stated_size_are_seen_upright(tmp_path: Path) -> None:
    path = tmp_path / "photo.jpg"
    write_image(path, width=24, height=16, turn=6)
    size, problems = look(path)
    assert size == (16, 24) and "images without width and height, read from the file" in problems.notes
    assert read_image(path, 16, 24).shape == (24, 16, 3)


def test_a_quarter_turn_of_a_square_is_told(tmp_path: Path) -> None:
    write_image(tmp_path / "photo.jpg", width=16, height=16, turn=6)
    size, problems = look(tmp_path / "photo.jpg", width=16, height=16)
    assert size == (16, 16) and any("sizes do not show it" in kind for kind in problems.notes)


@pytest.mark.parametrize(("width", "height"), [(16, 24), (24, 17), (24, None), ("24", 16), (24.5, 16), (-24, 16)])
def test_other_sizes_than_stated_are_told(tmp_path: Path, width: object, height: object) -> None:
    write_image(tmp_path / "photo.jpg", width=24, height=16)
    size, problems = look(tmp_path / "photo.jpg", width=width, height=height)
    assert size is None and list(problems.bad) == ["images of another size than stated"]


@pytest.mark.parametrize("share", [0.0, 0.02, 0.3, 0.7, 0.97])
@pytest.mark.parametrize("suffix", ["jpg", "png"])
def test_files_cut_short_are_told(tmp_path: Path, suffix: str, share: float) -> None:
    path = tmp_path / f"photo.{suffix}"
    write_image(path, width=200, height=150)
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    size, problems = look(path, width=200, height=150)
    assert size is None and list(problems.bad) == ["images that cannot be read"]


@pytest.mark.parametrize("mode", ["L", "RGBA", "P", "1", "CMYK", "LA", "I;16"])
def test_images_of_all_modes_become_rgb(tmp_path: Path, mode: str) -> None:
    path = tmp_path / ("photo.tif" if mode == "CMYK" else "photo.png")
    Image.new(mode, (24, 16)).save(path)
    assert look(path, width=24, height=16)[0] == (24, 16)
    assert read_image(path, 24, 16).shape == (16, 24, 3)


@pytest.mark.parametrize("suffix", ["jpg", "png", "bmp", "webp", "tif"])
@pytest.mark.parametrize("side", [1, 7])
def test_what_passes_the_check_can_be_read(tmp_path: Path, suffix: str, side: int) -> None:
    path = tmp_path / f"photo.{suffix}"
    Image.new("RGB", (side, side), (200, 10, 30)).save(path)
    assert look(path, width=side, height=side)[0] == (side, side)
    image = read_image(path, side, side)
    assert image.dtype == np.uint8 and np.abs(image.astype(int) - (200, 10, 30)).max() <= 3


def test_a_file_that_has_changed_since_is_told(tmp_path: Path) -> None:
    path = tmp_path / "photo.jpg"
    write_image(path, width=24, height=16)
    with raises("image-unreadable", expected="as when the data set was checked") as error:
        read_image(path, 24, 17)
    assert "24x16" in str(error.value)
    path.write_bytes(b"")
    with raises("image-unreadable"):
        read_image(path, 24, 16)
    path.unlink()
    with raises("file-missing"):
        read_image(path, 24, 16)


@given(
    places=st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), max_size=30),
    suffix=st.sampled_from(["jpg", "png"]),
)
@settings(max_examples=60)
def test_broken_bytes_are_read_or_told(
    tmp_path_factory: pytest.TempPathFactory, places: list[tuple[int, int]], suffix: str
) -> None:
    path = tmp_path_factory.getbasetemp() / f"broken.{suffix}"
    write_image(path, turn=6)
    data = bytearray(path.read_bytes())
    for place, value in places:
        # Mostly the head, where the sizes and tags are.
        data[place % min(len(data), 200)] = value
    path.write_bytes(bytes(data))
    size, problems = look(path)
    assert (size is None) == bool(problems.bad)
