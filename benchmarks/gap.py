"""What gaps say of AP: recipes pushed away from photographs factor by factor, measured, trained on and evaluated.

    python benchmarks/gap.py --data ../shared/data --out runs/gap              # renders, gaps, detectors
    python benchmarks/gap.py ... --steps 0                                     # renders and gaps alone
    python benchmarks/gap.py ... --minutes 9                                   # a piece; call again to go on

Every recipe is the first one with one factor pushed away. Each is compared with the 20 training photographs of the
photographed groceries, a small detector is trained on it, and its AP on the same photographs is what gaps should
foretell; test photographs are not touched. "again" is the first recipe with another seed. What is done is not done
again. DATA is the folder with hope/, hope_real/, hdri/, backgrounds/, weights/.
"""

from __future__ import annotations

import copy
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import click
import yaml
from rich.console import Console
from rich.table import Table

from assets.progress import Reporter
from pipeline.cli.output import json_value
from pipeline.gap.calibration import GapRow, add_row
from pipeline.gap.page import write_page
from pipeline.gap.proxy import score_run
from pipeline.gap.report import summarize_gap
from pipeline.gap.run import measure_gap
from pipeline.gap.settings import GapSettings

BASE: dict[str, Any] = {"recipe": "tabletop", "products": {"count": [6, 14]}, "distractors": {"count": [2, 8]}}
# Name -> changes of the first recipe, and the factor that they push away.
RECIPES: dict[str, tuple[dict[str, Any], str]] = {
    "base": ({}, ""),
    "again": ({}, ""),
    "far": ({"camera": {"distance": [2.2, 2.8]}}, "object size"),
    "few": ({"products": {"count": [1, 2]}, "distractors": {"count": [0, 1]}}, "objects"),
    "dark": ({"sensor": {"exposure_ev": [-4.0, -3.2]}}, "brightness"),
    "blurred": ({"sensor": {"blur_px": [2.5, 3.5]}}, "sharpness"),
    "noisy": ({"sensor": {"read_noise": [0.05, 0.07], "shot_noise": [0.1, 0.15]}}, "noise in shadows"),
    "grey": ({"sensor": {"saturation": [0.0, 0.1]}}, "colour"),
    "warm": ({"sensor": {"white_balance_kelvin": [13000, 15000]}}, "warmth"),
    "flat": ({"sensor": {"contrast": [0.25, 0.35]}}, "contrast"),
}


@click.command()
@click.option("--data", type=click.Path(exists=True, file_okay=False, path_type=Path), required=True)
@click.option("--out", type=click.Path(path_type=Path), required=True)
@click.option("--scenes", default=60, show_default=True)
@click.option("--size", default="320x184", show_default=True)
@click.option("--steps", default=150, show_default=True, help="Of each detector; 0 trains none.")
@click.option("--minutes", type=float, help="Start nothing more after so long.")
def main(data: Path, out: Path, scenes: int, size: str, steps: int, minutes: float | None) -> None:
    """Make what is not there yet, and print the tables of all that is."""
    end = time.monotonic() + 60 * (minutes if minutes is not None else 1e6)
    out.mkdir(parents=True, exist_ok=True)
    for name in RECIPES:
        if time.monotonic() < end and not (out / name / "annotations").is_dir():
            render(data, out, name, scenes, size)
    for name in RECIPES:
        if time.monotonic() < end and not (out / f"{name}.json").exists() and (out / name / "annotations").is_dir():
            measure(out / name, data / "hope_real" / "train.json", out / f"{name}.json")
    for name in RECIPES:
        file = out / f"{name}-from-base.json"
        if time.monotonic() < end and name != "base" and not file.exists() and (out / name / "annotations").is_dir():
            measure(out / name, out / "base", file, weights="none")
    for name in RECIPES:
        if steps and time.monotonic() < end and name not in measured(out) and (out / f"{name}.json").exists():
            train(data, out, name, steps)
            score(data, out, name)
    print_tables(Console(width=160), out)


def synth(*words: object) -> str:
    """Run a command of synth and return what it prints."""
    command = [sys.executable, "-m", "pipeline", *map(str, words)]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def render(data: Path, out: Path, name: str, scenes: int, size: str) -> None:
    """Render one recipe."""
    recipe = copy.deepcopy(BASE)
    for section, ranges in RECIPES[name][0].items():
        recipe[section] = {**recipe.get(section, {}), **ranges}
    (out / f"{name}.yaml").write_text(yaml.safe_dump(recipe))
    words = ["--sku-list", data / "hope" / "skus.csv", "--hdri", data / "hdri", "--recipe", out / f"{name}.yaml"]
    words += ["--surfaces", data / "backgrounds" / "surfaces", "--photos", data / "backgrounds" / "grocery_store"]
    words += ["--seed", 1 if name == "again" else 0]
    synth("render", *words, "--scenes", scenes, "--size", size, "--out", out / name, "--quiet")


def measure(rendered: Path, real: Path, file: Path, weights: str = "packaged") -> None:
    """Measure a gap and keep its numbers."""
    began = time.process_time()
    settings = GapSettings(rendered, real, out=file.with_suffix(".html"), weights=weights)
    report = measure_gap(settings, Reporter(Console(quiet=True)))
    write_page(report, settings.out)
    content = {**vars(summarize_gap(report)), "cpu_seconds": time.process_time() - began}
    file.write_text(json.dumps(json_value(content)))


def train(data: Path, out: Path, name: str, steps: int) -> None:
    """Train a small detector on the renders of one recipe."""
    words = ["--synthetic", out / name, "--out", out / "runs" / name, "--detector", "fcos", "--hold-out", 0]
    words += ["--backbone", "tf_efficientnet_lite0", "--weights", data / "weights" / "tf_efficientnet_lite0.pth"]
    words += ["--size", "192x128", "--augment", "light", "--batch", 4, "--epochs", 1, "--epoch-images", 4 * steps]
    # One class: a detector that was trained so briefly finds products, but does not tell them apart yet.
    words += ["--classes", "product"]
    synth("train", *words, "--learning-rate", 5e-4, "--workers", 0, "--quiet")


def score(data: Path, out: Path, name: str) -> None:
    """Evaluate the detector of one recipe on the photographs, and add its row to the table."""
    ap, _ = score_run(out / "runs" / name, data / "hope_real" / "train.json", device="auto")
    measures = json.loads((out / f"{name}.json").read_text())["measures"]
    add_row(out / "gaps.jsonl", GapRow(name=name, real="hope_real/train", measures=measures, ap=ap.value))


def measured(out: Path) -> dict[str, float]:
    """Return APs by recipe."""
    file = out / "gaps.jsonl"
    rows = [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []
    return {row["name"]: row["ap"] for row in rows}


def print_tables(console: Console, out: Path) -> None:
    """Print what each recipe's gap is, whether the factor pushed away is found, and what gaps foretell."""
    aps = measured(out)
    titles = (
        "recipe",
        "pushed",
        "farthest from base",
        "AUC",
        "from photos",
        "farthest",
        "AUC",
        "kernel",
        "crops",
        "AP",
    )
    table = Table(*titles, "s")
    for name, (_, pushed) in RECIPES.items():
        if not (out / f"{name}.json").exists():
            continue
        found = json.loads((out / f"{name}.json").read_text())
        base = out / f"{name}-from-base.json"
        cells = from_base(json.loads(base.read_text()), pushed) if base.exists() else ["", ""]
        farthest = f"{found['factors'][0]['name']} {found['factors'][0]['ratio']:.1f}"
        kernels = [f"{one['distance']['value']:.0f}" for one in found["kernels"]]
        whole = [f"{found['measures']['mean of factors']:.2f}", farthest, f"{found['classifier']['auc']['value']:.2f}"]
        ap = f"{aps[name]:.3f}" if name in aps else "–"
        table.add_row(name, pushed, *cells, *whole, *kernels, ap, f"{found['cpu_seconds']:.0f}")
    console.print(table)
    if len(aps) > 1:
        console.print(synth("gap-calibrate", out / "gaps.jsonl", "--out", out / "calibration.html"), highlight=False)


def from_base(found: Any, pushed: str) -> list[str]:
    """Return the factors that moved most from the first recipe, with the place of the one pushed, and the AUC."""
    names = [one["name"] for one in found["factors"]]
    most = ", ".join(f"{one['name']} {one['ratio']:.0f}" for one in found["factors"][:2])
    place = f" ({names.index(pushed) + 1}.)" if pushed in names else ""
    return [most + place, f"{found['classifier']['auc']['value']:.2f}"]


if __name__ == "__main__":
    main()
