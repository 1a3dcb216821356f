"""Self-training on fixed pseudo-labels, made once by the run (after SF-FixMatch, ECCV 2024, arXiv 2407.07586).

Fixed, because labels that change with the detector drift with its mistakes. Which photos are taken is decided by the
whole photo: `detectors/adapt/pseudo_labels.py`.
"""

from __future__ import annotations

import json
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import Field
from rich.console import Console
from torch import nn

from assets.errors import SynthError
from assets.files.atomic import write_atomic
from assets.progress import StepProgress
from detectors.adapt import AdaptSettings
from detectors.adapt.adabn import reestimate
from detectors.adapt.norms import adaptable_norms
from detectors.adapt.options import MethodOptions
from detectors.adapt.photos import open_photos
from detectors.adapt.pseudo_labels import PhotoLabels, PhotosInViews, Trust, describe_labels, in_photo, label_photo
from detectors.adapt.start import AdaptTraining, check_photos, continued, load_start, method_options
from detectors.adapt.task import AdaptTask
from detectors.checkpoints.detector import Checkpoint, restore_model
from detectors.data.class_match import Classes
from detectors.data.image_set import ImageSet
from detectors.device import loader_processes, pick_device
from detectors.models import detector_module
from detectors.models.detect import forward, read_in_batches
from detectors.training.run import run_training
from detectors.training.summary import TrainSummary

# The labels, and beside them a link to the folder of the photos, where readers of COCO files look for it.
LABELS, IMAGES = "pseudo_labels.json", "images"
# Photos whose views are looked at together.
PHOTOS_AT_ONCE = 4


class SelfTrainingOptions(MethodOptions):
    """Options of the method."""

    confidence: float | None = Field(None, gt=0, lt=1, description="Least score of a label; default the run's.")
    doubt: float = Field(0.4, gt=0, le=1, description="Share of this score from which a box is an ignored region.")
    agreement: float = Field(0.7, ge=0, le=1, description="Share of sure boxes that other views must confirm.")
    counts: float = Field(0.25, ge=0, le=1, description="Largest difference of their number, as a share of it.")
    adabn: bool = Field(False, description="Re-estimate batch norms on the photos first (--method adabn).")


Options = SelfTrainingOptions


def check(settings: AdaptSettings) -> None:
    """Raise SynthError if there are no photos without labels, or some with labels."""
    check_photos(settings)
    if settings.data.real is not None:
        raise SynthError(
            "self-training makes the labels of its photos itself",
            code="options-conflict",
            found="--real",
            hint="give photos with labels to --val to choose the best epoch on them, or use --method finetune",
        )


def adapt(settings: AdaptSettings, console: Console) -> TrainSummary:
    """Label the photos with the run's detector once, and continue training on them and on synthetic images."""
    assert settings.unlabelled is not None
    start = load_start(settings, console)
    if detector_module(start.spec.detector).NEEDS_MASKS:
        raise SynthError(
            f"{start.spec.detector} cannot train itself",
            code="method-unsupported",
            found="a detector that needs masks",
            expected="one of boxes: pseudo-labels have no masks",
            hint="use --method mean-teacher",
        )
    if not settings.data.synthetic:
        line = "no --synthetic given: there is no replay, and SKUs that are not in the photos may be forgotten"
        console.print(line, highlight=False)
    data = replace(settings.data, real=settings.out / LABELS, hold_out=0.0)
    training = continued(settings, start, data=data, schedule="adapt")
    prepare = partial(_label, start=start, training=training, settings=settings, console=console)
    return run_training(training, console, start=start, make_task=AdaptTask, prepare=prepare)


def _label(
    earlier: Checkpoint | None,
    *,
    start: Checkpoint,
    training: AdaptTraining,
    settings: AdaptSettings,
    console: Console,
) -> Checkpoint:
    """Write the pseudo-labels into the run's folder, and return the detector to continue from."""
    if earlier is not None:
        return start
    assert settings.unlabelled is not None
    options: SelfTrainingOptions = method_options(settings)
    photos = open_photos(settings.unlabelled, start.classes, console)
    model = restore_model(start)
    if options.adabn:
        adaptable_norms(model, start.spec.detector)
        if not reestimate(model, start, photos, training, 1.0, console):
            raise KeyboardInterrupt
        start = replace(start, weights={name: value.cpu() for name, value in model.state_dict().items()})
    trust = Trust(options.confidence or start.display_threshold, options.doubt, options.agreement, options.counts)
    labels = label_photos(model.to(pick_device(training.device)), photos, start, trust, training, console)
    console.print(describe_labels(labels), highlight=False, markup=False)
    if all(one.refused for one in labels):
        raise SynthError(
            "no photo is consistent enough to take labels from",
            code="pseudo-labels-empty",
            where=str(settings.unlabelled),
            found=f"{describe_labels(labels)}, at a score of {trust.confidence:.2f}",
            hint="lower --method-option confidence=, agreement=; or train a better run first",
        )
    text = coco_text(photos, labels, start.classes, amodal=settings.data.boxes == "amodal")
    _link_images(training.out / IMAGES, photos.root)
    write_atomic(training.out / LABELS, text.encode())
    return start


def _link_images(link: Path, folder: Path) -> None:
    if link.is_symlink():
        link.unlink()
    link.symlink_to(folder.resolve(), target_is_directory=True)


def label_photos(
    model: nn.Module, photos: ImageSet, start: Checkpoint, trust: Trust, training: AdaptTraining, console: Console
) -> list[PhotoLabels]:
    """Return the labels of all photos, in their order."""
    device = pick_device(training.device)
    workers = training.workers if training.workers is not None else loader_processes()
    progress = StepProgress(console, "pseudo-labels", total=len(photos), unit="photos")
    labels: list[PhotoLabels] = []
    views = PhotosInViews(photos, start.spec.width, start.spec.height)
    with progress:
        for made in read_in_batches(views, batch=PHOTOS_AT_ONCE, workers=workers):
            stacked = torch.from_numpy(np.concatenate([images for images, _ in made])).to(device)
            outputs = iter(forward(model, stacked))
            for _, windows in made:
                found = [in_photo(next(outputs), window) for window in windows]
                labels.append(label_photo(found, windows, trust))
            progress.count(len(made))
    return labels


def coco_text(photos: ImageSet, labels: list[PhotoLabels], classes: Classes, *, amodal: bool = False) -> str:
    """Return the labels of the photos that were taken as COCO JSON, which `synth preview` shows.

    amodal: whether the boxes are around whole products, as the detector has learned them.
    """
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for index, one in enumerate(labels):
        if one.refused:
            continue
        width, height = (int(side) for side in photos.sizes[index])
        name = photos.file_names[index].decode()
        images.append({"id": index + 1, "file_name": name, "width": width, "height": height})
        for box, label, score in zip(one.boxes, one.labels, one.scores, strict=True):
            annotations.append(
                _annotation(box, index) | {"category_id": int(label) + 1, "score": round(float(score), 4)}
            )
        annotations += [_annotation(box, index) | {"category_id": 1, "ignore": 1} for box in one.ignored]
    annotations = [row | ({"amodal_bbox": row["bbox"]} if amodal else {}) for row in annotations]
    annotations = [{"id": number, **row} for number, row in enumerate(annotations, start=1)]
    pairs = zip(classes.keys, classes.names, strict=True)
    categories = [{"id": number, "name": name, "sku": key} for number, (key, name) in enumerate(pairs, start=1)]
    info = {"description": "pseudo-labels of photos, made by a detector"}
    return json.dumps({"info": info, "images": images, "annotations": annotations, "categories": categories}, indent=1)


def _annotation(box: np.ndarray, index: int) -> dict[str, Any]:
    left, top, right, bottom = (round(float(edge), 2) for edge in box)
    width, height = round(right - left, 2), round(bottom - top, 2)
    return {"image_id": index + 1, "bbox": [left, top, width, height], "area": round(width * height, 2), "iscrowd": 0}
