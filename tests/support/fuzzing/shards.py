"""Sharded data sets with one of their files broken, checksums wrong or made right again; and images for detectors."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
import tempfile
from contextlib import suppress
from functools import cache
from pathlib import Path

import numpy as np
from hypothesis import strategies as st
from PIL import Image
from rich.console import Console

from assets.errors import SynthError
from assets.files.json_input import stream_json
from assets.limits import COCO_BYTES
from dataset.images import decode_image, image_sizes
from dataset.problems import Problems
from dataset.records import AnnotationRecord, CategoryRecord, Head, ImageRecord, InfoRecord
from dataset.shards.index import ShardSample, write_categories, write_index, write_shard
from dataset.storage.path import StoragePath
from detectors.data.shard_prepare import open_shards
from detectors.evaluate.shard_truth import read_truth
from detectors.predict.input_images import read_upright
from pipeline.shards.stats import count_data
from support.fuzzing.backdrops import good_images
from support.fuzzing.files import Files, Sandbox, broken, changed_json, changed_words, nothing_written

INDEX, TAR, PART = "index.json", "shards/train-000000.tar", "annotations/train-000000.json"
CACHE_BYTES = 1 << 20


@cache
def good_shards() -> Files:
    """A set of one shard with two images."""
    samples, categories = [], [CategoryRecord(id=1, name="tea", sku="a"), CategoryRecord(id=2, name="soup", sku="b")]
    for number in (1, 2):
        record = {"id": number, "image_id": number, "category_id": number, "bbox": [1.0, 2.0, 5.0, 4.0], "area": 20.0}
        image = ImageRecord(id=number, file_name=f"{number}.png", width=16, height=8)
        files = {"png": good_images()["a.png"]}
        outline = {"segmentation": [[1, 2, 6, 2, 6, 6, 1, 6]], "iscrowd": 0}
        samples.append(ShardSample(str(number), files, image, [AnnotationRecord.parse({**record, **outline})]))
    with tempfile.TemporaryDirectory() as folder:
        place = StoragePath(folder)
        write_categories(place, categories)
        write_index(
            place,
            [write_shard(place, "train-000000", "train", samples, Head(categories, InfoRecord(extra={"year": 2026})))],
        )
        names = (INDEX, "categories.json", TAR, PART)
        return {name: place.read(name) for name in names}


def labels_in(tar: bytes) -> bytes:
    with tarfile.open(fileobj=io.BytesIO(tar)) as archive:
        file = archive.extractfile("1.json")
        assert file is not None
        return file.read()


def with_labels(tar: bytes, labels: bytes) -> bytes:
    """The tar with other labels of its first sample."""
    out = io.BytesIO()
    with tarfile.open(fileobj=io.BytesIO(tar)) as old, tarfile.open(fileobj=out, mode="w") as new:
        for member in old:
            file = old.extractfile(member)
            data = labels if member.name == "1.json" or file is None else file.read()
            member.size = len(data)
            new.addfile(member, io.BytesIO(data))
    return out.getvalue()


@st.composite
def shards(draw: st.DrawFn) -> Files:
    """A set with one file broken; in most cases with sizes and checksums that fit it."""
    files = dict(good_shards())
    name = draw(st.sampled_from(sorted(files)))
    if name == TAR and draw(st.booleans()):
        files[name] = with_labels(files[name], draw(changed_json(labels_in(files[name]))))
    elif name == TAR:
        files[name] = draw(broken(files[name]))
    else:
        files[name] = draw(st.one_of(changed_json(files[name]), broken(files[name], changed_words)))
    if name in (TAR, PART) and draw(st.integers(0, 3)):
        index = json.loads(files[INDEX])
        for kind, own in (("tar", TAR), ("coco", PART)):
            index["shards"][0][f"{kind}_bytes"] = len(files[own])
            index["shards"][0][f"{kind}_sha256"] = hashlib.sha256(files[own]).hexdigest()
        files[INDEX] = json.dumps(index).encode()
    return {f"set/{one}": data for one, data in files.items()}


def check_shards_are_read_or_told(files: Files, box: Sandbox) -> None:
    """Index, categories, parts and samples: as training, evaluation and `data stats` read them."""
    box.write(files)
    place = StoragePath(str(box.inside / "set"))
    with nothing_written(box):
        with suppress(SynthError):
            count_data(str(place), Console(quiet=True))
        with suppress(SynthError):
            found = open_shards("a", place, ("train",), Problems("a"), cache_bytes=CACHE_BYTES)
            for shard in range(len(found.shards)):
                with suppress(SynthError):
                    read_truth(found, shard, Problems("a"))
            for number in range(min(int(found.first[-1]), 3)):
                with suppress(SynthError):
                    sample = found.read_sample(number, masks=True)
                    assert sample.boxes.shape[1] == 4 and np.isfinite(sample.boxes).all()


@st.composite
def photographs(draw: st.DrawFn) -> Files:
    """One broken image of a kind that detectors read, or another kind under its name."""
    images = {name: data for name, data in good_images().items() if not name.endswith((".hdr", ".exr"))}
    with io.BytesIO() as tiff, io.BytesIO() as bmp, io.BytesIO() as gif:
        for kind, buffer in (("TIFF", tiff), ("BMP", bmp), ("GIF", gif)):
            Image.new("RGB", (16, 8), (9, 99, 200)).save(buffer, kind)
        images |= {"a.tif": tiff.getvalue(), "a.bmp": bmp.getvalue(), "b.png": gif.getvalue()}
    images["b.jpg"] = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\n"
    name = draw(st.sampled_from(sorted(images)))
    return {name: draw(st.one_of(broken(images[name]), st.just(images[name])))}


def check_photograph_is_read_or_told(files: Files, box: Sandbox) -> None:
    """As `predict` and `train` read it: a whole image, or one error."""
    path = box.write(files)
    with nothing_written(box):
        with suppress(SynthError):
            assert read_upright(path).ndim == 3
        sizes = image_sizes(path.parent, [ImageRecord.parse({"file_name": path.name})], Problems("a"))
        for size in (*sizes.values(), (16, 8)):
            with suppress(SynthError):
                assert decode_image(path.read_bytes(), *size, path.name).shape == (size[1], size[0], 3)


COCO = {
    "info": {"year": 2026},
    "images": [{"id": 1, "file_name": "a.png", "width": 16, "height": 8}],
    "annotations": [{"id": 7, "image_id": 1, "category_id": 1, "bbox": [1.0, 2.0, 5.0, 4.0], "segmentation": [[1, 2]]}],
    "categories": [{"id": 1, "name": "tea"}],
}


@st.composite
def coco_files(draw: st.DrawFn) -> Files:
    """A broken COCO file beside its image."""
    data = json.dumps(COCO).encode()
    return {
        "a.json": draw(st.one_of(changed_json(data), broken(data, changed_words))),
        "a.png": good_images()["a.png"],
    }


def check_coco_is_streamed_or_told(files: Files, box: Sandbox) -> None:
    """As `data pack` and `data stats` read it, record by record."""
    path = box.write(files)
    with nothing_written(box):
        with suppress(SynthError):
            list(stream_json(Path(path), "annotations.item", COCO_BYTES, "the COCO file"))
        with suppress(SynthError):
            count_data(str(path), Console(quiet=True))
