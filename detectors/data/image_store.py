"""An ImageSet as files that several processes map into memory: two GPUs hold one copy, not two."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path
from typing import Annotated

import numpy as np
from pydantic import FailFast, Field

from assets.errors import SynthError
from assets.files.atomic import atomic_file, write_atomic
from assets.files.models import Count, FileModel, read_model
from assets.limits import COLUMN_BYTES, DATASET_JSON, check_file
from dataset.problems import Problems
from dataset.storage.path import StoragePath
from detectors.data.image_set import Classes, ImageSet, Packed
from detectors.data.shard_prepare import open_shards
from detectors.data.shard_set import ShardSet

SHARDS = "shards.json"
AGAIN = "give the same command again: the first process writes the files anew"
Names = Annotated[tuple[str, ...], FailFast()]


class SetsFile(FileModel):
    """sets.json of a run: its sources by name, whether it validates on real photos, digests of the data."""

    sources: Annotated[tuple[str, ...], Field(min_length=1)]
    real: bool
    hashes: dict[str, str]


class ShardsFile(FileModel):
    """shards.json: a source that is a sharded set."""

    name: str
    place: str
    split: str
    keys: Names
    names: Names
    cache_bytes: Count
    skip_bad: bool


class ImagesFile(FileModel):
    """set.json: a source whose columns lie beside it."""

    name: str
    root: str
    keys: Names
    names: Names
    category_ids: Annotated[tuple[int, ...], FailFast()]


def save_images(images: ImageSet, folder: Path) -> None:
    """Writes every column as .npy into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    for field in fields(images):
        value = getattr(images, field.name)
        if isinstance(value, Packed):
            _save(folder / f"{field.name}.data.npy", value.data)
            _save(folder / f"{field.name}.offsets.npy", value.offsets)
        elif isinstance(value, np.ndarray):
            _save(folder / f"{field.name}.npy", value)
    head = {
        "name": images.name,
        "root": str(images.root.resolve()),
        "keys": images.classes.keys,
        "names": images.classes.names,
        "category_ids": images.category_ids,
    }
    write_atomic(folder / "set.json", json.dumps(head, ensure_ascii=False).encode())


def save_source(images: ImageSet | ShardSet, folder: Path) -> None:
    """Leaves a source of training where further processes find it; of shards, only where they are."""
    if isinstance(images, ImageSet):
        save_images(images, folder)
        return
    head = {
        "name": images.name,
        "place": images.place.url,
        "split": images.shards[0].split,
        "keys": images.classes.keys,
        "names": images.classes.names,
        "cache_bytes": images.cache.most,
        "skip_bad": images.skip_bad,
    }
    folder.mkdir(parents=True, exist_ok=True)
    write_atomic(folder / SHARDS, json.dumps(head, ensure_ascii=False).encode())


def open_source(folder: Path) -> ImageSet | ShardSet:
    """The source that `save_source` left."""
    if not (folder / SHARDS).exists():
        return open_images(folder)
    head = read_model(ShardsFile, folder / SHARDS, DATASET_JSON, "the data of the run", hint=AGAIN)
    found = open_shards(
        head.name,
        StoragePath(head.place),
        (head.split,),
        Problems(head.name),
        cache_bytes=head.cache_bytes,
        skip_bad=head.skip_bad,
    )
    return found.relabelled(_classes_of(head, folder / SHARDS))


def open_images(folder: Path) -> ImageSet:
    """The set that `save_images` wrote, its columns mapped, not read."""
    head = read_model(ImagesFile, folder / "set.json", DATASET_JSON, "the data of the run", hint=AGAIN)
    columns: dict[str, object] = {
        "name": head.name,
        "root": Path(head.root),
        "classes": _classes_of(head, folder / "set.json"),
        "category_ids": head.category_ids,
    }
    for field in fields(ImageSet):
        if field.name in ("file_names", "masks"):
            columns[field.name] = Packed(
                _open(folder / f"{field.name}.data.npy"), _open(folder / f"{field.name}.offsets.npy")
            )
        elif field.name not in columns:
            columns[field.name] = _open(folder / f"{field.name}.npy")
    return ImageSet(**columns)  # type: ignore[arg-type]


def _classes_of(head: ShardsFile | ImagesFile, path: Path) -> Classes:
    try:
        return Classes(head.keys, head.names)
    except ValueError as error:
        raise SynthError("the data of the run cannot be used", where=str(path), found=str(error), hint=AGAIN) from error


def _save(path: Path, array: np.ndarray) -> None:
    with atomic_file(path) as file:
        np.save(file, array)


def _open(path: Path) -> np.ndarray:
    try:
        check_file(path, COLUMN_BYTES, "the data of the run")
        # An empty file cannot be mapped. A mapped one is never read further than it goes.
        array = np.load(path, mmap_mode="r" if path.stat().st_size > 128 else None, allow_pickle=False)
        return array if len(array) else np.array(array)
    except (OSError, ValueError, EOFError, TypeError) as error:
        raise SynthError("the data of the run cannot be used", where=str(path), found=str(error), hint=AGAIN) from error
