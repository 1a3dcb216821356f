"""Judging of adaptations: on photos that no training has seen, beside the run and an oracle."""

from __future__ import annotations

import io
import json
import math
import shutil
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from detectors.adapt import AdaptSettings, adapt_run, judge
from detectors.adapt.held_back import check_held_back
from detectors.adapt.judge import FILE, NO_ORACLE, PAGE, judge_runs
from detectors.data.settings import DataSettings
from support.errors import raises
from support.sets.shapes import tiny_training, write_shapes


def with_groups(file: Path, prefix: str) -> Path:
    """The same file whose groups begin with a prefix, so that those of different sets differ."""
    content = json.loads(file.read_text())
    for image in content["images"]:
        image["group"] = prefix + image["group"]
    file.write_text(json.dumps(content))
    return file


@pytest.fixture(autouse=True)
def few_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(judge, "RESAMPLES", 50)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Photos of three places: "mine" (labelled), "theirs" (without) and "held" (to judge on); a run and an oracle."""
    folder = tmp_path_factory.mktemp("place")
    for seed, name in enumerate(("mine", "theirs", "held"), start=20):
        with_groups(write_shapes(folder / name, 6, seed=seed, groups=3), name)
    write_shapes(folder / "synthetic", 12, seed=9)
    rendered = DataSettings(synthetic=(("synthetic", folder / "synthetic"),), hold_out=0)
    tiny_training(folder / "run", rendered, epochs=1, epoch_images=20, size=(64, 64))
    labelled = DataSettings(real=folder / "mine", hold_out=0)
    tiny_training(folder / "oracle", labelled, epochs=1, epoch_images=20, size=(64, 64), augment="strong")
    return folder


def settings_in(place: Path, out: Path, **fields: Any) -> AdaptSettings:
    data = fields.pop("data", DataSettings(hold_out=0))
    given = {"method": "adabn", "unlabelled": place / "theirs" / "images", "batch": 2, "workers": 0}
    return AdaptSettings(place / "run", data, out, **{**given, **fields})


def test_the_end_of_an_adaptation_is_a_table(place: Path, tmp_path: Path) -> None:
    """Run, method and oracle; the same numbers are returned and written, and there is a page."""
    console = Console(record=True, width=80, file=io.StringIO())
    held, oracle = place / "held" / "train.json", place / "oracle"
    summary = adapt_run(settings_in(place, tmp_path / "out", judge=held, oracle=oracle), console)
    judged = summary.judged
    assert judged is not None and [row.name for row in judged.rows] == ["source only", "adabn", "oracle"]
    assert (judged.images, judged.groups) == (6, 3)
    source, method, best = judged.rows
    assert source.gain is None and math.isnan(source.closed)
    for row in (method, best):
        assert row.gain is not None and row.gain.value == pytest.approx(row.ap.value - source.ap.value, abs=1e-9)
    assert best.gain is not None and method.gain is not None
    if best.gain.value > 0:
        assert best.closed == 1 and method.closed == pytest.approx(method.gain.value / best.gain.value)
    else:
        assert math.isnan(best.closed) and math.isnan(method.closed)
    written = json.loads((tmp_path / "out" / FILE).read_text())
    assert [row["ap"]["value"] for row in written["rows"]] == pytest.approx([row.ap.value for row in judged.rows])
    assert (tmp_path / "out" / PAGE / "index.html").exists()
    text = " ".join(console.export_text().split())  # paths of any length wrap lines
    assert "--augment light" in text and "share of the gap" in text and NO_ORACLE not in text and "…" not in text


def test_without_an_oracle_the_table_says_how_to_make_one(place: Path, tmp_path: Path) -> None:
    """A rendered detector given as the oracle is named, too."""
    out = tmp_path / "out"
    shutil.copytree(place / "run", out)
    console = Console(quiet=True)
    judged = judge_runs(settings_in(place, out, judge=place / "held"), console)
    assert NO_ORACLE in judged.notes and all(math.isnan(row.closed) for row in judged.rows)
    judged = judge_runs(settings_in(place, out, judge=place / "held", oracle=place / "run"), console)
    assert any("no oracle" in note for note in judged.notes)


def test_an_oracle_is_judged_or_not_given(place: Path, tmp_path: Path) -> None:
    with raises("option-missing", hint="--judge"):
        settings_in(place, tmp_path, oracle=place / "oracle")


@pytest.mark.parametrize(
    ("fields", "what"),
    [
        ({"unlabelled": "held"}, "6 photos also in --unlabelled"),
        ({"unlabelled": "copies"}, "1 photo also in --unlabelled"),
        ({"unlabelled": "cousins/train.json"}, "1 group also in --unlabelled, such as group held"),
        ({"data": DataSettings(val=Path("held/train.json"))}, "6 photos also in --val"),
        ({"data": DataSettings(real=Path("held"))}, "6 photos also in --real"),
        ({"run": "held-run"}, "6 photos also in the data of the run"),
        ({"oracle": "held-run"}, "6 photos also in the data of the oracle"),
        ({"oracle": "cousin-run"}, "1 group also in the data of the oracle"),
    ],
)
def test_photos_that_a_training_has_seen_are_refused(
    place: Path, tmp_path: Path, fields: dict[str, Any], what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before any work, by content and by group: also copies under other names, and what RUN and the oracle know."""
    for name in ("held", "theirs"):
        shutil.copytree(place / name, tmp_path / name)
    (tmp_path / "copies").mkdir()
    shutil.copy(place / "held" / "images" / "train_003.png", tmp_path / "copies" / "other.png")
    cousins = json.loads(write_shapes(tmp_path / "cousins", 3, seed=40, groups=3).read_text())
    cousins["images"][0]["group"] = "heldg1"
    (tmp_path / "cousins" / "train.json").write_text(json.dumps(cousins))
    for name, labels in (("held-run", "held"), ("cousin-run", "cousins")):
        run = tmp_path / name
        shutil.copytree(place / "oracle", run)
        if fields.get("run", fields.get("oracle")) == name:
            shutil.rmtree(run)
            data = DataSettings(real=tmp_path / labels / "train.json", hold_out=0)
            tiny_training(run, data, epochs=1, epoch_images=2, size=(64, 64))
    monkeypatch.chdir(tmp_path)
    given = {name: tmp_path / value if isinstance(value, str) else value for name, value in fields.items()}
    settings = AdaptSettings(
        given.pop("run", place / "run"),
        given.pop("data", DataSettings()),
        tmp_path / "out",
        **{"method": "adabn", "unlabelled": tmp_path / "theirs", "judge": Path("held/train.json"), **given},
    )
    assert settings.judge is not None
    with raises("judge-leaked", problems=what):
        check_held_back(settings.judge, settings)
    assert not (tmp_path / "out").exists()


def test_new_photos_are_accepted(place: Path, tmp_path: Path) -> None:
    settings = settings_in(place, tmp_path, oracle=place / "oracle", judge=place / "held" / "train.json")
    check_held_back(place / "held" / "train.json", settings)
