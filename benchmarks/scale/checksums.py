"""What it costs to hold shards against the checksums of their index wherever they are read.

    python benchmarks/scale/checksums.py                     # 400 images of 640x480, 60 MB: a minute

Each way of reading is timed with the check and without it (the functions that check are replaced by ones that only
read), in turns, and the best of some rounds counts. Files are in memory. Prints rows for docs/results.md.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from unittest.mock import patch

import click
import cv2
import numpy as np
from rich.console import Console

from assets.console import PlainConsole
from dataset.checksums import write_signed_index
from dataset.images import decode_image
from dataset.problems import Problems
from dataset.records import CategoryRecord, Head, ImageRecord
from dataset.shards.index import ShardSample, read_index, tar_name, write_categories, write_shard
from dataset.shards.tar import read_samples, read_whole
from dataset.storage.path import StoragePath
from detectors.data.shard_prepare import open_shards
from pipeline.shards.merge import merge_data
from pipeline.shards.unpack import unpack_data

SHARD, WIDTH, HEIGHT, QUALITY = 200, 640, 480, 90
QUIET: Console = PlainConsole(quiet=True)


def write_set(place: StoragePath, images: int) -> int:
    """Write shards of photographs made of smooth noise; returns their bytes."""
    rng = np.random.default_rng(0)
    kinds, entries = [CategoryRecord(id=1, name="tea", sku="tea")], []
    for first in range(0, images, SHARD):
        samples = []
        for number in range(first, min(first + SHARD, images)):
            noise = cv2.resize(rng.integers(0, 255, (HEIGHT // 4, WIDTH // 4, 3), np.uint8), (WIDTH, HEIGHT))
            data = cv2.imencode(".jpg", noise, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1].tobytes()
            record = ImageRecord(id=number + 1, file_name=f"{number}.jpg", width=WIDTH, height=HEIGHT)
            samples.append(ShardSample(f"{number:06d}", {"jpg": data}, record, []))
        entries.append(write_shard(place, f"train-{first:06d}", "train", samples, Head(kinds)))
    write_categories(place, kinds)
    write_signed_index(place, entries)
    return sum(entry.tar_bytes for entry in entries)


def read_tars(place: StoragePath, _out: Path) -> None:
    """Every file of every shard, as `unpack`, `merge` and `convert` read them, and nothing else."""
    for entry in read_index(place).shards:
        for _ in read_samples(place, entry):
            pass


def read_pictures(place: StoragePath, _out: Path) -> None:
    """Every image decoded, as `preview` does it."""
    for entry in read_index(place).shards:
        for sample in read_samples(place, entry):
            decode_image(sample.files["jpg"], WIDTH, HEIGHT, sample.stem)


def train(place: StoragePath, _out: Path) -> None:
    """Every image once, as a training's loader reads it, by shards that are known to be sound."""
    found = open_shards("x", place, ("train",), Problems("x"), cache_bytes=10**9)
    for number in range(len(found)):
        found.read_image(number)


WAYS: dict[str, Callable[[StoragePath, Path], object]] = {
    "read all files": read_tars,
    "decode all images": read_pictures,
    "unpack": lambda place, out: unpack_data(place, out, QUIET),
    "merge with itself": lambda place, out: merge_data(
        [place, StoragePath(f"{place.url}-again")], StoragePath(str(out)), QUIET
    ),
    "a pass of a training, shards known": train,
}


def seconds_of(way: Callable[[StoragePath, Path], object], place: StoragePath, folder: Path, checked: bool) -> float:
    """Return the seconds of processors that a way takes. checked: False without the checks."""
    with ExitStack() as stack:
        if not checked:
            plain = patch("dataset.shards.tar.read_tar", lambda where, entry: read_whole(where, tar_name(entry.name)))
            stack.enter_context(plain)
            stack.enter_context(patch("detectors.data.shard_set.check_tar", lambda *_: None))
        began = time.process_time()
        way(place, folder / "out")
        took = time.process_time() - began
    shutil.rmtree(folder / "out", ignore_errors=True)
    return took


@click.command()
@click.option("--images", default=400, show_default=True)
@click.option("--rounds", default=3, show_default=True)
def main(images: int, rounds: int) -> None:
    """Time each way of reading with and without the checks."""
    with tempfile.TemporaryDirectory(prefix="scale-checksums-") as where:
        folder = Path(where)
        place = StoragePath(str(folder / "set"))
        size = write_set(place, images)
        shutil.copytree(folder / "set", folder / "set-again")
        time.sleep(2.5)  # files that have just changed are not remembered
        print(f"{images} images, {size / 1e6:.0f} MB")
        for name, way in WAYS.items():
            took = {
                checked: [seconds_of(way, place, folder, checked) for _ in range(rounds)] for checked in (True, False)
            }
            with_it, without = min(took[True]), min(took[False])
            rates = f"{images / with_it:,.0f} images/s, {images / without:,.0f} without"
            print(f"| {name} | {rates} | x{with_it / without:.2f} |", flush=True)


if __name__ == "__main__":
    main()
