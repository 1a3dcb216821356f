"""Processes that work on shards: they end with the command, however it ends."""

from __future__ import annotations

import subprocess
import sys
import time

import psutil

from pipeline.shards.workers import map_shards
from support.paths import ROOT

SLEEPING = "import time; from pipeline.shards.workers import map_shards; list(map_shards(time.sleep, [60, 60], 2))"


def test_a_killed_command_leaves_no_process() -> None:
    command = subprocess.Popen([sys.executable, "-c", SLEEPING], cwd=ROOT)
    try:
        parent, deadline = psutil.Process(command.pid), time.monotonic() + 30
        while len(children := parent.children()) < 3 and time.monotonic() < deadline:  # with multiprocessing's tracker
            time.sleep(0.1)
        assert len(children) == 3
        time.sleep(1)
    finally:
        command.kill()
        command.wait()
    _, alive = psutil.wait_procs(children, timeout=15)
    assert not alive


def test_results_come_in_order() -> None:
    assert list(map_shards(abs, [-3, -1, -2], 1)) == [3, 1, 2]
