"""A detector trained on shelves against one trained on table tops, judged on shop photographs of other products.

    python benchmarks/shops/shelf_or_table.py --data ../shared/data --out runs/shelves               # CPU, an hour
    python benchmarks/shops/shelf_or_table.py --data ../shared/data --out runs/shelves --scale real  # a GPU

All rows have the same catalogue of invented products, number of images, network, start and steps, one class for all
products, and no photograph to learn from; the weights of the last step are judged. DATA is the folder with
freiburg_real/, whose 1,250 photographs have boxes around the foremost products only: AP counts found neighbours as
wrong. What is done is not done again.
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from assets.files.atomic import write_atomic


@dataclass(frozen=True)
class Scale:
    """One size of the experiment."""

    products: int
    scenes: int
    render_size: str
    detector: tuple[str, ...]
    size: str
    epochs: int
    batch: int


LITE = ("--detector", "fcos", "--backbone", "tf_efficientnet_lite0", "--weights", "packaged")
SCALES = {
    "tiny": Scale(20, 4, "64x48", ("--detector", "ssdlite", "--weights", "none"), "64x64", 1, 2),
    "toy": Scale(400, 200, "320x240", LITE, "256x192", 12, 4),
    "real": Scale(4000, 5000, "640x480", ("--detector", "fasterrcnn"), "640x480", 20, 16),
}
# Row and recipe. The photographs are close-ups of few products; both recipes are also tried at their size.
RECIPES = {
    "tabletop": "recipe: tabletop\n",
    "tabletop, close": "recipe: tabletop\nproducts: {count: [2, 5]}\ncamera: {distance: [0.4, 0.8]}\n",
    "shelf": "recipe: shelf\n",
    "shelf, close": "recipe: shelf\nproducts: {count: [6, 14]}\ncamera: {like: freiburg}\n",
}


@click.command()
@click.option("--data", type=click.Path(exists=True, file_okay=False, path_type=Path), required=True)
@click.option("--out", type=click.Path(path_type=Path), required=True)
@click.option("--scale", type=click.Choice(list(SCALES)), default="toy", show_default=True)
@click.option("--row", "rows", multiple=True, type=click.Choice(list(RECIPES)), default=tuple(RECIPES))
def main(data: Path, out: Path, scale: str, rows: tuple[str, ...]) -> None:
    """Render, train and evaluate each row, and print the table."""
    chosen = SCALES[scale]
    skus = out / "list.csv"
    if not skus.exists():
        out.mkdir(parents=True, exist_ok=True)
        _synth("catalog", "generate", str(skus), "--count", str(chosen.products))
    table = Table("trained on", "boxes per image", "AP50", "95 % interval")
    for row in rows:
        table.add_row(row, *_measure(row, chosen, skus, data / "freiburg_real", out))
    Console(width=100).print(table)


def _measure(row: str, scale: Scale, skus: Path, photos: Path, out: Path) -> list[str]:
    name = row.replace(", ", "_")
    recipe, images, run = out / f"{name}.yaml", out / f"{name}_images", out / f"{name}_run"
    write_atomic(recipe, RECIPES[row].encode())
    rendering = ("--recipe", str(recipe), "--scenes", str(scale.scenes), "--size", scale.render_size)
    made = _synth("render", "--sku-list", str(skus), "--out", str(images), *rendering)
    training = ("--size", scale.size, "--epochs", str(scale.epochs), "--batch", str(scale.batch))
    common = ("--synthetic", str(images), "--classes", "product", *scale.detector, *training)
    _synth("train", *common, "--augment", "light", "--out", str(run))
    _synth("evaluate", str(run), "--data", str(photos), "--threshold", "0.3", "--out", str(run / "photos"))
    report = json.loads((run / "photos" / "report.json").read_text())
    found = next(metric for metric in report["metrics"] if metric["name"] == "finding AP50")
    low, high = found["interval"]["low"], found["interval"]["high"]
    return [f"{made['annotations'] / made['images']:.1f}", f"{found['value']:.3f}", f"{low:.3f} to {high:.3f}"]


def _synth(*arguments: str) -> dict:
    """Run a command and return its JSON object; its progress goes to the terminal."""
    words = [sys.executable, "-m", "pipeline", *arguments]
    wanted = arguments[0] != "catalog"
    done = subprocess.run([*words, "--json"] if wanted else words, check=True, stdout=subprocess.PIPE)
    return json.loads(done.stdout) if wanted else {}


if __name__ == "__main__":
    main()
