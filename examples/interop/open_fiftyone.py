"""Browse a rendered set in FiftyOne: python open_fiftyone.py DATA [SPLIT]

    pip install fiftyone  # in an environment of its own; it brings or wants a MongoDB
    python open_fiftyone.py data/synth

Boxes and masks become fields of each image, and what the labels say beside them, such as `sku`, `visibility`,
`truncation` and `ignore`, becomes attributes to filter by.
"""

from __future__ import annotations

import sys
from pathlib import Path

import fiftyone


def load(data: Path, split: str = "train") -> fiftyone.Dataset:
    """Load the images of a split with their labels."""
    folder = data / "images" / split
    return fiftyone.Dataset.from_dir(
        dataset_type=fiftyone.types.COCODetectionDataset,
        data_path=str(folder if folder.is_dir() else folder.parent),
        labels_path=str(data / "annotations" / f"instances_{split}.json"),
        label_types=["detections", "segmentations"],
    )


if __name__ == "__main__":
    fiftyone.launch_app(load(Path(sys.argv[1]), *sys.argv[2:3])).wait()
