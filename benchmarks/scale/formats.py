"""Rates of conversion into and out of each label format, and what comes back: counts, edges of boxes, masks.

    synth data sample SET SAMPLE --count 60
    python benchmarks/scale/formats.py SAMPLE

Seconds are of the processor, so that other work on the machine counts for little.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np
from rich.console import Console
from rich.table import Table

from dataset.formats import FORMATS, open_labels
from dataset.formats.files import mask_of
from dataset.records import AnnotationRecord, ImageLabels
from pipeline.shards.convert import convert_data
from pipeline.shards.settings import ConvertSettings


@dataclass(frozen=True)
class Row:
    """What was measured of a format. edge: largest distance of an edge of a box, pixels. overlap: least of a mask."""

    name: str
    written: float
    read: float
    others: int
    edge: float
    overlap: float


@click.command()
@click.argument("source", type=click.Path(exists=True, path_type=Path))
def main(source: Path) -> None:
    """Measure and print one table."""
    before = labels_of(source)
    table = Table("format", "written", "read", "images with other counts", "edge of a box", "IoU of a mask")
    with tempfile.TemporaryDirectory() as folder:
        for name in FORMATS:
            row = measure(source, Path(folder) / name, name, before)
            overlap = "-" if np.isnan(row.overlap) else f"{row.overlap:.3f}"
            rates = f"{row.written:.0f} images/s", f"{row.read:.0f} images/s"
            table.add_row(name, *rates, str(row.others), f"{row.edge:.2f} px", overlap)
    Console(width=120).print(table)


def labels_of(source: Path) -> list[ImageLabels]:
    """All labels of a set, in order."""
    return [labels for part in open_labels(source).parts for labels in part.labels()]


def measure(source: Path, out: Path, name: str, before: Sequence[ImageLabels]) -> Row:
    """Convert a set and read it again. before: its labels."""
    begun = time.process_time()
    convert_data(source, out, ConvertSettings(name), Console(quiet=True))
    between = time.process_time()
    after = labels_of(out)
    ended = time.process_time()
    others, edge, overlap = 0, 0.0, float("nan")
    for one, other in zip(before, after, strict=True):
        pair = [[record for record in labels.annotations if not record.ignored] for labels in (one, other)]
        others += len(pair[0]) != len(pair[1])
        for old, new in zip(*pair, strict=False):
            edge = max(edge, float(np.abs(edges(old) - edges(new)).max()))
            masks = mask_of(one.image, old), mask_of(other.image, new)
            if masks[0] is not None and masks[1] is not None:
                shared = float((masks[0] & masks[1]).sum() / (masks[0] | masks[1]).sum())
                overlap = min(shared, overlap) if overlap == overlap else shared
    count = len(before)
    return Row(name, count / (between - begun), count / (ended - between), others, edge, overlap)


def edges(record: AnnotationRecord) -> np.ndarray:
    """x1, y1, x2, y2 of a box."""
    box = np.array(record.bbox, float)
    return np.concatenate([box[:2], box[:2] + box[2:]])


if __name__ == "__main__":
    main()
