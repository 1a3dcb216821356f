"""What killed runs left half written is swept, and nothing that anyone may still need."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from assets.files import atomic
from assets.files.atomic import atomic_file, lock_folder, remove_leftovers, sweep_cache, temporary_prefix
from assets.files.scratch import scratch_folder, sweep_scratch


@pytest.fixture
def dead(monkeypatch: pytest.MonkeyPatch) -> int:
    """The number of a process that has ended."""
    process = subprocess.Popen([sys.executable, "-S", "-c", "pass"])
    process.wait()
    return process.pid


def leave(folder: Path, process: int, machine: str = "") -> Path:
    """A temporary file as `process` would leave it."""
    name = temporary_prefix("a.jpg").replace(f".{os.getpid()}@", f".{process}@")
    file = folder / f"{name.replace(atomic._machine_id(), machine or atomic._machine_id())}x7.tmp"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("half")
    return file


def test_whoever_locks_a_folder_takes_away_what_dead_processes_left(tmp_path: Path, dead: int) -> None:
    gone = [leave(tmp_path, dead), leave(tmp_path / "images", dead), leave(tmp_path / "images" / "0012", dead)]
    old_style = tmp_path / ".a.jpg.k2j4.tmp"
    old_style.write_text("half")
    kept = [leave(tmp_path, os.getppid()), leave(tmp_path, dead, machine="0" * 8)]
    mine = tmp_path / "notes.tmp"
    mine.write_text("a user's own")
    with lock_folder(tmp_path):
        assert not any(file.exists() for file in (*gone, old_style))
        assert all(file.exists() for file in (*kept, mine))


def test_a_cache_without_a_lock_keeps_what_does_not_say_whose_it_is_for_a_day(tmp_path: Path, dead: int) -> None:
    gone, fresh, old = leave(tmp_path / "meshes-2" / "ab", dead), tmp_path / ".fresh.tmp", tmp_path / ".old.tmp"
    fresh.write_text("half")
    old.write_text("half")
    os.utime(old, (1e9, 1e9))
    assert sweep_cache(tmp_path) == 2
    assert not gone.exists() and not old.exists() and fresh.exists()
    assert sweep_cache(tmp_path / "nowhere") == 0


def test_a_file_that_is_being_written_is_never_swept(tmp_path: Path) -> None:
    with atomic_file(tmp_path / ("ä" * 120)) as file:
        assert remove_leftovers(tmp_path) == 0
        file.write(b"whole")
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"whole"]


def test_scratch_folders_of_dead_processes_are_swept(
    tmp_path: Path, dead: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    here = f"@{atomic._machine_id()}."
    left = tmp_path / f".synth-verify.{dead}{here}abc"
    kept = [f".synth-verify.{os.getppid()}{here}abc", f".synth-verify.{dead}@{'0' * 8}.abc", ".synth-of-a-user"]
    for folder in (left, *(tmp_path / name for name in kept)):
        folder.mkdir()
        (folder / "file").write_text("half")
    with scratch_folder("verify") as mine:
        assert not left.exists() and all((tmp_path / name / "file").exists() for name in kept)
        assert sweep_scratch(tmp_path) == 0 and Path(mine).is_dir()
    assert {path.name for path in tmp_path.iterdir()} == set(kept)
