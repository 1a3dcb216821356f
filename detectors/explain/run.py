"""`synth explain`: how a detector gets from one image to its detections, as pictures on a page."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console

from assets.files.atomic import write_atomic
from assets.pages.templates import open_templates
from assets.progress import StepProgress
from dataset.find import find_splits
from detectors.augment.fit import fit
from detectors.data.image_set import ImageSet
from detectors.data.prepare import read_one
from detectors.data.sample import Sample
from detectors.data.settings import DataSettings
from detectors.evaluate.report import json_text
from detectors.explain.filters import TopPatch, as_input, top_patches
from detectors.explain.maps import FeatureLevel, feature_levels
from detectors.explain.plots import plot_assigned, plot_level, plot_patches, plot_segments, plot_stage, plot_truth
from detectors.explain.settings import ExplainSettings
from detectors.explain.stages import explain_detector, pixel_classes
from detectors.explain.truth import find_sample, require_sample
from detectors.models.detect import fit_image
from detectors.models.interface import DetectionStage
from detectors.predict.detector import LoadedDetector, load_detector
from detectors.predict.input_images import read_upright
from detectors.training.loader import target_of

PAGE, CONTENT, PICTURES = "index.html", "explanation.json", "pictures"
FOLDER = "explained"
# Levels whose filters are shown, and channels of each: every image of the data set is looked at for each.
MAX_LEVELS, FILTERS = 8, 4


@dataclass(frozen=True)
class StageCounts:
    """A step in numbers. above: boxes that reach the threshold, matched: places with a true box; None without any."""

    name: str
    meaning: str
    places: int
    above: int | None
    matched: int | None
    picture: str
    assigned: str


@dataclass(frozen=True)
class LevelFacts:
    """A feature map in numbers. sees: width and height of its receptive field. channels: the strongest ones."""

    width: int
    height: int
    count: int
    sees: tuple[int, int]
    channels: tuple[int, ...]
    picture: str
    patches: str


@dataclass(frozen=True)
class ExplainSummary:
    """What `synth explain --json` prints. segments: picture of the classes of pixels, of a detector that has them."""

    out: Path
    page: Path
    detector: str
    labelled: bool
    threshold: float
    stages: tuple[StageCounts, ...]
    levels: tuple[LevelFacts, ...]
    segments: str = ""


@dataclass(frozen=True, eq=False)
class _Input:
    """The image as the network takes it. target: of `Detector.losses`, None without labels."""

    pixels: NDArray[np.uint8]
    sample: Sample | None
    target: dict[str, torch.Tensor] | None


def explain_image(settings: ExplainSettings, console: Console) -> ExplainSummary:
    """Write the page of one image and return what is on it.

    Raises SynthError if run, image or data cannot be read, and if --truth has no labels of the image.
    """
    detector = load_detector(settings.run, device=settings.device)
    read = _read_input(settings, detector, console)
    images = as_input(read.pixels, _device(detector))
    explanation = explain_detector(detector.model, images, _on(read.target, _device(detector)))
    levels = feature_levels(detector.model.features, images, settings.channels)[:MAX_LEVELS]
    patches = _patches(settings, detector, levels, console)
    out = settings.out or _default_folder(settings)
    (out / PICTURES).mkdir(parents=True, exist_ok=True)
    threshold = settings.threshold if settings.threshold is not None else detector.threshold
    summary = ExplainSummary(
        out=out,
        page=out / PAGE,
        detector=detector.checkpoint.spec.detector,
        labelled=read.target is not None,
        threshold=threshold,
        stages=tuple(
            _write_stage(out, number, stage, read, detector, threshold)
            for number, stage in enumerate(explanation.stages, start=1)
        ),
        levels=tuple(
            _write_level(out, number, *one, read) for number, one in enumerate(zip(levels, patches, strict=True), 1)
        ),
        segments=_write_segments(out, detector, images, read),
    )
    _write_page(summary, settings, detector, read)
    return summary


def _write_segments(out: Path, detector: LoadedDetector, images: torch.Tensor, read: _Input) -> str:
    pixels = pixel_classes(detector.model, images)
    if pixels is None:
        return ""
    name = f"{PICTURES}/segments.png"
    write_atomic(out / name, plot_segments(read.pixels, pixels.cpu().numpy(), detector.checkpoint.classes))
    return name


def _default_folder(settings: ExplainSettings) -> Path:
    home = settings.run if settings.run.is_dir() else settings.run.parent
    return home / FOLDER / settings.image.stem


def _device(detector: LoadedDetector) -> torch.device:
    return next(detector.model.parameters()).device


def _on(target: dict[str, torch.Tensor] | None, device: torch.device) -> dict[str, torch.Tensor] | None:
    return None if target is None else {name: value.to(device) for name, value in target.items()}


def _read_input(settings: ExplainSettings, detector: LoadedDetector, console: Console) -> _Input:
    """Read the image, with its labels if a data set has them."""
    classes, sample = detector.checkpoint.classes, None
    if settings.truth is not None:
        found = find_sample(settings.image, settings.truth, classes, console, by_name=True)
        sample = require_sample(found, settings.image, settings.truth)
    elif settings.data is not None:
        sample = find_sample(settings.image, settings.data, classes, console)
    if sample is None:
        return _Input(fit_image(read_upright(settings.image), *detector.size)[0], None, None)
    fitted, _ = fit(sample, *detector.size)
    return _Input(fitted.image, fitted, target_of(fitted))


def _patches(
    settings: ExplainSettings, detector: LoadedDetector, levels: Sequence[FeatureLevel], console: Console
) -> list[list[list[TopPatch]]]:
    """Return the patches of the strongest channels of each level, none without a data set."""
    if settings.data is None:
        return [[] for _ in levels]
    images = _open_set(settings.data)
    count = min(len(images), settings.images)
    order = np.linspace(0, len(images) - 1, count).round().astype(int)
    with StepProgress(console, "filters", total=count, unit="images") as progress:
        return top_patches(
            detector.model.features,
            _fitted(images, order.tolist(), detector.size),
            [level.strongest[:FILTERS] for level in levels],
            [level.sees for level in levels],
            settings.patches,
            device=_device(detector),
            advance=progress.count,
        )


def _open_set(data: Path) -> ImageSet:
    (split, *_) = find_splits(data)
    return read_one(split.file, split.name, DataSettings(skip_bad=True), splits=(), print_line=lambda line: None)


def _fitted(images: ImageSet, order: Sequence[int], size: tuple[int, int]) -> Iterator[NDArray[np.uint8]]:
    for index in order:
        yield fit_image(images.read_image(index), *size)[0]


def _write_stage(
    out: Path, number: int, stage: DetectionStage, read: _Input, detector: LoadedDetector, threshold: float
) -> StageCounts:
    name, assigned = f"{PICTURES}/stage-{number}.png", ""
    write_atomic(out / name, plot_stage(read.pixels, stage, detector.checkpoint.classes, threshold))
    if stage.matched is not None and read.target is not None:
        assigned = f"{PICTURES}/assigned-{number}.png"
        write_atomic(out / assigned, plot_assigned(read.pixels, stage, read.target["boxes"].numpy()))
    return StageCounts(
        stage.name,
        stage.meaning,
        len(stage.boxes),
        None if stage.scores is None else int((stage.scores >= threshold).sum()),
        None if stage.matched is None else int((stage.matched >= 0).sum()),
        name,
        assigned,
    )


def _write_level(
    out: Path, number: int, level: FeatureLevel, patches: list[list[TopPatch]], read: _Input
) -> LevelFacts:
    picture, sheet = f"{PICTURES}/features-{number}.png", f"{PICTURES}/filters-{number}.png"
    write_atomic(out / picture, plot_level(level, read.pixels))
    if patches:
        write_atomic(out / sheet, plot_patches(level.strongest[:FILTERS], patches))
    count, height, width = level.maps.shape
    return LevelFacts(width, height, count, level.sees, level.strongest, picture, sheet if patches else "")


def _write_page(summary: ExplainSummary, settings: ExplainSettings, detector: LoadedDetector, read: _Input) -> None:
    truth = read.target["boxes"].numpy() if read.target is not None else None
    labels = read.target["labels"].tolist() if read.target is not None else []
    write_atomic(
        summary.out / PICTURES / "input.png", plot_truth(read.pixels, truth, labels, detector.checkpoint.classes)
    )
    content: dict[str, Any] = {**asdict(summary), "out": str(summary.out), "page": str(summary.page)}
    write_atomic(summary.out / CONTENT, json_text(content).encode())
    page = (
        open_templates(__package__)
        .get_template("page.html.j2")
        .render(
            summary=summary,
            image=str(settings.image),
            run=str(settings.run),
            size="{}x{}".format(*detector.size),
            data=str(settings.data) if settings.data is not None else "",
            input_picture=f"{PICTURES}/input.png",
        )
    )
    write_atomic(summary.page, page.encode())


def print_explanation(console: Console, summary: ExplainSummary) -> None:
    """Print the steps in numbers, and where the page is."""
    for stage in summary.stages:
        parts = [f"{stage.places} places"]
        parts += [f"{stage.above} of {summary.threshold:.2f} or more"] if stage.above is not None else []
        parts += [f"{stage.matched} assigned to true boxes"] if stage.matched is not None else []
        console.print(f"{stage.name}: {', '.join(parts)}", highlight=False, markup=False)
    console.print(f"wrote {summary.page}", highlight=False, markup=False)
