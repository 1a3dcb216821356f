"""Work in processes of its own: whatever happens there, the caller goes on and knows what it was."""

from __future__ import annotations

import operator
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from detectors.bench.processes import run_process
from detectors.models import check_name

LONG_S = 60.0


def run(tmp_path: Path, work: Any, *arguments: Any, silence_s: float = LONG_S, **options: Any) -> Any:
    return run_process(work, *arguments, log=tmp_path / "logs" / "log.txt", silence_s=silence_s, **options)


def test_what_a_function_returns_and_prints(tmp_path: Path) -> None:
    ending = run(tmp_path, operator.add, 40, 2)
    assert (ending.kind, ending.result) == ("finished", 42)
    assert run(tmp_path, print, "<b>first</b>").kind == run(tmp_path, print, "second").kind == "finished"
    assert (tmp_path / "logs" / "log.txt").read_text() == "<b>first</b>\nsecond\n"


@pytest.mark.parametrize(
    ("work", "arguments", "kind", "code", "reason"),
    [
        (os._exit, (7,), "failed", "row-crashed", "the process ended with 7"),
        (os.abort, (), "failed", "row-killed", "the process was ended by SIGABRT"),
        (sys.exit, (3,), "failed", "row-crashed", "SystemExit: 3"),
        (operator.truediv, (1, 0), "failed", "row-crashed", "ZeroDivisionError: division by zero"),
        (check_name, ("yollo",), "refused", "unknown-name", "unknown detector 'yollo'"),
        (__import__, ("no_such_package",), "refused", "dependency-missing", "it needs the package no_such_package"),
    ],
)
def test_how_it_ends(tmp_path: Path, work: Any, arguments: Any, kind: str, code: str, reason: str) -> None:
    ending = run(tmp_path, work, *arguments)
    assert (ending.kind, ending.code, ending.reason) == (kind, code, reason)


def test_a_hang_is_ended(tmp_path: Path) -> None:
    began = time.monotonic()
    ending = run(tmp_path, time.sleep, LONG_S, silence_s=1.2)
    assert (ending.kind, ending.code) == ("failed", "row-silent") and "0.02 minutes" in ending.reason
    assert time.monotonic() - began < LONG_S / 2


def test_asked_to_stop_it_ends_in_good_order_or_is_killed(tmp_path: Path) -> None:
    log = tmp_path / "logs" / "log.txt"
    print_and_sleep = "print('here', flush=True); import time; time.sleep(60)"

    def stop() -> bool:
        return log.exists() and log.stat().st_size > 0

    assert run(tmp_path, exec, print_and_sleep, stop=stop).kind == "stopped"
    log.unlink()
    deaf = f"import signal; signal.signal({int(signal.SIGTERM)}, signal.SIG_IGN); {print_and_sleep}"
    assert run(tmp_path, exec, deaf, stop=stop, grace_s=0.3).kind == "stopped"
