"""Names from tables on the command line: shown, completed, checked; several recipes with shares."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.shell_completion import ShellComplete
from click.testing import CliRunner, Result

from assets.demo import demo_list
from assets.plugins import PluginTable
from dataset.storage.path import StoragePath
from pipeline.cli.choices import KnownName, RecipeChoice, recipe_of, table_names
from pipeline.cli.kinds import KINDS
from pipeline.cli.main import main
from pipeline.jobs.settings import JobSettings, claim_location, identity_of, read_settings
from pipeline.run.settings import RunSettings
from render.backends import BACKENDS, backend_module
from render.recipes import load_recipe
from render.recipes.mix import RecipeMix, recipe_at

TABLES = [kind.type for kind in KINDS.values() if isinstance(kind.type, KnownName) and kind.type._table]


def synth(*words: object) -> Result:
    return CliRunner().invoke(main, [str(word) for word in words])


def completed(words: str, incomplete: str = "") -> set[str]:
    shell = ShellComplete(main, {}, "synth", "_SYNTH_COMPLETE")
    return {item.value for item in shell.get_completions(words.split(), incomplete)}


@pytest.mark.parametrize("choice", TABLES, ids=lambda choice: choice.kind)
def test_names_are_those_of_the_table_that_is_imported(choice: KnownName) -> None:
    module, _, name = choice._table.partition(":")
    table = getattr(importlib.import_module(module), name)
    assert table_names(choice._table) == (table.names() if isinstance(table, PluginTable) else tuple(table))


def test_presets_are_those_of_every_backend() -> None:
    known = KINDS["preset"].type
    assert isinstance(known, KnownName)
    assert all(tuple(backend_module(name).INFO.presets) == known.names for name in BACKENDS)


@pytest.mark.parametrize(
    ("words", "incomplete", "expected"),
    [
        ("render --backend", "r", {"raster", "r"}),  # the last asks the shell for files
        ("render --preset", "g", {"good"}),
        ("render --recipe", "tab", {"tabletop", "tab"}),  # the last asks the shell for files
        ("job run list.csv --engine", "r", {"ray"}),
        ("train --detector", "ssd", {"ssd300", "ssd512", "ssdlite", "ssd"}),  # likewise
        ("train --schedule", "", {"mix", "finetune", "mix+finetune"}),
        ("train --augment", "", {"none", "light", "strong", "ssd"}),
        ("adapt run --method", "f", {"fda", "finetune"}),
        ("embedder train a --loss", "a", {"arcface"}),
        ("gallery build list.csv --index", "iv", {"ivf", "ivf8", "ivfpq"}),
        ("recipe show", "sc", {"scatter", "sc"}),
        ("data", "me", {"merge"}),
    ],
)
def test_the_shell_completes_names(words: str, incomplete: str, expected: set[str]) -> None:
    assert completed(words, incomplete) == expected


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        ("render", ["[cycles|raster|FILE]", "[draft|good|best]", "[tabletop|scatter|", "|FILE][:SHARE]"]),
        (
            "train",
            ["fcos|", "[none|light|strong|ssd]", "[mix|finetune|mix+finetune]", "[imagenet|packaged|coco|none|FILE]"],
        ),
    ],
)
def test_help_shows_the_names(words: str, shown: list[str]) -> None:
    text = synth(words, "--help").output
    assert all(name in text for name in shown)


def test_help_of_commands_imports_no_tables() -> None:
    code = "import sys; from click.testing import CliRunner; from pipeline.cli.main import main\n"
    code += "for name in ('render', 'train', 'recognize', 'preview'):\n"
    code += "    assert CliRunner().invoke(main, [name, '--help']).exit_code == 0\n"
    code += "print(sorted({'torch', 'cv2', 'scipy', 'trimesh', 'rich', 'render.recipes'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("words", "close"),
    [
        ("render --demo --out x --backend cycle", "did you mean 'cycles'"),
        ("train --out x --detector fcoss", "did you mean 'fcos'"),
        ("train --out x --augment stron", "did you mean 'strong'"),
        ("train --out x --schedule adapt", "one of finetune, mix, mix+finetune"),
    ],
)
def test_an_unknown_name_names_the_known_ones(words: str, close: str) -> None:
    result = synth(*words.split())
    assert result.exit_code == 1
    assert close in result.stderr
    result = synth(*words.split(), "--json")
    assert close in json.loads(result.stdout)["error"]


def test_recipes_with_shares(tmp_path: Path) -> None:
    def read(*values: str) -> object:
        return recipe_of([RecipeChoice().convert(value, None, None) for value in values])

    odd = tmp_path / "x:0.5"
    odd.write_text("recipe: tabletop\n")
    assert read("tabletop") == read("tabletop:0.2") == "tabletop"
    assert read("a:b.yaml") == "a:b.yaml"
    assert read(str(odd)) == str(odd)
    assert read("tabletop:0.7", "mine.yaml:0.3") == (("tabletop", 0.7), ("mine.yaml", 0.3))
    assert read("tabletop", "scatter") == (("tabletop", 1.0), ("scatter", 1.0))


@pytest.mark.parametrize(
    ("words", "code", "error"),
    [
        ("--recipe tabletop:0.7 --recipe scatter", 2, "give a share with each"),
        ("--recipe tabletop:0 --recipe scatter:1", 2, "a share is a number over 0"),
        ("--recipe tabletop:0.7 --recipe scattr:0.3", 1, "did you mean 'scatter'"),
        ("--recipe tabletop --recipe tabletop", 1, "recipe-mix-invalid"),
    ],
)
def test_recipes_that_cannot_be_mixed(tmp_path: Path, words: str, code: int, error: str) -> None:
    result = synth("render", "--demo", "--out", tmp_path / "set", *words.split())
    assert (result.exit_code, error in " ".join(result.output.split())) == (code, True)


@pytest.mark.usefixtures("here")
def test_a_set_of_two_recipes_is_resumed_extended_verified_and_counted(tmp_path: Path, cache: Path) -> None:
    words = ["render", "--demo", "--size", "48x32", "--cache", cache, "--recipe", "tabletop:2", "--recipe", "scatter:1"]
    out = tmp_path / "set"
    assert synth(*words, "--out", out, "--scenes", "1").exit_code == 0
    assert synth(*words, "--out", out, "--scenes", "3").exit_code == 0
    other = synth(*words[:-4], "--recipe", "tabletop", "--out", out, "--scenes", "3")
    assert other.exit_code == 1
    assert "recipe: was" in other.output
    # Draws every scene again, each by itself: its recipe depends on nothing that was made before.
    assert synth("verify", out, "--cache", cache).exit_code == 0
    recipe = load_recipe((("tabletop", 2.0), ("scatter", 1.0)))
    assert isinstance(recipe, RecipeMix)
    made = [json.loads((out / "scenes" / f"00000{index}_0.json").read_text())["recipe"] for index in range(3)]
    assert made == [recipe_at(recipe, 0, index).model_dump()["recipe"] for index in range(3)]
    said = json.loads(synth("data", "stats", out, "--json").stdout)
    assert said["recipes"] == {"tabletop": 2, "scatter": 1}
    shown = synth("data", "stats", out).output
    assert "66.7%" in shown and "tabletop" in shown


def test_a_job_keeps_its_recipes(tmp_path: Path) -> None:
    shares = (("tabletop", 0.7), ("scatter", 0.3))
    place = StoragePath(str(tmp_path / "job"))
    settings = JobSettings(RunSettings(demo_list(), Path(), 0, recipe=shares), place)
    claim_location(settings, identity_of(settings))
    kept = read_settings(place, tmp_path / "recipe.yaml")
    assert load_recipe(kept.render.recipe) == load_recipe(shares)
    assert identity_of(kept) == identity_of(settings)
