"""The table of detectors: one file and one line each."""

from __future__ import annotations

import ast
import importlib
import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from assets.errors import SynthError, unknown_name
from detectors.models.spec import ModelSpec

if TYPE_CHECKING:
    from torch import nn

DETECTORS = {
    "fasterrcnn": "detectors.models.fasterrcnn",
    "fasterrcnn_mobilenet": "detectors.models.fasterrcnn_mobilenet",
    "fasterrcnn_mobilenet_320": "detectors.models.fasterrcnn_mobilenet_320",
    "fcos": "detectors.models.fcos",
    "maskrcnn": "detectors.models.maskrcnn",
    "retinanet": "detectors.models.retinanet",
    "ssd300": "detectors.models.ssd300",
    "ssdlite": "detectors.models.ssdlite",
}


class DetectorModule(Protocol):
    """What the file of a detector offers.

    LONG_SIDE: pixels of the longer side that pictures are scaled to by default. FIXED_SIZE: the only (width, height) it
    takes, or None. LEARNING_RATE: of AdamW, at a batch of 16. NEEDS_MASKS: whether every target needs a mask.
    TORCHVISION: names of torchvision's weight enums for the whole detector and for its backbone, or None.
    """

    LONG_SIDE: int
    FIXED_SIZE: tuple[int, int] | None
    LEARNING_RATE: float
    NEEDS_MASKS: bool
    TORCHVISION: tuple[str | None, str | None]
    MEAN: tuple[float, float, float]
    STD: tuple[float, float, float]

    def build(self, spec: ModelSpec) -> nn.Module:
        """The network with random weights, and torchvision's interface; targets may hold `ignored` boxes."""
        ...


def detector_module(name: str) -> Any:
    """The module of a detector (DetectorModule). Raises SynthError for an unknown name."""
    if name not in DETECTORS:
        raise _unknown_detector(name)
    return importlib.import_module(DETECTORS[name])


def _unknown_detector(name: str) -> SynthError:
    """The error for a name that is not in the table; for one of another program's it says what comes closest."""
    from detectors.models.well_known import nearest_detectors

    nearest = nearest_detectors(name)
    if not nearest:
        return unknown_name("detector", name, DETECTORS)
    return SynthError(
        f"unknown detector {name!r}",
        code="unknown-name",
        expected=f"one of {', '.join(sorted(DETECTORS))}",
        hint=f"the closest is --detector {nearest[0]}",
        problems=[f"{one}: {detector_summary(one)}" for one in nearest],
    )


def detector_summary(name: str) -> str:
    """The first line of a detector's file, read without importing it: torchvision takes seconds."""
    spec = importlib.util.find_spec(DETECTORS[name])
    source = Path(spec.origin).read_text(encoding="utf-8") if spec and spec.origin else ""
    return (ast.get_docstring(ast.parse(source)) or "").split("\n")[0]


def build_model(spec: ModelSpec) -> nn.Module:
    """The network of a spec, randomly initialised."""
    from detectors.models.parts import Normalise

    model = detector_module(spec.detector).build(spec)
    model.transform = Normalise(spec, model.transform.size_divisible)
    return model
