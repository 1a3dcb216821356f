"""Read a rendered data set with pycocotools and numpy alone: python examples/read_labels.py DATA [SPLIT]

Prints each product of the first image: its visible share, its pixels, the distance of its middle, and that of the
surface that is seen (where the set has depth). Using a data set needs no `synth`.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from PIL import Image
from pycocotools.coco import COCO


def main(data: Path, split: str = "train") -> int:
    """Print the labels of the first image of a split; return how many it has."""
    coco = COCO(str(data / "annotations" / f"instances_{split}.json"))
    image = coco.imgs[min(coco.imgs)]
    depth_file = data / "depth" / image["file_name"].replace(".jpg", ".png")
    # Stored in millimetres; 0 where nothing is hit.
    depth = np.asarray(Image.open(depth_file)) / 1000 if depth_file.exists() else None
    labels = [label for label in coco.imgToAnns[image["id"]] if not label["ignore"]]
    for label in labels:
        mask = coco.annToMask(label).astype(bool)
        center = np.array(label["camera_from_object"])[:3, 3]
        measured = "" if depth is None else f", its surface {depth[mask].mean():.2f} m"
        print(f"{label['sku']}: {label['visibility']:.0%} visible, {mask.sum()} pixels, {center[2]:.2f} m{measured}")
    return len(labels)


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:3])
