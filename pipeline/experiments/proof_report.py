"""The report of a proof: one page that says what was reached and what to do next, a table and a JSON file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from assets.files.atomic import write_atomic
from assets.files.image_input import open_image
from assets.pages.templates import open_templates
from assets.plurals import counts_of
from dataset.coco_reader import read_content
from dataset.find import find_splits
from detectors.evaluate.metrics.bootstrap import Interval
from detectors.evaluate.report import json_text
from pipeline.experiments.advice import next_steps
from pipeline.experiments.curve_report import range_text, value_text
from pipeline.experiments.proof import DETECTOR, GAP_PAGE, Proof, RefusedMethod
from pipeline.target.charts import data_url

FILE, PAGE = "proof.json", "proof.html"
SHOWN = 6


@dataclass(frozen=True)
class ProofRow:
    """A detector in numbers. finding: AP50 of all classes as one. naming: share of found products named rightly."""

    name: str
    run: Path
    ap: Interval
    ap50: float
    finding: float
    naming: float
    gain: Interval | None


@dataclass(frozen=True)
class ProofSummary:
    """What `synth prove --json` prints. detector: the one to use, None before it is trained."""

    out: Path
    page: Path
    synthetic: Path
    detector: Path | None
    photos: int
    judged_photos: int
    judged_groups: int
    rows: Sequence[ProofRow]
    refused: Sequence[RefusedMethod]
    gap: float | None
    next: Sequence[str]
    finished: bool


def summarize_proof(proof: Proof) -> ProofSummary:
    """Return all numbers of a proof."""
    rows = [
        ProofRow(
            one.name,
            one.run,
            one.ap,
            one.report.coco["AP50"],
            one.report.finding.ap50,
            one.report.finding.naming,
            one.gain,
        )
        for one in proof.detectors
    ]
    chosen, truth = proof.chosen, proof.photos.truth
    return ProofSummary(
        out=proof.settings.out,
        page=proof.settings.out / PAGE,
        synthetic=proof.synthetic,
        detector=proof.settings.out / DETECTOR if chosen else None,
        photos=len(proof.photos.pool),
        judged_photos=len(truth),
        judged_groups=len(set(truth.groups.tolist())),
        rows=rows,
        refused=proof.refused,
        gap=proof.gap.total if proof.gap else None,
        next=next_steps(proof),
        finished=proof.finished,
    )


def write_proof(proof: Proof, summary: ProofSummary) -> None:
    """Write proof.json and proof.html into the folder of the proof."""
    content = asdict(summary)
    paths = {name: str(value) for name, value in content.items() if isinstance(value, Path)}
    rows = [{**row, "run": str(row["run"])} for row in content["rows"]]
    write_atomic(summary.out / FILE, json_text({**content, **paths, "rows": rows}).encode())
    page = (
        open_templates(__package__)
        .get_template("proof.html.j2")
        .render(
            summary=summary,
            judged=judged_text(summary),
            photos=_strip(_photo_files(proof)),
            renders=_strip(_render_files(proof)),
            gap_page=GAP_PAGE if proof.gap else "",
            value=value_text,
            range=range_text,
        )
    )
    write_atomic(summary.page, page.encode())


def print_proof(console: Console, summary: ProofSummary) -> None:
    """Print the table of detectors and what to do next."""
    table = Table(title=f"judged on {judged_text(summary)}", title_justify="left", box=None, padding=(0, 2, 0, 0))
    for name in ("trained on", "AP", "95 %", "AP50", "finding", "naming", "gain of AP", "95 %"):
        table.add_column(name, justify="left" if name in ("trained on", "95 %") else "right", no_wrap=True)
    for row in summary.rows:
        gain = (f"{row.gain.value:+.3f}", range_text(row.gain)) if row.gain else ("", "")
        numbers = (value_text(row.ap50), value_text(row.finding), value_text(row.naming))
        table.add_row(row.name, value_text(row.ap.value), range_text(row.ap), *numbers, *gain)
    console.print(table, highlight=False)
    for one in summary.refused:
        console.print(f"not used: {one.name}: {one.reason}", highlight=False, markup=False)
    console.print("next:", highlight=False)
    for number, step in enumerate(summary.next, start=1):
        console.print(f"{number}. {step}", highlight=False, markup=False)
    console.print(f"wrote {summary.page} and {summary.out / FILE}", highlight=False, markup=False)


def judged_text(summary: ProofSummary) -> str:
    """Return on how many photos detectors were judged."""
    return f"{counts_of(photo=summary.judged_photos, group=summary.judged_groups)} that taught nothing"


def _photo_files(proof: Proof) -> list[Path]:
    return [proof.photos.truth.path(index) for index in range(len(proof.photos.truth))]


def _render_files(proof: Proof) -> list[Path]:
    """Return images of the synthetic set, none where it is in shards."""
    if not proof.synthetic.exists():
        return []
    splits = find_splits(proof.synthetic)
    names = [(split.images, image.file_name) for split in splits[:1] for image in read_content(split.file).images]
    return [folder / name for folder, name in names if name is not None]


def _strip(files: Sequence[Path]) -> list[str]:
    """Return some of the images, evenly chosen, as data URLs."""
    count = min(SHOWN, len(files))
    return [data_url(_pixels(files[number * len(files) // count])) for number in range(count)]


def _pixels(file: Path) -> NDArray[np.uint8]:
    with open_image(file, str(file), "the image") as image:
        return np.array(image.convert("RGB"))
