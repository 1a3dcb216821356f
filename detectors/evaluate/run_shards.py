"""`synth evaluate` on sharded data sets: any number of images and classes, shard by shard, resumable."""

from __future__ import annotations

import hashlib
import json
import math
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from torch.utils.data import Dataset

from assets.errors import SynthError
from assets.files.atomic import lock_folder, write_atomic
from assets.plurals import count_of, counts_of
from assets.progress import StepProgress
from dataset.chosen import ImageList, read_list
from dataset.problems import Problems
from dataset.storage.path import StoragePath
from dataset.tables import Column, write_table
from detectors.augment import Letterbox
from detectors.checkpoints.detector import Checkpoint, find_checkpoint, load_checkpoint, restore_model
from detectors.data.class_match import is_agnostic, labels_in
from detectors.data.image_set import Classes
from detectors.data.shard_prepare import keep_listed, open_shards, shards_digest
from detectors.data.shard_set import ShardSet
from detectors.device import loader_processes, pick_device
from detectors.evaluate.metrics.coco_numbers import NAMES, CocoRun
from detectors.evaluate.metrics.curves import OperatingPoint
from detectors.evaluate.metrics.evidence import Totals
from detectors.evaluate.metrics.stream import StreamedCoco
from detectors.evaluate.metrics.table import METRICS, Metric, measure_totals
from detectors.evaluate.report import coco_of, json_text
from detectors.evaluate.shard_truth import image_ids_of, read_found, read_truth, write_found
from detectors.models.detect import Detections, find_in_fitted, fit_image

if TYPE_CHECKING:
    from detectors.evaluate.settings import EvaluateSettings

LEFT_OUT = (
    "intervals, mistakes by kind, confusions, list accuracy, masks, corners, images and comparisons of runs need a set "
    "in memory: "
    "'synth data unpack' a split of some thousand images for them"
)


@dataclass(frozen=True)
class ShardReport:
    """A detector on a sharded set. metrics: nan where one is not defined. left_out: what is not told.

    unused: records of the labels that could not be used, in words.
    """

    name: str
    split: str
    images: int
    boxes: int
    ignored: int
    detections: int
    classes: int
    metrics: tuple[Metric, ...]
    operating: OperatingPoint
    unused: tuple[str, ...]
    left_out: str = LEFT_OUT

    @property
    def coco(self) -> dict[str, float]:
        """The twelve COCO numbers by name."""
        return coco_of(self.metrics)

    def to_json(self) -> str:
        """The report as JSON; what is not defined is null."""
        return json_text({**asdict(self), "coco": self.coco})


def evaluate_location(
    name: str,
    run: Path,
    location: StoragePath,
    folder: Path,
    splits: Sequence[str],
    settings: EvaluateSettings,
    console: Console,
) -> ShardReport:
    """What the detector of `run` is worth on the shards at `location`; the same call again goes on.

    Writes report.json, classes.csv, classes.parquet and predictions/SHARD.json into `folder`. Raises SynthError where
    shards are damaged, labels cannot be used, or the folder holds results of something else.
    """
    checkpoint = load_checkpoint(run)
    problems = Problems(str(location))
    shards = open_shards(
        "data",
        location,
        splits,
        problems,
        cache_bytes=settings.cache_bytes,
        skip_bad=settings.skip_bad,
        boxes=settings.boxes,
    )
    listed = read_list(settings.only) if settings.only is not None else None
    if listed is not None:
        shards = keep_listed(shards, listed)
    category_ids, label_of, classes = _matched(checkpoint.classes, shards, console)
    given = settings.predictions
    if given is not None and not given.is_dir():
        hint = "give a folder with a COCO results file for each shard, such as predictions/ of an earlier evaluation"
        raise SynthError(
            "results for a sharded set must be a folder", code="folder-missing", where=str(given), hint=hint
        )
    results = folder / "predictions" if given is None else given
    with lock_folder(folder):
        if given is None:
            _claim(results, run, location, shards.shards[0].split, listed)
            _find_all(name, checkpoint, shards, category_ids, results, settings, console)
        threshold = checkpoint.display_threshold if settings.threshold is None else settings.threshold
        with tempfile.TemporaryDirectory(dir=folder, prefix=".") as spool:
            coco = StreamedCoco(Path(spool), len(classes), threshold=threshold)
            _match_all(coco, shards, classes, label_of, results, problems, console)
            if problems.bad and not settings.skip_bad:
                hint = "'synth verify' lists all of them; --skip-bad leaves such labels out"
                raise SynthError(
                    "invalid labels",
                    code="records-invalid",
                    where=str(location),
                    problems=problems.lines(),
                    hint=hint,
                )
            numbers = coco.finish()
        report = _report(name, shards, coco, numbers, problems)
        _write_classes(folder, classes, numbers, coco)
        write_atomic(folder / "report.json", report.to_json().encode())
    return report


def _matched(known: Classes, shards: ShardSet, console: Console) -> tuple[dict[int, int], dict[int, int], Classes]:
    """The detector's labels to category ids, where the set has them; category ids to labels; what these are."""
    if is_agnostic(known):
        text = f"the detector finds products without telling them apart: all {len(shards.own)} classes count as one"
        console.print(text, highlight=False)
        return {0: 1}, {1: 0}, known
    ids = {label: number for number, label in shards.own_label.items()}
    found = enumerate(labels_in(known, shards))
    category_ids = {label: ids[own] for own, label in found if label is not None}
    missing = len(shards.own) - len(category_ids)
    if missing == len(shards.own):
        raise SynthError(
            "no class of the data set is one of the detector's", code="classes-disjoint", where=str(shards.root)
        )
    if missing:
        text = f"{count_of(missing, 'class')} of the data set unknown to the detector: boxes of them count as missed"
        console.print(text, highlight=False)
    return category_ids, shards.own_label, shards.own


def _claim(results: Path, run: Path, location: StoragePath, split: str, listed: ImageList | None) -> None:
    """Makes the folder of results that of this detector on this set."""
    weights = hashlib.sha256(find_checkpoint(run).read_bytes()).hexdigest()
    identity = {"detector": weights, "data": shards_digest(location), "split": split}
    if listed is not None:
        identity["only"] = listed.digest
    text = json.dumps(identity, indent=1, sort_keys=True).encode() + b"\n"
    results.mkdir(parents=True, exist_ok=True)
    file = results.parent / "predictions_of.json"
    if file.exists() and file.read_bytes() != text:
        hint = "give another --out, or delete the folder"
        raise SynthError(
            "the folder contains results of another detector or data set",
            code="settings-differ",
            where=str(results),
            hint=hint,
        )
    write_atomic(file, text)


class _ShardImages(Dataset[Any]):
    """The images of some shards, fitted into the network's size."""

    def __init__(self, shards: ShardSet, images: NDArray[np.int64], size: tuple[int, int]) -> None:
        self.shards, self.images, self.size = shards, images, size

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, place: int) -> tuple[NDArray[np.uint8], Letterbox, int] | SynthError:
        try:
            image, box = fit_image(self.shards.read_image(int(self.images[place])), *self.size)
        except SynthError as error:
            # Handed on as a value: torch would wrap the traceback of the worker around its text.
            return error
        return image, box, place


def _find_all(
    name: str,
    checkpoint: Checkpoint,
    shards: ShardSet,
    category_ids: dict[int, int],
    results: Path,
    settings: EvaluateSettings,
    console: Console,
) -> None:
    """Runs the detector over the shards that have no results yet; each shard's appear whole."""
    there = {path.stem for path in results.glob("*.json")}
    missing = [place for place, entry in enumerate(shards.shards) if entry.name not in there]
    images = np.concatenate(
        [np.arange(shards.first[s], shards.first[s + 1]) for s in missing] or [np.zeros(0, np.int64)]
    )
    if not len(missing):
        return
    model = restore_model(checkpoint).to(pick_device(settings.device))
    workers = settings.workers if settings.workers is not None else loader_processes()
    fitted = _ShardImages(shards, images, (checkpoint.spec.width, checkpoint.spec.height))
    found = find_in_fitted(model, fitted, workers=workers) if len(images) else iter(())
    done = len(shards) - len(images)
    with StepProgress(console, f"{name} looking", total=len(shards), done=done, unit="images") as progress:
        for place in missing:
            entry = shards.shards[place]
            ids = image_ids_of(shards, place)
            write_found(results / f"{entry.name}.json", ids, _take(found, len(ids)), category_ids)
            progress.count(len(ids))


def _take(found: Iterator[tuple[int, Detections]], count: int) -> list[Detections]:
    return [next(found)[1] for _ in range(count)]


def _match_all(
    coco: StreamedCoco,
    shards: ShardSet,
    classes: Classes,
    label_of: dict[int, int],
    results: Path,
    problems: Problems,
    console: Console,
) -> None:
    with StepProgress(console, "comparing", total=len(shards), unit="images") as progress:
        for place, entry in enumerate(shards.shards):
            truth = read_truth(shards, place, problems)
            truth = truth.relabelled(classes) if classes is not shards.own else truth
            some, file = shards.kept is not None, results / f"{entry.name}.json"
            coco.add(truth, read_found(file, truth, label_of, classes, some=some))
            progress.count(len(truth))


def _report(name: str, shards: ShardSet, coco: StreamedCoco, numbers: CocoRun, problems: Problems) -> ShardReport:
    operating = coco.operating()
    return ShardReport(
        name=name,
        split=shards.shards[0].split,
        images=coco.images,
        boxes=int(coco.boxes[0].sum()),
        ignored=coco.ignored,
        detections=coco.detections,
        classes=len(numbers.labels),
        metrics=measure_totals(Totals(numbers.numbers(), operating), METRICS),
        operating=operating,
        unused=tuple(problems.lines()),
    )


def _write_classes(folder: Path, classes: Classes, numbers: CocoRun, coco: StreamedCoco) -> None:
    """A row for each class that occurs, as CSV and as Parquet."""
    labels = numbers.labels
    columns: dict[str, Column] = {
        "sku": [classes.keys[label] for label in labels],
        "name": [classes.names[label] for label in labels],
        "boxes": numbers.boxes,
        "found": (coco.found[labels] / np.maximum(numbers.boxes, 1)).round(6),
    }
    columns |= {name: values.round(6) for name, values in zip(NAMES, numbers.values, strict=True)}
    for suffix in ("csv", "parquet"):
        write_table(folder / f"classes.{suffix}", columns)


def print_shard_report(console: Console, report: ShardReport) -> None:
    """The numbers on the console, and what is not told."""
    counts = (
        f"{counts_of(image=report.images, box=report.boxes, spec=',')} of {count_of(report.classes, 'class', spec=',')}"
    )
    console.print(
        f"{report.name}: {counts}, {count_of(report.detections, 'detection', spec=',')}", highlight=False, markup=False
    )
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for name in ("", "value"):
        table.add_column(name, justify="right" if name else "left")
    rows = [(metric.name, metric.value) for metric in report.metrics]
    rows += [("threshold", report.operating.threshold), ("best threshold", report.operating.best_threshold)]
    for name, value in rows:
        table.add_row(name, "–" if math.isnan(value) else f"{value:.4f}")
    console.print(table, highlight=False)
    for line in report.unused:
        console.print(line, highlight=False, markup=False)
    console.print(f"left out: {report.left_out}", highlight=False, markup=False)
