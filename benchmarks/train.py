"""Training images per second against a bare loop over the same torchvision model, in one run.

    python benchmarks/train.py --set data/synth                              # bare loop: tensors in memory
    python benchmarks/train.py --set data/synth --detector fasterrcnn --reference   # torchvision's own way, for a GPU

The bare loop gets batches that were made before; ours reads, decodes, augments, averages weights, logs and saves. With
--reference the other side is what torchvision's reference scripts do: Pillow, its transforms, a loader, float32 or AMP.
Both sides alternate, and the median of the ratios is told.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import torch
from rich.console import Console
from torch import nn

from detectors.augment import preset
from detectors.data.prepare import TrainingData, prepare_training
from detectors.data.settings import DataSettings
from detectors.device import loader_processes, pick_device
from detectors.models import build_model
from detectors.models.detect import network_input
from detectors.models.spec import ModelSpec
from detectors.training.loader import Batch, InputSettings, PlannedBatches, TrainingImages, training_loader
from detectors.training.run import run_training
from detectors.training.settings import TrainSettings
from detectors.training.setup import make_schedule, make_spec


@click.command()
@click.option(
    "--set", "folder", type=click.Path(exists=True, path_type=Path), required=True, help="A rendered data set."
)
@click.option("--detector", default="fasterrcnn_mobilenet", show_default=True)
@click.option("--backbone")
@click.option("--size", default="320x192", show_default=True)
@click.option("--batch", default=4, show_default=True)
@click.option("--steps", default=30, show_default=True)
@click.option("--rounds", default=3, show_default=True)
@click.option("--augment", default="strong", show_default=True)
@click.option("--device", default="auto", show_default=True)
@click.option("--reference", is_flag=True, help="Against torchvision's reference way instead of the bare loop.")
@click.option("--amp/--no-amp", default=False, help="Of the reference.")
def main(folder: Path, size: str, steps: int, rounds: int, reference: bool, amp: bool, **options: Any) -> None:
    """Measures and prints one line."""
    width, height = (int(side) for side in size.split("x"))
    ratios, paces = [], []
    with tempfile.TemporaryDirectory() as scratch:
        for number in range(rounds):
            settings = TrainSettings(
                data=DataSettings(synthetic=(("synthetic", folder),)),
                out=Path(scratch) / f"run{number}",
                weights="none",
                size=(width, height),
                epochs=1,
                epoch_images=steps * options["batch"],
                **options,
            )
            data = prepare_training(settings.data, seed=0, print_line=lambda line: None)
            other = reference_pace(settings, data, steps, amp) if reference else bare_pace(settings, data, steps)
            ours = run_training(settings, Console(quiet=True))
            ratios.append(ours.images_per_second / other)
            paces.append((ours.images_per_second, other, ours.waiting))
            print(f"round {number}: ours {paces[-1][0]:.2f}, other {other:.2f} images/s, waiting {ours.waiting:.1%}")
    against = "torchvision's reference way" if reference else "a bare loop"
    print(
        f"{options['detector']} {size} batch {options['batch']} on {pick_device(options['device'])}: "
        f"{statistics.median(ratios):.2f} of {against} (rounds: {', '.join(f'{ratio:.2f}' for ratio in ratios)})"
    )


def bare_pace(settings: TrainSettings, data: TrainingData, steps: int) -> float:
    """Images per second of forward, backward and step over batches in memory."""
    spec, device = make_spec(settings, data), pick_device(settings.device)
    batches = [to_device(batch, device) for batch in some_batches(settings, data, spec, min(steps, 8))]
    model = build_model(spec).to(device).train()
    optimizer = torch.optim.AdamW(model.parameters(), 1e-4)

    def step(number: int) -> None:
        images, targets = batches[number % len(batches)]
        with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
            losses = model.losses(images, targets)
        finish(losses, optimizer, model)

    return pace(step, steps, settings.batch, device)


def reference_pace(settings: TrainSettings, data: TrainingData, steps: int, amp: bool) -> float:
    """Images per second of torchvision's reference loop over the same files."""
    spec, device = make_spec(settings, data), pick_device(settings.device)
    model = build_model(spec).to(device).train()
    optimizer = torch.optim.SGD(model.parameters(), 1e-3, momentum=0.9)
    scaler = torch.amp.GradScaler(device.type, enabled=amp)
    loader = torch.utils.data.DataLoader(
        ReferenceImages(data),
        batch_size=settings.batch,
        shuffle=True,
        num_workers=loader_processes(),
        collate_fn=lambda items: tuple(zip(*items, strict=True)),
        drop_last=True,
    )
    batches = forever(loader)

    def step(number: int) -> None:
        images, targets = next(batches)
        images = [image.to(device) for image in images]
        targets = [{name: value.to(device) for name, value in target.items()} for target in targets]
        with torch.autocast(device.type, enabled=amp):
            losses = model(images, targets)
        optimizer.zero_grad()
        scaler.scale(torch.stack(list(losses.values())).sum()).backward()
        scaler.step(optimizer)
        scaler.update()

    return pace(step, steps, settings.batch, device)


class ReferenceImages(torch.utils.data.Dataset[Any]):
    """Images as torchvision's reference scripts load them: Pillow, its transforms, tensors of float32."""

    def __init__(self, data: TrainingData) -> None:
        from torchvision.transforms import v2

        self.images = data.sources[0]
        self.transforms = v2.Compose(
            [
                v2.RandomPhotometricDistort(),
                v2.ScaleJitter((480, 480)),
                v2.ToImage(),
                v2.ToDtype(torch.float, scale=True),
            ]
        )

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        from PIL import Image
        from torchvision import tv_tensors

        image = Image.open(self.images.path(index)).convert("RGB")
        span = self.images.span(index)
        kept = self.images.labels[span] >= 0
        boxes = tv_tensors.BoundingBoxes(
            torch.tensor(self.images.boxes[span][kept]), format="XYXY", canvas_size=(image.height, image.width)
        )
        labels = torch.tensor(self.images.labels[span][kept].astype("int64") + 1)
        return self.transforms(image, {"boxes": boxes, "labels": labels})


def forever(loader: Any) -> Iterator[Any]:
    """Goes through a loader again and again."""
    while True:
        yield from loader


def some_batches(settings: TrainSettings, data: TrainingData, spec: ModelSpec, count: int) -> list[Batch]:
    """Batches as the training would see them."""
    plan = make_schedule(settings, data)
    view = InputSettings(spec.width, spec.height, preset(settings.augment), masks=False, seed=0)
    order = PlannedBatches(plan, batch=settings.batch, start_step=0, rank=0, world=1)
    loader = training_loader(TrainingImages(data.sources, plan, view), order, workers=0, pin=False)
    return [batch for batch, _ in zip(loader, range(count), strict=False)]


def to_device(batch: Batch, device: torch.device) -> tuple[list[torch.Tensor], list[dict[str, torch.Tensor]]]:
    """Float images and targets, where the network is."""
    targets = [{name: value.to(device) for name, value in target.items()} for target in batch.targets]
    return network_input(batch.images.to(device)), targets


def finish(losses: dict[str, torch.Tensor], optimizer: torch.optim.Optimizer, model: nn.Module) -> None:
    """Backward and step, with the gradients clipped as ours are."""
    optimizer.zero_grad()
    torch.stack(list(losses.values())).sum().backward()
    nn.utils.clip_grad_norm_(model.parameters(), 10.0)
    optimizer.step()


def pace(step: Any, steps: int, batch: int, device: torch.device) -> float:
    """Images per second after the first step."""
    step(0)
    synchronise(device)
    began = time.monotonic()
    for number in range(1, steps):
        step(number)
    synchronise(device)
    return (steps - 1) * batch / (time.monotonic() - began)


def synchronise(device: torch.device) -> None:
    """Waits for a GPU."""
    if device.type == "cuda":
        torch.cuda.synchronize()


if __name__ == "__main__":
    main()
