"""The README is true: every command in a bash block runs, every file it shows is there."""

from __future__ import annotations

import importlib
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from pipeline.cli.main import main
from support.paths import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")


GUIDE = (ROOT / "docs" / "catalogue.md").read_text(encoding="utf-8")


def blocks(language: str, page: str = README) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", page, flags=re.DOTALL)


def test_every_bash_command_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the order of the README, in one folder, as a reader would type them; then the Python that follows.

    All in this process: a start of the program takes longer than most of the commands.
    """
    # Before anything is drawn: where Mesa's software renderer has loaded its LLVM, loading triton's ends the process.
    importlib.import_module("detectors.models.parts")
    shutil.copytree(ROOT / "assets" / "demo", tmp_path / "assets" / "demo")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    commands = [line for block in blocks("bash") for line in block.splitlines() if line.strip()]
    assert len(commands) >= 10
    for command in commands:
        words, _, file = command.partition(" > ")
        program, *arguments = shlex.split(words)
        assert program == "synth", f"only synth commands belong into bash blocks: {command}"
        done = CliRunner().invoke(main, arguments)
        if "OpenGL" in done.output and done.exit_code:
            pytest.skip(f"the raster backend cannot start here: {done.output}")
        assert done.exit_code == 0, f"{command}\n{done.output}"
        if file:
            Path(file.strip()).write_text(done.stdout)
    (code,) = blocks("python")
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert told.returncode == 0, told.stderr
    assert "demo-" in told.stdout


def test_the_example_list_has_columns_that_exist() -> None:
    from assets.catalog.types import COLUMNS

    (example,) = blocks("csv")
    header, *rows = example.splitlines()
    assert set(header.split(",")) <= set(COLUMNS)
    assert all(len(row.split(",")) == len(header.split(",")) for row in rows)
    for column in re.findall(r"^\| (`.*?) \|", README, flags=re.MULTILINE):
        assert set(re.findall(r"`(\w+)`", column)) <= set(COLUMNS)


def options_of(words: list[str]) -> set[str]:
    """The options of the command that a line names, in a group or not."""
    command: click.Command = main
    for word in words:
        if isinstance(command, click.Group):
            command = command.commands[word]
    return {"--help", *(name for option in command.params for name in (*option.opts, *option.secondary_opts))}


def test_options_of_console_blocks_exist() -> None:
    """Long runs are not repeated here, but each option in them must be one that the command knows."""
    for block in [*blocks("console"), *blocks("console", GUIDE)]:
        for line in block.replace("\\\n", " ").splitlines():
            words = shlex.split(line, comments=True)
            if words[:1] == ["synth"]:
                known = options_of(words[1:])
                assert all(word.split("=")[0] in known for word in words if word.startswith("--")), line
            elif words and words[0] == "make":
                assert re.search(rf"^{words[1]}:", (ROOT / "Makefile").read_text(), flags=re.MULTILINE), line


def test_links_and_pictures_are_there() -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        if not target.startswith("http"):
            assert (ROOT / target).exists(), target


def test_no_page_names_a_machine() -> None:
    for page in [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")]:
        assert not re.search(r"/(work|root|home)/", page.read_text()), page
