"""`synth evaluate`: trained detectors over labelled photos, to reports, pages and COCO results."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from functools import partial
from pathlib import Path
from urllib.parse import quote

from rich.console import Console

from assets.errors import SynthError
from assets.files.atomic import write_atomic
from assets.plurals import count_of
from assets.progress import StepProgress
from dataset.find import find_coco_file
from dataset.storage.path import StoragePath
from detectors.checkpoints.detector import Checkpoint, find_checkpoint, load_checkpoint, restore_model
from detectors.data.class_match import is_agnostic, rename_classes
from detectors.data.image_set import Classes, ImageSet, Predictions
from detectors.data.mix import TrainingStream, stream
from detectors.data.prepare import read_one
from detectors.data.settings import DataSettings
from detectors.data.shard_prepare import shards_at
from detectors.device import loader_processes, pick_device
from detectors.evaluate.metrics.compare import Comparison, compare
from detectors.evaluate.page.about import About, about_run
from detectors.evaluate.page.write import write_comparison, write_page
from detectors.evaluate.print_report import print_report
from detectors.evaluate.report import Report, evaluate
from detectors.evaluate.results import read_results, write_results
from detectors.evaluate.run_shards import ShardReport, evaluate_location, print_shard_report
from detectors.evaluate.settings import EvaluateSettings
from detectors.models.detect import find_in_set

SPLITS = ("test", "val", "train")


@dataclass(frozen=True)
class _Judged:
    """One run on one data set. checkpoint: without its weights."""

    run: str
    checkpoint: Checkpoint
    truth: ImageSet
    found: Predictions
    report: Report


def evaluate_runs(
    settings: EvaluateSettings, console: Console, *, today: date | None = None
) -> dict[str, Report | ShardReport]:
    """Reports by "run" or, on several data sets, by "run on data"; pages and files in the output folder.

    Sharded sets get a shorter report of their own there. today: the day that the pages bear (UTC, default now); no
    other file has a date.
    """
    today = today or datetime.now(UTC).date()
    runs = _names(settings.runs)
    plain, sharded = _evaluate_sharded(runs, settings, console)
    if not plain:
        return {**sharded}
    sets = [_read(path, name, settings, console) for name, path in plain.items()]
    judged = [_judge(name, path, truth, settings, console) for name, path in runs.items() for truth in sets]
    out = settings.out or _default_folder(settings)
    reports: dict[str, Report] = {}
    abouts: dict[str, About] = {}
    pages: dict[str, str] = {}
    for one in judged:
        label = one.run if len(sets) == 1 else f"{one.run} on {one.truth.name}"
        folder = out if len(judged) == 1 else out / label.replace("/", "_")
        folder.mkdir(parents=True, exist_ok=True)
        reports[label] = one.report
        write_atomic(folder / "report.json", one.report.to_json().encode())
        write_results(folder / "predictions.json", one.found, one.truth, _ids(one.truth, one.found.classes))
        about = _about(one, runs[one.run], plain[one.truth.name], settings, today)
        page = write_page(one.report, folder, one.truth, one.found, about=about(folder))
        abouts[label], pages[label] = about(out), quote(page.relative_to(out).as_posix())
        console.print(f"── {label} ──", highlight=False, markup=False)
        print_report(console, one.report)
        console.print(f"page: {page}", highlight=False, markup=False)
    if len(judged) > 1:
        comparisons = _comparisons(judged, runs, settings)
        page = write_comparison(reports, out, comparisons, abouts=abouts, pages=pages)
        console.print(f"side by side: {page}", highlight=False, markup=False)
    return {**sharded, **reports}


def _about(one: _Judged, run: Path, data: Path, settings: EvaluateSettings, today: date) -> Callable[[Path], About]:
    """The head of a page about this, for the folder that the page lies in."""
    labels = find_coco_file(data, (settings.split,) if settings.split else SPLITS)
    return partial(about_run, one.run, find_checkpoint(run), one.checkpoint, labels, today=today)


def _evaluate_sharded(
    runs: dict[str, Path], settings: EvaluateSettings, console: Console
) -> tuple[dict[str, Path], dict[str, ShardReport]]:
    """Evaluates every run on every sharded set; returns the other sets by their names, and the reports."""
    reports: dict[str, ShardReport] = {}
    local = tuple(path for path in settings.data if isinstance(path, Path))
    elsewhere = {
        location.url.rstrip("/").rsplit("/", 1)[-1]: location
        for location in settings.data
        if isinstance(location, StoragePath)
    }
    locations: dict[str, StoragePath] = {}
    plain: dict[str, Path] = {}
    for name, path in (_names(local) | elsewhere).items():
        location = shards_at(path)
        if location is not None:
            locations[name] = location
        elif isinstance(path, Path):
            plain[name] = path
    out = settings.out or _default_folder(settings)
    many = len(runs) * (len(locations) + len(plain)) > 1
    for run, checkpoint in runs.items():
        for name, location in locations.items():
            label = f"{run} on {name}"
            folder = out / label if many else out
            splits = (settings.split,) if settings.split else SPLITS
            console.print(f"── {label} ──", highlight=False, markup=False)
            reports[label] = evaluate_location(label, checkpoint, location, folder, splits, settings, console)
            print_shard_report(console, reports[label])
            console.print(f"report: {folder / 'report.json'}", highlight=False, markup=False)
    return plain, reports


def _names(paths: Sequence[Path]) -> dict[str, Path]:
    """A short name of its own for each path."""
    stems = [path.resolve().stem if path.is_file() else path.resolve().name for path in paths]
    if len(set(stems)) < len(stems):
        stems = [f"{path.resolve().parent.name}-{stem}" for path, stem in zip(paths, stems, strict=True)]
    if len(set(stems)) < len(stems):
        raise SynthError(
            "an input was given twice", code="input-duplicate", found=", ".join(str(path) for path in paths)
        )
    return dict(zip(stems, paths, strict=True))


def _default_folder(settings: EvaluateSettings) -> Path:
    run = settings.runs[0]
    home = run if run.is_dir() else run.parent
    return home / "evaluation" if len(settings.runs) == 1 else home.parent / "comparison"


def _read(path: Path, name: str, settings: EvaluateSettings, console: Console) -> ImageSet:
    print_line = partial(console.print, highlight=False, markup=False)
    options = DataSettings(
        images=settings.images,
        group_key=settings.group_key,
        boxes=settings.boxes,
        skip_bad=settings.skip_bad,
        only=settings.only,
    )
    return read_one(path, name, options, splits=(settings.split,) if settings.split else SPLITS, print_line=print_line)


def _judge(name: str, run: Path, truth: ImageSet, settings: EvaluateSettings, console: Console) -> _Judged:
    checkpoint = load_checkpoint(run)
    _note_boxes(checkpoint, settings, console)
    truth = named_as(checkpoint.classes, truth, console)
    if settings.predictions is not None:
        ids, some = _ids(truth, checkpoint.classes), settings.only is not None
        found = read_results(settings.predictions, truth, ids, some=some)
        if found.masks is not None:
            found = replace(found, pixelwise=hasattr(restore_model(checkpoint), "segment"))
    else:
        found = _find(name, checkpoint, truth, settings, console)
    threshold = settings.threshold if settings.threshold is not None else checkpoint.threshold
    rng = stream(settings.seed, TrainingStream.BOOTSTRAP)
    report = evaluate(truth, found, threshold=threshold, rng=rng)
    return _Judged(name, replace(checkpoint, weights={}, training={}), truth, found, report)


def _note_boxes(checkpoint: Checkpoint, settings: EvaluateSettings, console: Console) -> None:
    """Say it where a detector has learned other boxes than those it is judged by."""
    learned = (checkpoint.settings.value("data") or {}).get("boxes", "visible")
    if learned != settings.boxes:
        text = f"the detector has learned {learned} boxes and is judged by {settings.boxes} ones (--boxes)"
        console.print(text, highlight=False, markup=False)


def named_as(classes: Classes, truth: ImageSet, console: Console) -> ImageSet:
    """The truth with the detector's keys for the classes that both have; the others are said."""
    if is_agnostic(classes):
        return _without_classes(classes, truth, console)
    renamed = replace(truth, classes=rename_classes(truth, classes))
    unknown = [key for key in renamed.classes.keys if key not in classes.keys]
    if len(unknown) == len(renamed.classes):
        raise SynthError(
            f"no class of {truth.name} is one of the detector's",
            code="classes-disjoint",
            found=", ".join(unknown[:5]),
            expected=", ".join(classes.keys[:5]),
            hint="classes are matched by sku, else by name",
        )
    if unknown:
        text = f"{count_of(len(unknown), 'class')} of {truth.name} unknown to the detector, their boxes are missed: "
        console.print(text + ", ".join(unknown[:10]), highlight=False, markup=False)
    return renamed


def _without_classes(classes: Classes, truth: ImageSet, console: Console) -> ImageSet:
    """The truth of a detector that tells no products apart: one class, category 1."""
    if not is_agnostic(truth.classes):
        text = f"the detector finds products without telling them apart: all {len(truth.classes)} classes of "
        console.print(f"{text}{truth.name} count as {classes.keys[0]}", highlight=False, markup=False)
    return replace(truth.relabelled(classes), category_ids=(1,))


def _find(
    name: str, checkpoint: Checkpoint, truth: ImageSet, settings: EvaluateSettings, console: Console
) -> Predictions:
    progress = StepProgress(console, f"{name} on {truth.name}", total=len(truth), unit="images")
    with progress:
        return find_products(
            checkpoint,
            truth,
            device=settings.device,
            workers=settings.workers,
            masks=not truth.missing_masks,
            advance=progress.count,
        )


def find_products(
    checkpoint: Checkpoint,
    truth: ImageSet,
    *,
    device: str,
    workers: int | None,
    masks: bool = False,
    advance: Callable[[int], None] = lambda count: None,
) -> Predictions:
    """Run the detector of a checkpoint on images. workers: None for as many as cores. advance: called per image.

    masks: whether to keep masks, where it finds any.
    """
    model = restore_model(checkpoint).to(pick_device(device))
    readers = workers if workers is not None else loader_processes()
    size = (checkpoint.spec.width, checkpoint.spec.height)
    return find_in_set(model, truth, checkpoint.classes, size, workers=readers, masks=masks, advance=advance)


def _ids(truth: ImageSet, classes: Classes) -> dict[str, int]:
    """Category ids of COCO results: those of the data set's own file; classes that it lacks get ids behind them."""
    ids = dict(zip(truth.classes.keys, truth.category_ids, strict=True))
    further = [key for key in classes.keys if key not in ids]
    return ids | {key: max(ids.values()) + number for number, key in enumerate(further, start=1)}


def _comparisons(judged: list[_Judged], runs: dict[str, Path], settings: EvaluateSettings) -> list[Comparison]:
    """Every further run against the first, on each data set."""
    first = next(iter(runs))
    by_set: dict[str, dict[str, _Judged]] = {}
    for one in judged:
        by_set.setdefault(one.truth.name, {})[one.run] = one
    found = []
    for of_set in by_set.values():
        base = of_set[first]
        for name, other in of_set.items():
            # Finding products and telling them apart are two tasks: their difference means nothing.
            if name != first and is_agnostic(base.found.classes) == is_agnostic(other.found.classes):
                rng = stream(settings.seed, TrainingStream.BOOTSTRAP, 1)
                found.append(compare(base.truth, base.found, other.found, rng=rng, names=(first, name)))
    return found
