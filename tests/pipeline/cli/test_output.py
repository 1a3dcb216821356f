"""What all commands share: options given twice, --quiet, --json, tables in pipes."""

from __future__ import annotations

import dataclasses
import importlib
import json
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np
import pytest
from click.testing import CliRunner, Result
from pydantic import BaseModel
from rich.table import Table

from assets.errors import SynthError
from pipeline.cli.command import Command, CommandGroup
from pipeline.cli.main import main
from pipeline.cli.output import json_line, open_console, report
from support.paths import ROOT

LONG = ("render", "train", "adapt", "evaluate", "predict", "export", "verify", "recognize")
LONG += ("data pack", "data unpack", "data merge", "data stats", "job plan", "job run", "job resume")
LONG += ("assets build", "catalog from-packshots", "gallery views", "gallery build", "gallery add", "gallery evaluate")
LONG += ("embedder train", "embedder evaluate", "recipe fit")


def run(command: click.Command, *words: str) -> Result:
    return CliRunner().invoke(command, list(words))


def all_commands(group: click.Group, path: str = "") -> Iterator[tuple[str, click.Command]]:
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from all_commands(command, f"{path}{name} ")
        else:
            yield f"{path}{name}", command


class Decision(BaseModel):
    threshold: float = 0.5


@dataclass
class Made:
    out: Path
    scenes: int
    failures: list[str]
    share: float = float("nan")


@click.group(cls=CommandGroup)
def shop() -> None:
    """A small command line."""


@shop.command(reports=True)
@click.option("--seed", "-s", type=int, default=0)
@click.option("--tag", multiple=True)
@click.option("--draw/--no-draw", default=True)
@click.option("--demo", is_flag=True)
@click.option("--fail", type=click.Choice(["no", "error", "code", "signal"]), default="no")
def make(seed: int, tag: tuple[str, ...], draw: bool, demo: bool, fail: str) -> None:
    print("progress", seed, tag, draw, demo)
    report(Made(Path("a/b"), 3, ["one"]))
    report(
        {"counts": {"small": np.int64(2)}, "shares": np.array([0.5, np.nan]), "skus": {2, 1}, "decision": Decision()}
    )
    if fail == "error":
        raise SynthError("it is broken", code="io-failed", where="here")
    if fail == "signal":
        raise KeyboardInterrupt
    sys.exit(1 if fail == "code" else 0)


def test_every_command_of_synth_refuses_options_given_twice() -> None:
    for name, command in all_commands(main):
        assert isinstance(command, Command), name


@pytest.mark.parametrize("name", LONG)
def test_long_commands_report(name: str) -> None:
    command = dict(all_commands(main))[name]
    options = {option for param in command.get_params(click.Context(command)) for option in param.opts}
    assert {"--quiet", "--json"} <= options


@pytest.mark.parametrize(
    ("words", "named"),
    [
        ("--seed 1 --seed 2", ["--seed"]),
        ("-s 1 --seed=1", ["--seed"]),
        ("--draw --no-draw", ["--draw"]),
        ("--seed 1 --fail no --seed 2 --fail no", ["--seed", "--fail"]),
    ],
)
def test_an_option_given_twice_is_an_error_that_names_it(words: str, named: list[str]) -> None:
    result = run(shop, "make", *words.split())
    assert result.exit_code == 2
    assert "given more than once" in result.output
    assert all(name in result.output for name in named)
    assert "progress" not in result.output


def test_options_that_may_be_repeated_are_not_refused() -> None:
    result = run(shop, "make", "--tag", "a", "--tag", "b", "--demo", "--demo", "--seed", "4")
    assert result.exit_code == 0
    assert result.stdout == "progress 4 ('a', 'b') True True\n"


def test_render_refuses_too(tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    result = run(main, "render", "--demo", "--out", str(tmp_path / "set"), "--seed", "1", "--seed", "2")
    assert result.exit_code == 2
    assert not any((tmp_path / "set").iterdir())


def test_json_is_one_object_on_stdout_and_the_rest_on_stderr() -> None:
    result = run(shop, "make", "--json")
    said = json.loads(result.stdout)
    assert result.stderr == "progress 0 () True False\n"
    assert said.pop("seconds") >= 0
    assert said == {
        "command": "make",
        "ended": "finished",
        "error": None,
        "code": None,
        "out": "a/b",
        "scenes": 3,
        "failures": ["one"],
        "share": None,
        "counts": {"small": 2},
        "shares": [0.5, None],
        "skus": [1, 2],
        "decision": {"threshold": 0.5},
    }


@pytest.mark.parametrize(
    ("how", "ended", "error", "code"),
    [
        ("error", "failed", "it is broken\n  where: here", "io-failed"),
        ("code", "failed", None, None),
        ("signal", "stopped", None, None),
    ],
)
def test_json_tells_how_a_command_ended(how: str, ended: str, error: str | None, code: str | None) -> None:
    result = run(shop, "make", "--json", "--fail", how)
    said = json.loads(result.stdout)
    assert (said["ended"], said["error"], said["code"], said["scenes"]) == (ended, error, code, 3)
    assert result.exit_code != 0


def test_quiet_is_one_line() -> None:
    result = run(shop, "make", "--quiet")
    assert result.stderr == ""
    (line,) = result.stdout.splitlines()
    assert line.startswith("make: finished; out a/b; scenes 3; failures 1; seconds ")


def test_quiet_and_json_leave_the_object_alone() -> None:
    result = run(shop, "make", "--quiet", "--json")
    assert json.loads(result.stdout)["scenes"] == 3
    assert result.stderr == ""


def test_quiet_keeps_errors(tmp_path: Path) -> None:
    result = run(main, "render", "--demo", "--out", str(tmp_path / "set"), "--recipe", "tabeltop", "--quiet")
    assert result.exit_code == 1
    assert "did you mean 'tabletop'" in result.stderr


def documented() -> dict[str, set[str]]:
    """By command the fields that docs/command-line.md lists."""
    text = (ROOT / "docs" / "command-line.md").read_text(encoding="utf-8")
    rows = [line.split("|")[1:3] for line in text.splitlines() if line.startswith("| `")]
    found = {}
    for commands, fields in rows:
        first, *others = re.findall(r"`([\w -]+)`", commands)
        group = first.partition(" ")[0]
        names = [first, *(other if other in LONG else f"{group} {other}" for other in others)]
        found |= {key: set(re.findall(r"`(\w+)`", fields)) for key in names}
    return found


@pytest.mark.parametrize(
    ("command", "summary", "left_out"),
    [
        ("render", "pipeline.run.render:RunSummary", ""),
        ("train", "detectors.training.summary:TrainSummary", ""),
        ("adapt", "detectors.adapt.judge:AdaptSummary", ""),
        ("predict", "detectors.predict.run:PredictSummary", ""),
        ("recognize", "detectors.recognition.gallery.recognize:RecognizeSummary", ""),
        ("export", "detectors.export.run:ExportSummary", ""),
        ("data merge", "pipeline.shards.pack:DataSummary", ""),
        ("job resume", "pipeline.jobs.run:JobSummary", "ended"),
        ("assets build", "pipeline.products.build:BuildSummary", "sizes"),
        ("catalog from-packshots", "pipeline.products.packshots:PackshotListSummary", ""),
        ("gallery views", "pipeline.gallery.crops:CropSummary", ""),
        ("gallery add", "pipeline.gallery.summary:GallerySummary", ""),
        ("gallery evaluate", "detectors.recognition.gallery.evaluate:GalleryReport", "given found mistakes"),
        ("embedder train", "detectors.training.summary:TrainSummary", ""),
        ("embedder evaluate", "detectors.recognition.embedder.evaluate:EmbedReport", "keys skus confusions"),
    ],
)
def test_every_field_of_a_summary_is_documented(command: str, summary: str, left_out: str) -> None:
    module, _, name = summary.partition(":")
    there = {field.name for field in dataclasses.fields(getattr(importlib.import_module(module), name))}
    assert there - {"seconds", *left_out.split()} <= documented()[command]
    assert set(LONG) <= set(documented())


def test_tables_in_a_pipe_are_not_cut(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    table = Table("name", "text")
    table.add_row("x" * 60, "y" * 60)
    open_console().print(table)
    open_console().print("z" * 200)
    shown = capsys.readouterr().out
    assert "x" * 60 in shown
    assert "y" * 60 in shown
    assert "z" * 200 in shown
    assert max(map(len, shown.splitlines())) <= 200
    monkeypatch.setenv("COLUMNS", "50")
    assert open_console().width == 50


def test_texts_of_files_control_no_terminal(tmp_path: Path) -> None:
    """A data set whose product, image, folder and description are named to clear the screen, or after rich's markup."""
    from PIL import Image

    hostile = "[b]\x1b[2J\x9b2J\u202e[|b]"
    folder = tmp_path / f"set {hostile}"
    (folder / "images").mkdir(parents=True)
    Image.new("RGB", (8, 8)).save(folder / "images" / f"{hostile}.png")
    image = {"id": 1, "file_name": f"{hostile}.png", "width": 8, "height": 8}
    content = {"categories": [{"id": 1, "name": hostile}], "images": [image, {**image, "id": 2}], "info": {}}
    content["annotations"] = [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 1, 3, 3], "area": 9}]
    (folder / "instances_train.json").write_text(json.dumps(content))
    sheet = str(folder / "sheet.png")
    calls = (["verify", str(folder)], ["preview", str(folder), "--out", sheet], ["data", "stats", str(folder)])
    for words in calls:
        done = CliRunner().invoke(main, words)
        assert done.exception is None or isinstance(done.exception, SystemExit), words
        assert r"[b]\x1b[2J\x9b2J\u202e" in done.output or "stats" in words, done.output
        assert not {"\x1b", "\x9b", "\u202e"} & set(done.output), words


def test_json_keeps_its_meaning_where_control_characters_are_written_out() -> None:
    text = '\x9b2J\u202e\n\x1b "ä'
    line = json_line({"name": text})
    assert json.loads(line) == {"name": text} and all(char.isprintable() for char in line) and "ä" in line
