"""Every detector of the table learns eight rendered pictures by heart."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from shape_sets import QUIET
from torch import nn

from assets.demo import demo_list
from detectors.checkpoint import LAST, load_checkpoint, restore_model
from detectors.find import find_in_set
from detectors.image_store import open_images
from detectors.models import DETECTORS, ModelSpec, detector_module
from detectors.prepare import DataSettings
from detectors.score import score_detector
from detectors.settings import TrainSettings
from detectors.train import run_training

ROOT = Path(__file__).resolve().parents[2]
# Alike in shape, different in size and colour: a carton, a small box and a can.
SKUS = ("demo-0001", "demo-0006", "demo-0011")
# What the detector is given: steps of eight pictures, and a rate for starting from nothing.
RECIPES: dict[str, dict[str, Any]] = {
    "fasterrcnn": {"steps": 110, "rate": 2e-3},
    "fasterrcnn_mobilenet": {"steps": 110, "rate": 2e-3},
    "fasterrcnn_mobilenet_320": {"steps": 110, "rate": 2e-3},
    "fcos": {"steps": 90, "rate": 2e-3},
    "maskrcnn": {"steps": 120, "rate": 2e-3, "proposals": 16},
    "retinanet": {"steps": 150, "rate": 2e-3},
    "ssd300": {"steps": 150, "rate": 3e-3},
    "ssdlite": {"steps": 150, "rate": 3e-3, "size": (256, 192)},
}


@pytest.fixture(scope="module")
def eight(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight pictures of three products, by `synth render`."""
    folder = tmp_path_factory.mktemp("eight")
    with demo_list().open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["sku"] in SKUS]
    with (folder / "skus.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    recipe = {
        "recipe": "tabletop",
        "products": {"count": [2, 3]},
        "distractors": {"count": [0, 0]},
        "camera": {"distance": [0.9, 1.1]},
    }
    (folder / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    command = [sys.executable, "-m", "pipeline.cli", "render", "--sku-list", folder / "skus.csv", "--scenes", "8"]
    command += ["--recipe", folder / "recipe.yaml", "--size", "160x128", "--out", folder / "set"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode and "OpenGL" in done.stdout + done.stderr:
        pytest.skip(f"the raster backend cannot start here: {done.stdout} {done.stderr}")
    assert done.returncode == 0, done.stderr
    return folder / "set"


@pytest.mark.slow
@pytest.mark.parametrize("name", DETECTORS)
def test_learns_eight_pictures_by_heart(
    name: str, eight: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """AP50 over 0.9 from nothing, with the smallest backbone that has stages."""
    from detectors import train

    plain = train.build_model
    recipe = RECIPES[name]
    few = recipe.get("proposals", 32)
    monkeypatch.setattr(train, "build_model", lambda spec: with_few_proposals(plain(spec), few))
    settings = TrainSettings(
        data=DataSettings(synthetic=(("synthetic", eight),)),
        out=tmp_path / "run",
        detector=name,
        backbone="mobilenetv3_small_050",
        weights="none",
        size=detector_module(name).FIXED_SIZE or recipe.get("size", (160, 128)),
        augment="none",
        epochs=1,
        epoch_images=8 * recipe["steps"],
        batch=8,
        learning_rate=recipe["rate"],
        workers=0,
    )
    run_training(settings, QUIET)
    checkpoint = load_checkpoint(tmp_path / "run" / LAST)
    images = open_images(tmp_path / "run" / "data" / "synthetic")
    spec: ModelSpec = checkpoint.spec
    found = find_in_set(restore_model(checkpoint), images, checkpoint.classes, (spec.width, spec.height))
    assert score_detector(images, found)["AP50"] > 0.9


def with_few_proposals(model: nn.Module, few: int) -> nn.Module:
    """The same network, learning from fewer proposals a picture: hundreds of them are what costs time."""
    if hasattr(model, "roi_heads"):
        model.roi_heads.fg_bg_sampler.batch_size_per_image = few
        model.rpn._pre_nms_top_n = {"training": 200, "testing": 200}
        model.rpn._post_nms_top_n = {"training": 60, "testing": 60}
    return model
