"""README and the pages of the documentation are true: commands and programs run, options, files and functions exist.

Blocks marked `bash` and `python` are run, in the order of the pages, in one folder, as a reader would type them. Blocks
marked `console` hold long runs: their commands and options must exist.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import re
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from assets.errors import SynthError
from pipeline.cli.main import main
from support.paths import ROOT
from support.work_here import work_here

README = ROOT / "README.md"
TASKS = (
    "products",
    "render",
    "verify",
    "view",
    "shops",
    "planograms",
    "jobs",
    "train",
    "adapt",
    "evaluate",
    "gap",
    "refine",
    "tune",
    "predict",
    "recognize",
    "datasets",
)
# Pages whose commands are run, those first that others build on.
RUN = (README, ROOT / "docs/tour.md", *(ROOT / f"docs/tasks/{task}.md" for task in TASKS))
PAGES = (README, ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md")), *ROOT.glob("examples/README.md"))
OPTION = r"(?<![\w-])--[a-z][a-z-]+"
FOLDERS = "assets|dataset|render|detectors|pipeline|synth|tests|benchmarks|examples|tools|docs"


def page_name(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)


# Commands that a page before has run: pages share their data set and their first detector.
RAN: set[str] = set()


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder of a reader who begins with nothing but the demo catalogue."""
    # Where Mesa's software renderer has loaded its LLVM, loading triton's afterwards ends the process.
    importlib.import_module("detectors.models.parts")
    folder = tmp_path_factory.mktemp("reader")
    shutil.copytree(ROOT / "assets" / "demo", folder / "assets" / "demo")
    with contextlib.chdir(folder), pytest.MonkeyPatch.context() as patch, work_here():
        patch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
        yield folder


def marked(page: Path) -> object:
    """Task pages take minutes together: `make pages` runs them, and CI checks that their commands exist."""
    return pytest.param(page, marks=pytest.mark.pages) if page.parent.name == "tasks" else page


@pytest.mark.parametrize("page", [marked(page) for page in RUN], ids=[page_name(page) for page in RUN])
@pytest.mark.usefixtures("reader")
def test_commands_and_programs_run(page: Path) -> None:
    """Commands in this process: a start of the program takes longer than most of them."""
    lines = [line for block in blocks(page, "bash") for line in block.replace("\\\n", " ").splitlines()]
    commands = [" ".join(line.split()) for line in lines if line.strip()]
    assert commands
    for command in commands:
        if command in RAN:
            continue
        RAN.add(command)
        words, _, file = command.partition(" > ")
        program, *arguments = shlex.split(words)
        assert program == "synth", f"only synth commands belong into bash blocks: {command}"
        done = CliRunner().invoke(main, arguments)
        if "OpenGL" in done.output and done.exit_code:
            pytest.skip(f"the raster backend cannot start here: {done.output}")
        assert done.exit_code == 0, f"{command}\n{done.output}"
        if file:
            Path(file.strip()).write_text(done.stdout)
    for code in blocks(page, "python"):
        run_program(code)


@pytest.mark.parametrize("page", [page for page in PAGES if page not in RUN and blocks(page, "python")], ids=page_name)
@pytest.mark.usefixtures("reader")
def test_programs_run(page: Path) -> None:
    for code in blocks(page, "python"):
        run_program(code)


def run_program(code: str) -> None:
    """Runs a program in this process, which has loaded what a new one would spend seconds on."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        try:
            exec(compile(code, "<page>", "exec"), {"__name__": "__main__"})
        except SynthError as error:
            if "OpenGL" in str(error):
                pytest.skip(f"the raster backend cannot start here: {error}")
            raise
    assert printed.getvalue().strip(), f"a program that prints nothing shows nothing:\n{code}"


def test_hello_world_is_short() -> None:
    (code,) = blocks(README, "python")
    assert len(code.splitlines()) <= 15


def test_example_lists_have_columns_that_exist() -> None:
    from assets.catalog.types import COLUMNS

    for page in (README, ROOT / "docs/tasks/products.md"):
        (example,) = blocks(page, "csv")
        header, *rows = example.splitlines()
        assert set(header.split(",")) <= set(COLUMNS)
        assert all(len(row.split(",")) == len(header.split(",")) for row in rows)
    table = (ROOT / "docs/tasks/products.md").read_text().partition("## Columns")[2].partition("\n##")[0]
    named = {name for row in re.findall(r"^\| (`.*?) \|", table, re.MULTILINE) for name in re.findall(r"`(\w+)`", row)}
    assert named == set(COLUMNS)


def options_of(words: list[str]) -> set[str]:
    """The options of the command that a line names, in a group or not."""
    command: click.Command = main
    for word in words:
        if isinstance(command, click.Group):
            assert word in command.commands, f"no such command: {word}"
            command = command.commands[word]
    return {
        "--help",
        *(
            name
            for option in command.get_params(click.Context(command))
            for name in (*option.opts, *option.secondary_opts)
        ),
    }


@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_commands_and_options_of_long_runs_exist(page: Path) -> None:
    for block in [*blocks(page, "console"), *blocks(page, "bash")]:
        for line in block.replace("\\\n", " ").splitlines():
            words = shlex.split(line, comments=True)
            if words[:1] == ["synth"]:
                known = options_of(words[1:])
                assert all(word.split("=")[0] in known for word in words if word.startswith("--")), line
            elif words and words[0] == "make":
                assert re.search(rf"^{words[1]}:", (ROOT / "Makefile").read_text(), flags=re.MULTILINE), line


@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_inline_commands_options_and_files_exist(page: Path) -> None:
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    known = {option for command in commands_below(main) for option in options_of(command.split())}
    if page.name == "results.md":  # its commands are benchmarks
        known |= {option for file in ROOT.glob("benchmarks/**/*.py") for option in re.findall(OPTION, file.read_text())}
    for code in re.findall(r"`([^`\n]+)`", text):
        for option in re.findall(OPTION, code):
            assert option in known or code.split()[0] in OTHER_PROGRAMS, f"{code}: no command has {option}"
        if re.fullmatch(rf"(?:{FOLDERS})/[\w./-]*", code) and not code.startswith("docs/pictures/"):
            assert (ROOT / code).exists(), f"there is no {code}"


OTHER_PROGRAMS = ("ray", "pip", "pytest", "ruff", "git", "python", "mkdocs")


def commands_below(group: click.Group, before: str = "") -> list[str]:
    names = []
    for name, command in group.commands.items():
        names += commands_below(command, f"{before}{name} ") if isinstance(command, click.Group) else [before + name]
    return names


@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_functions_beside_files_exist(page: Path) -> None:
    """Rows of tables that end in `file.py` | `name`."""
    for file, name in re.findall(rf"\| `((?:{FOLDERS})/[\w/]+\.py)` \| `(\w+)` \|", page.read_text()):
        assert re.search(rf"^ *(?:def|class) {name}\b", (ROOT / file).read_text(), re.MULTILINE), f"{file}: {name}"


@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_links_and_images_are_there(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text()):
        if not target.startswith("http"):
            assert (page.parent / target).exists(), target


def test_no_page_names_a_machine() -> None:
    for page in [*ROOT.glob("*.md"), *PAGES]:
        assert not re.search(r"(?<![\w.~])/(work|root|home)/", page.read_text()), page
