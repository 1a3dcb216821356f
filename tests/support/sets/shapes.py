"""Small COCO sets of coloured boxes, quick to make and to learn from, and the smallest training on them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from rich.console import Console

from detectors.data.settings import DataSettings
from detectors.training.run import run_training
from detectors.training.settings import TrainSettings
from detectors.training.summary import TrainSummary

COLORS = {"red": (220, 30, 30), "green": (30, 200, 40), "blue": (40, 60, 230)}
WIDTH, HEIGHT = 96, 64
QUIET = Console(quiet=True)


def write_shapes(
    folder: Path,
    count: int,
    *,
    seed: int,
    classes: Sequence[str] = tuple(COLORS),
    groups: int = 0,
    split: str = "train",
) -> Path:
    """Images with one to three boxes each; categories in the order of `classes`. Returns the COCO file."""
    rng = np.random.default_rng(seed)
    (folder / "images").mkdir(parents=True, exist_ok=True)
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for number in range(1, count + 1):
        pixels = rng.integers(90, 130, (HEIGHT, WIDTH, 3)).astype(np.uint8)
        name = f"{split}_{number:03d}.png"
        for place in rng.permutation(3)[: rng.integers(1, 4)]:
            key = list(COLORS)[int(rng.integers(3))]
            width, height = (int(side) for side in rng.integers(18, 30, 2))
            x, y = int(place * 32), int(rng.integers(0, HEIGHT - height))
            pixels[y : y + height, x : x + width] = COLORS[key]
            corners = [x, y, x + width, y, x + width, y + height, x, y + height]
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": number,
                    "category_id": list(classes).index(key) + 1,
                    "bbox": [x, y, width, height],
                    "area": width * height,
                    "iscrowd": 0,
                    "segmentation": [corners],
                }
            )
        Image.fromarray(pixels).save(folder / "images" / name)
        image = {"id": number, "file_name": name, "width": WIDTH, "height": HEIGHT}
        images.append(image | ({"group": f"g{number % groups}"} if groups else {}))
    categories = [{"id": number, "name": key} for number, key in enumerate(classes, start=1)]
    file = folder / f"{split}.json"
    file.write_text(json.dumps({"images": images, "annotations": annotations, "categories": categories}))
    return file


def tiny_settings(out: Path, data: DataSettings, **fields: Any) -> TrainSettings:
    """The smallest detector, for a few steps."""
    smallest: dict[str, Any] = {
        "detector": "ssdlite",
        "backbone": "mobilenetv3_small_050",
        "weights": "none",
        "size": (96, 64),
        "augment": "light",
        "epochs": 2,
        "epoch_images": 20,
        "batch": 2,
        "workers": 0,
    }
    return TrainSettings(data=data, out=out, **{**smallest, **fields})


def tiny_training(out: Path, data: DataSettings, **fields: Any) -> TrainSummary:
    """Trains `tiny_settings`."""
    return run_training(tiny_settings(out, data, **fields), QUIET)
