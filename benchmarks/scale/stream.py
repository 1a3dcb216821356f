"""A training on a stream of rendered images beside one on a folder that is rendered first, and the memory of a stream.

    python benchmarks/scale/stream.py                          # 160x120, workers 1 and 2
    python benchmarks/scale/stream.py --memory 300             # resident memory after 100, 200 and 300 scenes

Both see the same number of images; the folder holds as many scenes as the stream renders for them. Columns: seconds in
all and of processors, images per second of the training alone, share of it spent waiting, scenes per second.
"""

from __future__ import annotations

import os
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import click
import psutil
from rich.console import Console

from assets.demo import demo_list
from assets.machine import cache_folder
from assets.progress import Reporter
from detectors.data.settings import DataSettings
from detectors.training.run import run_training
from detectors.training.settings import TrainSettings
from detectors.training.summary import TrainSummary
from pipeline.run.render import run_render
from pipeline.run.settings import RunSettings
from pipeline.stream.open import open_stream
from pipeline.stream.settings import StreamSettings

QUIET = Console(quiet=True)
NETWORK = {"detector": "ssdlite", "backbone": "mobilenetv3_small_050", "weights": "none"}


@click.command()
@click.option("--size", default="160x120", show_default=True)
@click.option("--images", default=800, show_default=True, help="Images of the training.")
@click.option("--batch", default=8, show_default=True)
@click.option("--reuse", default=8, show_default=True)
@click.option("--window", default=256, show_default=True)
@click.option("--workers", default="1,2", show_default=True)
@click.option("--readers", default=1, show_default=True, help="Threads or processes that read images.")
@click.option("--detector", default=NETWORK["detector"], show_default=True)
@click.option("--backbone", default=NETWORK["backbone"], show_default=True)
@click.option("--memory", default=0, help="Measure memory over so many scenes instead.")
def main(
    size: str,
    images: int,
    batch: int,
    reuse: int,
    window: int,
    workers: str,
    readers: int,
    detector: str,
    backbone: str,
    memory: int,
) -> None:
    """Measures and prints one line for each case."""
    width, height = (int(side) for side in size.split("x"))
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        render = RunSettings(demo_list(), scratch / "set", scenes=1, width=width, height=height, seed=1)
        network = {**NETWORK, "detector": detector, "backbone": backbone}

        def settings(out: str, data: DataSettings) -> TrainSettings:
            fields = {"epochs": 1, "epoch_images": images, "batch": batch, "workers": readers}
            return TrainSettings(data=data, out=scratch / out, **network, **fields)  # type: ignore[arg-type]

        if memory:
            measure_memory(StreamSettings(replace_render(render, 1), reuse, window), scratch, memory)
            return
        for count in map(int, workers.split(",")):
            stream = StreamSettings(replace_render(render, count), reuse, window)
            began = now()
            with open_stream(stream, scratch / f"stream{count}") as live:
                summary = run_training(settings(f"stream{count}", DataSettings()), QUIET, live=[live])
            describe(f"stream, {count} workers", began, summary)
            scenes = summary.live[0].scenes
            began = now()
            folder = scratch / f"set{count}"
            made = run_render(replace_render(render, count, out=folder, scenes=scenes), Reporter(QUIET))
            rendering = now()[0] - began[0]
            data = DataSettings(synthetic=(("synthetic", folder),))
            summary = run_training(settings(f"folder{count}", data), QUIET)
            describe(f"folder, {count} workers", began, summary)
            print(f"    of which rendering {rendering:.0f} s, {made.made / made.seconds:.2f} scenes/s")


def replace_render(render: RunSettings, workers: int, **fields: object) -> RunSettings:
    """The settings of a render by so many workers in the user's own cache of meshes."""
    return replace(render, workers=workers, cache=cache_folder(), **fields)  # type: ignore[arg-type]


def now() -> tuple[float, float]:
    """Seconds on the clock, and of processors in this process and in those that it has ended."""
    times = os.times()
    return time.monotonic(), times.user + times.system + times.children_user + times.children_system


def describe(name: str, began: tuple[float, float], summary: TrainSummary) -> None:
    """Print one line about a training."""
    seconds, processor = (end - start for start, end in zip(began, now(), strict=True))
    live = "".join(f", {counts.scenes} scenes, {counts.rate:.2f} scenes/s" for counts in summary.live)
    pace = f"{summary.images_per_second:.1f} images/s, waiting {summary.waiting:.0%}"
    text = f"{name}: {seconds:.0f} s, {processor:.0f} s of processors, {pace}{live}"
    print(text, flush=True)


def measure_memory(stream: StreamSettings, scratch: Path, scenes: int) -> None:
    """Read a stream as a training does, without a network, and print the memory of this process and of its workers."""
    me, order = psutil.Process(), stream.order
    with open_stream(stream, scratch / "run") as live:
        index = 0
        for goal in range(scenes // 3, scenes + 1, scenes // 3):
            while order.image_at(0, 0, 0, index) < goal:
                live.images.fetch_ahead(order.shards_ahead(0, 0, 0, index))
                live.images.read_sample(order.image_at(0, 0, 0, index), masks=True)
                index += 1
            children = sum(child.memory_info().rss for child in me.children(recursive=True))
            own = me.memory_info().rss
            print(f"after {goal} scenes: {own / 2**20:.0f} MB, workers {children / 2**20:.0f} MB", flush=True)


if __name__ == "__main__":
    main()
