"""Whole runs as users start them: killed, interrupted, out of room, doubled; nothing is lost, and each says so."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from assets.interrupt import ECHO_S
from support.jobs import files_of
from support.paths import PYTHONPATH

SCENES = 24


def start(job: str, out: Path, *words: str, scenes: int = SCENES, workers: int = 2, **changes: str) -> subprocess.Popen:
    """`synth render` with a stand-in for the renderer, in a process group of its own as a terminal has it."""
    command = [sys.executable, "-m", "support.stub_cli", job, "render", "--demo", "--out", str(out), *words]
    command += ["--scenes", str(scenes), "--workers", str(workers), "--cache", str(out.parent / "cache")]
    path = PYTHONPATH
    environment = {**os.environ, "PYTHONPATH": path, "COLUMNS": "200", **changes}
    out.parent.mkdir(parents=True, exist_ok=True)
    return subprocess.Popen(
        command,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def finish(process: subprocess.Popen) -> tuple[int, str]:
    output, _ = process.communicate(timeout=60)
    return process.returncode, output


def wait_for(happened: Callable[[], object]) -> None:
    deadline = time.monotonic() + 60
    while not happened():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)


def begun(out: Path) -> list[int]:
    return sorted(int(file.name.split("-")[1]) for file in out.glob(".begun-*"))


def made(out: Path) -> list[int]:
    return sorted(int(file.name[:6]) for file in (out / "labels").glob("[0-9]*.json"))


def workers_of(process: subprocess.Popen) -> list[psutil.Process]:
    children = psutil.Process(process.pid).children()
    return [child for child in children if "multiprocessing.spawn" in " ".join(child.cmdline())]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The files of a run of one worker that nothing happened to."""
    out = tmp_path_factory.mktemp("undisturbed") / "set"
    code, output = finish(start("slow", out, workers=1))
    assert code == 0, output
    assert f"{SCENES} of {SCENES} finished" in " ".join(output.split())
    return files_of(out)


def test_four_workers_make_the_bytes_of_one(tmp_path: Path, undisturbed: dict[str, bytes]) -> None:
    code, output = finish(start("slow", tmp_path / "set", workers=4))
    assert code == 0, output
    assert files_of(tmp_path / "set") == undisturbed


def test_killed_at_random_moments_the_set_has_the_bytes_of_an_undisturbed_run(
    tmp_path: Path, undisturbed: dict[str, bytes]
) -> None:
    """Parents and workers by turns, at any moment from their birth on; the next run begins at once after each."""
    out, rng = tmp_path / "set", random.Random(4)
    for turn in range(6):
        process = start("slow", out)
        wait_for((out / "dataset.json").exists)
        time.sleep(rng.uniform(0.0, 0.6))
        if turn % 2:
            os.kill(process.pid, signal.SIGKILL)
            process.communicate()
        else:
            for worker in workers_of(process)[:1]:
                worker.kill()
            time.sleep(rng.uniform(0.0, 0.3))
            os.kill(process.pid, signal.SIGKILL)
            process.communicate()
    code, output = finish(start("slow", out))
    assert code == 0, output
    assert files_of(out) == undisturbed
    assert not list(out.rglob("*.tmp"))


def test_workers_end_with_a_killed_parent_even_where_they_hang_in_native_code(tmp_path: Path) -> None:
    out = tmp_path / "set"
    process = start("stuck", out)
    wait_for(lambda: len(begun(out)) == 2)
    workers = workers_of(process)
    assert len(workers) == 2
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    _, alive = psutil.wait_procs(workers, timeout=10)
    assert alive == []
    code, output = finish(start("write_scene", out))
    assert code == 0, output


def test_a_second_run_into_the_folder_says_who_is_there_and_leaves_all_as_it_is(tmp_path: Path) -> None:
    out = tmp_path / "set"
    first = start("stuck", out)
    try:
        wait_for(lambda: len(begun(out)) == 2)
        before = files_of(out)
        code, output = finish(start("write_scene", out))
        assert code == 1
        assert "another run is writing into this folder" in output
        assert f"process {first.pid} on " in output
        assert files_of(out) == before
    finally:
        os.killpg(first.pid, signal.SIGKILL)
        first.communicate()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_one_signal_to_all_processes_finishes_the_scenes_under_way(
    tmp_path: Path, undisturbed: dict[str, bytes], number: signal.Signals
) -> None:
    out = tmp_path / "set"
    process = start("slow", out)
    wait_for(lambda: len(begun(out)) >= 4)
    os.killpg(process.pid, number)
    code, output = finish(process)
    assert code == 128 + number, output
    assert begun(out) == made(out)
    there = len(made(out))
    assert 4 <= there < SCENES
    told = " ".join(output.split())
    assert "in progress; press Ctrl-C again to stop now" in told
    assert f"{there} of {SCENES} finished" in told
    assert "the same command resumes there" in told
    assert "Traceback" not in output
    code, output = finish(start("slow", out))
    assert code == 0, output
    assert f"{there} of {SCENES} scenes are finished already" in output
    assert files_of(out) == undisturbed


def test_two_signals_stop_at_once(tmp_path: Path) -> None:
    out = tmp_path / "set"
    process = start("stuck", out)
    wait_for(lambda: len(begun(out)) == 2)
    workers = workers_of(process)
    os.killpg(process.pid, signal.SIGINT)
    assert process.stdout is not None
    line = process.stdout.readline()
    assert "finishing the 2 scenes in progress" in line
    time.sleep(2 * ECHO_S)
    os.killpg(process.pid, signal.SIGINT)
    code, output = finish(process)
    assert code == 130
    assert f"0 of {SCENES} finished" in " ".join(output.split())
    assert "Traceback" not in output
    assert not any(worker.is_running() for worker in workers)


def test_a_signal_before_the_first_scene_ends_the_run_too(tmp_path: Path) -> None:
    out = tmp_path / "set"
    process = start("slow", out)
    wait_for((out / "dataset.json").exists)
    os.killpg(process.pid, signal.SIGINT)
    code, output = finish(process)
    assert code == 130, output
    assert begun(out) == made(out)
    assert "Traceback" not in output


def test_time_in_which_the_whole_run_was_stopped_counts_against_no_scene(tmp_path: Path) -> None:
    """As by Ctrl-Z: for twice as long as a scene may take."""
    out = tmp_path / "set"
    process = start("slow", out, "--timeout", "1")
    wait_for(lambda: len(begun(out)) >= 4)
    os.killpg(process.pid, signal.SIGSTOP)
    time.sleep(2.2)
    os.killpg(process.pid, signal.SIGCONT)
    code, output = finish(process)
    assert code == 0, output
    assert "tried twice" not in output


def test_on_a_terminal_ctrl_c_is_answered_too(tmp_path: Path) -> None:
    """Typed as a character, so that the terminal sends the signal to everything in its foreground."""
    import pty

    out, (process, terminal) = tmp_path / "set", pty.fork()
    if process == 0:
        os.environ["PYTHONPATH"] = PYTHONPATH
        words = ["slow", "render", "--demo", "--out", str(out), "--scenes", "200", "--workers", "2"]
        os.execv(sys.executable, [sys.executable, "-m", "support.stub_cli", *words, "--cache", str(tmp_path / "cache")])
    wait_for(lambda: len(begun(out)) >= 4)
    os.write(terminal, b"\x03")
    seen = b""
    try:
        while chunk := os.read(terminal, 4096):
            seen += chunk
    except OSError:  # Linux's way of saying that the other end has gone
        pass
    _, status = os.waitpid(process, 0)
    os.close(terminal)
    assert os.waitstatus_to_exitcode(status) == 130
    assert b"press Ctrl-C again" in seen and b"Traceback" not in seen
    assert begun(out) == made(out)


def test_a_file_of_annotations_that_does_not_fit_is_told_and_made_later(tmp_path: Path) -> None:
    """Every file of a scene has room, the merged one has not."""
    out = tmp_path / "set"
    code, output = finish(start("slow", out, LARGEST_FILE="24000"))
    assert code == 1
    assert "the data set cannot be written" in output and "is kept" in output
    assert made(out) == list(range(SCENES))
    assert list((out / "annotations").iterdir()) == []
    code, output = finish(start("slow", out))
    assert code == 0, output
    assert len(list((out / "annotations").iterdir())) == 1


def mounted(tmp_path: Path, script: str) -> subprocess.CompletedProcess:
    """`script` in a namespace of its own, where it may mount; skipped where the system does not let us."""
    if shutil.which("unshare") is None or subprocess.run(["unshare", "-rm", "true"], check=False).returncode:
        pytest.skip("mounting needs user namespaces, which this system does not allow")
    path = PYTHONPATH
    environment = {**os.environ, "PYTHONPATH": path, "COLUMNS": "200", "PYTHON": sys.executable}
    return subprocess.run(
        ["unshare", "-rm", "bash", "-c", script],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def without_info(files: dict[str, bytes]) -> dict[str, bytes]:
    """All but dataset.json, which names the list by its path from the set, and its checksum."""
    kept = {name: data for name, data in files.items() if name != "dataset.json"}
    lines = kept["checksums.sha256"].splitlines()
    return {**kept, "checksums.sha256": b"\n".join(line for line in lines if not line.endswith(b" dataset.json"))}


def test_a_disk_that_fills_up_ends_the_run_and_room_lets_it_go_on(
    tmp_path: Path, undisturbed: dict[str, bytes]
) -> None:
    """A real one of 400 KiB: it is full in the middle of some scene."""
    done = mounted(
        tmp_path,
        f"""
        mkdir disk && mount -t tmpfs -o size=400k none disk
        run="$PYTHON -m support.stub_cli slow render --demo --out disk/set --scenes {SCENES} --workers 2 --cache cache"
        $run; echo "ended with $?"; 
        mount -o remount,size=40m disk
        $run; echo "ended with $?"; cp -r disk/set kept
        """,
    )
    assert "ended with 1" in done.stdout and "ended with 0" in done.stdout, done.stdout + done.stderr
    assert "No space left on device" in done.stderr and "disk-full" in done.stderr
    assert "Traceback" not in done.stderr
    assert "are finished already: resuming" in done.stdout
    assert without_info(files_of(tmp_path / "kept")) == without_info(undisturbed)


def test_a_disk_without_any_room_and_one_that_may_not_be_written_are_told_before_any_work(tmp_path: Path) -> None:
    done = mounted(
        tmp_path,
        """
        mkdir full closed && mount -t tmpfs -o size=40k none full && mount -t tmpfs -o ro none closed
        head -c 40960 /dev/zero > full/file
        for place in full closed; do
            $PYTHON -m support.stub_cli slow render --demo --out $place/set --scenes 9 --cache cache
            echo "ended with $?"
        done
        """,
    )
    assert done.stdout.count("ended with 1") == 2, done.stdout + done.stderr
    assert "No space left on device" in done.stderr and "Read-only file system" in done.stderr
    assert "Traceback" not in done.stderr
