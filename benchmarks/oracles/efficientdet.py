"""EfficientDet against effdet: the same weights in both networks, and the largest difference of what they say.

effdet is no dependency of this project. In an environment of its own beside this project's packages:

    python -m venv /tmp/effdet --system-site-packages
    /tmp/effdet/bin/pip install effdet==0.4.1 timm torch torchvision pydantic
    PYTHONPATH=. /tmp/effdet/bin/python benchmarks/oracles/efficientdet.py
"""

from __future__ import annotations

import argparse
import warnings
from typing import Any

import torch
from torch import Tensor, nn

from detectors.models import build_model, detector_module
from detectors.models.spec import ModelSpec

NAMES = ("efficientdet_d0", "efficientdet_d1", "efficientdet_d2")
CLASSES = 3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--size", type=int, help="side of the image; the network's own if not given")
    parser.add_argument("--names", nargs="*", default=NAMES)
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    columns = "network", "side", "tensors", "anchors", "largest", "logits", "boxes", "anchors px"
    print("".join(f"{column:>16}" for column in columns))
    for name in args.names:
        compare(name, args.size or detector_module(name).LONG_SIDE)


def compare(name: str, side: int) -> None:
    """Print how far both networks differ on one image of noise. Fails where their weights do not correspond."""
    from effdet import EfficientDet, get_efficientdet_config
    from effdet.anchors import Anchors

    torch.manual_seed(0)
    config = get_efficientdet_config(name)
    config.num_classes, config.image_size = CLASSES, (side, side)
    theirs: Any = EfficientDet(config, pretrained_backbone=False)
    scatter(theirs)
    module = detector_module(name)
    ours: Any = build_model(ModelSpec(name, None, CLASSES, side, side, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)))
    copied = copy_weights(theirs, ours)
    image = torch.randn(1, 3, side, side)
    with torch.no_grad():
        logits, codes, anchors = ours.eval()._predict(image)
        classes, boxes = theirs.eval()(image)
    said = [joined(one, columns) for one, columns in ((classes, CLASSES), (boxes, 4))]
    # Its anchors are (y0, x0, y1, x1), its codes (y, x, height, width).
    known = Anchors.from_config(config).boxes[:, [1, 0, 3, 2]]
    apart = [
        float((logits - said[0]).abs().max()),
        float((codes - said[1]).abs().max()),
        float((anchors - known).abs().max()),
    ]
    said_most = f"{float(said[0].abs().max()):.2f}"
    row = (name, side, copied, len(anchors), said_most, *(f"{one:.2e}" for one in apart))
    print("".join(f"{column:>16}" for column in row))
    assert module.SIZE.channels == config.fpn_channels and module.SIZE.layers == config.fpn_cell_repeats


def scatter(network: nn.Module) -> None:
    """Fill norms, fusion weights and heads at random: untrained, many of them would say the same."""
    for name, value in network.state_dict().items():
        if name.endswith(("running_mean", "bias")):
            value.normal_(0, 0.1)
        elif name.endswith("running_var") or "edge_weights" in name or (".bn" in name and name.endswith("weight")):
            value.uniform_(0.5, 1.5)
        elif "predict" in name:
            value.normal_(0, 0.3)


def copy_weights(source: nn.Module, target: nn.Module) -> int:
    """Copy all tensors in their order, which must have the same shapes; returns their number."""
    pairs = list(zip(source.state_dict().values(), target.state_dict().values(), strict=True))
    for theirs, ours in pairs:
        assert theirs.shape == ours.shape, (theirs.shape, ours.shape)
        ours.copy_(theirs)
    return len(pairs)


def joined(levels: list[Tensor], columns: int) -> Tensor:
    """Return (B, A, columns) of maps (B, anchors x columns, h, w)."""
    return torch.cat([one.permute(0, 2, 3, 1).reshape(len(one), -1, columns) for one in levels], 1)


if __name__ == "__main__":
    main()
