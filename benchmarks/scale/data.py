"""Data sets of any size: pack, merge, verify, stats, evaluation and reading, with the memory of each, at two sizes.

    python benchmarks/scale/data.py                                     # a toy: 2,000 images, and a tenth of it
    python benchmarks/scale/data.py --images 300000 --skus 170000       # 9,000,000 annotations; some 25 GB of disk

A few tiny images are drawn; their records, of all fields that rendered ones have, are repeated under new ids and
SKUs. Each step runs in a process of its own: rate, peak memory, and that over the peak at a tenth of the size, which is
1 where memory is flat. What was written is deleted. Prints rows for docs/results.md.
"""

from __future__ import annotations

import io
import json
import multiprocessing
import resource
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np

BOXES = 30
WIDTH, HEIGHT = 160, 120
IMAGES = 64
# Commands that write an ordinary set, with their options.
CHOOSING = {
    "convert to YOLO": "convert --format yolo",
    "filter": "filter --min-side 9",
    "sample a half": "sample --count HALF",
    "split by group": "split",
    "crop": "crop --min-side 14",
}
Record = dict[str, Any]
CAMERA = {"K": [[150, 0, 80], [0, 150, 60], [0, 0, 1]], "world_from_camera": np.eye(4).tolist()}
MADE = {"recipe": "none", "seed": 0, "index": 0, "view": 0, "backend": "none"}


@dataclass(frozen=True)
class Result:
    """What a step did. count: of what is named in `unit`."""

    name: str
    count: int
    unit: str
    seconds: float
    peak_mib: float


@click.command()
@click.option("--images", default=2000, show_default=True)
@click.option("--skus", default=1000, show_default=True)
@click.option("--shard-images", default=100, show_default=True)
@click.option("--workers", default=1, show_default=True, help="Processes of verify.")
@click.option("--detections", default=50, show_default=True, help="Of each image, for the evaluation.")
@click.option("--folder", type=click.Path(path_type=Path), help="Where to write; deleted afterwards.")
@click.option("--smaller/--no-smaller", default=True, help="Also at a tenth of the size.")
def main(
    images: int, skus: int, shard_images: int, workers: int, detections: int, folder: Path | None, smaller: bool
) -> None:
    """Measures each step at two sizes and prints a row for each."""
    before: dict[str, Result] = {}
    for count in [max(images // 10, shard_images), images] if smaller else [images]:
        with tempfile.TemporaryDirectory(dir=folder, prefix="scale-data-") as where:
            for result in measure(Path(where), count, skus, shard_images, workers, detections):
                print_row(result, before.get(result.name), count)
                before.setdefault(result.name, result)


def print_row(result: Result, smaller: Result | None, images: int) -> None:
    """A row of a table."""
    flat = f" | x{result.peak_mib / smaller.peak_mib:.2f} of a tenth" if smaller else " |"
    rate = result.count / max(result.seconds, 1e-9)
    counts = f"{images:,} images, {images * BOXES:,} boxes"
    print(
        f"| {result.name} | {counts} | {result.seconds:.1f} s | {rate:,.0f} {result.unit}/s "
        f"| {result.peak_mib:.0f} MiB{flat} |",
        flush=True,
    )


def measure(where: Path, images: int, skus: int, shard_images: int, workers: int, detections: int) -> Iterator[Result]:
    """Each step in a process of its own."""
    plain, packed, other, merged = (where / name for name in ("plain", "packed", "other", "merged"))
    yield run("write an ordinary set", images, "images", write_plain, plain, images, skus)
    yield run("pack", images, "images", pack, plain, packed, shard_images)
    yield run("stats of the ordinary set", images * BOXES, "boxes", stats, plain)
    for name, words in CHOOSING.items():
        yield run(name, images, "images", data_command, words, plain, where / "chosen")
        shutil.rmtree(where / "chosen")
    yield run("diff with itself", images, "images", data_command, "diff", plain, plain)
    shutil.rmtree(plain)
    yield run("stats of shards", images * BOXES, "boxes", stats, packed)
    yield run("verify", images, "images", verify, packed, workers)
    half = max(images // 2, 1)
    yield run("write shards to merge with", half, "images", write_other, packed, other, half)
    yield run("merge", images + half, "images", merge, packed, other, merged)
    shutil.rmtree(other)
    shutil.rmtree(merged)
    yield run("read for training", min(images, 20_000), "images", read, packed, min(images, 20_000))
    yield run("detections at random", images * detections, "detections", write_found_ones, packed, where, detections)
    yield run("evaluate, a class for each SKU", images * detections, "detections", evaluate, packed, where, False)
    yield run("evaluate, one class", images * detections, "detections", evaluate, packed, where, True)


def run(name: str, count: int, unit: str, work: Callable[..., None], *arguments: Any) -> Result:
    """The step in a fresh process, whose children count with it."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=timed, args=(theirs, work, arguments))
    process.start()
    theirs.close()
    try:
        seconds, peak = ours.recv()
    except EOFError:
        raise click.ClickException(f"{name} failed") from None
    process.join()
    return Result(name, count, unit, seconds, peak)


def timed(pipe: Any, work: Callable[..., None], arguments: tuple[Any, ...]) -> None:
    """Runs in the process of a step."""
    began = time.monotonic()
    work(*arguments)
    seconds = time.monotonic() - began
    peaks = [resource.getrusage(who).ru_maxrss / 1024 for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    pipe.send((seconds, max(peaks)))


def data_command(words: str, source: Path, out: Path) -> None:
    """Runs `synth data` in this process."""
    from pipeline.cli.main import main as program

    name, *options = words.replace("HALF", str(max(len(list((source / "images").rglob("*.jpg"))) // 2, 1))).split()
    program(["data", name, str(source), str(out), *options, "--quiet"], standalone_mode=False)


def quiet() -> Any:
    """A console that nobody reads."""
    from rich.console import Console

    return Console(quiet=True)


def jpegs() -> list[bytes]:
    """JPEGs of noise and colours."""
    from PIL import Image

    made = []
    rng = np.random.default_rng(0)
    for _ in range(IMAGES):
        small = rng.integers(0, 255, (HEIGHT // 8, WIDTH // 8, 3), np.uint8)
        buffer = io.BytesIO()
        Image.fromarray(small).resize((WIDTH, HEIGHT)).save(buffer, "JPEG", quality=80)
        made.append(buffer.getvalue())
    return made


def masks() -> list[list[Record]]:
    """For each image BOXES annotations without ids: boxes with masks, no pixel in two."""
    from pycocotools import mask as codec

    rng = np.random.default_rng(1)
    sets = []
    for _ in range(IMAGES):
        records = []
        for place in range(BOXES):
            x, y = 25 * (place % 6) + int(rng.integers(0, 5)), 24 * (place // 6) + int(rng.integers(0, 4))
            width, height = (int(side) for side in rng.integers(8, 20, 2))
            region = np.zeros((HEIGHT, WIDTH), np.uint8, order="F")
            region[y : y + height, x : x + width] = 1
            region[y, x + width // 2] = 0  # so that the run lengths are no two numbers
            rle = codec.encode(region)
            outline = {"size": [HEIGHT, WIDTH], "counts": rle["counts"].decode()}
            box = [float(edge) for edge in codec.toBbox(rle)]
            pose = np.eye(4).round(6).tolist()
            records.append(
                {
                    "bbox": box,
                    "area": int(region.sum()),
                    "iscrowd": 0,
                    "segmentation": outline,
                    "visibility": 1.0,
                    "truncation": 0.0,
                    "amodal_bbox": box,
                    "amodal_segmentation": outline,
                    "camera_from_object": pose,
                    "ignore": 0,
                }
            )
        sets.append(records)
    return sets


def write_plain(folder: Path, images: int, skus: int) -> None:
    """As `synth render` would: images and annotations in order, ids dense."""
    (folder / "images").mkdir(parents=True)
    (folder / "annotations").mkdir()
    drawn, labels = jpegs(), masks()
    rng = np.random.default_rng(2)
    with (
        (folder / "annotations" / "instances_train.json").open("w") as out,
        tempfile.TemporaryFile("w+", dir=folder) as spool,
    ):
        kinds = ",\n".join(
            json.dumps({"id": n, "name": f"Product {n}", "sku": f"sku-{n:07d}"}) for n in range(1, skus + 1)
        )
        out.write(f'{{"info": {{}},\n"licenses": [],\n"categories": [\n{kinds}\n],\n"images": [\n')
        for number in range(1, images + 1):
            name = f"{number:07d}.jpg"
            (folder / "images" / name).write_bytes(drawn[number % IMAGES])
            record = {"id": number, "file_name": name, "width": WIDTH, "height": HEIGHT, "camera": CAMERA, **MADE}
            out.write((",\n" if number > 1 else "") + json.dumps(record))
            chosen = rng.integers(1, skus + 1, BOXES).tolist()
            for place, (kind, label) in enumerate(zip(chosen, labels[number % IMAGES], strict=True)):
                own = {"id": (number - 1) * BOXES + place + 1, "image_id": number, "category_id": kind}
                row = json.dumps({**own, "sku": f"sku-{kind:07d}", "instance": place + 1, **label})
                spool.write((",\n" if number > 1 or place else "") + row)
        out.write('\n],\n"annotations": [\n')
        spool.seek(0)
        shutil.copyfileobj(spool, out, 1 << 20)
        out.write("\n]}\n")


def pack(plain: Path, packed: Path, shard_images: int) -> None:
    """synth data pack."""
    from dataset.storage.path import StoragePath
    from pipeline.shards.pack import pack_data
    from pipeline.shards.settings import PackSettings

    pack_data(plain, StoragePath(str(packed)), quiet(), PackSettings(shard_images=shard_images))


def stats(source: Path) -> None:
    """synth data stats."""
    from pipeline.shards.stats import count_data, write_sku_table

    counted = count_data(str(source), quiet())
    write_sku_table(counted, source / "skus.parquet")


def verify(packed: Path, workers: int) -> None:
    """synth verify."""
    from pipeline.verify.run import verify_set
    from pipeline.verify.settings import VerifySettings

    report = verify_set(str(packed), VerifySettings(sample=0, workers=workers), quiet())
    if report.violations:
        raise click.ClickException(str(report.violations[0]))


def write_other(packed: Path, other: Path, images: int) -> None:
    """The first shards once more, under the same names and ids: all of them must be given anew."""
    from dataset.shards.index import coco_name, read_categories, read_index, tar_name, write_categories, write_index
    from dataset.storage.path import StoragePath

    place = StoragePath(str(packed))
    entries = []
    for entry in read_index(place).shards:
        if sum(one.images for one in entries) < images:
            for name in (tar_name(entry.name), coco_name(entry.name)):
                (other / name).parent.mkdir(parents=True, exist_ok=True)
                (other / name).hardlink_to(packed / name)
            entries.append(entry)
    write_categories(StoragePath(str(other)), read_categories(place))
    write_index(StoragePath(str(other)), entries)


def merge(packed: Path, other: Path, merged: Path) -> None:
    """synth data merge."""
    from dataset.storage.path import StoragePath
    from pipeline.shards.merge import merge_data

    merge_data([StoragePath(str(packed)), StoragePath(str(other))], StoragePath(str(merged)), quiet())


def read(packed: Path, images: int) -> None:
    """Samples in the order of a training, by this one process, with their boxes of one class."""
    from dataset.problems import Problems
    from dataset.storage.path import StoragePath
    from detectors.data.class_match import PRODUCT
    from detectors.data.mix import Mix
    from detectors.data.shard_prepare import open_shards

    found = open_shards("x", StoragePath(str(packed)), ("train",), Problems("x"), cache_bytes=10**9)
    shards = found.relabelled(PRODUCT)
    mix = Mix((len(shards),), (1.0,), 0, {0: shards.windows})
    boxes = sum(len(shards.read_sample(draw.image, masks=False).boxes) for draw in mix.draws(0, images))
    if boxes != images * BOXES:
        raise click.ClickException(f"{boxes} boxes were read")


def write_found_ones(packed: Path, where: Path, detections: int) -> None:
    """COCO results of each shard: most boxes moved a little, most with their own class, the rest at random."""
    from dataset.shards.index import read_index
    from dataset.shards.parts import read_part
    from dataset.storage.path import StoragePath

    place = StoragePath(str(packed))
    rng = np.random.default_rng(3)
    (where / "found").mkdir()
    for entry in read_index(place).shards:
        part = read_part(place, entry)
        kinds = [record.category_id for record in part.annotations]
        rows = []
        for number, image in enumerate(part.images):
            own = part.annotations[number * BOXES : (number + 1) * BOXES]
            moved = rng.normal(0, 1.5, (detections, 4)).round(2).tolist()
            scores = rng.random(detections).astype(np.float32).tolist()
            others = rng.integers(0, len(kinds), detections).tolist()
            for place_of, (shift, score) in enumerate(zip(moved, scores, strict=True)):
                record = own[place_of % BOXES]
                box = [max(a + b, 0.5) for a, b in zip(record.bbox, shift, strict=True)]
                kind = record.category_id if score > 0.3 else kinds[others[place_of]]
                rows.append({"image_id": image.id, "category_id": kind, "bbox": box, "score": score})
        (where / "found" / f"{entry.name}.json").write_text(json.dumps(rows))


def evaluate(packed: Path, where: Path, agnostic: bool) -> None:
    """The part of `synth evaluate` behind the detector."""
    from dataset.problems import Problems
    from dataset.storage.path import StoragePath
    from detectors.data.class_match import PRODUCT
    from detectors.data.shard_prepare import open_shards
    from detectors.evaluate.metrics.stream import StreamedCoco
    from detectors.evaluate.shard_truth import read_found, read_truth

    problems = Problems("x")
    shards = open_shards("x", StoragePath(str(packed)), ("train",), problems, cache_bytes=10**9)
    classes = PRODUCT if agnostic else shards.own
    label_of = dict.fromkeys(shards.own_label, 0) if agnostic else shards.own_label
    with tempfile.TemporaryDirectory(dir=where) as spool:
        coco = StreamedCoco(Path(spool), len(classes), threshold=0.5)
        for number, entry in enumerate(shards.shards):
            truth = read_truth(shards, number, problems)
            truth = truth.relabelled(classes) if agnostic else truth
            coco.add(truth, read_found(where / "found" / f"{entry.name}.json", truth, label_of, classes))
        numbers = coco.finish().numbers()
    if not 0 < numbers["AP"] < 1:
        raise click.ClickException(f"AP {numbers['AP']}")


if __name__ == "__main__":
    main()
