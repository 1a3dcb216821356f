"""Ctrl-C once: finish what is under way, then stop. Twice: stop now. A cluster's SIGTERM counts like Ctrl-C."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

NUMBERS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def stop_on_signals() -> Iterator[Callable[[], bool]]:
    """Within it, a function that says whether a signal has asked to stop; the second signal raises KeyboardInterrupt.

    Signals that are ignored (nohup) stay ignored. For the main thread only, as Python has it.
    """
    asked: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        asked.append(number)
        if len(asked) > 1:
            for each in before:
                signal.signal(each, signal.SIG_IGN)  # a third one would only disturb the tidying up
            raise KeyboardInterrupt

    before = {number: signal.getsignal(number) for number in NUMBERS}
    before = {number: handler for number, handler in before.items() if handler is not signal.SIG_IGN}
    for number in before:
        signal.signal(number, note)
    try:
        yield lambda: bool(asked)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
