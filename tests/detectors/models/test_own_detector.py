"""The example of a third party's detector learns, as the contract asks."""

from __future__ import annotations

import torch

from assets.plugins import module_from_file
from detectors.models.spec import ModelSpec
from support.paths import ROOT


def test_it_finds_what_it_has_learned() -> None:
    """Two boxes of two classes, each within 3 px; an image that is ignored everywhere teaches no background."""
    module = module_from_file(ROOT / "examples" / "own_detector.py")
    torch.manual_seed(0)
    boxes = torch.tensor([[10.0, 8, 36, 40], [50, 20, 90, 56]])
    images = torch.full((1, 3, 64, 96), 0.5)
    images[:, 0, 8:40, 10:36] = images[:, 1, 20:56, 50:90] = 1
    target = {"boxes": boxes, "labels": torch.tensor([0, 1]), "ignored": torch.zeros(0, 4)}
    model = module.build(ModelSpec("own", None, 2, 96, 64, module.MEAN, module.STD, (("width", 16),)))
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3)
    for _ in range(60):
        optimizer.zero_grad()
        torch.stack(list(model.losses(images, [target]).values())).sum().backward()
        optimizer.step()
    with torch.no_grad():
        (found,) = model.detect(images)
        order = found["labels"][:2].argsort()
        assert found["labels"][order].tolist() == [0, 1] and found["scores"][1] > 0.5 > 3 * found["scores"][2]
        assert (found["boxes"][order] - boxes).abs().max() < 3
        everywhere = {"boxes": boxes[:0], "labels": target["labels"][:0], "ignored": torch.tensor([[0.0, 0, 96, 64]])}
        losses = model.losses(images, [everywhere])
        assert losses["classification"] == losses["box"] == 0
