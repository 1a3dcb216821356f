"""Errors in tests: known by their codes, and by what stands in their fields where that is what a test is about."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from assets.error_codes import ERROR_CODES
from assets.errors import FIELDS, SynthError


@contextmanager
def raises(*codes: str, **patterns: str) -> Iterator[pytest.ExceptionInfo[SynthError]]:
    """Expect a SynthError of one of these codes.

    patterns: by field (what, where, found, ...), a regex that is found in it, for problems in one of the lines; `text`
    is the whole message.
    """
    assert codes and set(codes) <= set(ERROR_CODES), codes
    with pytest.raises(SynthError) as caught:
        yield caught
    error = caught.value
    assert error.code in codes, f"{error.code}: {error}"
    for field, pattern in patterns.items():
        assert field in ("text", "what", *FIELDS), field
        value = str(error) if field == "text" else getattr(error, field)
        lines = value if field == "problems" else (value or "",)
        assert not pattern or any(re.search(pattern, line, re.DOTALL) for line in lines), (
            f"{field}: no {pattern!r} in {value!r}"
        )
