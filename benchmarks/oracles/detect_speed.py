"""Inference of our detectors against torchvision's own: the same weights and images, in turns, and the ratio of times.

    python benchmarks/oracles/detect_speed.py [--rounds 15] [--threads 1] [detector ...]

Each round runs both on the same image, in alternating order; the ratio is the median of the rounds' ratios, ours by
torchvision's, with the range of its middle half. Both have random weights and normalise the image themselves; scores
are nearly alike then, so that both suppress as many boxes as they ever would. torchvision's resizing is switched off:
ours takes images at the network's size, too.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

import numpy as np
import torch
from torchvision.models import detection

from detectors.models import build_model, detector_module
from detectors.models.parts import MAX_DETECTIONS, MIN_SCORE
from detectors.models.spec import ModelSpec

CLASSES = 20
# Ours, torchvision's, and width and height of the image.
PAIRS = {
    "ssd300": (detection.ssd300_vgg16, (300, 300)),
    "ssdlite": (detection.ssdlite320_mobilenet_v3_large, (320, 320)),
    "retinanet": (detection.retinanet_resnet50_fpn_v2, (640, 480)),
    "fcos": (detection.fcos_resnet50_fpn, (640, 480)),
    "fasterrcnn": (detection.fasterrcnn_resnet50_fpn_v2, (640, 480)),
    "fasterrcnn_mobilenet": (detection.fasterrcnn_mobilenet_v3_large_fpn, (640, 480)),
    "maskrcnn": (detection.maskrcnn_resnet50_fpn_v2, (640, 480)),
}
WARM_UP = 2


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("names", nargs="*", help="detectors; all that torchvision has if not given")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    print(f"{'detector':<22}{'ours ms':>10}{'theirs ms':>11}{'ratio':>8}{'middle half':>15}")
    for name in args.names or PAIRS:
        compare(name, args.rounds)


def compare(name: str, rounds: int) -> None:
    """Print the median times of both and their ratio."""
    make, size = PAIRS[name]
    ours, theirs = networks(name, make, size)
    generator = torch.Generator().manual_seed(0)
    image = torch.rand(3, size[1], size[0], generator=generator)
    run = {"ours": lambda: ours.detect(image[None]), "theirs": lambda: theirs([image])}
    seconds: dict[str, list[float]] = {"ours": [], "theirs": []}
    with torch.inference_mode():
        for place in range(rounds + WARM_UP):
            for side in ("ours", "theirs") if place % 2 else ("theirs", "ours"):
                start = time.perf_counter()
                run[side]()
                if place >= WARM_UP:
                    seconds[side].append(time.perf_counter() - start)
    ratios = np.divide(seconds["ours"], seconds["theirs"])
    low, middle, high = np.percentile(ratios, (25, 50, 75))
    times = [1000 * float(np.median(seconds[side])) for side in ("ours", "theirs")]
    print(f"{name:<22}{times[0]:>10.1f}{times[1]:>11.1f}{middle:>8.3f}{f'{low:.3f}-{high:.3f}':>15}", flush=True)


def networks(name: str, make: Any, size: tuple[int, int]) -> tuple[Any, Any]:
    """Return our network and torchvision's with the same weights and limits of detections."""
    module = detector_module(name)
    torch.manual_seed(0)
    ours = build_model(ModelSpec(name, None, CLASSES, *size, module.MEAN, module.STD)).eval()
    limits = {"detections_per_img": MAX_DETECTIONS, "score_thresh": MIN_SCORE}
    if hasattr(ours, "roi_heads"):
        limits = {f"box_{key}": value for key, value in limits.items()}
    theirs = make(weights=None, weights_backbone=None, num_classes=CLASSES + 1, **limits).eval()
    theirs.load_state_dict(ours.state_dict(), strict=True)
    # At the size of the image; torchvision would bring it to its default, in which it has other work to do.
    theirs.transform.min_size, theirs.transform.max_size = (min(size),), max(size)
    return ours, theirs


if __name__ == "__main__":
    main()
