"""Ordinary COCO data sets as streams: their splits, and the records of each without holding them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from assets.errors import SynthError
from assets.files.json_input import stream_json, stream_json_pairs
from assets.limits import COCO_BYTES, SET_CLASSES, check_file
from dataset.coco_source import find_images
from dataset.shards.index import has_index
from dataset.storage.path import StoragePath
from dataset.values import is_text

Record = dict[str, Any]
# File names that are tried to find the folder of the pictures.
TRIED = 1000
# Entries of info, and licences, that are kept: they are for people.
MAX_NOTES = 1000
# JSON files of ours that hold no labels.
NO_LABELS = ("dataset.json", "catalog.json", "package.json", "index.json", "categories.json")
SPLIT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
HINT = "give the folder that 'synth render' wrote, a folder with annotations/instances_train.json, or the COCO file"


@dataclass(frozen=True)
class PlainSplit:
    """A COCO file. name: of the split. root: the data set's folder. images: what its file names are relative to."""

    name: str
    file: Path
    root: Path
    images: Path


@dataclass(frozen=True)
class Head:
    """What stands before the records of a COCO file."""

    info: Record
    licenses: list[Record]
    categories: list[Record]


def find_splits(path: Path, images: Path | None = None) -> list[PlainSplit]:
    """The splits of a data set folder, or the one that a COCO file is. Raises SynthError where there are none.

    images: where the pictures lie, if not beside their file.
    """
    if path.is_dir() and has_index(StoragePath(str(path))):
        told = "merge sharded sets with 'synth data merge', unpack one with 'synth data unpack'"
        raise SynthError("this data set is in shards already", code="dataset-sharded", where=str(path), hint=told)
    files = [path] if path.is_file() else _files_in(path)
    if not files:
        raise SynthError("there is no COCO file", code="file-missing", where=str(path), hint=HINT)
    splits = [_split_of(file, images) for file in files]
    names = [split.name for split in splits]
    if len(set(names)) < len(names):
        found = ", ".join(str(split.file) for split in splits if names.count(split.name) > 1)
        raise SynthError(
            "two COCO files are the same split",
            code="split-duplicate",
            where=str(path),
            found=found,
            hint="give one of them",
        )
    return splits


def _files_in(folder: Path) -> list[Path]:
    """Ours and COCO's, files beside the pictures, Roboflow's folders."""
    if not folder.is_dir():
        raise SynthError("there is no such data set", code="dataset-missing", where=str(folder), hint=HINT)
    patterns = ("annotations/instances_*.json", "instances_*.json", "*/_annotations.coco.json")
    for pattern in patterns:
        if files := sorted(folder.glob(pattern)):
            return files
    usual = [folder / f"{name}.json" for name in ("test", "train", "val", "valid")]
    if files := [file for file in usual if file.is_file()]:
        return files
    # A file of another name, where it is the only one.
    other = [file for file in sorted(folder.glob("*.json")) if file.name not in NO_LABELS]
    return other if len(other) == 1 else []


def _split_of(file: Path, images: Path | None) -> PlainSplit:
    name = file.parent.name if file.name == "_annotations.coco.json" else file.stem.removeprefix("instances_")
    if not SPLIT.fullmatch(name):
        name = "train"
    check_file(file, COCO_BYTES, "the COCO file")
    root = file.parent.parent if file.parent.name == "annotations" else file.parent
    names = [record.get("file_name") for record in islice(records_of(file, "images"), TRIED)]
    found = find_images(file, [str(name) for name in names if is_text(name)], given=images)
    return PlainSplit(name, file, root, found)


def records_of(file: Path, key: str) -> Iterator[Record]:
    """The objects of the list `key` of a COCO file, one after the other. Raises SynthError where they are none."""
    for place, record in enumerate(stream_json(file, f"{key}.item", COCO_BYTES, "the COCO file")):
        if not isinstance(record, dict):
            found = f"{key}[{place}] is no object"
            raise SynthError(
                "this is no COCO file of labels", code="coco-invalid", where=str(file), found=found, hint=HINT
            )
        yield record


def head_of(file: Path) -> Head:
    """Info, licences and categories of a COCO file. Raises SynthError where it has no categories, or too many."""
    info = dict(islice(stream_json_pairs(file, "info", COCO_BYTES, "the COCO file"), MAX_NOTES))
    licenses = list(islice(stream_json(file, "licenses.item", COCO_BYTES, "the COCO file"), MAX_NOTES))
    categories: list[Record] = []
    for record in records_of(file, "categories"):
        SET_CLASSES.check(len(categories) + 1, str(file))
        categories.append(record)
    if not categories:
        raise SynthError("the COCO file has no categories", code="dataset-empty", where=str(file), hint=HINT)
    return Head(info, licenses, categories)
