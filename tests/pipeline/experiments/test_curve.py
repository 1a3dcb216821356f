"""Curves over the number of photos: nested subsets, paired differences, resuming, one real training of each kind."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from rich.console import Console

from assets.files.atomic import lock_folder, write_atomic
from detectors.data.image_set import Predictions
from detectors.evaluate.report import json_text
from detectors.evaluate.results import write_results
from pipeline.cli.main import main
from pipeline.experiments import curve as module
from pipeline.experiments.curve import claim_experiment, measure_curve, plan_cells
from pipeline.experiments.curve_report import headline, write_curve
from pipeline.experiments.photos import PhotoPool, split_photos
from pipeline.experiments.points import curve_points, photo_gains
from pipeline.experiments.settings import CurveSettings, RenderedSet, TrainingRecipe
from pipeline.experiments.trainings import FOUND, RECORD, Cell, PlannedTraining, TrainingRecord, TrainingRunner
from support.errors import raises
from support.sets.shapes import write_shapes

QUIET = Console(quiet=True)
TINY = TrainingRecipe(
    detector="ssdlite",
    weights="none",
    input_size=(64, 64),
    steps=10,
    photo_steps=10,
    batch=2,
    augment="none",
    workers=0,
)


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_shapes(tmp_path_factory.mktemp("photos"), 12, seed=1, groups=4)


@pytest.fixture
def settings(photos: Path, tmp_path: Path) -> CurveSettings:
    return CurveSettings(
        sku_list=tmp_path / "skus.csv",
        real=photos,
        out=tmp_path / "curve",
        rendered=RenderedSet(synthetic=write_shapes(tmp_path / "synthetic", 4, seed=2)),
        training=TINY,
        counts=(1, 3),
        draws=4,
        seeds=2,
        judged=0.25,
    )


class PretendedRunner(TrainingRunner):
    """Finds more of the boxes the more photos it is given, and all with synthetic images. limit: of trainings made."""

    limit = 1000
    made: list[PlannedTraining]

    def run(self, training: PlannedTraining) -> bool:
        if len(type(self).made) >= type(self).limit:
            return False
        type(self).made.append(training)
        truth, folder = self.photos.truth, self.folder(training)
        share = 1.0 if training.kind == "both" else 0.3 if training.kind == "synthetic" else len(training.photos) / 12
        kept = np.flatnonzero(np.arange(len(truth.boxes)) % 10 < 10 * share)
        images = truth.image_of_box()[kept]
        found = Predictions(
            truth.classes, images, truth.boxes[kept], truth.labels[kept], np.full(len(kept), 0.9, np.float32)
        )
        write_results(folder / FOUND, found, truth, dict(zip(truth.classes.keys, truth.category_ids, strict=True)))
        record = TrainingRecord(
            kind=training.kind, photos=list(training.photos), seed=training.seed, steps=10, seconds=1.0
        )
        write_atomic(folder / RECORD, json_text(record.model_dump()).encode())
        return True


@pytest.fixture
def pretended(monkeypatch: pytest.MonkeyPatch) -> type[PretendedRunner]:
    PretendedRunner.made, PretendedRunner.limit = [], 1000
    monkeypatch.setattr(module, "TrainingRunner", PretendedRunner)
    return PretendedRunner


def test_subsets_are_nested_group_by_group(settings: CurveSettings) -> None:
    pool = split_photos(settings, QUIET).pool
    assert len(pool) == 9 and pool.group_count == 3
    for draw in range(4):
        order = pool.nested_order(7, draw)
        assert sorted(order.tolist()) == sorted(pool.ids.tolist())
        groups = [int(pool.groups[pool.ids == number][0]) for number in order]
        assert len({tuple(groups[at : at + 3]) for at in (0, 3, 6)}) == 3
        assert all(len(set(groups[at : at + 3])) == 1 for at in (0, 3, 6))
    assert not np.array_equal(pool.nested_order(7, 0), pool.nested_order(7, 1))
    np.testing.assert_array_equal(pool.nested_order(7, 0), pool.nested_order(7, 0))


def test_photos_that_judge_are_of_other_groups(settings: CurveSettings) -> None:
    split = split_photos(settings, QUIET)
    judging = set(split.truth.image_ids.tolist())
    assert len(judging) == 3 and not judging & set(split.pool.ids.tolist())
    assert len({int(number) for number in split.truth.groups}) == 1


def test_photos_that_teach_may_not_judge(settings: CurveSettings, photos: Path) -> None:
    with raises("dataset-duplicate"):
        split_photos(replace(settings, judge=photos), QUIET)


def test_a_single_group_cannot_be_split(settings: CurveSettings, tmp_path: Path) -> None:
    one = write_shapes(tmp_path / "one", 3, seed=1, groups=1)
    with raises("groups-too-few"):
        split_photos(replace(settings, real=one), QUIET)


def test_cells_share_their_trainings(settings: CurveSettings) -> None:
    """Few groups have few different subsets: what is drawn twice is trained once, and all photos are one subset."""
    pool = split_photos(settings, QUIET).pool
    cells = {(cell.kind, cell.photos): cell.trainings for cell in plan_cells(settings, pool)}
    assert list(cells) == [("synthetic", 0), *((kind, n) for n in (1, 3, 9) for kind in ("real", "both"))]
    assert len(cells["real", 1]) == 4 * 2 and len(cells["real", 9]) == 2
    assert len(set(cells["real", 3])) <= 3 * 2  # the groups
    for count in (1, 3, 9):
        pairs = zip(cells["real", count], cells["both", count], strict=True)
        assert all((one.photos, one.seed) == (other.photos, other.seed) for one, other in pairs)
    for one, three in zip(cells["real", 1], cells["real", 3], strict=True):
        assert set(one.photos) < set(three.photos)


def test_means_and_differences() -> None:
    """Two trainings of each kind, judged on two groups that agree: everything can be worked out by hand."""
    real, both = (tuple(PlannedTraining(kind, (n,), 0) for n in (1, 2)) for kind in ("real", "both"))  # type: ignore[arg-type]
    column = {training: place for place, training in enumerate((*real, *both))}
    scores = np.repeat(np.array([[0.2, 0.4, 0.5, 0.7]])[:, :, None], 2, axis=2).repeat(101, axis=0)
    cells = [Cell("real", 1, real), Cell("both", 1, both)]
    groups, rng = np.array([0, 1], np.int32), np.random.default_rng(0)
    alone, mixed = curve_points(cells, column, scores, groups, rng)
    assert (alone.ap.value, mixed.ap.value) == pytest.approx((0.3, 0.6)) and mixed.median == pytest.approx(0.6)
    assert (alone.low, alone.high, alone.subsets, alone.trainings) == pytest.approx((0.2, 0.4, 2, 2))
    (gain,) = photo_gains(cells, column, scores, groups, rng)
    # Pairs differ by 0.3 whatever is drawn; means over different draws do not.
    assert gain.over_same is not None
    assert (gain.over_same.value, gain.over_same.low, gain.over_same.high) == pytest.approx((0.3, 0.3, 0.3))
    assert gain.over_all.low < 0.3 < gain.over_all.high and gain.times_all.value == pytest.approx(2)
    assert "2 independent groups" in str(gain.over_all.note)


def test_a_curve_says_how_many_photos_are_saved(
    settings: CurveSettings, pretended: type[PretendedRunner], tmp_path: Path
) -> None:
    curve = measure_curve(settings, QUIET)
    assert curve.finished and curve.planned == len(pretended.made) == len(set(pretended.made))
    values = {(point.kind, point.photos): point.ap.value for point in curve.points}
    assert values["real", 1] < values["real", 3] < values["real", 9] < values["both", 1]
    assert values["both", 1] == pytest.approx(1)
    assert headline(curve).startswith("Synthetic images with 1 photo reach")
    page = write_curve(curve)
    assert "data:image/png" in page.read_text() and (settings.out / "curve.png").read_bytes()[:4] == b"\x89PNG"
    content = json.loads((settings.out / "curve.json").read_text())
    assert content["points"][0]["kind"] == "synthetic" and content["judged_photos"] == 3
    again = measure_curve(settings, QUIET)
    assert json_text(again.points[0].ap.value) == json_text(curve.points[0].ap.value)
    assert len(pretended.made) == curve.planned


def test_a_stopped_curve_goes_on(settings: CurveSettings, pretended: type[PretendedRunner]) -> None:
    pretended.limit = 3
    part = measure_curve(settings, QUIET)
    assert part.done == 3 and not part.finished
    pretended.limit = 1000
    whole = measure_curve(settings, QUIET)
    assert whole.finished and len(pretended.made) == len(set(pretended.made)) == whole.planned


def test_trainings_of_another_call_are_left_to_it(settings: CurveSettings, pretended: type[PretendedRunner]) -> None:
    first = settings.out / "trainings" / "synthetic-seed0"
    first.mkdir(parents=True)
    write_atomic(settings.out / "settings.json", settings.recorded().file())
    with lock_folder(first):
        curve = measure_curve(settings, QUIET)
    assert PlannedTraining("synthetic", (), 0) not in pretended.made
    assert not any(training.kind == "both" and training.seed == 0 for training in pretended.made)
    assert 0 < curve.done < curve.planned


def test_other_settings_are_refused_and_more_draws_are_not(
    settings: CurveSettings, pretended: type[PretendedRunner]
) -> None:
    pretended.limit = 0
    measure_curve(settings, QUIET)
    measure_curve(replace(settings, draws=6, counts=(1, 2, 3), minutes=5), QUIET)
    with raises("settings-differ"):
        measure_curve(replace(settings, training=replace(TINY, steps=20)), QUIET)
    (settings.out / "settings.json").unlink()
    with raises("output-not-empty"):
        measure_curve(settings, QUIET)


def test_a_list_that_was_mistyped_may_be_given_again(settings: CurveSettings, tmp_path: Path) -> None:
    lost = replace(settings, sku_list=tmp_path / "none.csv", rendered=RenderedSet(scenes=1))
    with raises("file-missing", "list-unreadable", "io-failed", "file-unreadable"):
        measure_curve(lost, QUIET)
    claim_experiment(settings)


@pytest.mark.trains
def test_the_command_trains_each_kind(photos: Path, tmp_path: Path) -> None:
    words = ["curve", "--demo", "--real", photos, "--synthetic", write_shapes(tmp_path / "synthetic", 4, seed=2)]
    words += ["--detector", "ssdlite", "--weights", "none", "--input-size", "64x64", "--steps", 10, "--batch", 2]
    words += ["--photo-steps", 10, "--augment", "none", "--workers", 0, "--count", 99, "--seeds", 1]
    result = CliRunner().invoke(main, [*map(str, words), "--out", str(tmp_path / "curve")])
    assert result.exit_code == 0, result.output
    assert "synthetic + 9 photos" in result.output and "judged on" in result.output
    trainings = sorted((tmp_path / "curve" / "trainings").iterdir())
    assert len(trainings) == 3 and sum((training / "run").exists() for training in trainings) == 1
    assert json.loads((trainings[0] / RECORD).read_text())["steps"] == 10


def test_counts_are_given_once(settings: CurveSettings) -> None:
    with raises("setting-invalid"):
        replace(settings, counts=(1, 1))


def test_the_pool_writes_a_file_once(settings: CurveSettings, tmp_path: Path) -> None:
    pool: PhotoPool = split_photos(settings, QUIET).pool
    chosen = tuple(sorted(pool.ids.tolist())[:2])
    file = pool.write(chosen, tmp_path / "subsets")
    content = json.loads(file.read_text())
    assert {image["id"] for image in content["images"]} == set(chosen) and content["annotations"]
    assert {entry["image_id"] for entry in content["annotations"]} <= set(chosen)
    before = file.stat().st_mtime_ns
    assert pool.write(chosen[::-1], tmp_path / "subsets") == file and file.stat().st_mtime_ns == before
