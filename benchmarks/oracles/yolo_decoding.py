"""Compare YOLOv1 to v4 with libreyolo, whose networks are built from Darknet's own configuration files.

libreyolo 1.6.0 (MIT) only infers. Its networks of YOLOv2, v3 and v4 get the same random weights, in the order of the
configuration files, and both say the same of the same image: all layers, anchors, decoding and scores agree. Of
YOLOv1, whose configuration file is of a later network than the paper's, decoding alone is compared.

One layer of libreyolo is replaced: its passthrough of YOLOv2 is Darknet's reorg3d, which the configuration file does
not name. Darknet's reorg, called with the sizes of its input, orders values as `yolov2.rearrange` does.

It wants opencv-python, which would overwrite this project's OpenCV, so it gets an environment of its own:

    python -m venv oracle && oracle/bin/pip install . && oracle/bin/pip install --no-deps libreyolo==1.6.0
    PYTHONPATH=. oracle/bin/python benchmarks/oracles/yolo_decoding.py
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from detectors.models import build_model
from detectors.models.darknet.grid import decode_boxes
from detectors.models.darknet.heads import AnchorHead, AnchorYolo
from detectors.models.darknet.yolov1 import CellOutputs, YoloV1
from detectors.models.darknet.yolov2 import rearrange
from detectors.models.spec import ModelSpec

CLASSES, SIDE = 3, 160
# Of boxes in pixels and of scores: layers are computed in float64, what heads say is float32.
MOST_PIXELS, MOST_SCORE = 0.01, 1e-5


def main() -> int:
    """Print the largest differences of each version; return 1 if one is too large."""
    torch.manual_seed(0)
    torch.set_default_dtype(torch.float64)
    blocks = importlib.import_module("libreyolo.models.darknet.blocks")
    blocks.Reorg.forward = lambda layer, maps: rearrange(maps)
    worst = [compare_first(), *(compare(name) for name in ("yolov2", "yolov3", "yolov4"))]
    return int(any(pixels > MOST_PIXELS or score > MOST_SCORE for pixels, score in worst))


@torch.inference_mode()
def compare(name: str) -> tuple[float, float]:
    """Return the largest differences of boxes in pixels and of scores between a network and libreyolo's."""
    theirs = importlib.import_module("libreyolo.models.darknet").build_darknet(name, num_classes=CLASSES).eval()
    heads = {spec.stride: spec for spec in theirs.detections}
    anchors = " ".join(anchors_of(spec) for _, spec in sorted(heads.items()))
    ours = build_model(ModelSpec(name, None, CLASSES, SIDE, SIDE, (0, 0, 0), (1, 1, 1), (("anchors", anchors),))).eval()
    assert isinstance(ours, AnchorYolo)
    settle(ours)
    copy_weights(ours, theirs)
    image = torch.rand(1, 3, SIDE, SIDE)
    outputs = ours.outputs(image)
    boxes = decode_boxes(outputs.raw, outputs.places)[0]
    scores = (ours.class_scores(outputs) * outputs.objectness.sigmoid()[..., None])[0]
    decode = importlib.import_module("libreyolo.postprocess.darknet_yolo").decode_head
    said = {spec.stride: decode(one, spec, SIDE) for one, spec in zip(theirs(image), theirs.detections, strict=True)}
    ordered = [reorder(*said[stride], len(heads[stride].anchors), SIDE // stride) for stride in sorted(said)]
    expected, levels = torch.cat([corners(one) for one, _ in ordered]), torch.cat([one for _, one in ordered])
    return report(name, boxes, expected, scores, levels)


@torch.inference_mode()
def compare_first() -> tuple[float, float]:
    """Return the differences of the decoding of YOLOv1's outputs, with Darknet's order of its layer's values."""
    options = (("hidden", 16), ("width", 0.05))
    ours = build_model(ModelSpec("yolov1", None, CLASSES, 448, 448, (0, 0, 0), (1, 1, 1), options))
    assert isinstance(ours, YoloV1)
    said = CellOutputs(torch.rand(1, 49, 2, 5), torch.rand(1, 49, CLASSES))
    spec = importlib.import_module("libreyolo.models.darknet").DetectionSpec(
        "detection", 0, [], CLASSES, 64, side=7, boxes_per_cell=2, sqrt=True
    )
    values = torch.cat([said.classes.flatten(), said.boxes[..., 4].flatten(), said.boxes[..., :4].flatten()])[None]
    found, levels = importlib.import_module("libreyolo.postprocess.darknet_yolo").decode_detection(values, spec, 448)
    scores = (said.classes[:, :, None] * said.boxes[..., 4:]).flatten(0, 2)
    return report("yolov1 (decoding)", ours.decode(said.boxes).flatten(0, 2), corners(found), scores, levels)


def anchors_of(spec: Any) -> str:
    """Return the anchors of a head in pixels: those of YOLOv2's configuration file are in cells."""
    unit = spec.stride if spec.kind == "region" else 1
    return " ".join(f"{width * unit}x{height * unit}" for width, height in spec.anchors)


def report(name: str, boxes: Tensor, expected: Tensor, scores: Tensor, others: Tensor) -> tuple[float, float]:
    """Print and return the largest differences."""
    pixels, score = float((boxes - expected).abs().max()), float((scores - others).abs().max())
    print(f"{name}: {len(boxes)} boxes, at most {pixels:.1e} px and {score:.1e} of score apart")
    return pixels, score


def settle(network: AnchorYolo) -> None:
    """Give norms statistics of noise and weights of their own."""
    norms = [part for part in network.modules() if isinstance(part, nn.BatchNorm2d)]
    for norm in norms:
        norm.momentum = 1.0
        nn.init.uniform_(norm.weight, 0.8, 1.2)
        nn.init.normal_(norm.bias, std=0.1)
    network.train()
    network.features(torch.rand(4, 3, SIDE, SIDE))
    network.eval()


def copy_weights(ours: AnchorYolo, theirs: Any) -> None:
    """Copy all weights, layer by layer in the order of the configuration file."""
    convolutions = [layer for layer in theirs.layers if hasattr(layer, "conv")]
    for mine, layer in zip(in_darknet_order(ours), convolutions, strict=True):
        if isinstance(mine, AnchorHead):
            layer.conv.weight.copy_(joined(mine, "weight").view_as(layer.conv.weight))
            layer.conv.bias.copy_(joined(mine, "bias").view_as(layer.conv.bias))
            continue
        convolution, norm = mine[0], mine[1]
        layer.conv.weight.copy_(convolution.weight)
        for field in ("weight", "bias", "running_mean", "running_var"):
            getattr(layer.bn, field).copy_(getattr(norm, field))
        # Both norms add a small constant, in different places, which a hundred layers would amplify.
        norm.eps = layer.bn.eps = 0.0


def joined(head: AnchorHead, field: str) -> Tensor:
    """Return weights or biases of both layers of a head in Darknet's order: of each anchor box, objectness, classes."""
    box, classes = getattr(head.boxes, field), getattr(head.cls_logits, field)
    parts = [one.view(head.anchors, len(one) // head.anchors, *one.shape[1:]) for one in (box, classes)]
    return torch.cat(parts, 1)


def in_darknet_order(network: Any) -> Iterator[Any]:
    """Yield blocks of convolution and norm, and heads, as they stand in the configuration file."""
    if not hasattr(network, "neck"):
        parts = [network.backbone, network.deepen, network.passthrough, network.join, network.heads[0]]
    elif hasattr(network.neck, "mix"):
        parts = [network.backbone]
        for level in (2, 1, 0):
            parts += [network.neck.lateral[level]] if level < 2 else []
            parts += [network.neck.mix[level], network.neck.last[level], network.heads[level]]
    else:
        neck = network.neck
        parts = [network.backbone, neck.before, neck.after]
        for level in (1, 0):
            parts += [neck.narrow[level], neck.lateral[level], neck.down[level]]
        for level in (0, 1, 2):
            parts += [neck.shrink[level - 1], neck.up[level - 1]] if level else []
            parts += [neck.last[level], network.heads[level]]
    for part in parts:
        yield from [part] if isinstance(part, AnchorHead) else blocks_of(part)


def blocks_of(part: nn.Module) -> Iterator[nn.Sequential]:
    """Yield the blocks of convolution and norm of a part in the order of their definition."""
    for module in part.modules():
        if isinstance(module, nn.Sequential) and isinstance(module[0], nn.Conv2d):
            yield module


def reorder(boxes: Tensor, scores: Tensor, anchors: int, side: int) -> tuple[Tensor, Tensor]:
    """Return rows anchor by anchor, row by row, cell by cell as rows cell by cell, anchor by anchor."""
    order = torch.arange(len(boxes)).view(anchors, side * side).T.flatten()
    return boxes[order], scores[order]


def corners(boxes: Tensor) -> Tensor:
    """Return (N, 4) centres and sides as xyxy."""
    return torch.cat([boxes[:, :2] - boxes[:, 2:] / 2, boxes[:, :2] + boxes[:, 2:] / 2], 1)


if __name__ == "__main__":
    sys.exit(main())
