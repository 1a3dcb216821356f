"""Problems of a SKU list: one for each bad cell, told together."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from assets.catalog.sku_lists import SkuSource, as_lists
from assets.errors import SynthError
from assets.limits import LIST_PROBLEMS

if TYPE_CHECKING:
    pass


@dataclass(frozen=True)
class Problem:
    """One thing wrong with a list. row: as a spreadsheet counts (the header is row 1); 0 = the file as a whole.

    file: the list, where there are several.
    """

    row: int
    column: str
    found: str
    expected: str
    file: str = ""

    def __str__(self) -> str:
        place = f"row {self.row}" if self.row else "file"
        return _sentence(self, place)


def _sentence(problem: Problem, place: str) -> str:
    place += f", column {problem.column}" if problem.row and problem.column else ""
    list_name = f"{problem.file}, " if problem.file else ""
    return f"{list_name}{place}: found {problem.found}, expected {problem.expected}"


class Findings(list[Problem]):
    """The problems of a list, as many as are told at most: of a million bad rows nobody reads each."""

    def add(self, problems: Iterable[Problem]) -> None:
        """Takes problems in until there are enough; one more then says that there were more."""
        for problem in problems:
            if len(self) > LIST_PROBLEMS.most:
                return
            self.append(problem if len(self) < LIST_PROBLEMS.most else MORE_PROBLEMS)


MORE_PROBLEMS = Problem(0, "", f"more than {LIST_PROBLEMS.most:,} problems", "the rest is told once these are mended")


MAX_TOLD = 50


# So many rows or more with one problem are one line, with the first few of their numbers and of what was found.
GROUPED, ROWS_TOLD, FOUND_TOLD = 4, 5, 2


def problem_groups(problems: Sequence[Problem]) -> list[tuple[str, Problem]]:
    """Problems for people, those of many rows as one: words for the rows, and a problem that speaks for all of them."""
    groups: dict[tuple[str, str, str], list[Problem]] = {}
    for problem in problems:
        groups.setdefault((problem.file, problem.column, problem.expected), []).append(problem)
    told = []
    for group in groups.values():
        if len(group) < GROUPED or not group[0].row:
            told += [(f"row {problem.row}" if problem.row else "file", problem) for problem in group]
            continue
        rows = ", ".join(str(problem.row) for problem in group[:ROWS_TOLD]) + ", ..." * (len(group) > ROWS_TOLD)
        found = list(dict.fromkeys(problem.found for problem in group))
        words = ", ".join(found[:FOUND_TOLD]) + f" and {len(found) - FOUND_TOLD} others" * (len(found) > FOUND_TOLD)
        told.append((f"{len(group)} rows ({rows})", replace(group[0], found=words)))
    return sorted(told, key=lambda item: (item[1].file, item[1].row))


def list_error(source: SkuSource, problems: Sequence[Problem]) -> SynthError:
    """One error for all problems of a list or several; past MAX_TOLD lines they are counted only."""
    groups = problem_groups(problems)
    told = [_sentence(problem, rows) for rows, problem in groups[:MAX_TOLD]]
    if len(groups) > MAX_TOLD:
        told.append(f"and {len(groups) - MAX_TOLD} more")
    more = MORE_PROBLEMS in problems
    count = MORE_PROBLEMS.found if more else f"{len(problems)} problem" + ("s" if len(problems) != 1 else "")
    lists = as_lists(source)
    hint = f"'synth catalog check {' '.join(map(str, lists.paths))}' lists them all"
    what = f"the SKU list has {count}" if len(lists.paths) == 1 else f"the SKU lists have {count}"
    return SynthError(what, code="list-invalid", where=str(lists), problems=told, hint=hint)
