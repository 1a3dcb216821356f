"""Train a YOLO of Ultralytics on a rendered set: python train_ultralytics.py YOLO_SET [EPOCHS] [segment]

    synth data convert data/synth data/yolo --format yolo
    pip install ultralytics  # in an environment of its own; it is licensed under AGPL-3.0
    python train_ultralytics.py data/yolo 100

With `segment` the set is one of `--format yolo-segment`. The network starts from nothing: `yolo11n.pt` in place of
`yolo11n.yaml` starts from published weights, which Ultralytics downloads.
"""

from __future__ import annotations

import sys
from pathlib import Path

from ultralytics import YOLO


def main(data: Path, epochs: int = 100, *, segment: bool = False) -> None:
    """Train and validate; the runs are beside the set."""
    model = YOLO("yolo11n-seg.yaml" if segment else "yolo11n.yaml")
    model.train(
        data=data.resolve() / "data.yaml", epochs=epochs, imgsz=640, project=data.resolve().parent / "runs", workers=0
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]), *map(int, sys.argv[2:3]), segment="segment" in sys.argv[3:])
