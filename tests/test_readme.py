"""The README is true: every command in a bash block runs, every file it shows is there."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


GUIDE = (ROOT / "docs" / "catalogue.md").read_text(encoding="utf-8")


def blocks(language: str, page: str = README) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", page, flags=re.DOTALL)


def test_every_bash_command_works(tmp_path: Path) -> None:
    """In the order of the README, in one folder, as a reader would type them; then the Python that follows."""
    shutil.copytree(ROOT / "assets" / "demo", tmp_path / "assets" / "demo")
    # The commands of this very checkout, wherever it is installed.
    program = f'"{sys.executable}" -m pipeline.cli'
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    # Beside other tests, threads that wait for each other in busy loops make training ten times slower.
    environment["OMP_NUM_THREADS"] = "1"
    commands = [line for block in blocks("bash") for line in block.splitlines() if line.strip()]
    assert len(commands) >= 10
    for command in commands:
        assert command.startswith("synth "), f"only synth commands belong into bash blocks: {command}"
        line = command.replace("synth", program, 1)
        done = subprocess.run(
            line, shell=True, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )
        if "OpenGL" in done.stderr + done.stdout and done.returncode:
            pytest.skip(f"the raster backend cannot start here: {done.stdout} {done.stderr}")
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    (code,) = blocks("python")
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "demo-" in done.stdout


def test_the_example_list_has_columns_that_exist() -> None:
    from assets.catalog import COLUMNS

    (example,) = blocks("csv")
    header, *rows = example.splitlines()
    assert set(header.split(",")) <= set(COLUMNS)
    assert all(len(row.split(",")) == len(header.split(",")) for row in rows)
    for column in re.findall(r"^\| (`.*?) \|", README, flags=re.MULTILINE):
        assert set(re.findall(r"`(\w+)`", column)) <= set(COLUMNS)


def options_of(words: list[str]) -> set[str]:
    """The options of the command that a line names, in a group or not."""
    import click

    from pipeline.cli import main

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
