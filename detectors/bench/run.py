"""`synth bench`: train, judge and time detectors one after another, each in processes of its own; resumable."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from rich.console import Console

from assets.errors import SynthError
from assets.files.atomic import lock_folder, write_atomic
from assets.interrupt import stop_on_signals
from assets.progress import StepProgress
from detectors.bench.describe import describe_all
from detectors.bench.processes import Ending, run_process
from detectors.bench.rows import FILE, PlannedRow, RowRecord, Status, plan_rows, read_row, write_row
from detectors.bench.settings import BenchSettings
from detectors.bench.work import data_settings, measure_row, train_row
from detectors.data.prepare import TrainingData, prepare_training
from detectors.training.run_folder import check_empty, check_settings
from detectors.training.setup import fitting_size

ROWS, LOGS, LOG = "rows", "logs", "log.txt"
# Longer side of the input without --sizes: the same for all detectors that take any.
LONG_SIDE = 640
KEPT = "rows that are done are kept: the same command goes on"
# What breaks; any other mistake says that a detector cannot be used here, or lacks something in the data.
BROKEN = (
    *("row-crashed", "row-killed", "row-silent", "out-of-memory", "loss-not-finite", "io-failed"),
    *("plugin-failed", "plugin-incomplete", "download-failed"),
)
Run = Callable[..., Ending]


@dataclass(frozen=True)
class BenchResult:
    """The rows of a comparison that have ended, in the order of the plan, then those of earlier calls.

    planned: how many there are to be.
    """

    settings: BenchSettings
    rows: tuple[RowRecord, ...]
    planned: int

    @property
    def finished(self) -> bool:
        return len(self.rows) == self.planned


class _AnySize:
    """A detector that takes images of any size."""

    FIXED_SIZE, LONG_SIDE = None, LONG_SIDE


def run_bench(settings: BenchSettings, console: Console, *, run: Run = run_process) -> BenchResult:
    """Make the rows of a comparison that are not there, and return all that have ended.

    run: starts a process and waits for it. Raises SynthError for bad data and settings before anything is trained.
    """
    _claim(settings)
    with lock_folder(settings.out), stop_on_signals(KEPT, step="the step of the row") as stop:
        ends = _stopping(stop, settings.minutes_in_all)
        data = _read_data(settings, console)
        facts = describe_all(settings.detectors, settings.out / LOGS, 60 * settings.silence)
        usual = settings.sizes or (fitting_size(_AnySize, data.sources[-1].sizes),)
        rows = plan_rows(facts, settings.backbones, usual, settings.proposals, named_sizes=bool(settings.sizes))
        _make_rows(settings, rows, console, ends, run)
    names = dict.fromkeys([*(row.name for row in rows), *_earlier(settings)])
    ended = [record for name in names if (record := read_row(settings.out / ROWS / name)) is not None]
    return BenchResult(settings, tuple(ended), len(names))


def _earlier(settings: BenchSettings) -> list[str]:
    """Return the names of rows that calls with other detectors and variations have made."""
    return sorted(file.parent.name for file in (settings.out / ROWS).glob(f"*/{FILE}"))


def _claim(settings: BenchSettings) -> None:
    """Record the settings in the folder of a comparison. Raises SynthError if it belongs to something else."""
    file = settings.out / "settings.json"
    with lock_folder(settings.out):
        if file.exists() and (settings.out / ROWS).exists():
            check_settings(settings, file, "a comparison")
        elif not file.exists():
            check_empty(settings.out, "comparison")
        write_atomic(file, settings.recorded().file())


def _stopping(stop: Callable[[], bool], minutes: float | None) -> Callable[[], bool]:
    """Return a function that says whether to stop: after a signal, or when the minutes are over."""
    end = time.monotonic() + 60 * minutes if minutes is not None else float("inf")
    return lambda: stop() or time.monotonic() > end


def _read_data(settings: BenchSettings, console: Console) -> TrainingData:
    """Read and check the data once, before the first row. Raises SynthError if there is nothing to judge by."""
    print_line = partial(console.print, highlight=False, markup=False)
    data = prepare_training(data_settings(settings), seed=settings.seed, print_line=print_line)
    if data.validation is None:
        raise SynthError(
            "the images are a single group: none can judge",
            code="groups-too-few",
            where=str(settings.data),
            hint="give other labelled photos with --judge, or images of several places (--group-key)",
        )
    return data


def _folder(settings: BenchSettings, row: PlannedRow) -> Path:
    return settings.out / ROWS / row.name


def _make_rows(
    settings: BenchSettings, rows: Sequence[PlannedRow], console: Console, stop: Callable[[], bool], run: Run
) -> None:
    left = [row for row in rows if _is_left(settings, row)]
    for row in left:
        if row.skipped:
            write_row(_folder(settings, row), _unmade(row, row.skipped, row.code))
    left = [row for row in left if not row.skipped]
    done = len(rows) - len(left)
    with StepProgress(console, "bench", total=len(rows), done=done, unit="rows") if left else nullcontext() as progress:
        for row in left:
            assert progress is not None
            if stop():
                return
            progress.print(f"{row.name}: log in {_folder(settings, row) / LOG}")
            record = _make_row(settings, row, stop, run)
            if record is None:
                return
            write_row(_folder(settings, row), record)
            progress.advance(f"{row.name}: {_ending_text(record)}", failed=record.status == "failed")


def _is_left(settings: BenchSettings, row: PlannedRow) -> bool:
    """Return whether a row has to be made; with --retry also if it has failed before."""
    record = read_row(_folder(settings, row))
    if record is None:
        return True
    if record.status == "done" or not settings.retry:
        return False
    (_folder(settings, row) / FILE).unlink()
    return True


def _make_row(settings: BenchSettings, row: PlannedRow, stop: Callable[[], bool], run: Run) -> RowRecord | None:
    """Train, judge and time; returns None if that was stopped."""
    folder = _folder(settings, row)
    start = partial(run, log=folder / LOG, silence_s=60 * settings.silence, stop=stop)
    for work in (train_row, measure_row):
        ending = start(work, settings, row, folder)
        if ending.kind == "stopped" or ending.result is False:
            return None
        if ending.kind != "finished":
            return _unmade(row, ending.reason, ending.code)
        if isinstance(ending.result, RowRecord):
            return ending.result
    return None


def _unmade(row: PlannedRow, reason: str, code: str) -> RowRecord:
    """Return the record of a row that does not fit, lacks something, or broke."""
    status: Status = "failed" if code in BROKEN else "skipped"
    return RowRecord(name=row.name, status=status, reason=reason, code=code, asked=row.detector)


def _ending_text(record: RowRecord) -> str:
    if record.status != "done" or record.times is None:
        return f"{record.status}, {record.reason}"
    return f"AP {record.ap:.3f}, {record.times.latency_ms:.0f} ms"
