"""Commands given folders for files, links, names that are no text; and meshes that take their reader down."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

import pipeline.workers.mesh_process as mesh_process
from assets.catalog.types import Sku
from assets.limits import Limit
from pipeline.cli.main import main
from pipeline.workers.mesh_process import MeshProcess
from support.errors import raises
from support.fuzzing.files import deadline, run_command

LIST = "sku,package,width_m,height_m,depth_m\na,can,0.07,0.1,0.07\n"
BOX = "v 0 0 0\nv .1 0 0\nv 0 .1 0\nv 0 0 .1\nf 1 3 2\nf 1 2 4\nf 1 4 3\nf 2 3 4\n"


@pytest.fixture
def listed(tmp_path: Path) -> Path:
    (tmp_path / "l.csv").write_text(LIST)
    return tmp_path / "l.csv"


def told(words: list[str], message: str) -> None:
    with deadline():
        result = CliRunner().invoke(main, words)
    assert result.exit_code in (1, 2) and message in result.output, result.output
    assert isinstance(result.exception, SystemExit)


@pytest.mark.parametrize(
    "make", [os.mkfifo, lambda path: path.write_text("x"), lambda path: path.symlink_to("/dev/null")]
)
@pytest.mark.parametrize("command", ["render", "export", "show"])
def test_an_output_that_is_no_folder(listed: Path, tmp_path: Path, make: Callable, command: str) -> None:
    out = tmp_path / "out"
    make(out)
    inside = str(out / "a.png")
    words = {
        "render": ["render", "--sku-list", str(listed), "--scenes", "1", "--out", str(out)],
        "export": ["catalog", "export", str(listed), str(out)],
        "show": ["catalog", "show", str(listed), "--out", inside],
    }
    told(words[command], "error: ")
    assert not out.is_dir()


def test_an_output_that_is_the_folder_of_the_list(listed: Path, tmp_path: Path) -> None:
    told(["render", "--sku-list", str(listed), "--scenes", "1", "--out", str(tmp_path)], "not empty")
    assert {file.name for file in tmp_path.iterdir()} <= {"l.csv", ".lock"} and listed.read_text() == LIST


def test_an_output_that_is_the_list_itself(listed: Path) -> None:
    told(["render", "--sku-list", str(listed), "--scenes", "1", "--out", str(listed)], "error: ")
    assert listed.read_text() == LIST


@pytest.mark.parametrize(
    "name", ["caf\udce9", "\u202eabc", "a\nb", "[red]x[/blue]", "ü" * 100, "-", "%s {0}", "\x1b[31m"]
)
def test_names_of_files_that_are_hardly_text(tmp_path: Path, name: str) -> None:
    folder = tmp_path / name
    folder.mkdir(parents=True)
    (folder / "l.csv").write_text(LIST.replace("0.07", "-1"))
    told(["catalog", "check", str(folder / "l.csv")], "a number over 0")
    told(["render", "--sku-list", str(folder / "l.csv"), "--out", str(folder / "o")], "problem")
    (folder / "l.csv").write_text(LIST)
    assert run_command("catalog", "check", str(folder / "l.csv")) == 0
    told(["recipe", "check", str(folder / "l.csv")], "error: ")
    told(["verify", str(folder)], "no such COCO file")
    told(["preview", str(folder)], "no such COCO file")


@pytest.mark.parametrize("name", ["x" * 5000, "a/" * 3000])
@pytest.mark.parametrize("option", ["--sku-list", "--out", "--recipe", "--hdri", "--cache"])
def test_names_that_no_file_can_have(listed: Path, tmp_path: Path, name: str, option: str) -> None:
    words = {"--sku-list": str(listed), "--out": str(tmp_path / "o"), "--scenes": "1", option: name}
    with deadline():
        result = CliRunner().invoke(main, ["render", *(word for pair in words.items() for word in pair)])
    if option != "--cache":  # a cache that cannot be written costs time and nothing else
        assert result.exit_code in (1, 2) and result.output.strip()
    assert result.exception is None or isinstance(result.exception, SystemExit)


def box(folder: Path) -> Sku:
    (folder / "a.obj").write_text(BOX)
    return Sku("a", "a", mesh="a.obj")


def test_a_mesh_is_read_in_another_process(tmp_path: Path) -> None:
    with MeshProcess() as load:
        loaded = load(box(tmp_path), tmp_path)
        assert len(loaded.mesh.faces) == 4
        with raises("file-missing", what="the mesh file"):
            load(Sku("b", "b", mesh="b.obj"), tmp_path)
        assert len(load(box(tmp_path), tmp_path).mesh.faces) == 4


def test_a_reader_that_is_killed_takes_nothing_else_down(tmp_path: Path) -> None:
    """As a crash in native code or the kernel, where memory runs out, would."""
    with MeshProcess() as load:
        load(box(tmp_path), tmp_path)
        assert load._process is not None and load._process.pid is not None
        os.kill(load._process.pid, signal.SIGKILL)
        with raises("mesh-reader-crashed", found="exit code -9"):
            load(box(tmp_path), tmp_path)
        assert len(load(box(tmp_path), tmp_path).mesh.faces) == 4  # a new one


def test_a_reader_that_hangs_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mesh_process, "MESH_SECONDS", Limit("seconds for reading a mesh", 1))
    with MeshProcess() as load:
        load._connect()
        process = load._process
        assert process is not None and process.pid is not None
        os.kill(process.pid, signal.SIGSTOP)
        with deadline(), raises("limit-exceeded", what="seconds for reading a mesh"):
            load(box(tmp_path), tmp_path)
        assert not process.is_alive()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux counts such memory against RLIMIT_DATA")
def test_a_reader_that_needs_too_much_memory_is_told(tmp_path: Path) -> None:
    code = mesh_process._load_or_explain
    (tmp_path / "a.obj").write_text(BOX)
    import resource

    before = resource.getrlimit(resource.RLIMIT_DATA)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mesh_process, "load_product", lambda sku, root: bytearray(1 << 50))
        answer = code(box(tmp_path), tmp_path)
    assert isinstance(answer, str) and "bytes of memory for reading a mesh" in answer
    assert resource.getrlimit(resource.RLIMIT_DATA) == before
