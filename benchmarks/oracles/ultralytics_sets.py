"""YOLO sets read by Ultralytics' own loader: equal counts, boxes and masks as in the COCO set that they were made of.

Ultralytics (AGPL-3.0) is no dependency of this project. In an environment of its own beside pycocotools:

    synth data split data/synth data/coco --split train:0.75,val:0.25
    synth data convert data/coco data/yolo --format yolo
    synth data convert data/coco data/yolo-segment --format yolo-segment
    python -m venv /tmp/yolo && /tmp/yolo/bin/pip install ultralytics pycocotools
    /tmp/yolo/bin/python benchmarks/oracles/ultralytics_sets.py data/coco data/yolo data/yolo-segment

Fails where an instance is missing, a class differs, an edge of a box is off by more than a tenth of a pixel, or a mask
has an IoU under 0.9 with its polygon drawn by Ultralytics' own function.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from pycocotools.coco import COCO
from ultralytics.data import YOLODataset
from ultralytics.data.utils import check_det_dataset, polygon2mask


def main(coco: Path, boxes: Path, outlines: Path) -> None:
    """Compare both YOLO sets with the COCO set, split by split."""
    for file in sorted((coco / "annotations").glob("instances_*.json")):
        split = file.stem.removeprefix("instances_")
        truth = COCO(str(file))
        for folder, task in ((boxes, "detect"), (outlines, "segment")):
            data = check_det_dataset(str(folder / "data.yaml"))
            read = YOLODataset(img_path=data[split], data=data, task=task, augment=False)
            compare(truth, read.labels, data["names"], f"{folder.name} {split}")


def compare(truth: COCO, labels: list[dict], names: dict[int, str], where: str) -> None:
    """Compare the labels of all images. Fails if they differ."""
    classes = {kind["id"]: kind["name"] for kind in truth.cats.values()}
    images = {Path(image["file_name"]).stem: image for image in truth.imgs.values()}
    edges, overlaps, count = [], [], 0
    for one in labels:
        image = images[Path(one["im_file"]).stem]
        rows = [row for row in truth.imgToAnns[image["id"]] if not row.get("ignore")]
        assert [classes[row["category_id"]] for row in rows] == [names[int(kind)] for kind in one["cls"].ravel()], where
        count += len(rows)
        size = np.array([image["width"], image["height"]])
        if not one["segments"]:
            for row, (x, y, width, height) in zip(rows, one["bboxes"], strict=True):
                found = np.array([x - width / 2, y - height / 2, width, height]) * np.tile(size, 2)
                edges.append(float(np.abs(found - row["bbox"]).max()))
        for row, outline in zip(rows, one["segments"], strict=False):
            drawn = polygon2mask((image["height"], image["width"]), [(outline * size).reshape(-1)]) > 0
            mask = truth.annToMask(row) > 0
            overlaps.append(float((drawn & mask).sum() / (drawn | mask).sum()))
    print(f"{where}: {len(labels)} images, {count} instances", end="")
    print(f", edges of boxes within {max(edges):.3f} px" if edges else "", end="")
    print(f", IoU of masks {np.mean(overlaps):.3f}, {min(overlaps):.3f} at least" if overlaps else "")
    assert max(edges, default=0) < 0.1 and min(overlaps, default=1) > 0.9, where
    assert len(labels) == len(images), where


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:4]))
