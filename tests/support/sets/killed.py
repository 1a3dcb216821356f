"""Work that is killed at every moment at which a file is about to appear, one process for each."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

MOST = 100


def killed_at_each_file(work: Callable[[], object], *, step: int = 1) -> Iterator[int]:
    """Run `work` in processes of its own, each killed before (and after) a later file appears; ends once one finishes.

    step: of the moments, every how many-th is tried.
    """
    for moment in range(0, MOST, step):
        child = os.fork()
        if child == 0:
            _end_at(moment)
            code = 1
            try:
                work()
                code = 0
            finally:
                os._exit(code)
        _, status = os.waitpid(child, 0)
        code = os.waitstatus_to_exitcode(status)
        if code == 0:
            return
        assert code == 9, f"moment {moment}: the work failed by itself"
        yield moment
    raise AssertionError("the work never finished")


def _end_at(moment: int) -> None:
    """End this process before (even moments) or after a file appears, as SIGKILL does: nothing is cleaned up."""
    replace, passed = Path.replace, []

    def dying(self: Path, target: Path) -> Path:
        if 2 * len(passed) == moment:
            os._exit(9)
        passed.append(self)
        result = replace(self, target)
        if 2 * len(passed) - 1 == moment:
            os._exit(9)
        return result

    Path.replace = dying  # type: ignore[method-assign, assignment]
