"""What hard mining prints, returns and shows on its page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from assets.files.atomic import write_atomic
from assets.pages.templates import open_templates
from pipeline.target.charts import data_url
from pipeline.tune.concentrations import Concentration
from pipeline.tune.conditions import CONDITIONS, THIRDS
from pipeline.tune.mining import HardScene, Mining

LISTED = 12
MISSED, MADE_UP = (220, 40, 40), (250, 190, 30)


@dataclass(frozen=True)
class MiningSummary:
    """What `synth tune --hard-mining --json` prints. out: None where no mix was written."""

    out: Path | None
    report: Path
    scenes: int
    products: int
    missed: int
    made_up: int
    variants: Sequence[str]
    shares: Sequence[float]
    ranges: Sequence[Concentration]
    skus: Sequence[Concentration]
    interrupted: bool
    notes: Sequence[str]


def summarize_mining(mining: Mining) -> MiningSummary:
    """Return the summary of hard mining."""
    return MiningSummary(
        out=mining.settings.out if mining.variants else None,
        report=mining.settings.report_path,
        scenes=mining.scenes,
        products=mining.products,
        missed=mining.missed,
        made_up=mining.made_up,
        variants=[f"{one.condition.key}: {one.after[0]:g} to {one.after[1]:g}" for one in mining.variants],
        shares=[one.share for one in mining.variants],
        ranges=mining.ranges,
        skus=mining.skus,
        interrupted=mining.interrupted,
        notes=mining.notes,
    )


def print_mining(console: Console, mining: Mining) -> None:
    """Print where the detector fails, and what was written."""
    for title, found in (("range", mining.ranges), ("SKU", mining.skus)):
        table = Table(box=None)
        for name in (title, "part", "scenes" if title == "range" else "products", "failures", "elsewhere", "p"):
            table.add_column(name, justify="left" if name in (title, "part") else "right")
        for one in found[:LISTED]:
            rates = f"{one.rate:.2f}", f"{one.elsewhere:.2f}"
            table.add_row(one.name, part_of(one), str(one.scenes), *rates, f"{one.p:.3f}")
        if found:
            console.print(table, highlight=False)
    lines = [
        f"{mining.scenes} scenes, {mining.products} products: {mining.missed} missed, {mining.made_up} boxes made up"
    ]
    if not mining.interrupted:
        wrote = [str(mining.settings.report_path), *([str(mining.settings.out)] if mining.variants else [])]
        lines += [*mining.notes, f"wrote {' and '.join(wrote)}"]
    for line in lines:
        console.print(line, highlight=False, markup=False)


def part_of(one: Concentration) -> str:
    """Return the part of a range in words: a third of what was drawn, or of what it decides; "" for a SKU."""
    if one.part < 0:
        return ""
    seen = next((condition.seen for condition in CONDITIONS if condition.key == one.name), "")
    return f"{THIRDS[one.part]} third" + (f" of {seen}" if seen else "")


def write_mining_page(mining: Mining, path: Path) -> None:
    """Write the page of hard mining as one HTML file."""
    page = open_templates(__package__).get_template("mining.html.j2")
    content = page.render(
        mining=mining,
        examples=[data_url(_drawn(one)) for one in mining.examples],
        part_of=part_of,
        original=1 - sum(one.share for one in mining.variants),
        listed=LISTED,
    )
    write_atomic(path, content.encode())


def _drawn(scene: HardScene) -> NDArray[np.uint8]:
    """Return a scene with missed products in red and made-up boxes in yellow."""
    import cv2

    pixels = scene.pixels.copy()
    for boxes, color in ((scene.missed, MISSED), (scene.made_up, MADE_UP)):
        for left, top, right, bottom in boxes.round().astype(int).tolist():
            cv2.rectangle(pixels, (left, top), (right, bottom), color, max(round(pixels.shape[1] / 200), 1))
    return pixels
