"""Recipes and backends of third parties: by path or package, recorded, refused once changed, never run unasked."""

from __future__ import annotations

import json
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from assets import plugins
from assets.demo import demo_list
from assets.plugins import module_from_file
from pipeline.cli.main import main
from pipeline.run.plugins import check_origins, lacking, origins_of, trusted_files
from render.recipes import load_recipe, recipe_from_yaml, recipe_names, recipe_yaml
from support.errors import raises
from support.paths import ROOT

RECIPE = '''"""Every product alone in a corner."""

from pydantic import Field

from render.framing import Framing
from render.layout import PlacedProduct, SceneLayout
from render.placement.arrange import resting_pose
from render.recipes.parts import Section, SceneRecipe
import numpy as np


class Corner(Section):
    """Where it stands."""

    x: float = Field(0.0, description="metres to the right")


class CornerRecipe(SceneRecipe):
    """One product."""

    corner: Corner = Field(default_factory=Corner, description="where it stands")

    def product_count(self):
        return 1, 1


SETTINGS = CornerRecipe


def lay_out(recipe, request):
    poses = [resting_pose(request.library.rest(sku), np.eye(3)) for sku in request.skus]
    for pose in poses:
        pose[0, 3] += recipe.corner.x
    points = np.array([[x, y, z] for x in (-0.2, 0.2) for y in (-0.2, 0.2) for z in (0, 0.3)])
    camera = Framing(points, points.mean(axis=0), np.array([0.0, -1.0, 0.0]), 28.0)
    return SceneLayout(tuple(map(PlacedProduct, request.skus, poses)), camera)
'''
FLAT = ROOT / "examples" / "own_backend.py"


@pytest.fixture
def corner(tmp_path: Path) -> Path:
    path = tmp_path / "corner.py"
    path.write_text(RECIPE)
    return path


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def synth(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def render(out: Path, *more: object) -> Result:
    return synth("render", "--demo", "--out", out, "--scenes", 2, "--size", "32x24", "--backend", FLAT, *more)


def test_a_recipe_in_a_file_is_rendered_verified_and_resumed(corner: Path, tmp_path: Path) -> None:
    out = tmp_path / "set"
    assert render(out, "--recipe", corner).exit_code == 0
    info = json.loads((out / "dataset.json").read_text())
    assert set(info["identity"]["plugins"]) == {"recipe corner.py", "backend own_backend.py"}
    assert info["identity"]["backend"] == "own_backend.py" and info["recipe"].startswith("recipe: corner.py\n")
    assert json.loads((out / "scenes" / "000000_0.json").read_text())["recipe"] == "corner.py"

    unasked = synth("verify", out)
    assert unasked.exit_code == 0 and "--plugin" in unasked.output and "0 scenes sampled again" in unasked.output
    given = synth("verify", out, "--plugin", corner, "--plugin", FLAT)
    assert given.exit_code == 0, given.output
    assert "2 scenes sampled again, 2 images rendered again" in " ".join(given.output.split())

    corner.write_text(RECIPE.replace("0.3)", "0.4)"))
    changed = render(out, "--recipe", corner)
    assert changed.exit_code == 1 and "code: plugin-changed" in changed.output
    wrong = synth("verify", out, "--plugin", corner)
    assert wrong.exit_code == 1 and "code: plugin-changed" in wrong.output


def test_a_job_takes_its_code_along(corner: Path, tmp_path: Path) -> None:
    place, same = (
        tmp_path / "job",
        ("--appearances", 1, "--min-side", 1, "--size", "32x24", "--shard-scenes", 8, "--workers", 1),
    )
    yaml = tmp_path / "right.yaml"
    yaml.write_text("recipe: corner.py\ncorner: {x: 0.01}\n")
    done = synth("job", "run", demo_list(), "--out", place, "--recipe", yaml, "--backend", FLAT, *same)
    assert done.exit_code == 0, done.output
    identity = json.loads((place / "job.json").read_text())
    assert identity["backend"] == "own_backend.py" and len(identity["plugins"]) == 2
    assert "corner:  # where it stands\n  x: 0.01" in identity["recipe"]
    assert json.loads((place / "dataset.json").read_text())["identity"]["plugins"] == identity["plugins"]
    assert synth("job", "status", place).exit_code == 0  # runs no code
    refused = synth("job", "resume", place)
    assert refused.exit_code == 1 and "--plugin" in refused.output
    resumed = synth("job", "resume", place, "--plugin", corner, "--plugin", FLAT)
    assert resumed.exit_code == 0, resumed.output
    checked = synth("verify", place, "--sample", 2, "--plugin", corner, "--plugin", FLAT)
    assert checked.exit_code == 0 and "2 scenes sampled again" in " ".join(checked.output.split()), checked.output


def test_a_data_set_runs_no_code_that_it_brings_along(tmp_path: Path) -> None:
    trap = tmp_path / "trap.py"
    trap.write_text(f"open({str(tmp_path / 'sprung')!r}, 'w')\n")
    for name in (str(trap), "trap.py", "../trap.py"):
        with raises("plugin-file-missing"):
            recipe_from_yaml(f"recipe: {name}\n", where="dataset.json")
    out = tmp_path / "set"
    assert render(out).exit_code == 0
    info = json.loads((out / "dataset.json").read_text())
    del info["identity"]["plugins"]
    info["identity"]["backend"], info["recipe"] = str(trap), f"recipe: {trap}\n"
    (out / "dataset.json").write_text(json.dumps(info))
    assert synth("verify", out).exit_code == 1
    assert not (tmp_path / "sprung").exists()


def test_a_recipe_file_in_a_mix_and_in_yaml(corner: Path) -> None:
    mixed = load_recipe((("tabletop", 0.5), (str(corner), 0.5)))
    assert recipe_from_yaml(recipe_yaml(mixed), where="x", files={"corner.py": corner}) == mixed
    assert origins_of(mixed, "raster") == {"recipe corner.py": f"sha256:{plugins.file_digest(corner)}"}
    (corner.parent / "two").mkdir()
    other = corner.parent / "two" / "corner.py"
    other.write_text(RECIPE + "# other\n")
    with raises("recipe-mix-invalid", problems="two Python files named corner.py"):
        load_recipe(((str(other), 0.5), (str(corner), 0.5)))


def test_copies_of_a_file_are_one_module(corner: Path) -> None:
    (corner.parent / "copy").mkdir()
    copy = corner.parent / "copy" / "corner.py"
    copy.write_bytes(corner.read_bytes())
    assert module_from_file(copy) is module_from_file(corner)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("raise RuntimeError('no')", "plugin-failed"),
        ("import sys; sys.exit(3)", "plugin-failed"),
        ("def lay_out(recipe, request): ...", "plugin-incomplete"),
        ("SETTINGS = 3\ndef lay_out(recipe, request): ...", "plugin-incomplete"),
        ("from render.recipes.tabletop import SETTINGS, lay_out", "plugin-incomplete"),
        (RECIPE.replace("    def product_count(self):\n        return 1, 1\n", ""), "plugin-incomplete"),
    ],
)
def test_a_file_that_is_no_recipe_is_explained(tmp_path: Path, text: str, code: str) -> None:
    (tmp_path / "bad.py").write_text(text)
    with raises(code, text="bad.py"):
        load_recipe(str(tmp_path / "bad.py"))


class Distribution:
    name, version = "shop-recipes", "1.2"


def test_recipes_of_packages_are_known_by_their_version(monkeypatch: pytest.MonkeyPatch) -> None:
    point = EntryPoint("shop", "render.recipes.scatter", "synth.recipes")
    vars(point).update(dist=Distribution())
    monkeypatch.setattr(plugins, "_entry_points", lambda group: {"shop": point} if group == "synth.recipes" else {})
    assert recipe_names()[-1] == "shop"
    recipe = load_recipe("shop")
    assert recipe.recipe == "shop" and origins_of(recipe, "raster") == {"recipe shop": "shop-recipes 1.2"}
    assert lacking({"recipe shop": "shop-recipes 1.2"}, ()) == ""
    assert "shop-recipes 1.1" in lacking({"recipe shop": "shop-recipes 1.1"}, ())
    with raises("plugin-changed"):
        check_origins({"recipe shop": "shop-recipes 1.1"}, origins_of(recipe, "raster"), "here")


def test_only_files_that_a_set_was_made_with_are_trusted(corner: Path) -> None:
    digest = f"sha256:{plugins.file_digest(corner)}"
    assert trusted_files({"recipe corner.py": digest}, [corner]) == {"recipe corner.py": corner}
    for recorded in ({}, {"recipe corner.py": "sha256:0"}, {"recipe other.py": digest}):
        with raises("plugin-changed"):
            trusted_files(recorded, [corner])
