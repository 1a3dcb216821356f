"""Runs of detectors that learned nothing, but whose scores differ as those of trained ones do."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

from detectors.checkpoints.detector import BEST, Checkpoint, save_checkpoint
from detectors.checkpoints.recorded import RecordedSettings
from detectors.data.image_set import Classes
from detectors.models import build_model, detector_module
from detectors.models.spec import ModelSpec

SIZE = (160, 128)
SMALL = "mobilenetv3_small_050"
CLASSES = Classes(("sku-tea", "sku-oats", "sku-soup"), ("Green tea", "Oats", "Tomato soup"))
# The last layers of the classification of each kind of detector.
LAST_OF_CLASSES = ("cls_score", "cls_logits", "classification_head.module_list")


def random_run(
    folder: Path, detector: str, backbone: str | None = None, *, size: tuple[int, int] = SIZE, background: float = 0.0
) -> Path:
    """A run's folder with a checkpoint. background: what R-CNNs say for it in advance; the more, the less they find."""
    torch.manual_seed(1)
    module = detector_module(detector)
    options = tuple(sorted(getattr(module, "SMALLEST", {}).items()))
    spec = ModelSpec(detector, backbone, len(CLASSES), *size, module.MEAN, module.STD, options)
    model = build_model(spec)
    _settle_norms(model, size)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if any(part in name for part in LAST_OF_CLASSES) and parameter.ndim > 1:
                parameter.normal_(0, 1 / parameter[0].numel() ** 0.5)
            elif any(part in name for part in ("classification_head.cls_logits", "cls_logits.pointwise.bias")):
                # The prior of focal losses: a hundredth, under what anybody looks at.
                parameter.fill_(-2.0)
            elif name == "sizes.2.bias":
                # Boxes with an area, in cells.
                parameter.fill_(6.0)
            elif name.endswith("cls_score.bias"):
                parameter[0] = background
            elif any(part in name for part in ("rpn.head.cls_logits", "bbox_pred", "bbox_reg")) and parameter.ndim > 1:
                parameter.normal_(0, 0.3 / parameter[0].numel() ** 0.5)
    folder.mkdir(parents=True, exist_ok=True)
    save_checkpoint(Checkpoint(spec, CLASSES, model.state_dict(), RecordedSettings(), {}), folder / BEST)
    return folder


def _settle_norms(model: nn.Module, size: tuple[int, int]) -> None:
    """Statistics of batch norms from one batch of noise, without which deep layers see next to nothing."""
    for part in model.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.momentum = 1.0
    model.train()
    with torch.no_grad():
        noise = nn.functional.interpolate(torch.randn(4, 3, 16, 20), size=(size[1], size[0]))
        norms = [name for name, part in model.named_modules() if isinstance(part, nn.BatchNorm2d)]
        (model.backbone if all(name.startswith("backbone.") for name in norms) else model.features)(noise)
    for part in model.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.momentum = 0.1
