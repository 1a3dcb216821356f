"""Training in bfloat16, as on a GPU."""

from __future__ import annotations

import pytest
import torch

from detectors.models import build_model, detector_module
from detectors.models.spec import ModelSpec


@pytest.mark.parametrize("name", ["yolov1", "yolov2", "yolov3", "yolov4"])
def test_losses_are_float32_under_autocast(name: str) -> None:
    module = detector_module(name)
    options = dict(module.SMALLEST) | ({"mini_batches": 2, "drop_block": 0.1} if name == "yolov4" else {})
    spec = ModelSpec(name, None, 2, 64, 64, module.MEAN, module.STD, tuple(sorted(options.items())))
    torch.manual_seed(0)
    model = build_model(spec)
    target = {"boxes": torch.tensor([[4.0, 4, 30, 40]]), "labels": torch.tensor([1]), "ignored": torch.zeros(0, 4)}
    images = torch.rand(2, 3, 64, 64)
    with torch.autocast("cpu", torch.bfloat16):
        losses = model.losses(images, [target, target])
    assert all(loss.dtype == torch.float32 and torch.isfinite(loss) for loss in losses.values())
    torch.stack(list(losses.values())).sum().backward()
    assert all(torch.isfinite(part.grad).all() for part in model.parameters() if part.grad is not None)
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        assert all(found["boxes"].dtype == torch.float32 for found in model.eval().detect(images))
