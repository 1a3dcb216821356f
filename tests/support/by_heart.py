"""Learning four rendered pictures by heart: the pictures, and one training of any detector."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from torch import nn

from assets.demo import demo_list
from detectors.checkpoints.detector import LAST, load_checkpoint, restore_model
from detectors.data.image_set import open_images
from detectors.data.settings import DataSettings
from detectors.models import detector_module
from detectors.models.detect import find_in_set
from detectors.training import run as train
from detectors.training.detector_task import score_detector
from detectors.training.settings import TrainSettings
from support.paths import ROOT
from support.shape_sets import QUIET

# Different in size and colour: a carton, a small box and a can.
SKUS = ("demo-0001", "demo-0006", "demo-0011")
PICTURES = 4
# Detector, steps of four pictures, rate for starting from nothing, size of the pictures.
ONE_STAGE = (
    ("fcos", 90, 0.002, (160, 128)),
    ("retinanet", 160, 0.002, (160, 128)),
    ("ssd300", 150, 0.003, (300, 300)),
    ("ssdlite", 150, 0.003, (256, 192)),
    ("yolo", 100, 0.002, (160, 128)),
)
TWO_STAGE = (
    ("fasterrcnn", 80, 0.002, (160, 128)),
    ("maskrcnn", 80, 0.002, (160, 128)),
)
# Detectors that differ from "fasterrcnn" in nothing but their backbone and how many proposals they take.
SAME = ("fasterrcnn_mobilenet", "fasterrcnn_mobilenet_320")


def render_few(folder: Path) -> Path:
    """Four pictures of three products, by `synth render`; the test is skipped where nothing can be rendered."""
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
    command = [
        sys.executable,
        "-m",
        "pipeline",
        "render",
        "--sku-list",
        folder / "skus.csv",
        "--scenes",
        str(PICTURES),
    ]
    command += ["--recipe", folder / "recipe.yaml", "--size", "160x128", "--out", folder / "set"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode and "OpenGL" in done.stdout + done.stderr:
        pytest.skip(f"the raster backend cannot start here: {done.stdout} {done.stderr}")
    assert done.returncode == 0, done.stderr
    return folder / "set"


def score_after(name: str, pictures: Path, out: Path, *, steps: int, rate: float, size: tuple[int, int]) -> float:
    """AP50 on the pictures it was trained on, from nothing, with the smallest backbone that has stages."""
    settings = TrainSettings(
        data=DataSettings(synthetic=(("synthetic", pictures),)),
        out=out,
        detector=name,
        backbone="mobilenetv3_small_050",
        weights="none",
        size=detector_module(name).FIXED_SIZE or size,
        augment="none",
        epochs=1,
        epoch_images=PICTURES * steps,
        batch=PICTURES,
        learning_rate=rate,
        workers=0,
    )
    with pytest.MonkeyPatch.context() as patch:
        plain = train.build_model
        patch.setattr(train, "build_model", lambda spec: with_few_proposals(plain(spec)))
        train.run_training(settings, QUIET)
    checkpoint = load_checkpoint(out / LAST)
    images = open_images(out / "data" / "synthetic")
    shape = (checkpoint.spec.width, checkpoint.spec.height)
    found = find_in_set(restore_model(checkpoint), images, checkpoint.classes, shape)
    return score_detector(images, found)["AP50"]


def with_few_proposals(model: nn.Module) -> nn.Module:
    """The same network, learning from fewer proposals a picture: hundreds of them are what costs time."""
    if hasattr(model, "roi_heads"):
        model.roi_heads.fg_bg_sampler.batch_size_per_image = 16
        model.rpn._pre_nms_top_n = {"training": 200, "testing": 200}
        model.rpn._post_nms_top_n = {"training": 60, "testing": 60}
    return model
