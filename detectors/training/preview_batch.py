"""`synth preview-batch`: the first training images as the network would see them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from detectors.augment import preset
from detectors.data.mix import realised
from detectors.data.plot_batch import plot_batch
from detectors.data.prepare import prepare_training
from detectors.data.source import LiveSource
from detectors.training.loader import InputSettings, TrainingImages
from detectors.training.settings import TrainSettings
from detectors.training.setup import make_schedule


def preview_training(
    settings: TrainSettings, out: Path, console: Console, *, count: int, live: Sequence[LiveSource] = ()
) -> Path:
    """Plot the first `count` samples of a training with these settings, which need a size, as a PNG; return `out`.

    live: sources that make their images now.
    """
    settings = settings.with_live([source.images.name for source in live])

    def print_line(line: str) -> None:
        console.print(line, highlight=False, markup=False)

    assert settings.size is not None
    data = prepare_training(settings.data, seed=settings.seed, print_line=print_line, live=live)
    schedule = make_schedule(settings, data)
    inputs = InputSettings(*settings.size, preset(settings.augment), masks=False, seed=settings.seed)
    images = TrainingImages(data.sources, schedule, inputs)
    draws = list(schedule.draws(0, count))
    samples = [images.make(draw) for draw in draws]
    names = settings.source_names
    captions = [f"{names[draw.source]}: {Path(data.sources[draw.source].locate(draw.image)).name}" for draw in draws]
    plot_batch(samples, captions, data.classes.names, out)
    print_line(f"mix: {realised({name: sum(names[d.source] == name for d in draws) for name in names})}")
    return out
