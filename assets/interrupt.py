"""Interruption by Ctrl-C (SIGINT) and SIGTERM: one mechanism for the whole program.

Once: a command that can finish its step does so, any other ends at once. Twice: every command ends at once. A command
that was interrupted exits with 130 (SIGINT) or 143 (SIGTERM).

`handle_signals` is around the whole program; what can finish a step works within `stop_on_signals` and asks. Ending at
once is a KeyboardInterrupt, so that files which are half written are removed on its way up. Only inside an import,
where exceptions are swallowed by weak references and bare excepts, the process ends on the spot: nothing is open yet.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any, Literal, NoReturn, TypeVar

T = TypeVar("T")
NUMBERS = (signal.SIGINT, signal.SIGTERM)
# Two signals within so many seconds are one: 'timeout' sends its own to the process and to the group.
ECHO_S = 0.1
# Seconds after which an interrupt that a callback has swallowed is raised again.
AGAIN_S = 0.05
NOTHING_KEPT = "no file is left half written"
AGAIN_STOPS_NOW = "Ctrl-C again stops now"


class _State:
    """What the handler knows. process: that installed it. number: of the first signal. at: time of the last one.

    phase: "working" only while a command does its work. askers: how many ask whether to stop. kept: what the user can
    rely on after an end at once. raised: the end at once is on its way.
    """

    # No dataclass: importing those takes as long as everything else here.
    def __init__(self, process: int, phase: Literal["starting", "working", "ending"]) -> None:
        self.process, self.phase = process, phase
        self.number: int | None = None
        self.at = -ECHO_S
        self.askers = 0
        self.kept = NOTHING_KEPT
        self.announced = self.raised = False


_state: _State | None = None


@contextmanager
def handle_signals(*, starting: bool = False) -> Iterator[None]:
    """Within it SIGINT and SIGTERM are ours; signals that are ignored (nohup) stay ignored.

    starting: nothing is open yet, so that a signal ends the process on the spot until `working` is entered. Within
    another such block, and outside the main thread, it changes nothing.
    """
    if (_state is not None and _state.process == os.getpid()) or not _in_main_thread():
        yield
        return
    restore = install_handlers(starting=starting)
    try:
        yield
    finally:
        restore()


def install_handlers(*, starting: bool = False) -> Callable[[], None]:
    """What `handle_signals` does at its beginning; returns what it does at its end. For the main thread only."""
    global _state
    _state = _State(os.getpid(), "starting" if starting else "working")
    hook = sys.unraisablehook
    before = {number: signal.getsignal(number) for number in NUMBERS}
    before = {number: handler for number, handler in before.items() if handler is not signal.SIG_IGN}
    sys.unraisablehook = lambda problem: _raise_again(problem, hook)
    for number in before:
        signal.signal(number, _note)

    def restore() -> None:
        global _state
        for number, handler in before.items():
            signal.signal(number, handler)
        sys.unraisablehook = hook
        _state = None

    return restore


def _in_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()


@contextmanager
def working() -> Iterator[None]:
    """The work of a command, which an end at once unwinds; before and after it the process ends on the spot."""
    state = _state
    if state is None or state.phase != "starting":
        yield
        return
    state.phase = "working"
    try:
        yield
    finally:
        state.phase = "ending"


def never() -> bool:
    """For work that nobody asks to stop."""
    return False


@contextmanager
def stop_on_signals(
    kept: str = "everything finished is kept: the same command resumes there", *, step: str = ""
) -> Iterator[Callable[[], bool]]:
    """Within it, a function that says whether a signal has asked to stop; the second signal raises KeyboardInterrupt.

    kept: what the user can rely on after that. step: what is finished first, announced where given.
    """
    with handle_signals():
        state = _state
        if state is None:  # not the main thread
            yield lambda: False
            return
        state.kept = kept
        if state.number is not None and not state.askers:
            raise KeyboardInterrupt  # something swallowed the first one
        state.askers += 1
        try:
            yield lambda: _asked(state, step)
        finally:
            state.askers -= 1


def _asked(state: _State, step: str) -> bool:
    if state.number is not None and step and not state.announced:
        state.announced = True
        _say(f"stopping after {step}; {AGAIN_STOPS_NOW}")
    return state.number is not None


def until_interrupted(items: Iterable[T], kept: str, *, step: str) -> Iterator[T]:
    """The items one after another; KeyboardInterrupt comes between two of them, the second one at once.

    kept, step: as of `stop_on_signals`.
    """
    with stop_on_signals(kept, step=step) as stop:
        for item in items:
            yield item
            if stop():
                raise KeyboardInterrupt


def until(stop: Callable[[], bool], items: Iterable[T]) -> Iterator[T]:
    """The items as long as `stop` says False, which is asked before each."""
    iterator = iter(items)
    while not stop():
        try:
            yield next(iterator)
        except StopIteration:
            return


def exit_code() -> int:
    """Of a command that was interrupted: 143 where SIGTERM came first, else 130."""
    number = _state.number if _state is not None else None
    return 128 + (number or signal.SIGINT)


def report_interruption() -> None:
    """Says on stderr that the command ended at once, and what can be relied on."""
    _say(f"\nstopped; {_state.kept if _state is not None else NOTHING_KEPT}")


@contextmanager
def hold_signals() -> Iterator[None]:
    """Signals wait while a process is born; it inherits that, until `ignore_signals` in it."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, NUMBERS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def ignore_signals() -> None:
    """For a process that only its parent ends: Ctrl-C reaches the whole group, and only the parent acts on it."""
    for number in NUMBERS:
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, NUMBERS)


def _note(number: int, frame: FrameType | None) -> None:
    state, now = _state, time.monotonic()
    if state is None or state.process != os.getpid() or now - state.at < ECHO_S:
        return  # a forked child leaves it to its parent
    first = state.number is None
    state.number, state.at = state.number or number, now
    if state.phase != "working":
        _end_now(state)
    if state.askers and (first or state.raised):  # a third one would only disturb the tidying up
        return
    if not state.askers and _is_importing(frame):
        _end_now(state)
    state.raised = True
    raise KeyboardInterrupt


def _end_now(state: _State) -> NoReturn:
    with suppress(Exception):
        if state.phase != "ending":
            report_interruption()
        sys.stdout.flush()
    os._exit(exit_code())


def _is_importing(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code.co_filename == "<frozen importlib._bootstrap>":
            return True
        frame = frame.f_back
    return False


def _raise_again(problem: Any, hook: Callable[[Any], object]) -> None:
    """Callbacks of weak references and finalizers swallow what is raised in them: also our KeyboardInterrupt."""
    state = _state
    if state is None or not state.raised or not issubclass(problem.exc_type, KeyboardInterrupt):
        hook(problem)
        return

    def again() -> None:
        state.raised, state.at = False, -ECHO_S
        os.kill(state.process, state.number or signal.SIGINT)

    threading.Timer(AGAIN_S, again).start()


def _say(line: str) -> None:
    with suppress(OSError, ValueError):
        sys.stderr.write(f"{line}\n")
        sys.stderr.flush()
