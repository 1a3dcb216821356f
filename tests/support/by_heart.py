"""Learning four rendered images by heart: the images, and one training of any detector."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml
from click.testing import CliRunner
from torch import nn

from assets.demo import demo_list
from detectors.augment.view import areas
from detectors.checkpoints.detector import BEST, load_checkpoint, outline_detector, restore_model
from detectors.data.image_set import IGNORED, ImageSet, open_images
from detectors.data.settings import DataSettings
from detectors.models import detector_module, parts
from detectors.models.detect import find_in_set
from detectors.training import run as train
from detectors.training.detector_task import score_detector
from detectors.training.settings import TrainSettings
from pipeline.cli.main import main
from support.sets.shapes import QUIET
from support.work_here import work_here

# Different in size and colour: a carton, a small box and a can.
SKUS = ("demo-0001", "demo-0006", "demo-0011")
IMAGES = 4
# As small as products are told apart in; SSDs begin at stride 16, or take one size alone.
SMALL = (96, 80)
# The smallest that has stages, and half the channels of a pyramid over small ones: a third of the time of a step.
BACKBONE = "test_efficientnet"
PYRAMID = 64
# Detector, steps, images a step, rate for starting from nothing, size of the images.
CASES = (
    ("centernet", 60, 4, 0.003, SMALL),
    ("classify_locate", 50, 4, 0.003, SMALL),
    ("deconvnet", 160, 4, 0.003, SMALL),
    ("efficientdet_d0", 55, 4, 0.006, (160, 128)),
    ("fast_rcnn", 40, 4, 0.005, (160, 128)),
    ("fasterrcnn", 55, 4, 0.003, SMALL),
    ("fcn", 60, 4, 0.003, SMALL),
    ("fcos", 50, 4, 0.003, SMALL),
    ("hourglass", 120, 4, 0.003, SMALL),
    ("maskrcnn", 50, 4, 0.003, SMALL),
    ("rcnn", 80, 2, 0.0015, (160, 128)),
    ("retinanet", 60, 4, 0.003, SMALL),
    ("rfcn", 110, 4, 0.004, (160, 128)),
    ("segnet", 130, 4, 0.005, SMALL),
    ("sliding_window", 100, 4, 0.003, SMALL),
    ("sppnet", 40, 4, 0.005, (160, 128)),
    ("ssd300", 40, 2, 0.004, (300, 300)),
    ("ssdlite", 50, 4, 0.004, (160, 128)),
    ("yolo", 55, 4, 0.003, SMALL),
    ("yolov1", 45, 4, 0.003, (160, 128)),
    ("yolov2", 45, 4, 0.003, SMALL),
    ("yolov3", 55, 4, 0.003, SMALL),
    ("yolov4", 55, 4, 0.003, SMALL),
)
# Detectors that over a given backbone, with their smallest options, are another one that learns them.
SAME = {
    "efficientdet_d1": "efficientdet_d0",
    "efficientdet_d2": "efficientdet_d0",
    "fasterrcnn_mobilenet": "fasterrcnn",
    "fasterrcnn_mobilenet_320": "fasterrcnn",
    "ssd512": "ssd300",
}

# Detectors that need thousands of steps: tests/detectors/models/transformer has them learn one image.
SLOW_LEARNERS = ("detr", "dfine", "rtdetr")


def render_few(folder: Path) -> Path:
    """Four images of three products, by `synth render`; the test is skipped where nothing can be rendered."""
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
    command = ["render", "--sku-list", str(folder / "skus.csv"), "--recipe", str(folder / "recipe.yaml")]
    command += ["--scenes", str(IMAGES), "--size", "160x128", "--keypoints", "--out", str(folder / "set")]
    with work_here():
        done = CliRunner().invoke(main, command)
    if done.exit_code and "OpenGL" in done.output:
        pytest.skip(f"the raster backend cannot start here: {done.output}")
    assert done.exit_code == 0, done.output
    return folder / "set"


def score_after(
    name: str, rendered: Path, out: Path, *, steps: int, batch: int, rate: float, size: tuple[int, int]
) -> float:
    """AP50 on the rendered images that it was trained on, from nothing."""
    module = detector_module(name)
    settings = TrainSettings(
        data=DataSettings(synthetic=(("synthetic", rendered),)),
        out=out,
        detector=name,
        backbone=BACKBONE if getattr(module, "TAKES_BACKBONE", True) else None,
        detector_options=tuple(f"{option}={value}" for option, value in getattr(module, "SMALLEST", {}).items()),
        weights="none",
        size=module.FIXED_SIZE or size,
        augment="none",
        epochs=1,
        epoch_images=batch * steps,
        batch=batch,
        learning_rate=rate,
        workers=0,
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parts, "NARROW_PYRAMID", PYRAMID)
        outline_detector.cache_clear()  # other tests use the same networks with pyramids as they are
        plain = train.build_model
        patch.setattr(train, "build_model", lambda spec: with_quick_heads(with_few_proposals(plain(spec))))
        train.run_training(settings, QUIET)
        checkpoint = load_checkpoint(out / BEST)
        model = with_few_proposals(restore_model(checkpoint))
    outline_detector.cache_clear()
    images = open_images(out / "data" / "synthetic")
    if getattr(module, "ONE_PER_IMAGE", False):
        images = with_the_largest(images)
    found = find_in_set(model, images, checkpoint.classes, (checkpoint.spec.width, checkpoint.spec.height))
    return score_detector(images, found)["AP50"]


def with_the_largest(images: ImageSet) -> ImageSet:
    """The same images with all but their largest products ignored."""
    labels = np.full_like(images.labels, IGNORED)
    for index in range(len(images)):
        span = images.span(index)
        place = span.start + int(areas(images.boxes[span]).argmax())
        labels[place] = images.labels[place]
    return replace(images, labels=labels)


def with_quick_heads(model: nn.Module) -> nn.Module:
    """The same network with heads that pass on what they see from the first step (He et al. 2015).

    As published, for pretrained backbones and long trainings, four layers leave next to nothing of it in the beginning.
    """
    for name, layer in model.named_modules():
        if isinstance(layer, nn.Conv2d) and name.startswith("head.") and ".conv." in name:
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
    return model


def with_few_proposals(model: nn.Module) -> nn.Module:
    """The same network with fewer proposals and detections of an image: hundreds of them are what costs time."""
    if hasattr(model, "roi_heads"):
        model.roi_heads.detections_per_img = 20
        model.roi_heads.fg_bg_sampler.batch_size_per_image = 16
        model.rpn._pre_nms_top_n = {"training": 200, "testing": 200}
        model.rpn._post_nms_top_n = {"training": 60, "testing": 60}
    return model
