"""An ImageSet as files that several processes map into memory: two GPUs hold one copy, not two."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path

import numpy as np

from assets.atomic import whole_file, write_whole
from detectors.image_set import Classes, ImageSet, Packed


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
    write_whole(folder / "set.json", json.dumps(head, ensure_ascii=False).encode())


def open_images(folder: Path) -> ImageSet:
    """The set that `save_images` wrote, its columns mapped, not read."""
    head = json.loads((folder / "set.json").read_text(encoding="utf-8"))
    columns: dict[str, object] = {
        "name": head["name"],
        "root": Path(head["root"]),
        "classes": Classes(tuple(head["keys"]), tuple(head["names"])),
        "category_ids": tuple(head["category_ids"]),
    }
    for field in fields(ImageSet):
        if field.name in ("file_names", "masks"):
            columns[field.name] = Packed(
                _open(folder / f"{field.name}.data.npy"), _open(folder / f"{field.name}.offsets.npy")
            )
        elif field.name not in columns:
            columns[field.name] = _open(folder / f"{field.name}.npy")
    return ImageSet(**columns)  # type: ignore[arg-type]


def _save(path: Path, array: np.ndarray) -> None:
    with whole_file(path) as file:
        np.save(file, array)


def _open(path: Path) -> np.ndarray:
    # An empty file cannot be mapped.
    array = np.load(path, mmap_mode="r", allow_pickle=False) if path.stat().st_size > 128 else np.load(path)
    return array if len(array) else np.array(array)
