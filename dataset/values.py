"""Values of third-party JSON, where any type may occur anywhere."""

from __future__ import annotations

import math
import reprlib

INT64 = 2**63
# Longer texts of a value are of no use in a message.
SHOWN = 60

_short = reprlib.Repr()
_short.maxstring = _short.maxother = _short.maxlong = SHOWN
# Objects with all the fields that tell which record is meant.
_short.maxdict = _short.maxlist = 5
_short.maxlevel = 2


def whole_number(value: object) -> int | None:
    """Return the value as a 64-bit integer (3.0 is one, "3" and true are not), else None."""
    if type(value) is not int and (type(value) is not float or not value.is_integer()):
        return None
    return int(value) if -INT64 <= value < INT64 else None


def number(value: object) -> float:
    """Return the value as a finite number, else nan."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return math.nan
    try:
        return float(value) if math.isfinite(value) else math.nan
    except OverflowError:
        return math.nan


def box_numbers(value: object) -> list[float] | None:
    """Return the four finite numbers of a box, else None."""
    if not isinstance(value, list | tuple) or len(value) != 4:
        return None
    edges = [number(edge) for edge in value]
    return edges if all(edge == edge for edge in edges) else None


def is_text(value: object) -> bool:
    """Whether the value is a text that can be encoded: JSON may contain lone surrogates."""
    if not isinstance(value, str) or not value.strip():
        return False
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return "\0" not in value


def sku_text(value: object) -> str | None:
    """Return a SKU as text, else None; some write article numbers as numbers."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return value if isinstance(value, str) and is_text(value) else None


def is_set(value: object) -> bool:
    """Whether a flag such as iscrowd is set; some write "0"."""
    return value.strip().casefold() not in ("", "0", "false", "no") if isinstance(value, str) else bool(value)


def short(value: object) -> str:
    """Return the value for a message, shortened if it is long or deep."""
    text = _short.repr(value)
    return text if len(text) <= 2 * SHOWN else text[: 2 * SHOWN] + "..."
