"""Reading a COCO file as typed records, image by image in flat memory, against plain `json.load` and a loop.

    python benchmarks/reading.py

Prints one line for docs/results.md: processor seconds of the best of several turns, both in one process.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np

from dataset.find import CocoSplit
from dataset.store import CocoPart

IMAGES, EACH, TURNS = 1000, 20, 8
POSE = np.random.default_rng(0).random((4, 4)).tolist()
MASK = {"size": [480, 640], "counts": "0123456789OPQRSTUV" * 7}
BOX = {"bbox": [1.5, 2.5, 30.0, 40.0], "area": 900, "iscrowd": 0, "segmentation": MASK, "visibility": 0.912345}
AMODAL = {"truncation": 0.0, "amodal_bbox": [1.5, 2.5, 31.0, 40.0], "amodal_segmentation": MASK, "ignore": 0}


def main() -> None:
    images = [{"id": n, "file_name": f"{n}.jpg", "width": 640, "height": 480} for n in range(IMAGES)]
    pairs = [(image, sku) for image in range(IMAGES) for sku in range(EACH)]
    names = [{"id": n, "image_id": image, "category_id": sku, "sku": str(sku)} for n, (image, sku) in enumerate(pairs)]
    records = [{**name, **BOX, **AMODAL, "camera_from_object": POSE} for name in names]
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "instances_train.json"
        file.write_text(json.dumps({"images": images, "annotations": records}))
        turns = [[seconds(read, file) for read in (read_plain, read_typed)] for _ in range(TURNS)]
    plain, typed = np.array(turns).min(axis=0)
    print(f"| 20,000 annotations | typed {typed:.2f} s | json.load {plain:.2f} s | {typed / plain:.1f} times |")


def read_plain(file: Path) -> None:
    content = json.loads(file.read_text())
    held = Counter(record["image_id"] for record in content["annotations"])
    assert all(held[image["id"]] == EACH for image in content["images"])


def read_typed(file: Path) -> None:
    part = CocoPart(CocoSplit("train", file, file.parent, file.parent))
    assert all(len(labels.annotations) == EACH for labels in part.labels())


def seconds(read: Callable[[Path], None], file: Path) -> float:
    start = time.process_time()
    read(file)
    return time.process_time() - start


if __name__ == "__main__":
    main()
