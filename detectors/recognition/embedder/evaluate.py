"""`synth embedder evaluate`: retrieve crops of one data set among those of another; print and write a report."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from torch import Tensor

from assets.errors import SynthError
from assets.files.atomic import write_atomic
from assets.plurals import count_of, counts_of
from assets.progress import StepProgress
from detectors.data.class_match import rename_classes
from detectors.data.image_set import Classes, ImageSet
from detectors.data.prepare import read_one
from detectors.data.settings import DataSettings
from detectors.device import loader_processes
from detectors.evaluate.metrics.table import MetricKind
from detectors.evaluate.print_report import metric_table, number_text
from detectors.evaluate.report import json_text
from detectors.recognition.embedder.checkpoint import load_embedder_checkpoint
from detectors.recognition.embedder.crop_store import Fitting, each_crop
from detectors.recognition.embedder.load import Embedder, load_embedder
from detectors.recognition.embedder.metrics import (
    MAIN,
    RETRIEVAL_METRICS,
    Retrieval,
    RetrievalEvidence,
    measure_retrieval,
)
from detectors.recognition.embedder.retrieval import (
    UNKNOWN,
    Ranking,
    SkuRow,
    by_sku,
    choose_threshold,
    confusions,
    rank_skus,
)
from detectors.recognition.embedder.sampling import check_any
from detectors.recognition.embedder.settings import CropChoice, EmbedderEvaluateSettings
from detectors.recognition.embedder.softmax import classify

SPLITS = ("train", "val", "test")
QUERY_SPLITS = ("test", "val", "train")
BATCH = 64
# Maximum number of printed table rows; the report has all.
SHOWN = 12


@dataclass(frozen=True)
class EmbedReport:
    """Results of an evaluation. keys: of the SKUs that rows and confusions refer to by index.

    confusions: (true SKU, named SKU, count).
    """

    embedder: str
    gallery: str
    queries: str
    numbers: Retrieval
    keys: tuple[str, ...]
    skus: tuple[SkuRow, ...]
    confusions: tuple[tuple[int, int, int], ...]

    def summary(self) -> dict[str, Any]:
        """Return the metrics as `--json` prints them; `top1` with its 95 % confidence interval."""
        parts, top1 = self.numbers.parts(), self.numbers.metric("top1")
        return {
            "embedder": self.embedder,
            "gallery": self.gallery,
            "queries": self.queries,
            "numbers": parts.pop(MAIN),
            "top1": top1.interval and asdict(top1.interval),
            **parts,
        }

    def to_json(self) -> str:
        """Return JSON with SKU keys instead of indices; undefined values are null."""

        def key(sku: int) -> str | None:
            return None if sku == UNKNOWN else self.keys[sku]

        rows = [{**asdict(row), "sku": key(row.sku), "taken_for": key(row.taken_for)} for row in self.skus]
        summary = self.summary()
        summary["at_threshold"] = summary.pop("at")
        content = {
            **summary,
            "metrics": [asdict(metric) for metric in self.numbers.metrics],
            "skus": rows,
            "confusions": [[key(true), key(named), times] for true, named, times in self.confusions],
        }
        return json_text(content)


def evaluate_embedder(
    settings: EmbedderEvaluateSettings, console: Console, *, metrics: Mapping[str, MetricKind] = RETRIEVAL_METRICS
) -> EmbedReport:
    """Embed both sets, compare all queries with all gallery crops, print tables and write report.json.

    metrics: RETRIEVAL_METRICS, with others beside them if need be. Raises SynthError if no query shows a SKU of the
    gallery.
    """
    embedder = load_embedder(settings.run, device=settings.device)
    gallery = _read(settings.gallery, "gallery", SPLITS, settings, console)
    views = CropChoice(settings.choice.least_side, settings.choice.least_visible, settings.views)
    vectors, labels, _ = _embed(embedder, gallery, views, settings, console)
    known = _Known(embedder, vectors, labels, gallery.classes)
    queries = _read(settings.queries, "queries", QUERY_SPLITS, settings, console)
    ranking, groups = _rank(known, queries, settings, console)
    if not ranking.known.any():
        raise SynthError(
            "no query shows a SKU of the gallery",
            code="classes-disjoint",
            found=", ".join(queries.classes.keys[:5]),
            expected=", ".join(gallery.classes.keys[:5]),
            hint="SKUs are matched by their key, else by name",
        )
    report = EmbedReport(
        embedder=embedder.fingerprint,
        gallery=str(settings.gallery),
        queries=str(settings.queries),
        numbers=measure_retrieval(
            RetrievalEvidence(ranking, _threshold(known, settings, console)),
            metrics,
            groups,
            skus=len(np.unique(labels)),
            views=len(labels),
            seed=settings.seed,
        ),
        keys=gallery.classes.keys,
        skus=tuple(by_sku(ranking)),
        confusions=tuple(confusions(ranking)),
    )
    home = settings.run if settings.run.is_dir() else settings.run.parent
    out = settings.out or home / "evaluation"
    out.mkdir(parents=True, exist_ok=True)
    write_atomic(out / "report.json", report.to_json().encode())
    print_report(console, report)
    console.print(f"report: {out / 'report.json'}", highlight=False, markup=False, soft_wrap=True)
    return report


def _read(
    path: Path, name: str, splits: tuple[str, ...], settings: EmbedderEvaluateSettings, console: Console
) -> ImageSet:
    print_line = partial(console.print, highlight=False, markup=False)
    options = DataSettings(images=settings.images, skip_bad=settings.skip_bad)
    return read_one(path, name, options, splits=splits, print_line=print_line)


def _embed(
    embedder: Embedder, images: ImageSet, choice: CropChoice, settings: EmbedderEvaluateSettings, console: Console
) -> tuple[NDArray[np.float32], NDArray[np.int32], NDArray[np.int32]]:
    """Embed the chosen boxes; returns their vectors, their labels and the groups of their images."""
    rows = choice.rows(images, seed=settings.seed)
    check_any(rows, images.name)
    workers = settings.workers if settings.workers is not None else loader_processes()
    with StepProgress(console, f"embedding {images.name}", total=len(rows), unit="crops") as progress:
        vectors = embed_boxes(embedder, images, rows, workers=workers, advance=progress.count)
    return vectors, images.labels[rows], images.groups[images.image_of_box()[rows]]


def embed_boxes(
    embedder: Embedder,
    images: ImageSet,
    rows: NDArray[np.int64],
    *,
    workers: int = 0,
    advance: Callable[[int], None] = lambda count: None,
) -> NDArray[np.float32]:
    """Embed the annotations at `rows` (ascending), cut as in recognition; returns (N, dim) vectors.

    Every image is read once. advance: called with the number of crops embedded since the last call. Raises SynthError
    if an image cannot be read, ValueError for unsorted rows.
    """
    vectors = np.empty((len(rows), embedder.dim), np.float32)
    done = 0
    for squares in _squares(embedder, images, rows, workers):
        vectors[done : done + len(squares)] = embedder.embed_squares(squares).cpu().numpy()
        done += len(squares)
        advance(len(squares))
    return vectors


def classify_boxes(
    embedder: Embedder, images: ImageSet, rows: NDArray[np.int64], head: dict[str, Tensor], *, workers: int = 0
) -> NDArray[np.int64]:
    """Return (N,) the class that a softmax classifier predicts for each annotation at `rows`. head: its weights."""
    head = {name: value.to(embedder.device) for name, value in head.items()}
    named = [
        classify(embedder.points(squares), head, most=1)[0][:, 0].cpu().numpy()
        for squares in _squares(embedder, images, rows, workers)
    ]
    return np.concatenate([np.zeros(0, np.int64), *named])


def _squares(embedder: Embedder, images: ImageSet, rows: NDArray[np.int64], workers: int) -> Iterator[Tensor]:
    """Yield batches of (B, side, side, 3) uint8 crops."""
    remaining = each_crop(images, rows, Fitting(embedder.side, embedder.margin), workers=workers)
    while some := list(islice(remaining, BATCH)):
        yield torch.from_numpy(np.stack(some))


@dataclass(frozen=True, eq=False)
class _Known:
    """The gallery for an evaluation. vectors: (N, dim) float32. labels: (N,) int32, index into classes."""

    embedder: Embedder
    vectors: NDArray[np.float32]
    labels: NDArray[np.int32]
    classes: Classes


def _rank(
    known: _Known, queries: ImageSet, settings: EmbedderEvaluateSettings, console: Console
) -> tuple[Ranking, NDArray[np.int32]]:
    """Rank the gallery's SKUs for all queries; also return the queries' groups, such as photos of one arrangement.

    Boxes of classes that the gallery lacks count as unknown products.
    """
    vectors, own, groups = _embed(known.embedder, queries, settings.choice, settings, console)
    place = {key: label for label, key in enumerate(known.classes.keys)}
    table = np.array([place.get(key, UNKNOWN) for key in rename_classes(queries, known.classes).keys], np.int64)
    return rank_skus(known.vectors, known.labels, vectors, table[own]), groups


def _threshold(known: _Known, settings: EmbedderEvaluateSettings, console: Console) -> float:
    """Return the threshold chosen on other data or in training, nan if there is none."""
    if settings.threshold_data is not None:
        held = _read(settings.threshold_data, "threshold", QUERY_SPLITS, settings, console)
        threshold = choose_threshold(_rank(known, held, settings, console)[0])
    else:
        threshold = load_embedder_checkpoint(settings.run).score.get("threshold", math.nan)
    return threshold if math.isfinite(threshold) else math.nan


def print_report(console: Console, report: EmbedReport) -> None:
    """Print the metrics and the weakest SKUs as tables."""
    numbers = report.numbers
    known = counts_of(SKU=numbers.skus, view=numbers.views)
    unknown = "each query's own SKU left out" if numbers.simulated else f"{numbers.unknown} crops of other products"
    console.print(f"{count_of(numbers.queries, 'crop')} of known SKUs against {known}", highlight=False)
    console.print(f"unknown products: {unknown}", highlight=False)
    table = metric_table(numbers.metrics, heads=False)
    if math.isfinite(numbers.threshold):
        table.add_row("threshold", number_text(numbers.threshold), "", "chosen on validation")
    console.print(table)
    _print_skus(console, report)


def _print_skus(console: Console, report: EmbedReport) -> None:
    weak = [row for row in report.skus if row.right < row.queries][:SHOWN]
    if not weak:
        return
    table = Table("SKU", "crops", "right", "taken for", title="weakest SKUs")
    for row in weak:
        taken = f"{report.keys[row.taken_for]} ({row.times})" if row.taken_for != UNKNOWN else ""
        table.add_row(report.keys[row.sku], str(row.queries), f"{row.right / row.queries:.0%}", taken)
    console.print(table)
