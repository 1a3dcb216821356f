"""Every adaptation method where the gap is known: coloured boxes, and the same ones dark, blurred and tinted.

    python benchmarks/adaptation.py --out runs/adaptation                       # two cores, about 20 minutes
    python benchmarks/adaptation.py --out runs/adaptation --rows mean-teacher   # rows that are done are not done again
    python benchmarks/adaptation.py ... --run adabn                             # methods that start from another row

The "renderings" are 300 images of one to three boxes on noise, the "photos" 60 to adapt to and 60 to judge on, with
less than half of the contrast. The oracle is fine-tuned with the labels of the 60. For photographs of products:
benchmarks/sim2real.py.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import click
import numpy as np
from PIL import Image, ImageFilter
from rich.console import Console

from detectors.adapt import METHODS, AdaptSettings, adapt_run
from detectors.adapt.judge import FILE
from detectors.data.settings import DataSettings
from detectors.training.run import run_training
from detectors.training.settings import TrainSettings

COLORS = {"red": (220, 30, 30), "green": (30, 200, 40), "blue": (40, 60, 230)}
WIDTH, HEIGHT = 96, 64
ORACLE = "finetune"
# What a photo does to grey levels: contrast, then offsets of red, green and blue.
CONTRAST, OFFSET, BLUR, NOISE = 0.45, (95, 70, 60), 0.8, 6.0


@click.command()
@click.option("--out", type=click.Path(path_type=Path), required=True)
@click.option("--rows", default="", help="Only methods whose name contains this.")
@click.option("--run", default="source", show_default=True, help="Row that the methods start from.")
@click.option("--steps", default=75, show_default=True, help="Steps of each method.")
def main(out: Path, rows: str, run: str, steps: int) -> None:
    """Make the rows that are not there yet, and print the table of all that are."""
    console = Console()
    for name, count, seed in (("synthetic", 300, 1), ("photos", 60, 2), ("judge", 60, 3)):
        write_images(out / name, count, seed, photo=name != "synthetic")
    rendered = DataSettings(synthetic=(("synthetic", out / "synthetic"),), hold_out=0)
    shared: dict[str, Any] = {"batch": 8, "augment": "light", "workers": 0}
    small: dict[str, Any] = {"detector": "fcos", "backbone": "test_efficientnet", "weights": "none", "size": (96, 64)}
    source = TrainSettings(rendered, out / "source", epochs=6, epoch_images=400, learning_rate=0.003, **small, **shared)
    run_training(source, console)
    wanted = [name for name in METHODS if name != ORACLE and rows in name]
    for method in (ORACLE, *wanted) if run == "source" else wanted:
        folder = out / (method if run == "source" else f"{method}-after-{run}")
        if (folder / FILE).exists():
            continue
        labelled, began = method == ORACLE, time.monotonic()
        settings = AdaptSettings(
            run=out / run,
            data=DataSettings(rendered.synthetic, real=out / "photos" if labelled else None, hold_out=0),
            out=folder,
            method=method,
            unlabelled=None if labelled else out / "photos",
            epochs=1,
            epoch_images=8 * steps,
            # These two take a tenth of it themselves.
            learning_rate=0.003 if method in (ORACLE, "self-training") else 0.0003,
            judge=out / "judge",
            oracle=None if labelled else out / ORACLE,
            **shared,
        )
        adapt_run(settings, console)
        console.print(f"{method}: {time.monotonic() - began:.0f} s")
    print_table(console, out)


def write_images(folder: Path, count: int, seed: int, *, photo: bool) -> None:
    """Write a COCO set of coloured boxes on noise."""
    if (folder / "train.json").exists():
        return
    rng = np.random.default_rng(seed)
    (folder / "images").mkdir(parents=True)
    images, annotations = [], []
    for number in range(1, count + 1):
        pixels = rng.integers(90, 130, (HEIGHT, WIDTH, 3)).astype(np.uint8)
        for place in rng.permutation(3)[: rng.integers(1, 4)]:
            label = int(rng.integers(3))
            width, height = (int(side) for side in rng.integers(18, 30, 2))
            x, y = int(place * 32), int(rng.integers(0, HEIGHT - height))
            pixels[y : y + height, x : x + width] = list(COLORS.values())[label]
            row = {"id": len(annotations) + 1, "image_id": number, "category_id": label + 1}
            annotations.append(row | {"bbox": [x, y, width, height], "area": width * height, "iscrowd": 0})
        image = Image.fromarray(pixels)
        name = f"{number:03d}.png"
        (as_photo(image, rng) if photo else image).save(folder / "images" / name)
        group = f"{folder.name}-{number}"
        images.append({"id": number, "file_name": name, "width": WIDTH, "height": HEIGHT, "group": group})
    categories = [{"id": number, "name": name} for number, name in enumerate(COLORS, start=1)]
    content = {"images": images, "annotations": annotations, "categories": categories}
    (folder / "train.json").write_text(json.dumps(content))


def as_photo(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Return an image with the look of the other domain."""
    levels = np.asarray(image.filter(ImageFilter.GaussianBlur(BLUR))).astype(float)
    levels = (levels - 128) * CONTRAST + np.array(OFFSET) + rng.normal(0, NOISE, levels.shape)
    return Image.fromarray(np.clip(levels, 0, 255).astype(np.uint8))


def print_table(console: Console, out: Path) -> None:
    """Print the rows that are done as Markdown."""
    lines = ["| method | AP | AP50 | AP - source (95 %) | gap closed |", "|---|---|---|---|---|"]
    for file in sorted(out.glob(f"*/{FILE}")):
        source, row = json.loads(file.read_text())["rows"][:2]
        gain, closed = row["gain"], row["closed"]
        cells = f"{row['ap']['value']:.3f} | {row['ap50']['value']:.3f}"
        change = f"{gain['value']:+.3f} ({gain['low']:+.3f} to {gain['high']:+.3f})"
        start = f", source {source['ap']['value']:.3f}"
        lines.append(
            f"| {file.parent.name}{start} | {cells} | {change} | {'' if closed is None else f'{closed:.0%}'} |"
        )
    console.print("\n".join(lines), highlight=False, markup=False)


if __name__ == "__main__":
    main()
