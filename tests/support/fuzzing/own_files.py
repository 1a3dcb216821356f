"""The files that commands write for themselves and read again: those of `bench`, `curve`, `gap`, `tune` and `view`.

Whoever is given such a folder by a stranger reads the stranger's files.
"""

from __future__ import annotations

import io
import json
import tempfile
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from hypothesis import strategies as st

from assets.console import PlainConsole
from assets.errors import SynthError
from assets.progress import Reporter, StepProgress
from detectors.bench.report import print_bench, summarize_bench
from detectors.bench.rows import RowRecord, read_row
from detectors.bench.run import BenchResult
from detectors.bench.settings import BenchSettings
from detectors.bench.table import table_csv
from detectors.bench.work import TrainingProgress, read_progress
from pipeline.experiments.curve import claim_experiment
from pipeline.experiments.settings import CurveSettings
from pipeline.experiments.trainings import PlannedTraining, TrainingRecord, TrainingRunner
from pipeline.gap.calibration import GapRow, add_row, calibrate, read_rows
from pipeline.gap.page import write_calibration
from pipeline.tune.journal import JournalFile, TrialRow, open_journal
from pipeline.tune.mining import FailuresFile, Miner, SceneRow
from pipeline.tune.search import importances, search
from pipeline.tune.settings import TuneSettings
from pipeline.tune.space import choose_space
from pipeline.view.build import build_view
from pipeline.view.settings import ViewSettings
from render.recipes import recipe_from_yaml
from render.recipes.parts import SceneRecipe
from support.evaluate_cases import bench_row
from support.fuzzing.files import ODD, Files, Sandbox, broken, changed_json, changed_words
from support.sets.coco_files import coco, write_set

NAMES = st.sampled_from(["../../up", "/etc/passwd", "a/b", ".", "..", "\x1b[2J", "[/b]", "<script>", "x" * 3000])
CALM = "recipe: scatter\nproducts: {count: 2, size: [0.25, 0.5]}\nsensor: {exposure_ev: [-1.5, 0.5]}"
IDENTITY = {"seed": "0"}


@cache
def _recipe() -> SceneRecipe:
    recipe = recipe_from_yaml(CALM, where="test")
    assert isinstance(recipe, SceneRecipe)
    return recipe


def _console() -> PlainConsole:
    return PlainConsole(file=io.StringIO(), width=200)


def _row() -> RowRecord:
    return bench_row("mine", 0.5, 3.0, backbone="resnet18", low=0.4, high=0.6, versions={"torch": "2.15"})


def _journal() -> JournalFile:
    names = list(choose_space(_recipe(), ("products.size", "sensor.exposure_ev"), ()).bounds())
    trials = [
        TrialRow(number=n, params=dict.fromkeys(names, 0.1 * n), state=state, value=value, steps=steps)
        for n, (state, value, steps) in enumerate(
            [("complete", 0.5, [0.7, 0.5]), ("failed", None, []), ("pruned", 0.9, [0.9])]
        )
    ]
    return JournalFile(identity=IDENTITY, keys=names, guess=dict.fromkeys(names, 0.5), trials=trials)


def _failures() -> FailuresFile:
    miner = _miner(Path())
    rows = [
        SceneRow(
            index=n,
            skus=["a", "b"],
            missed=[n % 2 == 0, False],
            made_up=n % 3,
            values=[float(n)] * (len(miner._conditions) - 1) + [None],
        )
        for n in range(17)
    ]
    return FailuresFile(identity=miner._identity("hash"), scenes=rows)


def _miner(folder: Path) -> Miner:
    settings = TuneSettings(
        recipe="x", sku_list=cast(Any, Path("skus.csv")), out=folder / "harder.yaml", hard_mining=folder, scenes=17
    )
    return Miner(settings, _recipe(), Reporter(_console()), cast(Any, None), None, "digest")


def _gaps() -> bytes:
    rows = [
        GapRow(name=f"r{n}", real="photos", measures={"objects": n / 9, "images": 1 - n / 5}, ap=n / 10)
        for n in range(5)
    ]
    return b"\n".join(json.dumps(row.model_dump()).encode() for row in rows)


def check_row(files: Files, box: Sandbox) -> None:
    """A row is shown in table and CSV."""
    path = box.write(files)
    record = read_row(path.parent)
    assert record is not None and record.name == "mine"
    result = BenchResult(BenchSettings(data=Path("data"), out=box.out), (record,), 1)
    console = _console()
    print_bench(console, result, box.out / "index.html")
    assert isinstance(console.file, io.StringIO) and "\x1b" not in console.file.getvalue()
    assert summarize_bench(result).done + summarize_bench(result).failed + summarize_bench(result).skipped == 1
    table_csv([record])


def check_progress(files: Files, box: Sandbox) -> None:
    """How far a row is."""
    read_progress(box.write(files).parent)


class _Flat:
    """A value that is the same everywhere."""

    def evaluate(self, recipe: SceneRecipe, is_hopeless: Callable[[int, float], bool]) -> tuple[list[float], bool]:
        return ([0.5], True) if is_hopeless(0, 0.5) else ([0.5, 0.4], False)


def check_journal(files: Files, box: Sandbox) -> None:
    """A search goes on from its trials."""
    journal = open_journal(box.write(files).parent, IDENTITY)
    assert journal is not None
    space = choose_space(_recipe(), ("products.size", "sensor.exposure_ev"), ())
    trials = len(journal.trials)
    with StepProgress(_console(), "", total=trials + 2) as progress:
        search(space, _Flat(), journal, budget=trials + 2, seed=0, until=lambda: False, progress=progress)
    importances(space, journal)


def check_failures(files: Files, box: Sandbox) -> None:
    """Where a detector fails follows from its scenes."""
    miner = _miner(box.write(files).parent)
    rows = miner.look(lambda first, count: (), cast(Any, None), "hash", lambda: False)
    mining = miner.summarize(rows, (), interrupted=False)
    assert 0 <= mining.missed <= mining.products


def check_training(files: Files, box: Sandbox) -> None:
    """A training of a curve is that which was planned."""
    path = box.write(files)
    settings = cast(Any, SimpleNamespace(out=path.parents[2]))
    runner = TrainingRunner(settings, cast(Any, None), Path(), cast(Any, None))
    assert runner.record(PlannedTraining("synthetic", (), 0)).kind == "synthetic"


def check_settings(files: Files, box: Sandbox) -> None:
    """A curve goes on with the settings that it was begun with."""
    claim_experiment(_curve(box.write(files).parent))


def check_gaps(files: Files, box: Sandbox) -> None:
    """A table of gaps is ranked, and takes one more."""
    path = box.write(files)
    calibration = calibrate(read_rows([path]))
    write_calibration(calibration, box.out / "page.html")
    add_row(path, GapRow(name="new", real="photos", measures={"objects": 0.1}, ap=0.5))


def check_piece(files: Files, box: Sandbox) -> None:
    """Pages show the set whatever an earlier call has left in their folder."""
    shown = _view(box.inside)
    piece = shown.out / "data/a/piece-00000.js"
    made, _, rows = piece.read_bytes().partition(b"\n")
    (line,) = files.values()
    piece.write_bytes(b"//" + line.replace(_digest(_piece()), _digest(made)) + b"\n" + rows)
    (again,) = build_view(shown, _console()).sets
    assert (again.images, again.annotations) == (2, 4)


def _view(folder: Path) -> ViewSettings:
    """Build the pages of a small set, and return how."""
    write_set(folder / "set", coco(2))
    settings = ViewSettings(folder / "set", out=folder / "shown", workers=1)
    build_view(settings, _console())
    return settings


@cache
def _piece() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        lines = (_view(Path(folder)).out / "data/a/piece-00000.js").read_bytes()
    return lines.partition(b"\n")[0].removeprefix(b"//")


def _digest(line: bytes) -> bytes:
    return str(json.loads(line.removeprefix(b"//"))["digest"]).encode()


def _curve(out: Path) -> CurveSettings:
    return CurveSettings(sku_list=Path("skus.csv"), real=Path("photos"), out=out)


Check = Callable[[Files, Sandbox], None]
# By the name of the file: a good one, and what reads it.
OWN: dict[str, tuple[Callable[[], bytes], Check]] = {
    "rows/mine/row.json": (lambda: _row().model_dump_json().encode(), check_row),
    "rows/mine/training.json": (
        lambda: TrainingProgress(steps=9, weights="none", memory_mb=3.5).model_dump_json().encode(),
        check_progress,
    ),
    "tuned/trials.json": (lambda: _journal().model_dump_json().encode(), check_journal),
    "mined/failures.json": (lambda: _failures().model_dump_json().encode(), check_failures),
    "trainings/synthetic-seed0/training.json": (
        lambda: TrainingRecord(kind="synthetic", photos=[], seed=0, steps=9, seconds=1).model_dump_json().encode(),
        check_training,
    ),
    "settings.json": (lambda: _curve(Path("curve")).recorded().file(), check_settings),
    "gaps.jsonl": (_gaps, check_gaps),
    "piece": (_piece, check_piece),
}


@st.composite
def own_files(draw: st.DrawFn) -> Files:
    """One of the files, with values, words or bytes changed, and that which makes its folder one of ours."""
    name = draw(st.sampled_from(sorted(OWN)))
    good = OWN[name][0]()
    if name == "gaps.jsonl":
        lines = [draw(st.just(line) | _changed(line)) for line in good.split(b"\n")]
        return {name: b"\n".join(lines)}
    return {name: draw(_changed(good) | broken(good, changed_words))}


def _changed(data: bytes) -> st.SearchStrategy[bytes]:
    return changed_json(data, ODD | NAMES)


def check_own_file_is_read_or_told(files: Files, box: Sandbox) -> None:
    """What is read fits what it was made from; anything else is told, and nothing appears elsewhere."""
    (name,) = files
    with suppress(SynthError):
        OWN[name][1](files, box)
    assert {file.name for file in box.root.iterdir()} == {"in", "out"}
