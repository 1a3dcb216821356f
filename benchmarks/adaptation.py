"""Every adaptation method on the photographed groceries: 20 photos without labels, judged on 10 of other arrangements.

    python benchmarks/adaptation.py --data ../shared/data --synthetic SET --out runs/adaptation
    python benchmarks/adaptation.py ... --rows mean-teacher          # one row; rows that are done are not done again

SET: renders of hope/skus.csv. The oracle is the run continued with the labels of the 20 photos. Nothing is chosen on
the 10 photos. DATA is the folder with hope/, hope_real/ and weights/.
"""

from __future__ import annotations

import json
from pathlib import Path

import click
from rich.console import Console

from detectors.adapt import METHODS, AdaptSettings, adapt_run
from detectors.adapt.judge import FILE
from detectors.data.settings import DataSettings
from detectors.training.run import print_summary, run_training
from detectors.training.settings import TrainSettings

ORACLE = "finetune"


@click.command()
@click.option("--data", type=click.Path(exists=True, file_okay=False, path_type=Path), required=True)
@click.option("--synthetic", type=click.Path(exists=True, path_type=Path), required=True)
@click.option("--out", type=click.Path(path_type=Path), required=True)
@click.option("--rows", default="", help="Only methods whose name contains this.")
@click.option("--steps", default=600, show_default=True, help="Steps of the run.")
@click.option("--adapt-steps", default=200, show_default=True, help="Steps of each method.")
@click.option("--size", default=(320, 192), show_default=True, type=(int, int), help="Width and height of the input.")
@click.option("--detector", default="fcos", show_default=True)
@click.option("--batch", default=4, show_default=True)
@click.option("--rate", default=5e-4, show_default=True, help="Learning rate of the run; methods take a tenth.")
@click.option("--option", "options", multiple=True, help="METHOD:NAME=VALUE.")
@click.option("--workers", type=int)
def main(
    data: Path,
    synthetic: Path,
    out: Path,
    rows: str,
    steps: int,
    adapt_steps: int,
    size: tuple[int, int],
    detector: str,
    batch: int,
    rate: float,
    options: tuple[str, ...],
    workers: int | None,
) -> None:
    """Make the rows that are not there yet, and print the table of all that are."""
    console, photos = Console(), data / "hope_real"
    rendered = DataSettings(synthetic=(("synthetic", synthetic),), hold_out=0)
    source = TrainSettings(
        data=rendered,
        out=out / "source",
        detector=detector,
        backbone="tf_efficientnet_lite0",
        weights=str(data / "weights" / "tf_efficientnet_lite0.pth"),
        size=size,
        epochs=4,
        epoch_images=steps * batch // 4,
        batch=batch,
        learning_rate=rate,
        workers=workers,
    )
    out.mkdir(parents=True, exist_ok=True)
    print_summary(console, run_training(source, console))
    for method in (ORACLE, *(name for name in METHODS if name != ORACLE)):
        if (rows not in method and method != ORACLE) or (out / method / FILE).exists():
            continue
        settings = AdaptSettings(
            run=out / "source",
            data=DataSettings(
                synthetic=rendered.synthetic, real=photos / "train.json" if method == ORACLE else None, hold_out=0
            ),
            out=out / method,
            method=method,
            unlabelled=None if method == ORACLE else photos / "train.json",
            method_options=tuple(text.partition(":")[2] for text in options if text.startswith(f"{method}:")),
            epochs=2,
            epoch_images=adapt_steps * batch // 2,
            batch=batch,
            # Fine-tuning takes a tenth itself.
            learning_rate=rate if method in (ORACLE, "self-training") else rate / 10,
            workers=workers,
            judge=photos / "test.json",
            oracle=None if method == ORACLE else out / ORACLE,
        )
        console.rule(method)
        print_summary(console, adapt_run(settings, console))
    print_table(console, out)


def print_table(console: Console, out: Path) -> None:
    """Print the rows that are done as Markdown."""
    lines = ["| method | AP | AP50 | AP - source (95 %) | gap closed |", "|---|---|---|---|---|"]
    for method in METHODS:
        file = out / method / FILE
        if not file.exists():
            continue
        source, row = json.loads(file.read_text())["rows"][:2]
        if len(lines) == 2:
            lines.append(f"| source only | {source['ap']['value']:.3f} | {source['ap50']['value']:.3f} | | |")
        gain, closed = row["gain"], row["closed"]
        label = f"{method} (oracle)" if method == ORACLE else method
        cells = f"{row['ap']['value']:.3f} | {row['ap50']['value']:.3f}"
        change = f"{gain['value']:+.3f} ({gain['low']:+.3f} to {gain['high']:+.3f})"
        lines.append(f"| {label} | {cells} | {change} | {'' if closed is None else f'{closed:.0%}'} |")
    console.print("\n".join(lines), highlight=False, markup=False)


if __name__ == "__main__":
    main()
