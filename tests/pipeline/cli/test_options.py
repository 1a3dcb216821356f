"""Options come from the descriptions in settings types: their types, ranges, defaults, former names, panels."""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, get_type_hints

import click
import pytest
from click.testing import CliRunner, Result

from assets.catalog.sku_lists import SkuLists, SkuSource
from assets.options import Option
from pipeline.cli.command import PANELS, Command, CommandGroup
from pipeline.cli.main import main
from pipeline.cli.options import SettingOption, Use

# Options that are about the command itself, or about what lies beside its settings.
COMMAND_ONLY = {
    "assets build": "--sheet",
    "catalog check": "--mesh-root --meshes",
    "catalog export": "--mesh-root",
    "catalog generate": "--count --seed",
    "catalog ids": "--mesh-root",
    "catalog show": "--limit --mesh-root --out",
    "data diff": "--out",
    "data stats": "--min-boxes --sku-table",
    "data unpack": "--split",
    "embedder train": "--batch",
    "gallery add": "--images --prune --reviewed --sku",
    "gallery clean": "--keep",
    "gallery verify": "--version",
    "job plan": "--measure",
    "job index": "--plugin",
    "job resume": "--plugin --retry",
    "job status": "--json --watch",
    "preview": "--out",
    "preview-batch": "--count --out",
    "recognize": "--sku-list",
    "train": "--list",
}
SHARED = {"--quiet", "--json", "--help"}
# A command with more options of its own needs a settings type; those of "gallery add" belong to two functions.
MAX_OWN = 2


def all_commands(group: click.Group, path: str = "") -> Iterator[tuple[str, Command]]:
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from all_commands(command, f"{path}{name} ")
        else:
            assert isinstance(command, Command)
            yield f"{path}{name}", command


ALL = dict(all_commands(main))


def options_of(command: Command) -> list[click.Option]:
    return [param for param in command.get_params(click.Context(command)) if isinstance(param, click.Option)]


@pytest.mark.parametrize("name", ALL)
def test_every_option_is_of_a_settings_field_or_of_the_command_alone(name: str) -> None:
    alone = set()
    for option in options_of(ALL[name]):
        source = getattr(option, "source", "")
        if ":" not in source:
            alone.add(max(option.opts, key=len))
            continue
        module, _, place = source.partition(":")
        kind, _, entry = place.partition(".")
        settings = getattr(importlib.import_module(module), kind)
        assert is_dataclass(settings) and entry in {found.name for found in fields(settings)}, source
    assert len(alone - SHARED - {"--mesh-root"}) <= MAX_OWN or name == "gallery add"
    assert alone - SHARED == set(COMMAND_ONLY.get(name, "").split()) - SHARED


@pytest.mark.parametrize("name", ALL)
def test_help_is_a_sentence_in_a_panel_and_whole(name: str) -> None:
    for option in options_of(ALL[name]):
        assert re.fullmatch(r"[A-Z].*\.", option.help or ""), f"{name} {option.opts[0]}: {option.help}"
        if isinstance(option, SettingOption):
            assert option.group in (*PANELS, "Filters", "Checks"), option.opts


def test_short_helps_are_whole_sentences() -> None:
    groups = [main, *(command for command in main.commands.values() if isinstance(command, click.Group))]
    for group in groups:
        text = " ".join(group.get_help(click.Context(group)).split())
        for command in group.commands.values():
            sentence = " ".join((command.help or "").split("\n\n")[0].split())
            assert sentence.endswith(".") and sentence in text, command.name


@pytest.mark.parametrize("name", ["render", "train", "job run", "adapt", "bench", "recognize", "refine"])
def test_examples_in_the_help_are_commands_that_can_be_read(name: str) -> None:
    text = CliRunner().invoke(main, [*name.split(), "--help"]).output
    lines = [line.strip() for line in text.partition("Examples:")[2].splitlines() if line.strip()]
    assert lines
    for line in lines:
        program, *words = line.split()
        assert program == "synth"
        command = next(command for path, command in ALL.items() if words[: len(path.split())] == path.split())
        known = {opt for option in options_of(command) for opt in option.opts}
        assert {word for word in words if word.startswith("--")} <= known


@dataclass(frozen=True)
class Frame:
    width: Annotated[int, Option("Size.", name="--size", parse="size", fields=("width", "height"))] = 64
    height: int = 48
    hidden: str = "never an option"


@dataclass(frozen=True)
class Settings:
    """Every kind of field."""

    out: Annotated[Path, Option("Folder.", "Output")]
    sku_list: Annotated[SkuSource | None, Option("Lists.", "Data", parse="sku_list")] = None
    frame: Frame = field(default_factory=Frame)
    seed: Annotated[int, Option("Seed.", "Output", minimum=0, old=("--chance",))] = 3
    share: Annotated[float, Option("Share.", above=0, maximum=1)] = 0.5
    mode: Annotated[Literal["a", "b"], Option("Mode.")] = "a"
    name: Annotated[str | None, Option("Name.", shown="the folder's")] = None
    draw: Annotated[bool, Option("Draw.")] = True
    fast: Annotated[bool, Option("Fast.")] = False
    exact: Annotated[bool | None, Option("Exact.")] = None
    tags: Annotated[tuple[str, ...], Option("Tag.", name="--tag")] = ()
    stored: Annotated[tuple[str, ...], Option("", flags=(("depth", "Depth."), ("ids", "Ids.")))] = ()


@click.group(cls=CommandGroup)
def shop() -> None:
    """A small command line."""


WHOLE = f"{__name__}:Settings"
seen: list[Any] = []


@shop.command(uses={"settings": Use(WHOLE)})
def make(settings: Settings, *, again: Annotated[int, Option("Times.")] = 1) -> None:
    seen.append((settings, again))


@shop.command(uses={"changed": Use(WHOLE, without=("stored", "sku_list"), unset=True)})
def change(place: str, changed: Mapping[str, Any]) -> None:
    seen.append((place, changed))


@shop.command(
    uses={
        "settings": Use(
            WHOLE,
            only=("seed", "frame"),
            fixed={"out": Path("fixed")},
            changes={"seed": {"default": 9, "argument": True}, "frame.width": {"help": "Other words."}},
        )
    }
)
def some(settings: Settings) -> None:
    seen.append(settings)


def run(*words: str) -> Result:
    seen.clear()
    return CliRunner().invoke(shop, list(words))


@pytest.fixture(autouse=True)
def _importable(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys
    from types import ModuleType

    monkeypatch.setitem(sys.modules, __name__, sys.modules.get(__name__) or ModuleType(__name__))
    for name, value in (("Settings", Settings), ("Frame", Frame)):
        monkeypatch.setattr(sys.modules[__name__], name, value, raising=False)


def test_defaults_are_those_of_the_type() -> None:
    assert run("make", "--out", "x").exit_code == 0
    assert seen == [(Settings(Path("x")), 1)]


def test_every_field_is_read(tmp_path: Path) -> None:
    for name in ("a.csv", "b.csv"):
        (tmp_path / name).touch()
    lists = [word for name in ("a.csv", "b.csv") for word in ("--sku-list", str(tmp_path / name))]
    words = "--out x --size 8x9 --seed 0 --share 1 --mode b --name n --no-draw --fast --no-exact --tag p --tag q --ids"
    assert run("make", *words.split(), *lists, "--again", "2").exit_code == 0
    source = SkuLists((tmp_path / "a.csv", tmp_path / "b.csv"))
    frame = Frame(8, 9)
    expected = Settings(Path("x"), source, frame, 0, 1.0, "b", "n", False, True, False, ("p", "q"), ("ids",))
    assert seen == [(expected, 2)]


@pytest.mark.parametrize(
    ("words", "error"),
    [
        ("", "Missing option '--out'"),
        ("--out x --seed -1", "-1 is not in the range x>=0"),
        ("--out x --share 0", "0.0 is not in the range 0<x<=1"),
        ("--out x --mode c", "'c' is not one of 'a', 'b'"),
        ("--out x --size 8", "such as 640x480"),
        ("--out x --seed 1 --seed 1", "--seed: given more than once"),
        ("--out x --chance 1", "--chance is now called --seed"),
        ("--out x --chance=1", "--chance is now called --seed"),
        ("--out x --sed 1", "Did you mean one of: '--seed'"),
        ("--out x --mesh-root .", "--mesh-root needs a SKU list"),
    ],
)
def test_mistakes(words: str, error: str) -> None:
    result = run("make", *words.split())
    assert result.exit_code == 2
    assert error in " ".join(result.output.split())
    assert seen == []


def test_only_what_is_given_where_nothing_has_a_default() -> None:
    assert run("change", "here").exit_code == 0
    assert seen == [("here", {"frame": {}})]
    assert run("change", "here", "--seed", "3", "--size", "9x9").exit_code == 0
    assert seen == [("here", {"frame": {"width": 9, "height": 9}, "seed": 3})]


def test_a_command_may_take_some_fields_and_change_their_descriptions() -> None:
    assert run("some").exit_code == 0
    assert seen == [Settings(Path("fixed"), seed=9)]
    assert run("some", "4", "--size", "9x9").exit_code == 0
    assert seen == [Settings(Path("fixed"), frame=Frame(9, 9), seed=4)]
    assert "Other words." in run("some", "--help").output
    assert run("some", "--share", "1").exit_code == 2


def test_help_shows_panels_defaults_and_ranges() -> None:
    text = run("make", "--help").output
    assert text.index("Options:") < text.index("Data:") < text.index("Output:") < text.index("General:")
    lines = " ".join(text.split())
    for shown in (
        "--out PATH Folder. [required]",
        "--seed INTEGER Seed. [default: 3; at least 0]",
        "--share NUMBER Share. [default: 0.5; above 0, up to 1]",
        "--size WIDTHxHEIGHT Size. [default: 64x48]",
        "--name TEXT Name. [default: the folder's]",
        "--draw / --no-draw Draw. [default: draw]",
        "--fast Fast. --exact",
        "--depth Depth.",
    ):
        assert shown in lines, shown
    assert "hidden" not in text
    assert get_type_hints(Settings)["seed"] is int
