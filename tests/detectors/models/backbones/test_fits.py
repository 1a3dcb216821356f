"""Which detector takes which backbone: what it says, what it builds, and what the settings refuse."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from detectors.data.settings import DataSettings
from detectors.models import build_model, detector_module
from detectors.models.backbones.fits import backbone_problem, check_backbone
from detectors.models.spec import ModelSpec
from detectors.training.settings import TrainSettings
from support.errors import raises
from support.paths import ROOT

OWN = ROOT / "examples" / "own_detector.py"


def test_reasons() -> None:
    yolo, own = detector_module("yolo"), detector_module(str(OWN))
    assert backbone_problem(yolo, "vgg16") is None
    assert backbone_problem(yolo, "alexnet") == "it needs stages of stride 32; alexnet has 4, 8, 16"
    assert backbone_problem(yolo, "lenet") == "it needs stages of stride 8, 16, 32; lenet has 2, 4"
    assert backbone_problem(own, "resnet18") == "it has a network of its own"


def test_other_models_of_timm_are_left_to_building() -> None:
    check_backbone(detector_module("yolo"), "vit_tiny_patch16_224", "yolo")
    with raises("backbone-unsupported", expected="no --backbone"):
        check_backbone(detector_module(str(OWN)), "convnext_tiny", "own")


@pytest.mark.parametrize("backbone", ["alexnet", "lenet"])
def test_settings_refuse_what_does_not_fit(backbone: str, tmp_path: Path) -> None:
    data = DataSettings(synthetic=(("a", tmp_path),))
    with raises("backbone-unsupported", found=f"{backbone} has", expected="vgg16"):
        TrainSettings(data=data, out=tmp_path, detector="fcos", backbone=backbone)


@pytest.mark.parametrize("backbone", ["lenet", "alexnet", "googlenet"])
def test_classics_classify_and_locate(backbone: str) -> None:
    """Any network will do for one product per image, also one that ends at stride 4."""
    module = detector_module("classify_locate")
    spec = ModelSpec("classify_locate", backbone, 2, 96, 64, module.MEAN, module.STD, (("width", 16),))
    assert backbone_problem(module, backbone) is None
    model = build_model(spec).eval()
    assert model.full.in_features == {"lenet": 120, "alexnet": 256, "googlenet": 1024}[backbone] * 2 * 3
    (found,) = model.detect(torch.rand(1, 3, 64, 96))
    assert len(found["boxes"]) <= 2
