"""What is made of packshots: rate, bytes, how well outlines are met, how often kinds are guessed.

    python benchmarks/packshots.py --out runs/packshots                 # 200 products: a minute
    python benchmarks/packshots.py --out runs/packshots --count 2000

Draws packshots of 800 x 800 pixels with known masks (packshot_drawings.py), on white, nearly white and shaded grounds,
half of them with a shadow, as JPEG of quality 85; builds the packages with `synth assets build`'s own code, reads them
back and lays each one's front silhouette over the true mask. Prints one table and writes it as OUT/packshots.json.
"""

from __future__ import annotations

import csv
import io
import json
import shutil
import time
from collections import Counter
from dataclasses import fields
from pathlib import Path
from typing import Any

import click
import cv2
import numpy as np
from numpy.typing import NDArray
from packshot_drawings import SIZES, Drawing, draw_packshot
from PIL import Image
from rich.console import Console
from rich.progress import track
from rich.table import Table

from assets.backdrops.collection import Backdrops
from assets.catalog.load import load_catalog
from assets.catalog.types import Sku
from assets.files.atomic import write_atomic
from assets.library import Library
from assets.machine import usable_cores
from assets.packages.build import make_package
from assets.packages.packshots.art import read_art
from assets.packages.packshots.silhouette import guess_kind, silhouette_of
from assets.progress import Reporter
from pipeline.products.build import AssetBuildSettings, build_assets


@click.command()
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder for images, products and results.")
@click.option("--count", type=click.IntRange(10), default=200, help="Products, spread over the kinds.")
@click.option("--workers", type=click.IntRange(1), default=usable_cores(), help="Processes that build.")
def main(out: Path, count: int, workers: int) -> None:
    """Measure what is made of COUNT packshots."""
    console = Console()
    kinds = list(SIZES)
    drawings = [draw_packshot(i, kinds[i % len(kinds)]) for i in track(range(count), "drawing", console=console)]
    sku_list = _written(drawings, out)
    shutil.rmtree(out / "cache", ignore_errors=True)
    start = time.monotonic()
    summary = build_assets(AssetBuildSettings(sku_list, workers=workers, cache=out / "cache"), Reporter(console))
    seconds = time.monotonic() - start
    if summary.failures:
        raise SystemExit(f"{len(summary.failures)} failed, the first: {summary.failures[0]}")
    library = Library(load_catalog(sku_list), Backdrops.open(), cache_dir=out / "cache", memory_mb=1)
    rows = [_measure(drawing, library) for drawing in track(drawings, "measuring", console=console)]
    results: dict[str, Any] = {
        "products": count,
        "workers": workers,
        "cores": usable_cores(),
        "skus_a_minute": round(count / seconds * 60),
        "bytes_a_sku": round(float(np.mean(summary.sizes))),
        "gb_for_170000": round(float(np.mean(summary.sizes)) * 170_000 / 1e9, 1),
        "milliseconds": _milliseconds(drawings, library),
        "kinds": {kind: _of_kind([row for row in rows if row["kind"] == kind]) for kind in kinds},
    }
    write_atomic(out / "packshots.json", json.dumps(results, indent=1).encode())
    _print(console, results)


def _written(drawings: list[Drawing], out: Path) -> Path:
    """Packshots and their list as a retailer would have them."""
    (out / "shots").mkdir(parents=True, exist_ok=True)
    text = io.StringIO()
    writer = csv.DictWriter(text, [field.name for field in fields(Sku)])
    writer.writeheader()
    for drawing in drawings:
        Image.fromarray(drawing.image).save(out / drawing.sku.packshot, quality=85)
        writer.writerow({field.name: getattr(drawing.sku, field.name) for field in fields(Sku)})
    write_atomic(out / "list.csv", text.getvalue().encode())
    return out / "list.csv"


def _measure(drawing: Drawing, library: Library) -> dict[str, Any]:
    """Overlaps of the cut-out and of the built package's front with the true mask, and the kind guessed from it."""
    sku = drawing.sku
    true = _tight(drawing.mask)
    shot = read_art(sku, library.catalog.root).sides["front"][..., 3] >= 128
    size = (float(sku.width_m or 0), float(sku.depth_m or 0), float(sku.height_m or 0))
    return {
        "kind": sku.package,
        "cut": _overlap(shot, true),
        "built": _overlap(silhouette_of(library.product(sku.sku), max(true.shape)), true),
        "guess": guess_kind(shot, size),
    }


def _tight(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def _overlap(found: NDArray[np.bool_], true: NDArray[np.bool_]) -> float:
    """Intersection over union, both masks at the stated size."""
    scaled = cv2.resize(found.astype(np.float32), true.shape[::-1], interpolation=cv2.INTER_LINEAR) >= 0.5
    return float((scaled & true).sum() / (scaled | true).sum())


def _of_kind(rows: list[dict[str, Any]]) -> dict[str, Any]:
    built = [row["built"] for row in rows]
    return {
        "products": len(rows),
        "cut_iou_least": round(min(row["cut"] for row in rows), 4),
        "built_iou_mean": round(float(np.mean(built)), 4),
        "built_iou_least": round(min(built), 4),
        "over_95": round(float(np.mean(np.array(built) > 0.95)), 3),
        "guesses": dict(Counter(row["guess"] for row in rows).most_common()),
    }


def _milliseconds(drawings: list[Drawing], library: Library) -> dict[str, float]:
    """Of one product, in this process: read back; made anew from its packshot; drawn without one."""
    from dataclasses import replace

    some = drawings[: 3 * len(SIZES)]
    root = library.catalog.root
    steps = {
        "read_back": lambda sku: library._load(sku),
        "made_anew": lambda sku: make_package(sku, root),
        "drawn_without": lambda sku: make_package(replace(sku, packshot=""), root),
    }
    times = {}
    for name, step in steps.items():
        start = time.perf_counter()
        for drawing in some:
            step(drawing.sku)
        times[name] = round((time.perf_counter() - start) / len(some) * 1000, 1)
    return times


def _print(console: Console, results: dict[str, Any]) -> None:
    table = Table(
        "kind", "cut-out IoU, least", "front IoU, mean", "least", "over 0.95", "guessed as", title="Packshots"
    )
    for kind, row in results["kinds"].items():
        guesses = ", ".join(f"{name} {count}" for name, count in row["guesses"].items())
        cells = [row["cut_iou_least"], row["built_iou_mean"], row["built_iou_least"], f"{row['over_95']:.0%}"]
        table.add_row(kind, *map(str, cells), guesses)
    console.print(table)
    console.print({name: value for name, value in results.items() if name != "kinds"})


if __name__ == "__main__":
    main()
