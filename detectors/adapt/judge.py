"""The judgement of an adaptation: the run that it began with, the method, and a run with labels, on the same photos."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Protocol

from rich.console import Console
from rich.table import Table

from assets.files.atomic import write_atomic
from assets.plurals import counts_of
from assets.progress import StepProgress
from detectors.adapt.held_back import JUDGED_SPLITS, SeenSettings
from detectors.checkpoints.detector import Checkpoint, load_checkpoint
from detectors.data.image_set import ImageSet, Predictions
from detectors.data.mix import TrainingStream, stream
from detectors.data.prepare import read_one
from detectors.evaluate.metrics.bootstrap import RESAMPLES, Interval
from detectors.evaluate.metrics.compare import Comparison, compare
from detectors.evaluate.page.about import About
from detectors.evaluate.page.write import write_comparison
from detectors.evaluate.print_report import number_text
from detectors.evaluate.report import Report, evaluate, json_text
from detectors.evaluate.run import find_products, named_as
from detectors.training.summary import TrainSummary

SOURCE, ORACLE = "source only", "oracle"
FILE, PAGE = "judged.json", "judged"
NO_ORACLE = "no --oracle: train one on labels of real photos, e.g. synth adapt RUN --real PHOTOS --out ORACLE"
# The augmentation that a fair baseline is trained with: without it a method is credited with what that gives.
FAIR = "strong"


class JudgeSettings(SeenSettings, Protocol):
    """The settings of an adaptation that its judgement needs."""

    @property
    def judge(self) -> Path | None: ...
    @property
    def method(self) -> str: ...
    @property
    def out(self) -> Path: ...
    @property
    def seed(self) -> int: ...
    @property
    def workers(self) -> int | None: ...
    @property
    def device(self) -> str: ...


@dataclass(frozen=True)
class JudgedRow:
    """One detector on the photos that were held back.

    ap, ap50: with their 95 % intervals. gain, gain50: differences to the source, from resamples that both share; None
    for the source itself. closed: the share of the distance from the source to the oracle; nan where it is not defined.
    """

    name: str
    run: str
    ap: Interval
    ap50: Interval
    gain: Interval | None = None
    gain50: Interval | None = None
    closed: float = math.nan


@dataclass(frozen=True)
class Judged:
    """The comparison at the end of an adaptation. notes: what has to be known to read it."""

    data: str
    images: int
    groups: int
    boxes: int
    rows: tuple[JudgedRow, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class AdaptSummary(TrainSummary):
    """The summary of an adaptation. judged: the comparison on photos that were held back, if asked for."""

    judged: Judged | None = None


@dataclass(frozen=True)
class _Found:
    """What one detector finds. truth: labelled by its classes."""

    name: str
    run: Path
    truth: ImageSet
    found: Predictions
    report: Report


def judge_runs(settings: JudgeSettings, console: Console) -> Judged:
    """Compare the run, the adapted detector and the oracle on the photos to judge on.

    Prints the table, and writes it into the run's folder as `judged.json` and as a page.
    """
    assert settings.judge is not None
    print_line = partial(console.print, highlight=False, markup=False)
    options = replace(settings.data, synthetic=(), real=None, val=None)
    photos = read_one(settings.judge, "judge", options, splits=JUDGED_SPLITS, print_line=print_line)
    runs = {SOURCE: settings.run, settings.method: settings.out}
    runs |= {ORACLE: settings.oracle} if settings.oracle is not None else {}
    loaded = {name: load_checkpoint(run) for name, run in runs.items()}
    found = [_find(name, runs[name], one, photos, settings, console) for name, one in loaded.items()]
    first, *others = found
    changes = [_compared(first, other, settings) for other in others]
    judged = Judged(
        str(settings.judge),
        len(photos),
        first.report.groups,
        first.report.boxes,
        (_row(first), *_rows(others, changes, first)),
        (*_notes(loaded, settings), *_doubts(changes)),
    )
    write_atomic(settings.out / FILE, json_text(asdict(judged)).encode())
    page = _write_page(found, changes, settings)
    print_judged(console, judged)
    print_line(f"judged: {settings.out / FILE}, {page}")
    return judged


def _find(
    name: str, run: Path, checkpoint: Checkpoint, photos: ImageSet, settings: JudgeSettings, console: Console
) -> _Found:
    truth = named_as(checkpoint.classes, photos, console)
    with StepProgress(console, f"judging {name}", total=len(truth), unit="photos") as progress:
        found = find_products(
            checkpoint, truth, device=settings.device, workers=settings.workers, advance=progress.count
        )
    rng = stream(settings.seed, TrainingStream.BOOTSTRAP)
    return _Found(
        name, run, truth, found, evaluate(truth, found, threshold=checkpoint.threshold, rng=rng, resamples=RESAMPLES)
    )


def _compared(first: _Found, other: _Found, settings: JudgeSettings) -> Comparison:
    rng = stream(settings.seed, TrainingStream.BOOTSTRAP, 1)
    return compare(first.truth, first.found, other.found, rng=rng, names=(first.name, other.name), resamples=RESAMPLES)


def _row(one: _Found) -> JudgedRow:
    intervals = one.report.intervals
    return JudgedRow(one.name, str(one.run), intervals["AP"], intervals["AP50"])


def _rows(others: Sequence[_Found], changes: Sequence[Comparison], first: _Found) -> list[JudgedRow]:
    """Return the rows of detectors beside the source. The distance is that of AP."""
    gains = {other.name: change.ap.value for other, change in zip(others, changes, strict=True)}
    whole = gains.get(ORACLE, math.nan)
    return [
        replace(
            _row(other),
            gain=change.ap,
            gain50=change.ap50,
            closed=gains[other.name] / whole if whole > 0 else math.nan,
        )
        for other, change in zip(others, changes, strict=True)
    ]


def _notes(loaded: dict[str, Checkpoint], settings: JudgeSettings) -> tuple[str, ...]:
    """Return what has to be known to read the table."""
    notes = []
    augment = loaded[SOURCE].settings.value("augment")
    if augment != FAIR:
        how = f"was trained with --augment {augment}" if augment else "does not say how it was augmented"
        notes.append(f"{settings.run} {how}: a fair source is trained with --augment {FAIR}")
    if ORACLE not in loaded:
        notes.append(NO_ORACLE)
    elif loaded[ORACLE].settings.value("data") is not None and not _had_labels(loaded[ORACLE]):
        notes.append(f"{settings.oracle} was trained without labelled real photos: it is no oracle")
    return tuple(notes)


def _doubts(changes: Sequence[Comparison]) -> list[str]:
    """Return a note if the distance that is to be closed may be none."""
    oracles = [change for change in changes if change.second == ORACLE]
    unclear = [change for change in oracles if not change.ap.low > 0]
    return ["the oracle is not clearly better than the run: shares of the gap say little" for _ in unclear]


def _had_labels(oracle: Checkpoint) -> bool:
    data = oracle.settings.value("data")
    return isinstance(data, dict) and data.get("real") is not None


def _write_page(found: Sequence[_Found], changes: Sequence[Comparison], settings: JudgeSettings) -> Path:
    reports = {one.name: one.report for one in found}
    abouts = {one.name: About(one.name, str(settings.judge), facts=(("run", str(one.run)),)) for one in found}
    return write_comparison(reports, settings.out / PAGE, changes, abouts=abouts)


def print_judged(console: Console, judged: Judged) -> None:
    """Print the comparison as a table, with its notes."""
    photos = counts_of(photo=judged.images, group=judged.groups, box=judged.boxes)
    table = Table(title=f"on {photos} that were held back", title_justify="left", box=None, padding=(0, 2, 0, 0))
    for name in ("", "AP", "95 %", "AP50", "gain", "95 %", "closed"):
        table.add_column(name, justify="left" if name in ("", "95 %") else "right", no_wrap=True)
    for row in judged.rows:
        gain = _signed(row.gain.value) if row.gain else ""
        closed = "" if row.gain is None or row.name == ORACLE else _share(row.closed)
        values = (
            number_text(row.ap.value),
            _range(row.ap),
            number_text(row.ap50.value),
            gain,
            _range(row.gain),
            closed,
        )
        table.add_row(row.name, *values)
    if all(row.name != ORACLE for row in judged.rows):
        table.add_row(ORACLE, "–", "", "–", "", "", "–")
    table.caption = "gain: AP less that of the run; closed: share of the gap from the run to the oracle"
    table.caption_justify = "left"
    console.print(table, highlight=False)
    rough = next((row.gain.note for row in judged.rows if row.gain is not None and row.gain.note), None)
    for line in (*judged.notes, *([f"intervals: {rough}"] if rough else [])):
        console.print(line, highlight=False, markup=False)


def _signed(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:+.3f}"


def _share(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:.0%}"


def _range(interval: Interval | None) -> str:
    if interval is None:
        return ""
    return "–" if math.isnan(interval.low) else f"{interval.low:.3f} to {interval.high:.3f}"
