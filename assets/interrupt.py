"""Interruption by Ctrl-C (SIGINT) and SIGTERM: one mechanism for the whole program.

First signal: a command that can finish its step does so, any other ends at once. Second signal: every command ends at
once. An interrupted command exits with 130 (SIGINT) or 143 (SIGTERM).

`handle_signals` wraps the whole program; a loop that can finish a step polls within `stop_on_signals`. Ending at once
is a KeyboardInterrupt, so that partial files are removed on its way up. Only inside an import, where weak references
and bare excepts swallow exceptions, the process exits immediately: nothing is open yet.
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
# Signals within this many seconds count as one: 'timeout' sends its own to the process and to the group.
ECHO_S = 0.1
# Seconds after which an interrupt swallowed by a callback is raised again.
AGAIN_S = 0.05
# Of Linux: the signal that a process gets when its parent ends.
PR_SET_PDEATHSIG = 1
NOTHING_KEPT = "no partial file is left"
AGAIN_STOPS_NOW = "Ctrl-C again stops now"


class _State:
    """State of the handler. process: the one that installed it. number: of the first signal. at: time of the last one.

    phase: "working" only while a command does its work. pollers: number of active `stop_on_signals`. kept: what the
    user can rely on after an immediate end. raised: KeyboardInterrupt is on its way.
    """

    # Not a dataclass: importing dataclasses takes as long as everything else here.
    def __init__(self, process: int, phase: Literal["starting", "working", "ending"]) -> None:
        self.process, self.phase = process, phase
        self.number: int | None = None
        self.at = -ECHO_S
        self.pollers = 0
        self.kept = NOTHING_KEPT
        self.announced = self.raised = False


_state: _State | None = None


@contextmanager
def handle_signals(*, starting: bool = False) -> Iterator[None]:
    """Handle SIGINT and SIGTERM within the block; ignored signals (nohup) stay ignored.

    starting: nothing is open yet, so a signal ends the process immediately until `working` is entered. No effect within
    another such block or outside the main thread.
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
    """Install the signal handlers and return a function that restores the previous ones. For the main thread only."""
    global _state
    _state = _State(os.getpid(), "starting" if starting else "working")
    hook = sys.unraisablehook
    before = {number: signal.getsignal(number) for number in NUMBERS}
    before = {number: handler for number, handler in before.items() if handler is not signal.SIG_IGN}
    sys.unraisablehook = lambda problem: _raise_again(problem, hook)
    for number in before:
        signal.signal(number, _handle_signal)

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
    """Mark the work of a command, in which signals raise KeyboardInterrupt; outside the process exits immediately."""
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
    """Return False: a `stop` function for work that is never stopped."""
    return False


@contextmanager
def stop_on_signals(
    kept: str = "everything finished is kept: the same command resumes there", *, step: str = ""
) -> Iterator[Callable[[], bool]]:
    """Yield a function that returns whether to stop after a signal; the second signal raises KeyboardInterrupt.

    kept: what the user can rely on after that. step: what is finished first, announced if given.
    """
    with handle_signals():
        state = _state
        if state is None:  # not the main thread
            yield lambda: False
            return
        state.kept = kept
        if state.number is not None and not state.pollers:
            raise KeyboardInterrupt  # something swallowed the first one
        state.pollers += 1
        try:
            yield lambda: _should_stop(state, step)
        finally:
            state.pollers -= 1


def _should_stop(state: _State, step: str) -> bool:
    if state.number is not None and step and not state.announced:
        state.announced = True
        _write_line(f"stopping after {step}; {AGAIN_STOPS_NOW}")
    return state.number is not None


def until_interrupted(items: Iterable[T], kept: str, *, step: str) -> Iterator[T]:
    """Iterate over items, raising KeyboardInterrupt between two of them after a signal, at once after the second.

    kept, step: as of `stop_on_signals`.
    """
    with stop_on_signals(kept, step=step) as stop:
        for item in items:
            yield item
            if stop():
                raise KeyboardInterrupt


def until(stop: Callable[[], bool], items: Iterable[T]) -> Iterator[T]:
    """Iterate over items while `stop()`, called before each, returns False."""
    iterator = iter(items)
    while not stop():
        try:
            yield next(iterator)
        except StopIteration:
            return


def exit_code() -> int:
    """Return the exit code of an interrupted command: 143 if SIGTERM came first, else 130."""
    number = _state.number if _state is not None else None
    return 128 + (number or signal.SIGINT)


def report_interruption() -> None:
    """Report on stderr that the command ended at once, and what can be relied on."""
    _write_line(f"\nstopped; {_state.kept if _state is not None else NOTHING_KEPT}")


@contextmanager
def hold_signals() -> Iterator[None]:
    """Block signals while a process is started; the child inherits the mask until it calls `ignore_signals`."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, NUMBERS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def ignore_signals() -> None:
    """Ignore signals in a child process: Ctrl-C reaches the whole group, and only the parent handles it."""
    for number in NUMBERS:
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, NUMBERS)


def end_with_parent() -> None:
    """End this process when the one that started it ends: an orphan would keep writing while the next run starts.

    On Linux the kernel kills it, even inside native code that holds the GIL; elsewhere a thread watches. For processes
    that `multiprocessing` has started.
    """
    import multiprocessing

    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    parent = multiprocessing.parent_process()
    if parent is None or not parent.is_alive():  # it ended before the line above
        os._exit(1)
    threading.Thread(target=_watch_parent, args=(parent,), daemon=True).start()


def _watch_parent(parent: Any) -> None:
    parent.join()
    os.kill(os.getpid(), signal.SIGKILL)


def _handle_signal(number: int, frame: FrameType | None) -> None:
    state, now = _state, time.monotonic()
    if state is None or state.process != os.getpid() or now - state.at < ECHO_S:
        return  # a forked child leaves signals to its parent
    first = state.number is None
    state.number, state.at = state.number or number, now
    if state.phase != "working":
        _end_now(state)
    if state.pollers and (first or state.raised):  # a third one would only disturb the cleanup
        return
    if not state.pollers and _is_importing(frame):
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
    """Raise KeyboardInterrupt again if a weak reference callback or finalizer swallowed it."""
    state = _state
    if state is None or not state.raised or not issubclass(problem.exc_type, KeyboardInterrupt):
        hook(problem)
        return

    def again() -> None:
        state.raised, state.at = False, -ECHO_S
        os.kill(state.process, state.number or signal.SIGINT)

    threading.Timer(AGAIN_S, again).start()


def _write_line(line: str) -> None:
    with suppress(OSError, ValueError):
        sys.stderr.write(f"{line}\n")
        sys.stderr.flush()
