"""Export: a trained detector as one file that other programs can run, checked against the detector."""

from __future__ import annotations

import json
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from assets.errors import SynthError
from assets.files.atomic import write_atomic
from detectors.augment.view import GREY, resize
from detectors.checkpoints.detector import Checkpoint, find_checkpoint, load_checkpoint, restore_model, versions
from detectors.export import exporter_module
from detectors.export.agreement import MAX_MASK, MAX_PIXELS, MAX_SCORE, Agreement, check_agreement
from detectors.export.network import BOXES, INPUT, KEYPOINTS, LABELS, MASKS, SCORES, output_names
from detectors.export.settings import ExportSettings
from detectors.models import detector_module
from detectors.models.parts import MIN_SCORE
from detectors.predict.input_images import InputImage, read_input_images
from detectors.predict.inputs import find_inputs

NAME = "model"
# Enough to meet crowded and empty images; each costs a run of both networks.
MAX_PHOTOS = 16
# Detections that one side alone may have: where boxes overlap by the very threshold of NMS, the last bit decides.
MAX_ALONE = 0.005
SYNTHETIC = 4


@dataclass(frozen=True)
class ExportSummary:
    """What was written. size: bytes of the network. photos: images compared, 0 where noise was."""

    model: Path
    description: Path
    size: int
    photos: int
    agreement: Agreement


def export(settings: ExportSettings, console: Console) -> ExportSummary:
    """Write a detector to a file of another format, checked against the detector.

    A JSON file of the same name beside the exported one says what a caller must know. Raises SynthError with the
    numbers if the two disagree (Agreement), and if packages that the format needs are missing.
    """
    exporter = exporter_module(settings.format)
    run = settings.run
    out = settings.out or (run if run.is_dir() else run.parent)
    checkpoint = load_checkpoint(run)
    spec = checkpoint.spec
    _refuse_unexportable(spec.detector, run)
    model = out if out.suffix == exporter.SUFFIX else out / f"{NAME}{exporter.SUFFIX}"
    images = _read_photos(settings.photos, (spec.width, spec.height), console) if settings.photos else []
    console.print(f"exporting {spec.detector} at {spec.width}x{spec.height}", highlight=False)
    with tempfile.TemporaryDirectory(prefix="synth-") as folder:
        made = Path(folder) / model.name
        exporter.export(restore_model(checkpoint), spec, made)
        shown = images or _noise(spec.width, spec.height)
        agreement = check_agreement(restore_model(checkpoint), exporter.load(made), shown)
        _refuse_wrong(agreement, run)
        description = describe(checkpoint, model.name, agreement, getattr(exporter, "FACTS", {}))
        if hasattr(exporter, "embed"):
            exporter.embed(made, description)
        data = made.read_bytes()
    model.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(model, data)
    sidecar = model.with_suffix(".json")
    write_atomic(sidecar, (json.dumps(description, indent=1, ensure_ascii=False) + "\n").encode())
    return ExportSummary(model, sidecar, len(data), len(images), agreement)


def describe(checkpoint: Checkpoint, file: str, agreement: Agreement, facts: dict[str, Any]) -> dict[str, Any]:
    """What a program that runs the network must know, as JSON. facts: of the format."""
    spec, classes = checkpoint.spec, checkpoint.classes
    kinds = zip(classes.keys, classes.names, strict=True)
    return {
        "format": 1,
        "file": file,
        "detector": spec.detector,
        "backbone": spec.backbone,
        **facts,
        "classes": [
            {"label": label, "category_id": label + 1, "key": key, "name": name}
            for label, (key, name) in enumerate(kinds)
        ],
        "input": {
            "name": INPUT,
            "type": "uint8",
            "shape": [1, spec.height, spec.width, 3],
            "layout": "NHWC",
            "channels": "RGB",
            "width": spec.width,
            "height": spec.height,
            "values": "0 to 255; the network normalises them itself",
        },
        "letterbox": {
            "scale": "min(width / image_width, height / image_height)",
            "fitted_width": "max(1, round(image_width * scale))",
            "fitted_height": "max(1, round(image_height * scale))",
            "place": "top left; the rest on the right or below has the fill",
            "fill": [GREY] * 3,
            "resampling": "area where it shrinks, bilinear where it grows",
            "back": "x * image_width / fitted_width, y * image_height / fitted_height, clipped to the image",
        },
        "outputs": {name: OUTPUTS[name] for name in output_names(spec)},
        "thresholds": {
            # From the validation; below `least` the network reports nothing.
            "show": checkpoint.display_threshold,
            "least": MIN_SCORE,
        },
        "checked": {
            name: value for name, value in asdict(agreement).items() if name not in ("torch_seconds", "file_seconds")
        },
        "versions": versions(),
    }


OUTPUTS = {
    BOXES: {
        "type": "float32",
        "shape": ["D", 4],
        "meaning": "x0, y0, x1, y1 in pixels of the input; far edges exclusive",
    },
    LABELS: {"type": "int64", "shape": ["D"], "meaning": "class, counted from 0 as in classes"},
    SCORES: {"type": "float32", "shape": ["D"], "meaning": "0 to 1, falling"},
    KEYPOINTS: {
        "type": "float32",
        "shape": ["D", 8, 3],
        "meaning": "x, y in pixels of the input and score of the corners of the cuboid, bottom, then top, from the "
        "front's left corner on counter-clockwise seen from above",
    },
    MASKS: {
        "type": "float32",
        "shape": ["D", "M", "M"],
        "meaning": "stretched over the detection's own box, a pixel belongs to the product from 0.5 on",
    },
}


def print_summary(console: Console, summary: ExportSummary) -> None:
    """The last lines of an export."""
    from rich.table import Table

    agreement = summary.agreement
    seen = f"photographs: {summary.photos}" if summary.photos else "noise only, no photographs"
    ties = f", {agreement.ties} ties" if agreement.ties else ""
    ties += f", {agreement.wrong} that only one of them has" if agreement.wrong else ""
    table = Table(show_header=False, box=None)
    table.add_row("network", f"{summary.model} ({summary.size / 1e6:.1f} MB)")
    table.add_row("description", str(summary.description))
    table.add_row("compared", f"{seen}; detections of both sides: {agreement.compared}{ties}")
    table.add_row("differences", f"at most {agreement.pixels:.4f} px and {agreement.score:.6f} of score")
    pace = f"{1000 * agreement.file_seconds:.0f} ms, the detector {1000 * agreement.torch_seconds:.0f} ms"
    table.add_row("per image", f"exported {pace}, on this CPU")
    console.print(table, highlight=False)
    if not summary.photos or not agreement.compared:
        text = "this check proves little: give photographs of real products with --photos"
        console.print(text, highlight=False, markup=False)


def _read_photos(photos: Path, size: tuple[int, int], console: Console) -> list[NDArray[np.uint8]]:
    """Up to MAX_PHOTOS fitted, from all over the given ones, in the network's size."""
    stills = [item for item in find_inputs([photos]).items if not item.is_video]
    places = sorted(set(np.linspace(0, len(stills) - 1, MAX_PHOTOS).round().astype(int).tolist())) if stills else []
    images = list(read_input_images([stills[place] for place in places], size))
    fitted = [image.fitted for image in images if isinstance(image, InputImage)]
    for image in images:
        if not isinstance(image, InputImage):
            console.print(f"left out: {image.file}: {image.reason}", highlight=False, markup=False)
    if not fitted:
        raise SynthError("none of the photos can be read", code="images-unusable", where=str(photos))
    return fitted


def _noise(width: int, height: int) -> list[NDArray[np.uint8]]:
    """Images of random patches, from fine to coarse."""
    rng = np.random.default_rng(0)
    sides = [(max(2, width >> step), max(2, height >> step)) for step in range(1, SYNTHETIC + 1)]
    return [resize(rng.integers(0, 256, (rows, columns, 3), np.uint8), width, height) for columns, rows in sides]


def _refuse_unexportable(detector: str, run: Path) -> None:
    reason = getattr(detector_module(detector), "NOT_EXPORTED", None)
    if reason is not None:
        raise SynthError(
            f"{detector} cannot be exported",
            code="export-unsupported",
            where=str(find_checkpoint(run)),
            found=reason,
            hint="run it with 'synth predict', or train a detector that can be exported, such as fcos or maskrcnn",
        )


def _refuse_wrong(agreement: Agreement, run: Path) -> None:
    if agreement.wrong > MAX_ALONE * agreement.compared:
        raise SynthError(
            "the exported network disagrees with the detector; nothing was written",
            code="export-mismatch",
            where=str(find_checkpoint(run)),
            found=f"{agreement.wrong} of {agreement.compared} detections that only one of them has, "
            f"{agreement.ties} ties; the others differ by at most {agreement.pixels:.3f} px, "
            f"{agreement.score:.5f} of score and {agreement.mask:.4f} of masks",
            expected=f"all but {MAX_ALONE:.1%} of the detections in both, within {MAX_PIXELS:g} px, "
            f"{MAX_SCORE:g} of score and {MAX_MASK:g} of masks",
            hint="an untrained detector has no clear detections to compare; otherwise report this with the checkpoint",
        )
