"""The tables of docs/tasks/detectors.md, made from the table of detectors: python -m detectors.models.page."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import torch

from assets.files.atomic import write_atomic
from detectors.models import DETECTORS, build_model, detector_module, detector_summary
from detectors.models.backbones.fits import backbone_problem, strides_wanted
from detectors.models.backbones.table import BACKBONES
from detectors.models.spec import ModelSpec

PAGE = Path("docs/tasks/detectors.md")
COMMAND = "python -m detectors.models.page"
# A line for each detector: what it teaches, and when to take it.
LESSONS = {
    "centernet": ("a box is a point and two numbers; no suppression", "few, well separated objects; simple code"),
    "classify_locate": ("regression beside classification", "one product for each image"),
    "deconvnet": ("a decoder that mirrors its encoder", "to compare upsamplings"),
    "detr": ("detection as prediction of a set", "long trainings on a GPU"),
    "dfine": ("boxes as distributions that layers refine", "the best accuracy in real time on a GPU"),
    "efficientdet_d0": ("weighted fusion, compound scaling", "few parameters"),
    "efficientdet_d1": ("weighted fusion, compound scaling", "D0 misses small objects"),
    "efficientdet_d2": ("weighted fusion, compound scaling", "D1 misses small objects"),
    "fast_rcnn": ("one feature map for all proposals, one loss", "to see what proposals cost"),
    "fasterrcnn": ("proposals that are learned", "accuracy on a GPU"),
    "fasterrcnn_mobilenet": ("the backbone decides the speed", "a first training"),
    "fasterrcnn_mobilenet_320": ("resolution decides the speed", "quick experiments"),
    "fcn": ("fully connected layers are convolutions", "classes of pixels"),
    "fcos": ("every place inside a box may predict it", "accuracy without anchors to choose"),
    "hourglass": ("heat maps of keypoints, repeated inference", "corners of cuboids"),
    "maskrcnn": ("masks beside boxes, aligned pooling", "outlines of products"),
    "rcnn": ("features of a classification network detect", "history: a network run for each proposal"),
    "retinanet": ("focal loss for many easy backgrounds", "dense scenes with anchors"),
    "rfcn": ("position in score maps in place of layers for regions", "many regions at little cost"),
    "rtdetr": ("queries chosen among places; denoising", "real time without suppression"),
    "segnet": ("unpooling with remembered places", "classes of pixels in little memory"),
    "sliding_window": ("convolutions slide a classifier for free", "history: pyramid and windows"),
    "sppnet": ("pooling to a fixed length", "history: one pass for all proposals"),
    "ssd300": ("default boxes on maps of several scales", "speed at low resolution"),
    "ssd512": ("default boxes on maps of several scales", "SSD with smaller objects"),
    "ssdlite": ("depthwise separable heads", "phones"),
    "yolo": ("targets assigned by what is predicted", "speed over any backbone"),
    "yolov1": ("detection as regression on a grid", "history: one network, one pass"),
    "yolov2": ("anchors from the data, batch norm, passthrough", "history: anchors against none"),
    "yolov3": ("three scales, independent classes", "a plain multi-scale detector"),
    "yolov4": ("what each item of a bag of tricks brings", "to switch tricks on and off"),
}


def detectors_table() -> str:
    """Return the Markdown table of all detectors: what each is, teaches, takes and can."""
    rows = [
        "| detector | what it is | teaches | take it for | options | `--backbone` | ONNX | soft outputs |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name in sorted(DETECTORS):
        teaches, when = LESSONS.get(name, ("", ""))
        module = detector_module(name)
        options = ", ".join(f"`{option}`" for option in _fields(module)) or "none"
        exported = "yes" if getattr(module, "NOT_EXPORTED", None) is None else f"no: {module.NOT_EXPORTED}"
        soft = "yes" if _gives_soft_outputs(name, module) else "no"
        cells = (f"`{name}`", detector_summary(name), teaches, when, options, _wanted(module), exported, soft)
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows)


def backbones_table() -> str:
    """Return the Markdown table of the backbones by name: where each comes from, and which detectors take it."""
    modules = {name: detector_module(name) for name in sorted(DETECTORS)}
    rows = ["| backbone | from | strides | paper | fits |", "|---|---|---|---|---|"]
    takers = [name for name, module in modules.items() if strides_wanted(module) is not None]
    for name, known in BACKBONES.items():
        fitting = [one for one in takers if backbone_problem(modules[one], name) is None]
        fits = "all that take one" if fitting == takers else ", ".join(f"`{one}`" for one in fitting) or "none yet"
        source = "our own" if known.source == "own" else f"{known.source} `{known.name}`"
        strides = ", ".join(map(str, known.strides))
        rows.append(f"| `{name}` | {source} | {strides} | {known.paper} | {fits} |")
    return "\n".join(rows)


def renewed(text: str) -> str:
    """Return a page with its tables made again between their marks."""
    for mark, table in (("detectors", detectors_table()), ("backbones", backbones_table())):
        found = re.search(rf"<!-- {mark} -->\n\n(.*?)\n\n<!-- end of {mark} -->", text, re.DOTALL)
        assert found, f"the page has no mark {mark}"
        text = text[: found.start(1)] + table + text[found.end(1) :]
    return text


def _fields(module: Any) -> list[str]:
    return sorted(module.Options.model_fields) if hasattr(module, "Options") else []


def _wanted(module: Any) -> str:
    strides = strides_wanted(module)
    if strides is None:
        return "none"
    return f"strides {', '.join(map(str, strides))}" if strides else "any"


def _gives_soft_outputs(name: str, module: Any) -> bool:
    """Return whether its network has soft outputs, from one without numbers."""
    width, height = module.FIXED_SIZE or (128, 96)
    options = tuple(sorted(getattr(module, "SMALLEST", {}).items()))
    with torch.device("meta"):
        model = build_model(ModelSpec(name, None, 3, width, height, module.MEAN, module.STD, options))
    return hasattr(model, "soft_outputs")


if __name__ == "__main__":
    write_atomic(PAGE, renewed(PAGE.read_text(encoding="utf-8")).encode())
