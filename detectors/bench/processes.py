"""Work in a process of its own, so that a crash, a kill for lack of memory or a hang does not end its caller."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any, Literal

from assets.errors import SynthError
from assets.interrupt import NUMBERS, end_with_parent, handle_signals, hold_signals, never

POLL_S = 0.2
# Seconds that a process has to end in good order, as after a step of its training, before it is killed.
GRACE_S = 60.0
MAX_REASON = 300


@dataclass(frozen=True)
class Ending:
    """How a process has ended. result: what its function returned if it is "finished".

    "refused": with a mistake of the user or in the data, of a code. "failed": by a bug, a signal or its silence.
    """

    kind: Literal["finished", "stopped", "refused", "failed"]
    result: Any = None
    reason: str = ""
    code: str = ""


def run_process(
    work: Callable[..., Any],
    *arguments: Any,
    log: Path,
    silence_s: float,
    stop: Callable[[], bool] = never,
    grace_s: float = GRACE_S,
) -> Ending:
    """Call a function of a module in a new process, with its output in a log, and return how it ended.

    arguments, result: are pickled. silence_s: seconds without output after which the process is killed. stop: asked all
    the time; once it returns True, the process gets SIGTERM.
    """
    context = multiprocessing.get_context("spawn")
    log.parent.mkdir(parents=True, exist_ok=True)
    log.touch()
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_serve, args=(work, arguments, str(log), sender))
    with hold_signals():
        process.start()
    sender.close()
    try:
        early = _watch(process, receiver, log, silence_s, stop, grace_s)
        return early or _ending_of(process, receiver)
    finally:
        _end(process)


def _watch(
    process: Any, receiver: Connection, log: Path, silence_s: float, stop: Callable[[], bool], grace_s: float
) -> Ending | None:
    """Wait until the process has ended or reported; returns how it ended if it did not by itself."""
    asked: float | None = None
    size, changed = log.stat().st_size, time.monotonic()
    while not wait([receiver, process.sentinel], timeout=POLL_S):
        now = time.monotonic()
        if log.stat().st_size != size:
            size, changed = log.stat().st_size, now
        if asked is None and stop():
            asked = now
            with suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGTERM)
        if asked is not None and now - asked > grace_s:
            return Ending("stopped")
        if asked is None and now - changed > silence_s:
            reason = f"it hung: nothing was printed for {silence_s / 60:.3g} minutes"
            return Ending("failed", reason=reason, code="row-silent")
    return None


def _ending_of(process: Any, receiver: Connection) -> Ending:
    try:
        if receiver.poll():
            ending: Ending = receiver.recv()
            return ending
    except (EOFError, OSError):
        pass
    process.join()
    return _ending_by_code(process.exitcode)


def _ending_by_code(code: int) -> Ending:
    if code >= 0:
        return Ending("failed", reason=f"the process ended with {code}", code="row-crashed")
    name = signal.Signals(-code).name if -code in set(signal.Signals) else str(-code)
    memory = ", as the system does when memory runs out" if -code == signal.SIGKILL else ""
    return Ending("failed", reason=f"the process was ended by {name}{memory}", code="row-killed")


def _end(process: Any) -> None:
    """Kill the process and those that it has started."""
    process.join(timeout=0 if process.exitcode is None else None)
    if process.exitcode is None:
        process.join(timeout=2 * POLL_S)  # it has reported, and only has to end
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    with suppress(ProcessLookupError):
        os.kill(process.pid, signal.SIGKILL)
    process.join()
    process.close()


def _serve(work: Callable[..., Any], arguments: tuple[Any, ...], log: str, sender: Connection) -> None:
    """Run in the new process."""
    os.setsid()  # Ctrl-C in a terminal reaches the caller alone, which passes it on
    end_with_parent()
    handle = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    os.dup2(handle, 1)
    os.dup2(handle, 2)
    with handle_signals():
        signal.pthread_sigmask(signal.SIG_UNBLOCK, NUMBERS)
        ending = _report_on(work, arguments)
    sys.stdout.flush()
    sys.stderr.flush()
    sender.send(ending)


def _report_on(work: Callable[..., Any], arguments: tuple[Any, ...]) -> Ending:
    try:
        return Ending("finished", work(*arguments))
    except KeyboardInterrupt:
        return Ending("stopped")
    except SynthError as error:
        print(error, flush=True)
        code = error.code
        return Ending("refused", reason=_one_line(error), code=code)
    except ModuleNotFoundError as error:
        traceback.print_exc()
        return Ending("refused", reason=f"it needs the package {error.name}", code="dependency-missing")
    except MemoryError:
        traceback.print_exc()
        return Ending("failed", reason="not enough memory", code="out-of-memory")
    except BaseException as error:  # whatever a third party's detector raises, exits included
        traceback.print_exc()
        text = f"{type(error).__name__}: {error}".splitlines()[0]
        return Ending("failed", reason=text[:MAX_REASON], code="row-crashed")


def _one_line(error: SynthError) -> str:
    found = f" (found {error.found})" if error.found else ""
    return f"{error.what}{found}".replace("\n", " ")[:MAX_REASON]
