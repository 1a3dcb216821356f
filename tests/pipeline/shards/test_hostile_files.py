"""Images of data sets that are no images: every reader tells them, waits for none and starts no other program."""

from __future__ import annotations

import io
import json
import os
import resource
import signal
import struct
import subprocess
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import NoReturn

import pytest
from PIL import Image

from assets.errors import SynthError
from dataset.formats import open_labels
from dataset.storage.path import StoragePath
from detectors.data.prepare import read_one
from detectors.data.settings import DataSettings
from detectors.predict.input_images import read_upright
from pipeline.preview.draw import preview_set
from pipeline.preview.types import PreviewSettings
from pipeline.shards.convert import convert_data
from pipeline.shards.crop import crop_data
from pipeline.shards.diff import diff_data
from pipeline.shards.pack import pack_data
from pipeline.shards.settings import ConvertSettings, CroppingSettings
from pipeline.shards.stats import count_data
from support.sets.foreign import QUIET
from support.verified import verified

SECONDS, MEMORY_MB = 30, 1500


def late(number: int, frame: FrameType | None) -> NoReturn:
    raise AssertionError("it takes for ever")


@pytest.fixture(autouse=True)
def guarded(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Fails where a reader hangs, starts a program or takes a lot of memory."""

    def started(*words: object, **how: object) -> NoReturn:
        raise AssertionError(f"a program was started: {words}")

    monkeypatch.setattr(subprocess.Popen, "__init__", started)
    monkeypatch.setattr(os, "system", started)
    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(SECONDS)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - peak < MEMORY_MB * 1024


def bomb() -> bytes:
    """A PNG whose header claims 3.6 billion pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(9))) + chunk(b"IEND", b"")


def encoded(kind: str) -> bytes:
    with io.BytesIO() as file:
        Image.new("RGB", (16, 8)).save(file, kind)
        return file.getvalue()


EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 16 8\n%%EndComments\n(/tmp/x) (w) file\nshowpage\n"
FILES: dict[str, Callable[[Path], object]] = {
    "pipe": os.mkfifo,
    "device": lambda path: path.symlink_to("/dev/zero"),
    "endless": lambda path: path.symlink_to("/dev/urandom"),
    "terminal": lambda path: path.symlink_to("/dev/tty"),
    "folder": Path.mkdir,
    "loop": lambda path: path.symlink_to(path),
    "EPS": lambda path: path.write_bytes(EPS),
    "PDF": lambda path: path.write_bytes(b"%PDF-1.7\n" + bytes(99)),
    "GIF": lambda path: path.write_bytes(encoded("GIF")),
    "ICO": lambda path: path.write_bytes(encoded("ICO")),
    "bomb": lambda path: path.write_bytes(bomb()),
    "cut": lambda path: path.write_bytes(encoded("JPEG")[:200]),
}


def hostile_set(folder: Path, kind: str) -> Path:
    """A sound image, and the hostile file under the name of another."""
    (folder / "images").mkdir(parents=True)
    (folder / "images" / "a.jpg").write_bytes(encoded("JPEG"))
    FILES[kind](folder / "images" / "b.jpg")
    images = [{"id": n, "file_name": f"{name}.jpg", "width": 16, "height": 8} for n, name in enumerate("ab", 1)]
    boxes = [{"id": n, "image_id": n, "category_id": 1, "bbox": [1, 1, 6, 5], "area": 30} for n in (1, 2)]
    content = {"categories": [{"id": 1, "name": "tea"}], "images": images, "annotations": boxes, "info": {}}
    (folder / "instances_train.json").write_text(json.dumps(content))
    return folder


def read_for_training(folder: Path, out: Path) -> None:
    images = read_one(folder, "x", DataSettings(), splits=("train",), print_line=lambda line: None)
    for number in range(len(images)):
        images.read_sample(number, masks=False)


def read_as_yolo(folder: Path, out: Path) -> None:
    (out / "train" / "labels").mkdir(parents=True)
    (out / "train" / "images").symlink_to(folder / "images")
    for name in "ab":
        (out / "train" / "labels" / f"{name}.txt").write_text("0 0.5 0.5 0.2 0.2\n")
    (out / "data.yaml").write_text("path: .\ntrain: train/images\nnames: [tea]\n")
    for part in open_labels(out).parts:
        for image in part.stored_images():
            image.read()


# What ends well leaves the image out or does not look at it.
READERS: dict[str, Callable[[Path, Path], object]] = {
    "train, evaluate": read_for_training,
    "predict": lambda folder, out: read_upright(folder / "images" / "b.jpg"),
    "preview": lambda folder, out: preview_set(str(folder), out / "sheet.png", PreviewSettings()),
    "verify": lambda folder, out: verified(folder),
    "pack": lambda folder, out: pack_data(folder, StoragePath(str(out)), QUIET),
    "convert": lambda folder, out: convert_data(str(folder), out, ConvertSettings("yolo"), QUIET),
    "crop": lambda folder, out: crop_data(str(folder), out, CroppingSettings(min_side=1), QUIET),
    "stats": lambda folder, out: count_data(str(folder), QUIET),
    "diff": lambda folder, out: diff_data(str(folder), str(folder), QUIET),
    "yolo": read_as_yolo,
}


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("kind", FILES)
def test_files_that_are_no_images_are_told(kind: str, reader: str, tmp_path: Path) -> None:
    folder = hostile_set(tmp_path / "set", kind)
    (tmp_path / "out").mkdir()
    found: object = None
    with suppress(SynthError):
        found = READERS[reader](folder, tmp_path / "out")
        if reader == "verify":
            assert found.violations  # type: ignore[attr-defined]
        elif reader == "predict":
            raise AssertionError(f"{reader} took it for an image")


@pytest.mark.parametrize("kind", FILES)
def test_weights_that_are_no_files_are_told(kind: str, tmp_path: Path) -> None:
    """As --weights and as RUN, under the names of both formats."""
    from detectors.checkpoints.detector import load_checkpoint
    from detectors.checkpoints.weights import read_weights

    for name in ("a.pth", "b.safetensors"):
        FILES[kind](tmp_path / name)
        with pytest.raises(SynthError):
            read_weights(tmp_path / name)
    FILES[kind](tmp_path / "best.ckpt")
    with pytest.raises(SynthError):
        load_checkpoint(tmp_path)
