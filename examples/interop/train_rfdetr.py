"""Train RF-DETR on a rendered set: python train_rfdetr.py YOLO_SET [EPOCHS]

    synth data convert data/synth data/yolo --format yolo
    pip install 'rfdetr[train,loggers]'
    python train_rfdetr.py data/yolo 50

The network starts from nothing; without `pretrain_weights=None` RF-DETR downloads published weights.
"""

from __future__ import annotations

import sys
from pathlib import Path

import yaml
from rfdetr import RFDETRNano


def main(data: Path, epochs: int = 50) -> None:
    """Train and validate; the run is beside the set."""
    classes = len(yaml.safe_load((data / "data.yaml").read_text())["names"])
    model = RFDETRNano(pretrain_weights=None, num_classes=classes)
    model.train(
        dataset_dir=str(data),
        epochs=epochs,
        batch_size=2,
        grad_accum_steps=8,
        output_dir=str(data.parent / "rfdetr"),
        run_test=False,
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]), *map(int, sys.argv[2:3]))
