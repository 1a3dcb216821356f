"""The images of a package: read at the size that is needed, cut, set upright, and held against the stated sizes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image, ImageDraw

from assets.catalog.types import Sku
from assets.packages.build import make_package
from assets.packages.facts import package_doubts, resolve_kind
from assets.packages.packshots.art import READ_PX, read_art
from support.errors import raises

BOX = Sku("b", "Oat Flakes", package="carton", width_m=0.2, depth_m=0.06, height_m=0.3, packshot="front.png")


def front(folder: Path, name: str = "front.png", size: tuple[int, int] = (200, 300), *, pad: int = 60) -> Path:
    """A red front with a blue half on a white ground."""
    image = Image.new("RGB", (size[0] + 2 * pad, size[1] + 2 * pad), "white")
    draw = ImageDraw.Draw(image)
    draw.rectangle((pad, pad, pad + size[0] - 1, pad + size[1] - 1), fill=(200, 20, 30))
    draw.rectangle((pad, pad, pad + size[0] // 2, pad + size[1] // 2), fill=(20, 30, 200))
    image.save(folder / name)
    return folder / name


def test_all_sides_that_there_are_are_read(tmp_path: Path) -> None:
    sizes = {"back": (200, 300), "left": (60, 300), "top": (200, 60)}
    for side, size in {"front": (200, 300), **sizes}.items():
        front(tmp_path, f"{side}.png", size)
    Image.new("RGB", (700, 100), "green").save(tmp_path / "label.png")
    named = {f"packshot_{side}": f"{side}.png" for side in sizes}
    art = read_art(replace(BOX, label_strip="label.png", **named), tmp_path)
    assert list(art.sides) == ["front", "back", "left", "top"]
    assert {side: image.shape[:2] for side, image in art.sides.items()} == {
        "front": (300, 200),
        **{side: (high, wide) for side, (wide, high) in sizes.items()},
    }
    assert art.strip is not None and art.strip.shape == (100, 700, 3)
    assert art.profile is not None and art.profile.widths == pytest.approx(1, abs=0.02)
    assert art.side_profile is not None and art.notes == ()
    assert package_doubts(BOX, art) == []


def test_without_images_there_is_no_art(tmp_path: Path) -> None:
    art = read_art(replace(BOX, packshot=""), tmp_path)
    assert (art.sides, art.strip, art.profile, art.side_profile) == ({}, None, None, None)


def test_the_back_gives_the_outline_mirrored(tmp_path: Path) -> None:
    image = Image.new("RGBA", (200, 200))
    ImageDraw.Draw(image).polygon([(50, 50), (150, 150), (50, 150)], fill="red")  # upright on its left
    image.save(tmp_path / "back.png")
    art = read_art(replace(BOX, packshot="", packshot_back="back.png"), tmp_path)
    assert art.profile is not None
    assert art.profile.right == pytest.approx(0.5) and art.profile.left[-1] > 0.4


@pytest.mark.parametrize("name", ["large.jpg", "large.png"])
def test_large_images_are_shrunk(tmp_path: Path, name: str) -> None:
    front(tmp_path, name, (2400, 3600), pad=200)
    art = read_art(replace(BOX, packshot=name), tmp_path)
    assert 0.8 * READ_PX < max(art.sides["front"].shape) <= READ_PX
    height, width = art.sides["front"].shape[:2]
    assert width / height == pytest.approx(2 / 3, rel=0.02)


def test_a_turned_photograph_is_set_upright(tmp_path: Path) -> None:
    image = Image.open(front(tmp_path)).transpose(Image.Transpose.ROTATE_90)
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees clockwise for viewing
    image.save(tmp_path / "turned.jpg", exif=exif, quality=95)
    assert read_art(replace(BOX, packshot="turned.jpg"), tmp_path).sides["front"].shape[:2] == (300, 200)


@pytest.mark.parametrize("column", ["packshot", "packshot_top", "label_strip"])
@pytest.mark.parametrize("content", [None, b"no image", b"\x89PNG\r\n\x1a\n"])
def test_a_bad_image_is_told_with_sku_column_and_file(tmp_path: Path, column: str, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "bad.png").write_bytes(content)
    with raises("file-missing" if content is None else "image-unreadable") as error:
        read_art(replace(BOX, **{"packshot": "", column: "bad.png"}), tmp_path)
    assert f"the {column}" in str(error.value) and "SKU 'b'" in str(error.value) and "bad.png" in str(error.value)


def test_a_front_taken_askew_is_set_straight(tmp_path: Path) -> None:
    straight = np.asarray(Image.open(front(tmp_path)))
    corners = np.float32([(60, 60), (259, 60), (259, 359), (60, 359)])
    askew = corners + np.float32([(10, 5), (-5, 25), (-5, -30), (12, -8)])
    turn = cv2.getPerspectiveTransform(corners, askew)
    warped = cv2.warpPerspective(straight, turn, (320, 420), borderValue=(255, 255, 255), flags=cv2.INTER_AREA)
    Image.fromarray(warped).save(tmp_path / "askew.png")
    image = read_art(replace(BOX, packshot="askew.png"), tmp_path).sides["front"]
    assert (image[..., 3] == 255).all()
    height, width = image.shape[:2]
    small = cv2.resize(image[..., :3], (20, 30), interpolation=cv2.INTER_AREA).astype(int)
    assert np.abs(small[1:14, 1:9] - (20, 30, 200)).max() < 40
    assert np.abs(small[16:29, 1:19] - (200, 20, 30)).max() < 40
    assert 0.55 < width / height < 0.8
    # A tube is a trapezoid by itself.
    tube = read_art(replace(BOX, package="tube", packshot="askew.png"), tmp_path).sides["front"]
    assert (tube[..., 3] < 128).any()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({}, None),
        ({"width_m": 0.3, "height_m": 0.2}, "height x width would fit, are sizes swapped?"),
        ({"width_m": 0.06, "depth_m": 0.2}, "depth x height would fit"),
        ({"width_m": 0.02}, "a factor of 10, is one of them in another unit?"),
        ({"width_m": 0.26}, "0.67 times as wide as high, 0.87 by the stated sizes"),
        ({"mass_kg": 0.5}, None),
        ({"mass_kg": 50.0}, "50 kg in 3.6 litres"),
        ({"mass_kg": 0.001}, "another unit"),
        ({"package": "auto"}, "carton, chosen from the silhouette"),
        ({"package": "auto", "packshot": ""}, "carton, without a packshot"),
    ],
)
def test_what_does_not_fit_is_noted(tmp_path: Path, change: dict, words: str | None) -> None:
    front(tmp_path)
    sku = replace(BOX, **change)
    notes = package_doubts(sku, read_art(sku, tmp_path))
    assert notes == [] if words is None else len(notes) == 1 and words in notes[0], notes


def test_an_image_without_ground_is_noted_once(tmp_path: Path) -> None:
    blocks = np.random.default_rng(0).integers(0, 255, (8, 6, 3), dtype=np.uint8)
    Image.fromarray(blocks).resize((200, 500), Image.Resampling.NEAREST).save(tmp_path / "front.png")
    (note,) = package_doubts(BOX, read_art(BOX, tmp_path))
    assert "packshot: no plain background" in note


def test_auto_builds_what_the_silhouette_says(tmp_path: Path) -> None:
    image = Image.new("RGB", (300, 500), "white")
    outline = [(80, 450), (220, 450), (220, 200), (172, 130), (172, 50), (128, 50), (128, 130), (80, 200)]
    ImageDraw.Draw(image).polygon(outline, fill=(20, 90, 40))
    image.save(tmp_path / "front.png")
    size = {"width_m": 0.07, "depth_m": 0.07, "height_m": 0.2}
    sku = replace(BOX, package="auto", unit_package="auto", **size)
    settled = resolve_kind(sku, read_art(sku, tmp_path))
    assert (settled.package, settled.unit_package) == ("bottle", "")
    assert make_package(sku, tmp_path).key == make_package(replace(sku, package="bottle"), tmp_path).key
