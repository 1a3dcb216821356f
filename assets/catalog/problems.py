"""Problems of a SKU list: one for each bad cell, reported together."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from assets.catalog.sku_lists import SkuSource, as_lists
from assets.errors import SynthError
from assets.limits import LIST_PROBLEMS


@dataclass(frozen=True)
class Problem:
    """Problem in a list. row: as in a spreadsheet (the header is row 1); 0 = the file as a whole.

    file: the list, if there are several.
    """

    row: int
    column: str
    found: str
    expected: str
    file: str = ""

    def __str__(self) -> str:
        place = f"row {self.row}" if self.row else "file"
        return format_problem(self, place)


def format_problem(problem: Problem, place: str) -> str:
    """Return a problem as a line. place: its row or rows, such as "row 3"."""
    place += f", column {problem.column}" if problem.row and problem.column else ""
    list_name = f"{problem.file}, " if problem.file else ""
    return f"{list_name}{place}: found {problem.found}, expected {problem.expected}"


class Findings(list[Problem]):
    """Problems of a list, capped because no one reads each of a million bad rows."""

    def add(self, problems: Iterable[Problem]) -> None:
        """Append problems up to the limit; a last one then says that there were more."""
        for problem in problems:
            if len(self) > LIST_PROBLEMS.maximum:
                return
            self.append(problem if len(self) < LIST_PROBLEMS.maximum else MORE_PROBLEMS)


MORE_PROBLEMS = Problem(
    0, "", f"more than {LIST_PROBLEMS.maximum:,} problems", "the rest is reported once these are fixed"
)
MAX_LISTED = 50
# This many rows with the same problem or more become one line, with the first few row numbers and values.
MIN_GROUP, MAX_ROWS, MAX_FOUND = 4, 5, 2


def problem_groups(problems: Sequence[Problem]) -> list[tuple[str, Problem]]:
    """Group problems that many rows share: (description of the rows, representative problem) in order of rows."""
    groups: dict[tuple[str, str, str], list[Problem]] = {}
    for problem in problems:
        groups.setdefault((problem.file, problem.column, problem.expected), []).append(problem)
    grouped = []
    for group in groups.values():
        if len(group) < MIN_GROUP or not group[0].row:
            grouped += [(f"row {problem.row}" if problem.row else "file", problem) for problem in group]
            continue
        rows = ", ".join(str(problem.row) for problem in group[:MAX_ROWS]) + ", ..." * (len(group) > MAX_ROWS)
        found = list(dict.fromkeys(problem.found for problem in group))
        words = ", ".join(found[:MAX_FOUND]) + f" and {len(found) - MAX_FOUND} others" * (len(found) > MAX_FOUND)
        grouped.append((f"{len(group)} rows ({rows})", replace(group[0], found=words)))
    return sorted(grouped, key=lambda item: (item[1].file, item[1].row))


def list_error(source: SkuSource, problems: Sequence[Problem]) -> SynthError:
    """Return one error for all problems of one or more lists; those past MAX_LISTED lines are only counted."""
    groups = problem_groups(problems)
    lines = [format_problem(problem, rows) for rows, problem in groups[:MAX_LISTED]]
    if len(groups) > MAX_LISTED:
        lines.append(f"and {len(groups) - MAX_LISTED} more")
    more = MORE_PROBLEMS in problems
    count = MORE_PROBLEMS.found if more else f"{len(problems)} problem" + ("s" if len(problems) != 1 else "")
    lists = as_lists(source)
    hint = f"'synth catalog check {' '.join(map(str, lists.paths))}' lists them all"
    what = f"the SKU list has {count}" if len(lists.paths) == 1 else f"the SKU lists have {count}"
    return SynthError(what, code="list-invalid", where=str(lists), problems=lines, hint=hint)
