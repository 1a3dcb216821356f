"""Small COCO data sets on disk, to be broken by tests."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from dataset.find import open_source
from dataset.problems import Problems
from detectors.data.image_set import ImageSet
from detectors.data.read_coco import read_images
from detectors.data.settings import BoxKind

Coco = dict[str, Any]
WIDTH, HEIGHT = 40, 30
SKUS = ("cola", "soup", "tea")


def coco(images: int = 3, *, boxes: int = 2, skus: tuple[str, ...] = SKUS, **fields: Any) -> Coco:
    """A valid file: image i is 00000i.png with `boxes` boxes. fields: values for a field of each image entry."""
    entries = [
        {"id": i + 1, "file_name": f"{i:06d}.png", "width": WIDTH, "height": HEIGHT}
        | {name: values[i] for name, values in fields.items()}
        for i in range(images)
    ]
    return {
        "info": {},
        "images": entries,
        "annotations": [
            annotation(i * boxes + k + 1, i + 1, k % len(skus) + 1) for i in range(images) for k in range(boxes)
        ],
        "categories": [{"id": c + 1, "name": sku.title(), "sku": sku} for c, sku in enumerate(skus)],
    }


def annotation(number: int, image: int, category: int, bbox: tuple[float, ...] | None = None, **more: object) -> Coco:
    box = list(bbox) if bbox else [2.0 + number % 7, 3.0, 10.0, 8.0]
    return {"id": number, "image_id": image, "category_id": category, "bbox": box, "area": box[2] * box[3], **more}


def write_image(
    path: Path, *, width: int = WIDTH, height: int = HEIGHT, seed: int = 0, turn: int | None = None
) -> None:
    """Noise of a seed, so that images differ in their bytes. turn: EXIF orientation."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 255, (height, width, 3), np.uint8)
    exif = Image.Exif()
    if turn is not None:
        exif[0x0112] = turn
    Image.fromarray(pixels).save(path, exif=exif)


def write_json(path: Path, content: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def write_set(folder: Path, content: Coco, *, split: str = "train", first_seed: int = 0) -> Path:
    """annotations/instances_SPLIT.json and images/ with an image of noise for every image; returns the folder."""
    for place, image in enumerate(content["images"]):
        write_image(folder / "images" / image["file_name"], seed=first_seed + place)
    write_json(folder / "annotations" / f"instances_{split}.json", content)
    return folder


def read_set(
    path: Path, *, images: Path | None = None, group_key: str | None = None, kind: BoxKind = "visible"
) -> tuple[ImageSet, Problems]:
    problems = Problems("train")
    source = open_source(path, name="train", splits=("train",), images=images)
    return read_images(source, problems, group_key=group_key, kind=kind), problems
