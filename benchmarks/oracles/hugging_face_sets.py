"""Whether Hugging Face's `datasets` loads our image folders and Parquet files: pictures, boxes, names of classes.

    synth data convert SET OUT/folder --format huggingface
    synth data convert SET OUT/parquet --format huggingface-parquet
    python -m venv /tmp/hf && /tmp/hf/bin/pip install "datasets>=5" pillow
    HF_HUB_OFFLINE=1 /tmp/hf/bin/python benchmarks/oracles/hugging_face_sets.py OUT/folder OUT/parquet

In an environment of its own: datasets wants another fsspec. Ends with an error where both differ.
"""

from __future__ import annotations

import sys
import tempfile
from typing import Any

from datasets import ClassLabel, load_dataset


def rows_of(found: Any) -> dict[str, list[Any]]:
    """By split: size of the picture, boxes and numbers of classes of each image."""
    return {
        split: [(one["image"].size, one["objects"]["bbox"], one["objects"]["category"]) for one in rows]
        for split, rows in found.items()
    }


def main(folder: str, parquet: str) -> None:
    """Load both and compare them."""
    with tempfile.TemporaryDirectory() as cache:
        plain = load_dataset("imagefolder", data_dir=folder, cache_dir=cache)
        packed = load_dataset("parquet", data_dir=f"{parquet}/data", cache_dir=cache)
        for split, rows in packed.items():
            (kind,) = (getattr(one, "feature", one) for one in [rows.features["objects"]["category"]])
            if not isinstance(kind, ClassLabel):
                raise SystemExit(f"{split}: the classes have no names: {kind}")
            print(f"{split}: {len(rows)} images, {kind.num_classes} classes, such as {kind.names[0]!r}")
        if rows_of(plain) != rows_of(packed):
            raise SystemExit("the image folder and the Parquet files differ")
    print("both are the same")


if __name__ == "__main__":
    main(*sys.argv[1:3])
