"""Search of a COCO file for NaN and Infinity, which JSON does not allow; used once reading it has failed."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

# Strings first: "NaN" may be a product. Numbers beyond float64 are infinite as well.
TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*(?:"|\\?\Z)|-?Infinity|NaN|-?[0-9][0-9.]*[eE]\+?[0-9]{3,}', re.DOTALL)
# End of a number or constant that may continue in the next piece.
UNFINISHED = re.compile(rb"[-+.\w]+\Z")
MARK, ENCODED_MARK = "\x00not a finite number", b'"\\u0000not a finite number"'
LISTS = ("annotations", "images", "categories")


class _MarkedFile:
    """JSON file with a marker string in place of each number that is not finite."""

    def __init__(self, file: Any) -> None:
        self._file, self._rest = file, b""

    def read(self, size: int = -1) -> bytes:
        done = b""
        while not done:
            piece = self._file.read(size)
            done, self._rest = _mark_numbers(self._rest + piece, last=not piece)
            if not piece:
                break
        return done


def _mark_numbers(text: bytes, *, last: bool) -> tuple[bytes, bytes]:
    """Return the marked text, and the rest at its end that cannot be judged before more is read."""
    parts, at = [], 0
    for token in TOKEN.finditer(text):
        if token.end() == len(text) and not last:
            break  # it may continue
        parts += [text[at : token.start()], token[0] if _is_valid(token[0]) else ENCODED_MARK]
        at = token.end()
    end = text[at:]
    open_string, word = end.find(b'"'), UNFINISHED.search(end)
    cut = len(end) if last else open_string if open_string >= 0 else word.start() if word else len(end)
    return b"".join([*parts, end[:cut]]), end[cut:]


def _is_valid(token: bytes) -> bool:
    return token.startswith(b'"') or (token[-1:].isdigit() and abs(float(token)) < float("inf"))


def records_not_finite(open_file: Callable[[], AbstractContextManager[Any]]) -> Iterator[str]:
    """Describe each record of a COCO file with such a number: list, id and fields. Raises ijson's JSONError."""
    import ijson

    for key in LISTS:
        with open_file() as file:
            for index, record in enumerate(ijson.items(_MarkedFile(file), f"{key}.item", use_float=True)):
                fields = (
                    [name for name, value in record.items() if _has_mark(value)] if isinstance(record, dict) else []
                )
                if fields:
                    number = record.get("id")
                    name = f"{key}[{index}]" if not isinstance(number, int) else f"{key} id {number}"
                    yield f"{name}: {', '.join(fields)}"


def _has_mark(value: Any) -> bool:
    if isinstance(value, dict | list):
        return any(map(_has_mark, value.values() if isinstance(value, dict) else value))
    return isinstance(value, str) and value == MARK
