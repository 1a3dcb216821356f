"""The whole loop on the photographed groceries: render, train, adapt, evaluate on real photos of other arrangements.

    python benchmarks/sim2real.py --data ../shared/data --out runs/sim2real              # toy size, CPU, under an hour
    python benchmarks/sim2real.py --data ../shared/data --out runs/sim2real --scale real # a GPU
    python benchmarks/sim2real.py ... --minutes 9                                        # a piece; call again to go on
    python benchmarks/sim2real.py ... --boxes amodal                                     # BOP's protocol: another OUT

Each row of the table is the same recipe: the same network, start, augmentation, number of steps and images per step;
the averaged weights of the last step are judged, so that nothing is chosen on the test photos. Photos are split by
arrangement: 5, 10 and 20 training photos are 1, 2 and 4 arrangements under five lights; the 10 test photos are two
others. Methods of adaptation start from the row of synthetic images only and see the 20 photos without their labels.
BOP's protocol has boxes around whole products, and leaves out those of which under 10 % are visible. Rows that are
done are not done again. DATA is the folder with hope/, hope_real/, hdri/, backgrounds/, weights/.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from assets.errors import SynthError
from assets.files.atomic import write_atomic
from detectors.adapt import METHODS, AdaptSettings, adapt_run
from detectors.data.settings import BoxKind, DataSettings
from detectors.evaluate.run import evaluate_runs
from detectors.evaluate.settings import EvaluateSettings
from detectors.training.run import print_summary, run_training
from detectors.training.schedule import ScheduleName
from detectors.training.settings import TrainSettings
from detectors.training.summary import TrainSummary

PHOTOS = {20: 1.0, 10: 0.5, 5: 0.25}
# Products per scene and plain bodies among them as the photographs have; all else as the recipe comes.
RECIPE = {"products": {"count": [6, 14]}, "distractors": {"count": [2, 8]}}


@dataclass(frozen=True)
class Scale:
    """One size of the experiment. steps: of every row, all phases together. size: of the network's input."""

    scenes: int
    render_size: str
    detector: str
    size: tuple[int, int]
    steps: int
    batch: int
    augment: str
    learning_rate: float | None = None


SCALES = {
    "tiny": Scale(12, "320x192", "fcos", (160, 96), 100, 2, "light"),
    "toy": Scale(600, "640x360", "fcos", (320, 192), 600, 4, "light", 5e-4),
    "real": Scale(5000, "1280x720", "fasterrcnn", (1024, 576), 10000, 16, "strong"),
}


@dataclass(frozen=True)
class Row:
    """One line of the table. photos: photographs to learn from. finetuned: share of the steps.

    method: of adaptation, from the row of synthetic images only, to photographs whose labels are not read.
    """

    name: str
    photos: int
    synthetic: bool
    schedule: ScheduleName = "mix"
    finetuned: float = 0.0
    method: str = ""


ROWS = (
    Row("synthetic only", 0, True),
    *(Row("real only", photos, False) for photos in PHOTOS),
    *(Row("mix", photos, True) for photos in PHOTOS),
    *(Row("mix + finetune", photos, True, "mix+finetune", 0.2) for photos in PHOTOS),
    *(Row(method, 20, True, method=method) for method in METHODS if method != "finetune"),
)
BOXES = ("visible", "amodal")


@click.command()
@click.option("--data", type=click.Path(exists=True, file_okay=False, path_type=Path), required=True)
@click.option("--out", type=click.Path(path_type=Path), required=True)
@click.option("--scale", type=click.Choice(list(SCALES)), default="toy", show_default=True)
@click.option("--synthetic", type=click.Path(exists=True, path_type=Path), help="A rendered set, instead of rendering.")
@click.option("--rows", default="", help="Only rows whose label contains this, such as 'mix' or '20'.")
@click.option("--minutes", type=float, help="Stop in good order after so long; the same call goes on.")
@click.option("--boxes", type=click.Choice(BOXES), default="visible", show_default=True)
@click.option("--seed", default=0, show_default=True)
@click.option("--workers", type=int, help="Processes that read images.")
def main(
    data: Path,
    out: Path,
    scale: str,
    synthetic: Path | None,
    rows: str,
    minutes: float | None,
    boxes: BoxKind,
    seed: int,
    workers: int | None,
) -> None:
    """Makes the rows that are not there yet, and prints the table of all that are."""
    console = Console()
    out.mkdir(parents=True, exist_ok=True)
    if minutes is not None:
        timer = threading.Timer(60 * minutes, os.kill, (os.getpid(), signal.SIGINT))
        timer.daemon = True
        timer.start()
    try:
        synthetic = synthetic or render(data, out, SCALES[scale])
        for row in ROWS:
            wanted = rows in label_of(row) and not result_file(out, row).exists()
            case = Case(SCALES[scale], data, synthetic, out, boxes, seed, workers)
            try:
                if wanted and not make_row(row, case, console):
                    break
            except SynthError as error:
                if not row.method:
                    raise
                console.print(f"{label_of(row)}: not made: {error}", highlight=False, markup=False)
    except KeyboardInterrupt:
        console.print("stopped: the same call goes on")
    print_table(console, out)


def label_of(row: Row) -> str:
    """real only, 5 photos."""
    return f"{row.name}, {row.photos} photos" if row.photos else row.name


def folder_of(out: Path, row: Row) -> Path:
    """Of a row's run."""
    return out / label_of(row).replace(" + ", "+").replace(", ", "-").replace(" ", "-")


def result_file(out: Path, row: Row) -> Path:
    """Where a finished row is kept."""
    return folder_of(out, row) / "row.json"


def render(data: Path, out: Path, scale: Scale) -> Path:
    """The synthetic set, by the command that a user would give."""
    import yaml

    recipe = out / "recipe.yaml"
    recipe.write_text(yaml.safe_dump({"recipe": "tabletop", **RECIPE}))
    words = ["--recipe", recipe, "--surfaces", data / "backgrounds" / "surfaces"]
    words += ["--photos", data / "backgrounds" / "grocery_store"]
    return render_set(data, out / "synthetic", scale.scenes, scale.render_size, *words)


def render_set(data: Path, out: Path, scenes: int, size: str, *words: object) -> Path:
    """Scenes of the scanned groceries in OUT, by `synth render` with further words."""
    command = [
        sys.executable,
        "-m",
        "pipeline",
        "render",
        "--sku-list",
        data / "hope" / "skus.csv",
        "--out",
        out,
    ]
    command += ["--scenes", scenes, "--size", size, "--workers", "auto", "--hdri", data / "hdri", *words]
    subprocess.run([str(word) for word in command], check=True)
    return out


@dataclass(frozen=True)
class Case:
    """What all rows of a table share."""

    scale: Scale
    data: Path
    synthetic: Path
    out: Path
    boxes: BoxKind
    seed: int
    workers: int | None

    def data_of(self, row: Row) -> DataSettings:
        """The images with labels that a row learns from."""
        labelled = row.photos and not row.method
        return DataSettings(
            synthetic=(("synthetic", self.synthetic),) if row.synthetic else (),
            real=self.data / "hope_real" / "train.json" if labelled else None,
            real_fraction=PHOTOS[row.photos] if labelled else 1.0,
            hold_out=0.0,
            boxes=self.boxes,
        )


def make_row(row: Row, case: Case, console: Console) -> bool:
    """Trains and judges a row; False where it was interrupted."""
    console.rule(label_of(row))
    began = time.monotonic()
    if row.method:
        summary: TrainSummary = adapt_run(adaptation_of(row, case), console)
    else:
        summary = run_training(settings_of(row, case), console)
    print_summary(console, summary)
    if not summary.finished:
        return False
    run, out = folder_of(case.out, row), case.out
    photos = (case.data / "hope_real" / "test.json",)
    judged = EvaluateSettings(runs=(run,), data=photos, boxes=case.boxes, workers=case.workers)
    (report,) = evaluate_runs(judged, console).values()
    numbers = {
        "label": label_of(row),
        "AP": report.coco["AP"],
        "AP50": report.coco["AP50"],
        "low": report.intervals["AP"].low,
        "high": report.intervals["AP"].high,
        "finding": report.finding.ap50,
        "naming": report.finding.naming,
        "steps": summary.steps,
        "seconds": time.monotonic() - began,
    }
    write_atomic(result_file(out, row), json.dumps(numbers, indent=1).encode())
    return True


def adaptation_of(row: Row, case: Case) -> AdaptSettings:
    """A third of the steps of a row, from the row of synthetic images only, at a tenth of the learning rate."""
    scale = case.scale
    return AdaptSettings(
        run=folder_of(case.out, ROWS[0]),
        data=case.data_of(row),
        out=folder_of(case.out, row),
        method=row.method,
        unlabelled=case.data / "hope_real" / "train.json",
        epochs=4,
        epoch_images=scale.steps * scale.batch // 12,
        batch=scale.batch,
        augment=scale.augment,
        learning_rate=scale.learning_rate / 10 if scale.learning_rate else None,
        seed=case.seed,
        workers=case.workers,
    )


def settings_of(row: Row, case: Case) -> TrainSettings:
    """The recipe of all rows; they differ in the data, and in how many of the steps are fine-tuning."""
    scale = case.scale
    # Ten epochs of equal length, so that a share of the steps is a whole number of them.
    epochs, tuned = 10, round(10 * row.finetuned)
    return TrainSettings(
        data=case.data_of(row),
        out=folder_of(case.out, row),
        schedule=row.schedule,
        detector=scale.detector,
        backbone="tf_efficientnet_lite0",
        weights=str(case.data / "weights" / "tf_efficientnet_lite0.pth"),
        size=scale.size,
        augment=scale.augment,
        epochs=epochs - tuned,
        finetune_epochs=tuned or None,
        epoch_images=scale.steps * scale.batch // epochs,
        batch=scale.batch,
        learning_rate=scale.learning_rate,
        seed=case.seed,
        workers=case.workers,
    )


def print_table(console: Console, out: Path) -> None:
    """All rows that are done, for reading and as Markdown."""
    done = [json.loads(result_file(out, row).read_text()) for row in ROWS if result_file(out, row).exists()]
    table = Table("row", "AP", "95 %", "AP50", "finding AP50", "naming", "steps", "s", title="on the test photos")
    lines = ["| row | AP | AP50 | finding (AP50, one class) | naming |", "|---|---|---|---|---|"]
    for row in done:
        cells = [f"{row[name]:.3f}" if row[name] is not None else "-" for name in ("AP", "AP50", "finding", "naming")]
        spread = f"{row['low']:.2f}..{row['high']:.2f}"
        table.add_row(row["label"], cells[0], spread, *cells[1:], str(row["steps"]), f"{row['seconds']:.0f}")
        lines.append(f"| {row['label']} | {' | '.join(cells)} |")
    console.print(table)
    write_atomic(out / "table.md", ("\n".join(lines) + "\n").encode())


if __name__ == "__main__":
    main()
