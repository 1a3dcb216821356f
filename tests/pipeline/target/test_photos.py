"""Photographs to fit to: what their files say of the camera, padding, and files that cannot be used."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from PIL.TiffImagePlugin import IFDRational
from rich.console import Console

from assets.progress import StepProgress
from dataset.problems import Problems
from pipeline.target.photos import (
    EXIF,
    FILM_MM,
    FOCAL_MM,
    PLANE_RESOLUTION,
    PLANE_UNIT,
    PLANE_WIDTH,
    choose_photos,
    common_size,
    jpeg_quality,
    read_photo,
    read_photos,
    without_padding,
)
from support.errors import raises

AREA = 640.0 * 480


def picture(width: int, height: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(1).integers(0, 255, (height, width, 3), dtype=np.uint8))


def save(path: Path, image: Image.Image, tags: dict[int, Any] | None = None, **options: Any) -> Path:
    exif = Image.Exif()
    exif.get_ifd(EXIF).update(tags or {})
    for tag in (0x0112,):
        if tag in (tags or {}):
            exif[tag] = (tags or {})[tag]
    image.save(path, "JPEG", exif=exif, **options)
    return path


@pytest.mark.parametrize(
    ("tags", "lens"),
    [
        ({FILM_MM: 26}, 26.0),
        ({FILM_MM: 0}, None),
        ({FILM_MM: 60000}, None),
        ({FOCAL_MM: IFDRational(4, 1)}, None),
        # 4000 pixels at 8000 per centimetre are 5 mm: 4 mm of focal length are 28.8 mm of film.
        (
            {FOCAL_MM: IFDRational(4, 1), PLANE_RESOLUTION: IFDRational(8000, 1), PLANE_UNIT: 3, PLANE_WIDTH: 4000},
            28.8,
        ),
        ({FOCAL_MM: IFDRational(4, 0), PLANE_RESOLUTION: IFDRational(8000, 1), PLANE_WIDTH: 4000}, None),
        ({}, None),
    ],
)
def test_the_lens_follows_from_exif(tmp_path: Path, tags: dict[int, Any], lens: float | None) -> None:
    photo = read_photo(save(tmp_path / "a.jpg", picture(40, 30), tags), "a.jpg", AREA)
    assert photo.lens_mm == (None if lens is None else pytest.approx(lens))


@pytest.mark.parametrize("quality", [20, 50, 75, 92, 100])
def test_the_quality_of_a_jpeg_follows_from_its_tables(quality: int) -> None:
    data = io.BytesIO()
    picture(16, 16).save(data, "JPEG", quality=quality)
    assert jpeg_quality(Image.open(data)) == pytest.approx(quality, abs=1)
    assert jpeg_quality(picture(16, 16)) is None


def test_photographs_are_upright_and_shrunk(tmp_path: Path) -> None:
    turned = read_photo(save(tmp_path / "a.jpg", picture(40, 30), {0x0112: 6}), "a.jpg", AREA)
    assert turned.pixels.shape == (40, 30, 3) and turned.whole
    small = read_photo(save(tmp_path / "b.jpg", picture(400, 200)), "b.jpg", 800.0)
    assert small.pixels.shape == (20, 40, 3) and not small.whole
    assert common_size([small, small.shrunk(200)]) == (32, 16)


def test_padding_is_cut_off() -> None:
    pixels = np.full((20, 30, 3), 128, np.uint8)
    pixels[4:17, 5:29] = np.asarray(picture(24, 13))
    assert without_padding(pixels).shape == (13, 24, 3)
    assert without_padding(np.full((20, 30, 3), 128, np.uint8)).size == 0


def test_bad_files_are_counted_and_only_bad_ones_are_an_error(tmp_path: Path) -> None:
    save(tmp_path / "good.jpg", picture(40, 30))
    save(tmp_path / "plain.jpg", Image.new("RGB", (40, 30)))
    (tmp_path / "cut.jpg").write_bytes((tmp_path / "good.jpg").read_bytes()[:300])
    (tmp_path / "text.jpg").write_text("<html>")
    folder, files = choose_photos(tmp_path, 10, seed=0)
    problems = Problems("photos")
    quiet = Console(quiet=True)
    with StepProgress(quiet, "reading", total=4) as progress:
        assert [photo.name for photo in read_photos(folder, files, AREA, problems, progress)] == ["good.jpg"]
        assert problems.bad_count == 3 and "a text such as HTML" in problems.lines()[0]
        with raises("images-unusable"):
            read_photos(folder, ["cut.jpg"], AREA, problems, progress)
    with raises("images-missing"):
        choose_photos(tmp_path / "none", 10, seed=0)
    assert len(choose_photos(tmp_path, 2, seed=0)[1]) == 2
