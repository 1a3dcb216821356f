"""The gate for images: five formats by content, pixels asked before anything is decoded, plain files only."""

from __future__ import annotations

import io
import os
import struct
import zlib
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import EpsImagePlugin, Image

from assets.files.image_input import TEXTURE_FORMATS, check_format, decode_pixels, open_image
from dataset.images import decode_image, image_sizes, read_image
from dataset.problems import Problems
from dataset.records import ImageRecord
from detectors.predict.input_images import Unreadable, count_input_images, read_input_images, read_upright
from detectors.predict.inputs import Input
from pipeline.verify.extras import read_png
from support.errors import raises
from support.fuzzing.files import deadline

SIDE = 20_625
EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\nshowpage\n"


def encoded(kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (8, 6), (200, 10, 30)).save(buffer, kind, **options)
    return buffer.getvalue()


def bomb() -> bytes:
    """A whole PNG of 425 million pixels in 50 kB."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    packed = zlib.compress(bytes((SIDE // 8 + 2) * SIDE), 9)
    head = struct.pack(">IIBBBBB", SIDE, SIDE, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", packed) + chunk(b"IEND", b"")


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "BMP", "MPO"])
def test_the_formats_of_photographs_are_read(kind: str) -> None:
    more = {"save_all": True, "append_images": [Image.new("RGB", (8, 6))]} if kind == "MPO" else {}
    data = encoded(kind, **more)
    with open_image(data, "x", "the image") as image:
        assert image.size == (8, 6) and image.format == kind
    pixels = decode_pixels(data, cv2.IMREAD_COLOR, "x", "the image")
    assert np.abs(pixels[..., ::-1].astype(int) - (200, 10, 30)).max() <= 3


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (encoded("GIF"), "a GIF"),
        (encoded("PPM"), "another kind of file"),
        (encoded("TGA"), "another kind of file"),
        (encoded("ICO"), "another kind of file"),
        (encoded("AVIF"), "an AVIF"),
        (b"\0\0\0\x18ftypheic\0\0\0\0", "a HEIC, as iPhones write it"),
        (EPS, "an EPS or PostScript file"),
        (b"<html>", "a text such as HTML"),
        (b"", "an empty file"),
    ],
)
def test_everything_else_is_told_by_name(tmp_path: Path, data: bytes, told: str) -> None:
    """Whatever the file is called, and whichever reader gets it."""
    file = tmp_path / "a.jpg"
    file.write_bytes(data)
    readers = (
        lambda: open_image(file, "x", "the image"),
        lambda: decode_pixels(data, cv2.IMREAD_COLOR, "x", "the image"),
        lambda: read_upright(file),
        lambda: read_image(file, 8, 6),
        lambda: decode_image(data, 8, 6, "x"),
    )
    for reader in readers:
        with raises("image-unreadable", found=told):
            reader()
    problems = Problems("test")
    assert image_sizes(tmp_path, [ImageRecord.parse({"file_name": "a.jpg"})], problems) == {}
    assert told in "\n".join(problems.lines())


def test_textures_may_be_tga_too() -> None:
    with open_image(encoded("TGA"), "x", "a texture", formats=TEXTURE_FORMATS) as image:
        check_format(image, "x", "a texture")
    with Image.open(io.BytesIO(EPS)) as image, raises("image-unreadable", found="EPS"):
        check_format(image, "x", "a texture")


def test_ghostscript_is_never_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[object] = []
    monkeypatch.setattr(EpsImagePlugin, "Ghostscript", lambda *given, **more: started.append(given))
    (tmp_path / "a.jpg").write_bytes(EPS)
    image_sizes(tmp_path, [ImageRecord.parse({"file_name": "a.jpg", "width": 10, "height": 10})], Problems("test"))
    list(read_input_images([Input(tmp_path / "a.jpg", "a"), Input(tmp_path / "a.jpg", "a", size=(10, 10))], (64, 64)))
    assert started == []


def test_pixels_are_counted_before_they_are_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No decoder is asked for an image of 425 million pixels, whichever command meets it."""
    data = bomb()
    file = tmp_path / "a.png"
    file.write_bytes(data)

    def no_decoding(*given: object, **more: object) -> None:
        raise AssertionError("decoded")

    monkeypatch.setattr(cv2, "imdecode", no_decoding)
    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", no_decoding)
    for reader in (lambda: read_upright(file), lambda: decode_image(data, SIDE, SIDE, "x")):
        with raises("limit-exceeded", what="pixels of an image"):
            reader()
    assert "pixels of an image" in str(read_png(file, 1))
    problems = Problems("test")
    assert (
        image_sizes(tmp_path, [ImageRecord.parse({"file_name": "a.png", "width": SIDE, "height": SIDE})], problems)
        == {}
    )
    assert "too large: pixels of an image" in problems.lines()[0]


@pytest.mark.parametrize("name", ["a.jpg", "a.mp4"])
@pytest.mark.parametrize("make", [os.mkfifo, lambda path: path.symlink_to("/dev/zero")])
def test_pipes_and_devices_are_never_opened(tmp_path: Path, make: Any, name: str) -> None:
    make(tmp_path / name)
    with deadline(20):
        items = [Input(tmp_path / name, "a")]
        (shot,) = read_input_images(items, (64, 64))
        assert isinstance(shot, Unreadable) and ("a named pipe" in shot.reason or "a device" in shot.reason)
        assert count_input_images(items, 1) == 1
        problems = Problems("test")
        assert image_sizes(tmp_path, [ImageRecord.parse({"file_name": name})], problems) == {}
        with raises("not-a-file"):
            read_image(tmp_path / name, 8, 6)


@pytest.mark.parametrize(
    "data", [b"#EXTM3U\n#EXTINF:1,\n/etc/passwd\n", b"ffconcat version 1.0\nfile /etc/passwd\n", b""]
)
def test_playlists_are_no_videos(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "a.mp4").write_bytes(data)
    (shot,) = read_input_images([Input(tmp_path / "a.mp4", "a")], (64, 64))
    assert isinstance(shot, Unreadable) and "an MP4, MOV, AVI, MKV or WebM by its content" in shot.reason
