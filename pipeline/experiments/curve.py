"""`synth curve`: what labelled photos are worth, with and without synthetic images."""

from __future__ import annotations

import math
import os
import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.console import Console

from assets.console import PlainConsole
from assets.errors import SynthError
from assets.files.atomic import lock_folder, write_atomic
from assets.progress import Reporter, StepProgress
from detectors.data.mix import TrainingStream, stream
from detectors.evaluate.metrics.bootstrap import RESAMPLES
from detectors.evaluate.metrics.resampled import resampled_precisions
from detectors.training.run_folder import check_empty, check_settings
from pipeline.experiments.photos import PhotoPool, split_photos
from pipeline.experiments.points import CurvePoint, PhotoGain, curve_points, photo_gains
from pipeline.experiments.settings import FEW_PHOTOS, CurveSettings, ExperimentSettings
from pipeline.experiments.trainings import Cell, PlannedTraining, TrainingRunner
from pipeline.run.settings import RunSettings


@dataclass(frozen=True)
class PhotoCurve:
    """The result of `synth curve`. points, gains: of what is done. done, planned: trainings.

    photos, groups: to learn from. judged_photos, judged_groups, judged_boxes: that judge.
    """

    out: Path
    done: int
    planned: int
    photos: int
    groups: int
    judged_photos: int
    judged_groups: int
    judged_boxes: int
    points: tuple[CurvePoint, ...]
    gains: tuple[PhotoGain, ...]

    @property
    def finished(self) -> bool:
        """Whether all trainings are done."""
        return self.done == self.planned


def measure_curve(settings: CurveSettings, console: Console) -> PhotoCurve:
    """Make the trainings of a curve that are not there yet, and return its points.

    Raises SynthError for bad photos, lists and settings before anything is trained.
    """
    claim_experiment(settings)
    photos = split_photos(settings, console)
    cells = plan_cells(settings, photos.pool)
    with stopping_after(settings.minutes):
        synthetic = rendered_set(settings, console)
        runner = TrainingRunner(settings, photos, synthetic, PlainConsole(quiet=True))
        trainings = list(dict.fromkeys(training for cell in cells for training in cell.trainings))
        run_trainings(runner, trainings, console)
    done = [training for training in trainings if runner.is_done(training)]
    for training in done:
        runner.record(training)
    finished = [cell for cell in cells if all(map(runner.is_done, cell.trainings))]
    rng = stream(settings.seed, TrainingStream.BOOTSTRAP)
    scores = resampled_precisions(photos.truth, runner.found(done), rng=rng, resamples=RESAMPLES)
    column = {training: place for place, training in enumerate(done)}
    groups = np.unique(photos.truth.groups)
    points = curve_points(finished, column, scores, photos.truth.groups, rng)
    return PhotoCurve(
        settings.out,
        len(done),
        len(trainings),
        len(photos.pool),
        photos.pool.group_count,
        len(photos.truth),
        len(groups),
        photos.truth.box_count,
        tuple(points),
        tuple(photo_gains(finished, column, scores, photos.truth.groups, rng)),
    )


def claim_experiment(settings: ExperimentSettings) -> None:
    """Record the settings in the folder of an experiment. Raises SynthError if it belongs to something else."""
    file = settings.out / "settings.json"
    with lock_folder(settings.out):
        # Before anything is rendered or trained nothing can be lost: a mistyped list may be given again.
        if file.exists() and any((settings.out / name).exists() for name in ("synthetic", "trainings")):
            check_settings(settings, file, "an experiment")
        elif not file.exists():
            check_empty(settings.out, "experiment")
        write_atomic(file, settings.recorded().file())


def plan_cells(settings: CurveSettings, pool: PhotoPool) -> list[Cell]:
    """Return the cells of a curve: none, some and all photos, each without and with synthetic images."""
    seeds = range(settings.seed, settings.seed + settings.seeds)
    cells = [Cell("synthetic", 0, tuple(PlannedTraining("synthetic", (), seed) for seed in seeds))]
    orders: dict[int, np.ndarray] = {}
    for count in sorted({*(number for number in settings.counts if number < len(pool)), len(pool)}):
        draws = settings.draws if count <= FEW_PHOTOS else math.ceil(settings.draws / 2)
        subsets = []
        for draw in range(1 if count == len(pool) else draws):
            if draw not in orders:
                orders[draw] = pool.nested_order(settings.seed, draw)
            subsets.append(tuple(sorted(orders[draw][:count].tolist())))
        for kind in ("real", "both"):
            # Seeds first: a curve that is stopped has all its points once before any has them twice.
            trainings = tuple(PlannedTraining(kind, subset, seed) for seed in seeds for subset in subsets)
            cells.append(Cell(kind, count, trainings))
    return cells


def run_trainings(runner: TrainingRunner, trainings: Sequence[PlannedTraining], console: Console) -> None:
    """Make the trainings that are not there, one after another, but those that another call is making.

    Stops where a training is interrupted. Those with synthetic images and photos start from the one of their seed.
    """
    ordered = sorted(trainings, key=lambda training: (training.seed, training.kind != "synthetic"))
    left = [training for training in ordered if not runner.is_done(training)]
    done = len(trainings) - len(left)
    with StepProgress(console, "training", total=len(trainings), done=done, unit="detectors") as progress:
        for training in left:
            if training.base is not None and not runner.is_done(training.base):
                continue  # another call trains what it starts from
            try:
                with lock_folder(runner.folder(training)):
                    if not runner.is_done(training) and not runner.run(training):
                        return
            except SynthError as error:
                if error.code != "output-locked":
                    raise
                continue  # another call makes it
            progress.advance(training.name)


@contextmanager
def stopping_after(minutes: float | None) -> Iterator[None]:
    """Interrupt what runs inside after some minutes, as Ctrl-C does: it keeps its work and stops in good order."""
    if minutes is None:
        yield
        return
    timer = threading.Timer(60 * minutes, os.kill, (os.getpid(), signal.SIGINT))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def rendered_set(settings: ExperimentSettings, console: Console) -> Path:
    """Return the synthetic set of an experiment, rendered if it is not given. Raises SynthError if it is incomplete."""
    wanted = settings.rendered
    if wanted.synthetic is not None:
        return wanted.synthetic
    from assets.interrupt import stop_on_signals
    from pipeline.run.render import run_render

    out = settings.out / "synthetic"
    run = RunSettings(
        sku_list=settings.sku_list,
        out=out,
        scenes=wanted.scenes,
        width=wanted.width,
        height=wanted.height,
        recipe=wanted.recipe,
        seed=settings.seed,
        backdrops=wanted.backdrops,
        workers=wanted.render_workers,
        cache=wanted.cache,
    )
    with stop_on_signals() as stop:
        summary = run_render(run, Reporter(console), stop=stop)
    if summary.interrupted:
        raise KeyboardInterrupt
    if summary.failures:
        failed, hint = (
            f"{len(summary.failures)} of {summary.scenes}",
            "failures.jsonl says why; the same command goes on",
        )
        raise SynthError("scenes failed", code="scenes-failed", where=str(out), found=failed, hint=hint)
    return out
