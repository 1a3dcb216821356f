"""The command line: what users type, and what they are told when it is wrong."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from assets.demo import demo_list
from pipeline.cli.main import main
from pipeline.run.settings import RunSettings


def synth(*words: object) -> Result:
    return CliRunner().invoke(main, [str(word) for word in words])


@pytest.mark.parametrize("command", ["render", "catalog", "recipe", "verify", "preview", "doctor", "catalog check"])
def test_every_command_explains_itself(command: str) -> None:
    result = synth(*command.split(), "--help")
    assert result.exit_code == 0
    assert "Usage" in result.output


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("--out x", "give --sku-list FILE, or --demo"),
        ("--out x --demo --size 640", "such as 640x480"),
        ("--out x --demo --size 640x99999", "8 to 8192"),
        ("--out x --demo --split train:0.9", "must sum to 1"),
        ("--out x --demo --split train:0.5,train:0.5", "each split once"),
        ("--out x --demo --split train=1", "is not NAME:SHARE"),
        ("--out x --demo --split ../x:1", "is not NAME:SHARE"),
        ("--out x --demo --workers many", "a number of processes"),
        ("--out x --demo --scenes 0", "0 is not in the range"),
        ("--out x --demo --seed -1", "-1 is not in the range"),
        ("--out x --sku-list nowhere.csv", "does not exist"),
        ("--demo", "Missing option '--out'"),
    ],
)
def test_wrong_options_are_told(words: str, told: str) -> None:
    result = synth("render", *words.split())
    assert result.exit_code == 2
    assert told in " ".join(result.output.split())


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--recipe", "tabeltop"], "did you mean 'tabletop'"),
        (["--backend", "rastr"], "did you mean 'raster'"),
        (["--preset", "goood"], "did you mean 'good'"),
    ],
)
def test_unknown_names_are_told_before_any_work(tmp_path: Path, words: list[str], told: str) -> None:
    result = synth("render", "--demo", "--out", tmp_path / "set", *words)
    assert result.exit_code == 1
    assert told in result.output
    assert "Traceback" not in result.output
    assert not (tmp_path / "set").exists()


def test_a_broken_list_is_told_whole(tmp_path: Path) -> None:
    path = tmp_path / "skus.csv"
    path.write_text("sku,mesh,width_m\na,nowhere.obj,0.1\na,,x\n")
    result = synth("render", "--sku-list", path, "--out", tmp_path / "set")
    assert result.exit_code == 1
    for told in ("row 2, column mesh", "row 3, column sku", "row 3, column width_m", "neither mesh nor package"):
        assert told in result.output


@pytest.mark.usefixtures("here")
def test_a_broken_mesh_names_its_product_and_the_run_ends_with_1(tmp_path: Path, cache: Path) -> None:
    (tmp_path / "a.obj").write_text("this is no mesh")
    path = tmp_path / "skus.csv"
    path.write_text("sku,mesh\na,a.obj\n")
    words = ("--out", tmp_path / "set", "--scenes", 1, "--size", "64x48", "--cache", cache)
    result = synth("render", "--sku-list", path, *words)
    assert result.exit_code == 1
    assert "SKU 'a'" in result.output
    assert json.loads((tmp_path / "set" / "failures.jsonl").read_text())["index"] == 0


@pytest.mark.usefixtures("no_images")
def test_verify_and_preview_of_a_rendered_set(rendered: RunSettings, tmp_path: Path, cache: Path) -> None:
    result = synth("verify", rendered.out, "--cache", cache)
    assert result.exit_code == 0, result.output
    assert "clean: 8 images" in result.output
    result = synth("preview", rendered.out, "--out", tmp_path / "sheet.png", "--count", 3)
    assert result.exit_code == 0, result.output
    assert (tmp_path / "sheet.png").stat().st_size > 10_000


@pytest.mark.usefixtures("no_images")
def test_verify_ends_with_1_where_something_is_wrong(rendered: RunSettings, tmp_path: Path, cache: Path) -> None:
    import shutil

    shutil.copytree(rendered.out, tmp_path / "set")
    next((tmp_path / "set" / "images").iterdir()).unlink()
    result = synth("verify", tmp_path / "set", "--cache", cache)
    assert result.exit_code == 1
    assert "is missing" in result.output


def test_recipes_are_listed_shown_and_checked(tmp_path: Path) -> None:
    assert "tabletop" in synth("recipe", "list").output
    shown = synth("recipe", "show", "scatter")
    path = tmp_path / "mine.yaml"
    path.write_text(shown.output)
    result = synth("recipe", "check", path)
    assert result.exit_code == 0
    assert "a valid scatter recipe" in result.output
    path.write_text(shown.output.replace("lens_mm", "lens_cm"))
    result = synth("recipe", "check", path)
    assert result.exit_code == 1
    assert "did you mean 'lens_mm'" in result.output


def test_the_demo_catalogue_is_good() -> None:
    result = synth("catalog", "check", demo_list())
    assert result.exit_code == 0, result.output
    assert "good: 16 SKUs" in " ".join(result.output.split())
    assert synth("catalog", "demo").output.strip() == str(demo_list())


def test_doctor_names_both_backends() -> None:
    result = synth("doctor")
    assert result.exit_code in (0, 1)
    for name in ("python", "cycles", "raster", "torch", "cache"):
        assert name in result.output
