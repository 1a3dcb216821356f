"""What readers of planograms share: text of a file, and problems of its rows, all reported together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from assets.catalog.problems import MAX_LISTED, MORE_PROBLEMS, Findings, Problem, format_problem, problem_groups
from assets.errors import SynthError
from assets.planogram.types import InvalidField
from assets.plurals import count_of, first_few

Value = TypeVar("Value")


def planogram_error(path: Path, problems: Sequence[Problem]) -> SynthError:
    """Return one error for all problems of a file."""
    lines = [format_problem(problem, rows) for rows, problem in problem_groups(problems)]
    count = MORE_PROBLEMS.found if MORE_PROBLEMS in problems else count_of(len(problems), "problem")
    return SynthError(
        f"the planogram has {count}",
        code="planogram-invalid",
        where=str(path),
        problems=first_few(lines, MAX_LISTED),
    )


def unreadable_planogram(path: Path, found: str, expected: str = "") -> SynthError:
    """Return the error for a file that cannot be parsed at all."""
    what = "the planogram cannot be read"
    return SynthError(what, code="planogram-unreadable", where=str(path), found=found[:300], expected=expected or None)


def checked(problems: Findings, row: int, make: Callable[[], Value]) -> Value | None:
    """Return the value that `make` makes; where a field of it is invalid, add a problem and return None."""
    try:
        return make()
    except InvalidField as error:
        problems.add([Problem(row, error.name, error.found, error.expected)])
        return None
