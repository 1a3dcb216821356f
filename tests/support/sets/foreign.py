"""Data sets of third parties, and files as bytes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from rich.console import Console

QUIET = Console(quiet=True)


def foreign_set(folder: Path, names: list[str], *, split: str = "train", shuffle: bool = True) -> Path:
    """Somebody's COCO file: ids of their own, annotations in any order, names with folders and dots."""
    rng = np.random.default_rng(3)
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for place, name in enumerate(names):
        path = folder / "images" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 255, (12, 16, 3), np.uint8)).save(path)
        images.append({"id": 7 * place + 3, "file_name": name, "width": 16, "height": 12, "note": "ä\u2028"})
        for box in range(place % 4):
            sides = {"bbox": [box, 1.25, 2.5, 3], "area": 7.5, "iscrowd": 0}
            annotations.append({"id": 1000 - len(annotations), "image_id": 7 * place + 3, "category_id": 5, **sides})
    order = rng.permutation(len(annotations)) if shuffle else range(len(annotations))
    content = {
        "info": {"description": "theirs"},
        "licenses": [{"id": 1, "name": "CC0", "url": ""}],
        "categories": [{"id": 5, "name": "tea"}, {"id": 9, "name": "=soap"}],
        "images": images,
        "annotations": [annotations[place] for place in order],
    }
    file = folder / f"{split}.json"
    file.write_text(json.dumps(content))
    return file


NAMES = ["a.png", "b/a.png", "b.c/d e.jpg", "-x.PNG", "long" * 40 + ".png", "a.jpg", "z.bmp"]


def content_of(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8"))


def files_of(folder: Path) -> dict[str, bytes]:
    found = sorted(path for path in folder.rglob("*") if path.is_file() and path.name not in (".lock", ".made_from"))
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}
