"""The table of detectors. Each detector is one file and one line in the table."""

from __future__ import annotations

import ast
import importlib.util
import os
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any

from assets.errors import SynthError, unknown_name
from assets.plugins import PluginTable, file_digest, has_run, is_python_file
from detectors.models.spec import ModelSpec

if TYPE_CHECKING:
    from torch import nn

DETECTORS = {
    "centernet": "detectors.models.one_stage.centernet",
    "classify_locate": "detectors.models.dense.classify_locate",
    "deconvnet": "detectors.models.dense.deconvnet",
    "detr": "detectors.models.transformer.detr",
    "dfine": "detectors.models.transformer.dfine",
    "efficientdet_d0": "detectors.models.one_stage.efficientdet_d0",
    "efficientdet_d1": "detectors.models.one_stage.efficientdet_d1",
    "efficientdet_d2": "detectors.models.one_stage.efficientdet_d2",
    "fast_rcnn": "detectors.models.region_based.fast_rcnn",
    "fasterrcnn": "detectors.models.region_based.fasterrcnn",
    "fasterrcnn_mobilenet": "detectors.models.region_based.fasterrcnn_mobilenet",
    "fasterrcnn_mobilenet_320": "detectors.models.region_based.fasterrcnn_mobilenet_320",
    "fcn": "detectors.models.dense.fcn",
    "fcos": "detectors.models.one_stage.fcos",
    "hourglass": "detectors.models.dense.hourglass",
    "maskrcnn": "detectors.models.region_based.maskrcnn",
    "rcnn": "detectors.models.region_based.rcnn",
    "retinanet": "detectors.models.one_stage.retinanet",
    "rfcn": "detectors.models.region_based.rfcn",
    "rtdetr": "detectors.models.transformer.rtdetr",
    "segnet": "detectors.models.dense.segnet",
    "sliding_window": "detectors.models.region_based.sliding_window",
    "sppnet": "detectors.models.region_based.sppnet",
    "ssd300": "detectors.models.one_stage.ssd300",
    "ssd512": "detectors.models.one_stage.ssd512",
    "ssdlite": "detectors.models.one_stage.ssdlite",
    "yolo": "detectors.models.one_stage.yolo",
    "yolov1": "detectors.models.darknet.yolov1",
    "yolov2": "detectors.models.darknet.yolov2",
    "yolov3": "detectors.models.darknet.yolov3",
    "yolov4": "detectors.models.darknet.yolov4",
}


REQUIRED = ("LONG_SIDE", "FIXED_SIZE", "LEARNING_RATE", "NEEDS_MASKS", "MEAN", "STD", "build")
TABLE = PluginTable("detector", DETECTORS, "synth.detectors", REQUIRED, files=True)
# Environment variable with the Python files that a checkpoint may name as its detector: loading a checkpoint must not
# run whatever file its author chose.
ALLOWED_FILES = "SYNTH_DETECTORS"


def detector_names() -> tuple[str, ...]:
    """Return the names of the built-in detectors and of those in installed packages."""
    return TABLE.names()


def detector_module(name: str) -> Any:
    """Load the module of a detector (interface.DetectorModule) by its name or the path of a Python file.

    Raises SynthError for an unknown name, or a module that does not define a detector.
    """
    check_name(name)
    return TABLE.load(_file_of(name) if is_python_file(name) else name)


def check_name(name: str) -> None:
    """Raise SynthError for a name that is neither in the table nor that of a Python file, which is not run."""
    if name not in TABLE.names() and not is_python_file(name):
        raise _unknown_detector(name)


def _file_of(name: str) -> str:
    """Return the allowed file of the same file name if there is one, else the path itself."""
    return _allowed_file(name) or name


def _allowed_file(name: str) -> str | None:
    allowed = [path for path in os.environ.get(ALLOWED_FILES, "").split(os.pathsep) if path]
    return next((path for path in allowed if Path(path).name == Path(name).name), None)


def detector_origin(name: str) -> str | None:
    """Return package and version, or file digest, of a third-party detector; None for a built-in one."""
    if is_python_file(name):
        return f"sha256:{file_digest(Path(_file_of(name)))}"
    if name in DETECTORS:
        return None
    (point,) = entry_points(group=TABLE.group, name=name)
    return f"{point.dist.name} {point.dist.version}" if point.dist else point.value


def check_trusted(name: str, where: str) -> None:
    """Raise SynthError if a checkpoint names a Python file that the user has neither run nor allowed."""
    if is_python_file(name) and _allowed_file(name) is None and not has_run(Path(name)):
        raise SynthError(
            "the checkpoint needs a detector from a Python file",
            code="plugin-file-missing",
            where=where,
            found=name,
            hint=f"if you trust that file, allow it to be run: {ALLOWED_FILES}=PATH/{Path(name).name}",
        )


def _unknown_detector(name: str) -> SynthError:
    """Return the error for an unknown name; for the name of a well-known detector it suggests the closest ones."""
    from detectors.models.well_known import nearest_detectors

    nearest = nearest_detectors(name)
    if not nearest:
        return unknown_name("detector", name, TABLE.names())
    return SynthError(
        f"unknown detector {name!r}",
        code="unknown-name",
        expected=f"one of {', '.join(sorted(DETECTORS))}",
        hint=f"the closest is --detector {nearest[0]}",
        problems=[f"{one}: {detector_summary(one)}" for one in nearest],
    )


def detector_summary(name: str) -> str:
    """Return the first line of a detector's docstring, without importing its file: torchvision takes seconds."""
    if name not in DETECTORS:
        return (detector_module(name).__doc__ or "").split("\n")[0]
    spec = importlib.util.find_spec(DETECTORS[name])
    source = Path(spec.origin).read_text(encoding="utf-8") if spec and spec.origin else ""
    return (ast.get_docstring(ast.parse(source)) or "").split("\n")[0]


def build_model(spec: ModelSpec) -> nn.Module:
    """Build the network of a spec (interface.Detector) with random weights.

    Raises SynthError where the spec has a backbone that the detector cannot take.
    """
    from detectors.models.backbones.fits import check_backbone

    module = detector_module(spec.detector)
    if spec.backbone is not None:
        check_backbone(module, spec.backbone, spec.detector)
    return module.build(spec)
