"""Reading of untrusted JSON: depth, size and number of values are checked before anything is built.

`json.loads` and ijson both build whatever a file contains, and ijson's memory grows with the square of the depth. Every
JSON file that a command reads passes through here, as tests/test_gates.py checks.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

import numpy as np

from assets.errors import SynthError
from assets.limits import JSON_DEPTH, JSON_RECORD, JSON_VALUES, Limit, check_file, read_file

STRUCTURE = b'[]{}",'
_OTHER = bytes(sorted(set(range(256)) - set(STRUCTURE)))
_STEPS = np.zeros(256, np.int8)
_STEPS[list(b"[{")], _STEPS[list(b"]}")] = 1, -1
CHUNK = 1 << 20
MAX_RECORDS = 20
# Root object, list of records: anything deeper belongs to one record.
RECORD_DEPTH = 2


class JsonScan:
    """Counter of depth and values of a JSON text fed in pieces, at C speed and without building anything.

    `feed` raises SynthError as soon as a limit is exceeded. Validity of the text is left to the parser.
    """

    def __init__(self, where: str, values: Limit | None = None, record: Limit | None = None) -> None:
        self._where, self._values_limit, self._record_limit = where, values, record
        self._depth, self._values, self._pending = 0, 0, 0
        self._in_string, self._escaped = False, False

    def feed(self, chunk: bytes) -> None:
        """Process the next bytes of the text."""
        steps = _STEPS[np.frombuffer(self._outside_strings(chunk), np.uint8)]
        depths = self._depth + np.cumsum(steps, dtype=np.int32)
        JSON_DEPTH.check(int(depths.max(initial=0)), self._where)
        if self._values_limit is not None:
            self._values += int(np.count_nonzero(steps >= 0))
            self._values_limit.check(self._values, self._where)
        if self._record_limit is not None:
            # Exact to a piece: an open value grows by every piece in which it does not end.
            ended = depths.size > 0 and int(depths.min()) <= RECORD_DEPTH
            self._pending = len(chunk) if ended else self._pending + len(chunk)
            self._record_limit.check(self._pending, self._where)
        self._depth = int(depths[-1]) if depths.size else self._depth

    def _outside_strings(self, chunk: bytes) -> bytes:
        """Return the brackets and commas of the piece outside strings."""
        if self._escaped:
            chunk, self._escaped = chunk[1:], not chunk
        if b"\\" in chunk:
            chunk = chunk.replace(b"\\\\", b"").replace(b'\\"', b"")
            self._escaped = chunk.endswith(b"\\")
        structure = chunk.translate(None, _OTHER)
        if self._in_string:
            structure = b'"' + structure
        # Two quotes in a row: an empty string, one without structure, or the end and start of two strings.
        parts = structure.replace(b'""', b"").split(b'"')
        self._in_string = len(parts) % 2 == 0
        return b"".join(parts[::2])


class _ScannedFile:
    """File that is scanned as it is read."""

    def __init__(self, file: IO[bytes], scan: JsonScan) -> None:
        self._file, self._scan = file, scan

    def read(self, size: int = -1) -> bytes:
        chunk = self._file.read(size)
        self._scan.feed(chunk)
        return chunk


def scan_json(data: bytes, where: str, values: Limit = JSON_VALUES) -> None:
    """Raise SynthError if a JSON text exceeds the limit of its depth or `values`, that of their number."""
    scan = JsonScan(where, values)
    for first in range(0, len(data), CHUNK):
        scan.feed(data[first : first + CHUNK])


def parse_json(
    data: bytes, what: str, where: str, *, values: Limit = JSON_VALUES, constants: bool = False, hint: str | None = None
) -> Any:
    """Parse a JSON text (UTF-8, with or without byte order mark).

    what, where: name and location for messages, such as "the COCO file". values: limit of their number. constants:
    accept NaN and Infinity, which Python writes although JSON does not allow them. Raises SynthError if it is invalid
    or too large.
    """
    scan_json(data, where, values)
    try:
        return json.loads(data.decode("utf-8-sig"), parse_constant=None if constants else _refuse_constant)
    except (ValueError, RecursionError) as error:
        raise unreadable_json(what, where, error, hint) from error


def read_json(
    path: Path,
    limit: Limit,
    what: str,
    *,
    where: str = "",
    values: Limit = JSON_VALUES,
    constants: bool = False,
    hint: str | None = None,
) -> Any:
    """Read a regular JSON file of at most `limit` bytes; otherwise as `parse_json`."""
    data = read_file(path, limit, what, where)
    return parse_json(data, what, where or str(path), values=values, constants=constants, hint=hint)


def stream_json(path: Path, prefix: str, limit: Limit, what: str) -> Iterator[Any]:
    """Iterate over the values at a prefix of a JSON file, such as "images.item".

    limit: bytes of the file; a single record has at most JSON_RECORD bytes. Numbers with a decimal point are floats.
    Raises SynthError if the file is not a regular file, invalid (as far as it is read) or too large.
    """
    import ijson

    with _open_checked(path, limit, what) as file:
        yield from ijson.items(file, prefix, use_float=True)


def stream_json_pairs(path: Path, prefix: str, limit: Limit, what: str) -> Iterator[tuple[str, Any]]:
    """Iterate over the keys and values of the object at a prefix, if there is one; otherwise as `stream_json`."""
    import ijson

    with _open_checked(path, limit, what) as file:
        yield from ijson.kvitems(file, prefix, use_float=True)


@contextmanager
def _open_checked(path: Path, limit: Limit, what: str) -> Iterator[_ScannedFile]:
    import ijson

    check_file(path, limit, what)
    try:
        with _open_scanned(path) as file:
            yield file
    except ijson.JSONError as error:
        raise _not_finite_error(path, what) or unreadable_json(what, str(path), error) from error
    except (OSError, ValueError, OverflowError, RecursionError) as error:
        raise unreadable_json(what, str(path), error) from error


@contextmanager
def _open_scanned(path: Path) -> Iterator[_ScannedFile]:
    with path.open("rb") as file:
        yield _ScannedFile(file, JsonScan(str(path), record=JSON_RECORD))


def _not_finite_error(path: Path, what: str) -> SynthError | None:
    """Return the error for a file with NaN or Infinity, listing the records with them; None for any other fault."""
    import ijson

    from assets.files.json_constants import records_not_finite

    records, count = [], 0
    with suppress(ijson.JSONError, OSError):
        for record in records_not_finite(lambda: _open_scanned(path)):
            count += 1
            records += [record] if count <= MAX_RECORDS else []
    if not count:
        return None
    more = [f"and {count - MAX_RECORDS} more"] if count > MAX_RECORDS else []
    hint = "remove these records, or give them finite numbers"
    return SynthError(
        f"{what} contains numbers that are NaN or infinite",
        code="json-not-finite",
        where=str(path),
        hint=hint,
        problems=[*records, *more],
    )


def unreadable_json(what: str, where: str, error: Exception, hint: str | None = None) -> SynthError:
    """Return the error for a text that cannot be parsed."""
    words = " ".join(str(error).split())[:300]
    return SynthError(f"{what} cannot be read as JSON", code="json-invalid", where=where, found=words, hint=hint)


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name}, which JSON does not allow")
