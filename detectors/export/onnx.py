"""ONNX: one graph with fixed input size that onnxruntime, OpenVINO, TensorRT and others run."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from assets.errors import SynthError
from detectors.export.network import INPUT, output_names, traceable
from detectors.models.spec import ModelSpec

SUFFIX = ".onnx"
PACKAGES = ("onnx", "onnxruntime")
# RoIAlign with half-pixel coordinates came with 16; 17 is what runtimes of the last years all have.
OPSET = 17
FACTS = {"opset": OPSET}


def export(detector: nn.Module, spec: ModelSpec, path: Path) -> None:
    """Write the graph of a detector on the CPU; the detector is of no use afterwards.

    Traced: the exporter that takes Python code apart knows neither torchvision's NMS nor counts that vary.
    """
    names = output_names(spec)
    with traceable(detector, spec) as (network, image):
        torch.onnx.export(
            network,
            (image,),
            path,
            dynamo=False,
            opset_version=OPSET,
            input_names=[INPUT],
            output_names=names,
            dynamic_axes={name: {0: "detections"} for name in names},
        )


def load(path: Path) -> Callable[[NDArray[np.uint8]], tuple[NDArray[Any], ...]]:
    """The file in onnxruntime on the CPU, as a function of an image. Raises SynthError where it cannot be run."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    # 3: errors only.
    options.log_severity_level = 3
    try:
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # its own kinds share no base
        raise _failed("open", error) from error

    def run(image: NDArray[np.uint8]) -> tuple[NDArray[Any], ...]:
        try:
            return tuple(session.run(None, {INPUT: image[None]}))
        except Exception as error:
            raise _failed("run", error) from error

    return run


def embed(path: Path, description: dict[str, Any]) -> None:
    """Put a description into the file, under the metadata key `synth`, so that both cannot part."""
    import onnx

    model = onnx.load(path)
    model.producer_name = "synth"
    model.doc_string = f"{description['detector']}; see the metadata key synth"
    entry = model.metadata_props.add()
    entry.key, entry.value = "synth", json.dumps(description, ensure_ascii=False)
    onnx.checker.check_model(model)
    onnx.save(model, path)


def _failed(verb: str, error: Exception) -> SynthError:
    message = f"onnxruntime cannot {verb} the exported network"
    return SynthError(message, code="onnx-failed", found=str(error)[:300])
