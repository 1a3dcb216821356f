"""Train a detector of torchvision on a rendered set, without `synth`: python train_torchvision.py DATA [STEPS]

DATA is a folder of `synth render`, or of `synth data split` and `convert`: torchvision's own class reads its labels.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader
from torchvision.datasets import CocoDetection, wrap_dataset_for_transforms_v2
from torchvision.models.detection import ssdlite320_mobilenet_v3_large
from torchvision.transforms import v2


def main(data: Path, steps: int = 200, batch: int = 4) -> list[float]:
    """Train from nothing, and return the loss of each step."""
    images = read_images(data)
    loader = DataLoader(images, batch, shuffle=True, drop_last=True, collate_fn=lambda rows: [*zip(*rows, strict=True)])
    model = ssdlite320_mobilenet_v3_large(weights=None, weights_backbone=None, num_classes=1 + len(images.coco.cats))
    optimizer = torch.optim.AdamW(model.train().parameters(), lr=1e-3)
    losses: list[float] = []
    while len(losses) < steps:
        for pictures, targets in loader:
            loss: Tensor = sum(model(list(pictures), list(targets)).values())
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
    print(f"{len(images)} images, {len(losses)} steps, loss {losses[0]:.2f} at first, {losses[-1]:.2f} at last")
    return losses


def read_images(data: Path) -> Any:
    """Return torchvision's data set of the images that show a product: boxes xyxy in pixels, labels from 1."""
    folder = data / "images" / "train" if (data / "images" / "train").is_dir() else data / "images"
    steps = v2.Compose([v2.Resize((320, 320)), v2.ToImage(), v2.ToDtype(torch.float32, scale=True)])
    images = CocoDetection(folder, str(data / "annotations" / "instances_train.json"), transforms=steps)
    for rows in images.coco.imgToAnns.values():
        # Less than a tenth of these is visible: they are neither product nor background, which torchvision cannot say.
        rows[:] = [row for row in rows if not row.get("ignore")]
    images.ids = [number for number in images.ids if images.coco.imgToAnns[number]]
    return wrap_dataset_for_transforms_v2(images, target_keys=["boxes", "labels"])


if __name__ == "__main__":
    main(Path(sys.argv[1]), *map(int, sys.argv[2:3]))
