"""SynthError, the error for mistakes of the user or in the data: what, where, found, expected, what to do."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence
from typing import Any

# Control characters except tab and line break, surrogates (file names that are not UTF-8), text direction marks.
UNPRINTABLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\u202a-\u202e\u2066-\u2069]")

FIELDS = ("code", "where", "found", "expected", "hint", "problems")


def printable(text: str) -> str:
    """Escape characters of untrusted text that control a terminal or cannot be encoded."""
    return UNPRINTABLE.sub(lambda found: ascii(found[0])[1:-1], text)


class SynthError(Exception):
    """Mistake in the user's input, described so that it can be corrected.

    The command line prints it without a traceback and exits with 1.

    what: one sentence. code: the stable name of this kind of mistake, from assets/error_codes.py. where: file, row,
    column. found, expected: the two that disagree. hint: what to do next. problems: further lines where a whole file
    was checked at once.
    """

    def __init__(
        self,
        what: str,
        *,
        code: str,
        where: str | None = None,
        found: str | None = None,
        expected: str | None = None,
        hint: str | None = None,
        problems: Sequence[str] = (),
    ) -> None:
        self.what, self.code = what, code
        self.where, self.found, self.expected, self.hint = where, found, expected, hint
        self.problems = tuple(problems)
        super().__init__(self._text())

    def _text(self) -> str:
        named = {"where": self.where, "found": self.found, "expected": self.expected, "do": self.hint}
        lines = [self.what, *(f"  {name}: {text}" for name, text in named.items() if text)]
        return "\n".join(map(printable, [*lines, *(f"  - {problem}" for problem in self.problems)]))

    def with_where(self, where: str) -> SynthError:
        """Return the same error with another location."""
        return _rebuild(type(self), self.what, {**self._fields(), "where": where})

    def _fields(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name in FIELDS}

    def __reduce__(self) -> tuple[object, ...]:
        # The error crosses process borders: workers raise it, the parent reports it.
        return (_rebuild, (type(self), self.what, self._fields()))


def _rebuild(kind: type[SynthError], what: str, fields: dict[str, Any]) -> SynthError:
    return kind(what, **fields)


def unknown_name(
    kind: str, name: str, known: Iterable[str], *, where: str | None = None, code: str = "unknown-name"
) -> SynthError:
    """Return the error for a name that is not in a table; it lists the known ones and the closest."""
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    return SynthError(
        f"unknown {kind} {name!r}",
        code=code,
        where=where,
        expected=f"one of {', '.join(names) if len(names) <= 20 else f'{len(names)} known names'}",
        hint=f"did you mean {close[0]!r}?" if close else None,
    )
