"""A small shop whose products differ in colour, with an untrained embedder that tells colours, and photographs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from detectors.checkpoints.recorded import RecordedSettings
from detectors.recognition.embedder.checkpoint import EmbedderCheckpoint, save_embedder_checkpoint
from detectors.recognition.embedder.load import new_embedder
from render.views import ProductView

HEAD = "sku,name,package,width_m,height_m,depth_m,brand,colors\n"
COLORS = {
    "red": "#c01818 #e05030 #f0b0a0",
    "green": "#108030 #30a060 #b0e0b0",
    "blue": "#1030b0 #4060d0 #b0c0f0",
    "yellow": "#e0c010 #f0e050 #f8f0b0",
    "black": "#181818 #303030 #505050",
}


def write_list(path: Path, keys: Sequence[str], *, changed: str = "", bad: str = "") -> Path:
    """A list of cartons of these colours. changed: has another name. bad: has a packshot that is no image."""
    rows = []
    for key in keys:
        name = f"New {key}" if key == changed else f"Plain {key}"
        rows.append(f"{key},{name},carton,0.1,0.16,0.05,Halm,{COLORS[key]}")
    if bad:
        (path.parent / "broken.png").write_bytes(b"no image")
        head, rows = HEAD.replace("colors", "colors,packshot"), [f"{row}," for row in rows]
        rows.append(f"{bad},Broken,carton,0.1,0.16,0.05,Halm,#101010 #202020 #303030,broken.png")
        path.write_text(head + "\n".join(rows) + "\n")
        return path
    path.write_text(HEAD + "\n".join(rows) + "\n")
    return path


def write_embedder(path: Path, *, dim: int = 32) -> Path:
    """A tiny embedder that nobody has trained: what it sees are colours and edges."""
    made = new_embedder("test_efficientnet", dim=dim, side=48, weights="none", device="cpu")
    save_embedder_checkpoint(EmbedderCheckpoint(made.spec, made.net.state_dict(), (), RecordedSettings(), {}), path)
    return path


def write_photos(folder: Path, shown: Sequence[Sequence[tuple[str, ProductView]]]) -> Path:
    """Photographs of products side by side, as a COCO file. shown: key and view of each product of each image."""
    keys = sorted({key for one in shown for key, _ in one})
    content: dict[str, Any] = {
        "images": [],
        "annotations": [],
        "categories": [{"id": number, "name": key, "sku": key} for number, key in enumerate(keys, start=1)],
    }
    folder.mkdir(parents=True, exist_ok=True)
    for number, products in enumerate(shown, start=1):
        height = max(view.image.shape[0] for _, view in products) + 20
        image = np.full((height, sum(view.image.shape[1] + 10 for _, view in products) + 10, 3), 120, np.uint8)
        x = 10
        for key, view in products:
            rows, columns = view.image.shape[:2]
            image[10 : 10 + rows, x : x + columns] = view.image
            x0, y0, x1, y1 = (view.box + [x, 10, x, 10]).tolist()
            content["annotations"].append(
                {
                    "id": len(content["annotations"]) + 1,
                    "image_id": number,
                    "category_id": keys.index(key) + 1,
                    "bbox": [x0, y0, x1 - x0, y1 - y0],
                    "area": (x1 - x0) * (y1 - y0),
                    "iscrowd": 0,
                }
            )
            x += columns + 10
        Image.fromarray(image).save(folder / f"photo{number}.png")
        size = {"width": image.shape[1], "height": image.shape[0]}
        content["images"].append({"id": number, "file_name": f"photo{number}.png", **size})
    (folder / "photos.json").write_text(json.dumps(content))
    return folder / "photos.json"
