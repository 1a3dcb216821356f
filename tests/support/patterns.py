"""Printed patterns to learn embeddings from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from detectors.data.settings import DataSettings
from detectors.recognition.embedder.settings import EmbedSettings

PATTERNS = 6


# Learns from random weights in forty steps; what it has learned does not hang on statistics of a few batches.
LEARNER = {"backbone": "resnet10t", "augment": "none", "learning_rate": 0.01, "epoch_crops": 480}


SIDE = 32


def pattern(label: int, color: np.ndarray) -> np.ndarray:
    """(24, 24, 3): stripes in one of three directions and a dark corner in one of two places, in any colour.

    A network that has learned nothing goes by the colour.
    """
    rows, columns = np.mgrid[:24, :24]
    wave = (rows, columns, rows + columns)[label % 3] // 4 % 2
    image = np.where(wave[..., None] == 1, color, 255 - color)
    corner = (slice(0, 9), slice(0, 9)) if label // 3 else (slice(15, 24), slice(15, 24))
    image[corner] = 20
    return image.astype(np.uint8)


def write_patterns(folder: Path, count: int, *, seed: int, skus: int = PATTERNS, known: int = PATTERNS) -> Path:
    """`count` images with three products each, as a COCO file. known: SKUs that have a category."""
    rng = np.random.default_rng(seed)
    (folder / "images").mkdir(parents=True)
    images, annotations = [], []
    for number in range(1, count + 1):
        image = rng.integers(90, 130, (40, 108, 3)).astype(np.uint8)
        for place, label in enumerate(rng.integers(0, skus, 3).tolist()):
            left, top = 4 + 36 * place + int(rng.integers(0, 6)), int(rng.integers(4, 12))
            image[top : top + 24, left : left + 24] = pattern(label, rng.integers(0, 256, 3))
            annotations.append(
                {"id": len(annotations) + 1, "image_id": number, "category_id": label + 1, "area": 576}
                | {"bbox": [left, top, 24, 24], "iscrowd": 0}
            )
        name = f"{number:03d}.png"
        Image.fromarray(image).save(folder / "images" / name)
        images.append({"id": number, "file_name": name, "width": 108, "height": 40})
    categories = [{"id": label + 1, "name": f"sku {label}", "sku": f"sku-{label}"} for label in range(known)]
    content = {"images": images, "annotations": annotations, "categories": categories, "info": {}}
    (folder / "train.json").write_text(json.dumps(content))
    return folder


def settings_for(data: Path, out: Path, /, **fields: Any) -> EmbedSettings:
    smallest: dict[str, Any] = {
        "data": DataSettings(synthetic=(("synthetic", data / "synth"),), val=data / "photos"),
        "backbone": "mobilenetv3_small_050",
        "weights": "none",
        "dim": 32,
        "side": SIDE,
        "augment": "light",
        "epochs": 2,
        "epoch_crops": 72,
        "skus": 6,
        "crops": 4,
        "learning_rate": 2e-3,
        "workers": 0,
        "patience": 30,
    }
    return EmbedSettings(out=out, **{**smallest, **fields})
