"""Every kind of damage to a sharded set is found, and a sound one is clean, whatever the number of processes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from dataset.checksums import write_signed_index
from dataset.coco_writer import coco_bytes
from dataset.records import AnnotationRecord, Head, ImageRecord, parse_all
from dataset.shards.index import ShardSample, read_categories, read_index, tar_name, tar_of, write_categories
from dataset.shards.tar import samples_of
from dataset.storage.path import StoragePath
from pipeline.run.settings import RunSettings
from pipeline.shards.pack import pack_data
from pipeline.shards.settings import PackSettings
from support.sets.foreign import NAMES, foreign_set
from support.sets.in_shards import samples_in
from support.verified import verified

QUIET = Console(quiet=True)


@pytest.fixture
def place(rendered: RunSettings, tmp_path: Path) -> StoragePath:
    place = StoragePath(str(tmp_path / "shards"))
    pack_data(rendered.out, place, QUIET, PackSettings(shard_images=2))
    return place


def told(place: StoragePath, **options: Any) -> str:
    return "\n".join(map(str, verified(place, sample=0, **options).violations))


def change(place: StoragePath, name: str, edit: Callable[[list[Any]], None], *, sign: bool = True) -> None:
    """Edits the samples of a shard, their records as plain JSON, and writes checksums that fit."""
    plain = [
        SimpleNamespace(
            stem=sample.stem,
            files=dict(sample.files),
            image=sample.image.content(),
            annotations=[record.content() for record in sample.annotations],
        )
        for sample in samples_of(place.read(tar_name(name)), name)
    ]
    edit(plain)
    samples = [
        ShardSample(one.stem, one.files, ImageRecord.parse(one.image), parse_all(AnnotationRecord, one.annotations))
        for one in plain
    ]
    tar = tar_of(samples)
    coco = coco_bytes((sample.labels for sample in samples), Head(read_categories(place)))
    place.write(f"shards/{name}.tar", tar)
    place.write(f"annotations/{name}.json", coco)
    if sign:
        write_signed_index(
            place, [_signed(entry, tar, coco) if entry.name == name else entry for entry in read_index(place).shards]
        )


def _signed(entry: Any, tar: bytes, coco: bytes) -> Any:
    sums = {"tar_sha256": hashlib.sha256(tar).hexdigest(), "coco_sha256": hashlib.sha256(coco).hexdigest()}
    return entry.model_copy(update={"tar_bytes": len(tar), "coco_bytes": len(coco), **sums})


def test_a_sound_set_is_clean_by_any_number_of_processes(place: StoragePath, rendered: RunSettings) -> None:
    one, two = (verified(place, sample=0, workers=workers) for workers in (1, 2))
    assert one == two and not one.violations and one.images == 8
    records = json.loads((rendered.out / "annotations" / "instances_train.json").read_text())["annotations"]
    assert one.annotations > len(records)


def test_a_foreign_set_is_clean(tmp_path: Path) -> None:
    place = StoragePath(str(tmp_path / "theirs-packed"))
    pack_data(foreign_set(tmp_path / "theirs", NAMES), place, QUIET, PackSettings(shard_images=3))
    assert told(place) == ""


NAME = "train-000000"


def _edit(path: tuple[Any, ...], value: Any) -> Callable[[list[Any]], None]:
    def edit(samples: list[Any]) -> None:
        record: Any = samples[0].image if path[0] == "image" else samples[0].annotations[0]
        for step in path[1:-1]:
            record = record[step]
        record[path[-1]] = value(record[path[-1]]) if callable(value) else value

    return edit


EDITS: dict[str, tuple[Callable[[list[Any]], None], str]] = {
    "area": (_edit(("annotation", "area"), lambda area: area + 1), "but the mask has"),
    "box": (_edit(("annotation", "bbox"), [0, 0, 1, 1]), "but the mask's is"),
    "category": (_edit(("annotation", "category_id"), 999), "not one of the categories"),
    "sku": (_edit(("annotation", "sku"), "x"), "but its category is"),
    "mask": (_edit(("annotation", "segmentation", "counts"), "1"), "do not fill"),
    "size": (_edit(("image", "width"), 95), "expected 95x72"),
    "visibility": (_edit(("annotation", "visibility"), 2), "from 0 to 1"),
    "image_id": (_edit(("annotation", "image_id"), 77), "but it belongs to image"),
    "picture": (lambda samples: samples[0].files.update(jpg=samples[0].files["jpg"][:500]), "cannot be read"),
    "no image": (lambda samples: samples[0].files.pop("jpg") and None, "no image"),
    "ids": (lambda samples: samples[0].files.update({"ids.png": samples[1].files["ids.png"]}), "ids: instance"),
    "depth": (lambda samples: samples[0].files.update({"depth.png": b"x"}), "depth.png cannot be read"),
    "counts": (lambda samples: samples.pop() and None, "in index.json, but"),
}


@pytest.mark.parametrize(("edit", "words"), EDITS.values(), ids=EDITS.keys())
def test_damage_with_fitting_checksums_is_found(place: StoragePath, edit: Any, words: str) -> None:
    change(place, NAME, edit)
    assert words in told(place)


def test_changed_bytes_are_found(place: StoragePath) -> None:
    change(place, NAME, EDITS["area"][0], sign=False)
    found = told(place)
    assert f"shards/{NAME}.tar: has" in found and f"annotations/{NAME}.json: has" in found


def test_what_is_missing_or_too_much_is_found(place: StoragePath) -> None:
    place.delete(f"annotations/{NAME}.json")
    place.delete("shards/train-000001.tar")
    place.write("shards/old.tar", b"")
    (Path(str(place)) / "shards" / ".x.tar.123.tmp").write_bytes(b"")
    found = told(place)
    for words in (
        f"annotations/{NAME}.json: is missing",
        "train-000001.tar: is missing",
        "old.tar: belongs to no",
        "half",
    ):
        assert words in found


def test_ids_that_come_twice_are_found_across_shards(place: StoragePath) -> None:
    first = samples_in(place, NAME)[0].annotations[0].id

    def edit(samples: list[Any]) -> None:
        samples[0].annotations[0]["id"] = first

    change(place, "train-000001", edit)
    assert f"annotations of train: id {first} occurs twice" in told(place)


def test_tar_and_part_that_differ_are_found(place: StoragePath) -> None:
    part = json.loads(place.read(f"annotations/{NAME}.json"))
    part["annotations"][1]["area"] += 1
    del part["categories"][0]
    data = json.dumps(part).encode()
    place.write(f"annotations/{NAME}.json", data)
    tar = place.read(f"shards/{NAME}.tar")
    write_signed_index(place, [_signed(e, tar, data) if e.name == NAME else e for e in read_index(place).shards])
    found = told(place)
    assert "annotations differ from those of the tar" in found and "at 1" in found and "lacks categories" in found


def test_categories_are_compared(place: StoragePath) -> None:
    kinds = read_categories(place)
    place.write("categories.json", json.dumps([{**kind.content(), "name": "x"} for kind in kinds]).encode())
    assert "is not as in categories.json" in told(place)
    place.write("categories.json", b"{")
    assert "categories cannot be read as JSON" in told(place)


def test_products_that_are_no_longer_sold_are_to_be_ignored(place: StoragePath) -> None:
    gone = samples_in(place, NAME)[0].annotations[0].sku
    kinds = [replace(kind, delisted=True if kind.sku == gone else None) for kind in read_categories(place)]
    write_categories(place, kinds)

    def ignore(samples: list[Any]) -> None:
        for record in (record for sample in samples for record in sample.annotations):
            record["ignore"] = int(record["ignore"] or record["sku"] == gone)

    for entry in read_index(place).shards:
        change(place, entry.name, ignore)
    assert told(place) == ""
    change(place, NAME, _edit(("annotation", "ignore"), 0))
    assert "ignore 0, but it is delisted" in told(place)


@pytest.mark.parametrize("seed", range(6))
def test_no_cut_or_flipped_byte_ends_in_a_traceback(place: StoragePath, seed: int) -> None:
    rng = np.random.default_rng(seed)
    for name in (f"shards/{NAME}.tar", f"annotations/{NAME}.json"):
        data = bytearray(place.read(name))
        if seed % 2:
            del data[int(rng.integers(len(data))) :]
        else:
            for at in rng.integers(0, len(data), 40):
                data[at] = int(rng.integers(256))
        place.write(name, bytes(data))
    assert "checksum" in told(place) or "bytes, but" in told(place)
