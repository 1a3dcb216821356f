"""`synth train`: train a detector into a run folder with checkpoints, logs and curves, or resume it."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import Annotated

import torch
from pydantic import Field
from rich.console import Console
from torch import nn

from assets.console import PlainConsole
from assets.files.atomic import lock_folder, write_atomic
from assets.files.models import FileModel, read_model
from assets.limits import DATASET_JSON
from assets.plurals import count_of
from dataset.identity import claim_data
from detectors.checkpoints.detector import Checkpoint, load_checkpoint
from detectors.checkpoints.weights import load_weights
from detectors.data.image_set import open_images
from detectors.data.prepare import TrainingData, prepare_training
from detectors.data.shard_prepare import reopen_source
from detectors.data.source import LiveSource
from detectors.device import is_first_process
from detectors.models import build_model, detector_module
from detectors.models.interface import with_defaults
from detectors.models.region_proposals import proposal_settings
from detectors.training.detector_task import DetectorParts, DetectorTask
from detectors.training.engine import Engine, open_fabric
from detectors.training.fitting import prepare_proposals
from detectors.training.run_folder import check_classes, check_network, claim_folder
from detectors.training.settings import TrainSettings
from detectors.training.setup import make_schedule, make_spec
from detectors.training.summary import TrainSummary, print_training, summarize

RATE_BATCH = 16
MakeTask = Callable[..., DetectorTask]
# From the checkpoint of an earlier call, if any, to the one to start from; called once the run's folder is claimed.
Prepare = Callable[[Checkpoint | None], Checkpoint]


class SetsFile(FileModel):
    """The content of sets.json of a run: names of its sources, whether validation is on real photos, data digests."""

    # Names of folders in data/.
    sources: Annotated[tuple[Annotated[str, Field(pattern=r"^\w{1,200}$")], ...], Field(min_length=1)]
    real: bool
    hashes: dict[str, str]


def run_training(
    settings: TrainSettings,
    console: Console,
    *,
    start: Checkpoint | None = None,
    make_task: MakeTask = DetectorTask,
    live: Sequence[LiveSource] = (),
    prepare: Prepare | None = None,
) -> TrainSummary:
    """Train a detector into the folder of its settings, or resume where an earlier call stopped.

    start: a checkpoint whose network, classes and weights to start from (adaptation). make_task: the task's class, for
    adaptation methods that learn from more than labelled images. live: sources that make their images while training.
    prepare: for methods that write files into the folder or change the start before the data is read. Raises SynthError
    for bad data or settings before any work starts, for a folder of other settings, and if memory runs out.
    """
    settings = settings.with_live([source.images.name for source in live])
    child = not is_first_process()
    if child:
        console = PlainConsole(quiet=True)
    with nullcontext() if child else lock_folder(settings.out):
        earlier = claim_folder(settings, load_checkpoint)
        if prepare is not None and not child:
            start = prepare(earlier)
        data = _open_data(settings, console, start, earlier, live) if not child else _reopen_data(settings)
        return _train(settings, console, data, start, earlier, make_task)


def _open_data(
    settings: TrainSettings,
    console: Console,
    start: Checkpoint | None,
    earlier: Checkpoint | None,
    live: Sequence[LiveSource],
) -> TrainingData:
    """Read and check the data, and save it for the processes of further devices, which map it into memory.

    Raises SynthError if the run was started with other data.
    """
    lines: list[str] = []

    def print_line(line: str) -> None:
        lines.append(line)
        console.print(line, highlight=False, markup=False)

    data = prepare_training(
        settings.data, seed=settings.seed, print_line=print_line, classes=start.classes if start else None, live=live
    )
    claim_data(settings.out, data.identities, earlier.data if earlier else None)
    if earlier is not None:
        check_classes(data.classes, earlier.classes, settings.out)
    write_atomic(settings.out / "data.txt", ("\n".join(lines) + "\n").encode())
    for images in data.sources:
        images.save(settings.out / "data" / images.name)
    if data.validation is not None:
        data.validation.save(settings.out / "data" / "validation")
    head = {"sources": [images.name for images in data.sources], "real": data.validates_on_real, "hashes": data.hashes}
    write_atomic(settings.out / "data" / "sets.json", json.dumps(head).encode())
    return data


def _reopen_data(settings: TrainSettings) -> TrainingData:
    """Open the data that the first process has saved."""
    folder = settings.out / "data"
    head = read_model(SetsFile, folder / "sets.json", DATASET_JSON, "sets.json", hint="give another --out")
    sources = tuple(reopen_source(folder / name) for name in head.sources)
    validation = open_images(folder / "validation") if (folder / "validation").is_dir() else None
    return TrainingData(sources, validation, head.real, sources[0].classes, head.hashes)


def _train(
    settings: TrainSettings,
    console: Console,
    data: TrainingData,
    start: Checkpoint | None,
    earlier: Checkpoint | None,
    make_task: MakeTask,
) -> TrainSummary:
    spec = start.spec if start else make_spec(settings, data, earlier.spec if earlier else None)
    module = detector_module(spec.detector)
    if earlier is not None:
        check_network(with_defaults(module, spec), with_defaults(module, earlier.spec), settings.out)
    base_rate = module.LEARNING_RATE * math.sqrt(settings.batch / RATE_BATCH)
    parts = DetectorParts(spec, settings, data, make_schedule(settings, data), settings.learning_rate or base_rate)
    searched = proposal_settings(spec)
    if searched is not None and is_first_process():
        prepare_proposals(data, searched, console, workers=parts.workers)
    model, frozen = _start_model(parts, console, start, earlier)
    task = make_task(model, parts, frozen_norms=frozen)
    engine = Engine(task, settings, open_fabric(settings), earlier)
    if engine.ended:
        console.print("the run is already complete", highlight=False)
        return summarize(engine, 0.0, task.drawn, data.live)
    if earlier is not None:
        console.print(f"resuming at step {engine.step} of {parts.schedule.steps}", highlight=False)
    _describe(console, parts)
    began = time.monotonic()
    engine.run(console, (spec.width, spec.height))
    return summarize(engine, time.monotonic() - began, task.drawn, data.live)


def _start_model(
    parts: DetectorParts, console: Console, start: Checkpoint | None, earlier: Checkpoint | None
) -> tuple[nn.Module, tuple[str, ...]]:
    """Return the initial network and its frozen norms; when resuming, the engine loads the weights later."""
    # This seed only affects the initial weights; every step has a seed of its own.
    torch.manual_seed(parts.settings.seed)
    model = build_model(parts.spec)
    if earlier is not None:
        return model, earlier.frozen_norms
    if start is not None:
        model.load_state_dict(start.weights)
        return model, start.frozen_norms
    loaded = load_weights(model, parts.spec, parts.data.classes, parts.settings.weights)
    for line in loaded.lines() if loaded else ["weights: randomly initialised (--weights none)"]:
        console.print(line, highlight=False, markup=False)
    fitted = loaded.fitted if loaded else ()
    warn_of_fixed_chance(model, fitted, console)
    return model, pretrained_norms(fitted)


def warn_of_fixed_chance(model: nn.Module, fitted: tuple[str, ...], console: Console) -> None:
    """Say which weights are neither loaded nor trained: their random values stay."""
    fixed = [name for name, one in model.named_parameters() if not one.requires_grad and name not in set(fitted)]
    if fixed:
        console.print(
            f"warning: {count_of(len(fixed), 'tensor')} of the network ({fixed[0]}, ...) "
            "are neither loaded nor trained, so they stay random (give --weights, or train all layers)",
            highlight=False,
            markup=False,
        )


def pretrained_norms(fitted: tuple[str, ...]) -> tuple[str, ...]:
    """Return the backbone's batch norms with pretrained statistics; these come from large batches and stay frozen."""
    names = [name.removesuffix(".running_mean") for name in fitted if name.endswith(".running_mean")]
    return tuple(name for name in names if name.startswith("backbone."))


def _describe(console: Console, parts: DetectorParts) -> None:
    names, spec = parts.settings.source_names, parts.spec
    backbone = f" on {spec.backbone}" if spec.backbone else ""
    console.print(
        f"{spec.detector}{backbone}, {count_of(spec.classes, 'class')}, "
        f"images scaled to fit {spec.width}x{spec.height}",
        highlight=False,
    )
    for phase in parts.schedule.phases:
        mix = ", ".join(f"{name} {share:.0%}" for name, share in zip(names, phase.shares, strict=True) if share)
        steps = count_of(phase.steps, "step")
        console.print(f"phase {phase.name}: {steps} of {parts.settings.batch}, {mix}", highlight=False)


def print_summary(console: Console, summary: TrainSummary) -> None:
    """Print the summary at the end of a detector's training."""
    print_training(console, summary, f"synth evaluate {summary.out} --data REAL_PHOTOS")
