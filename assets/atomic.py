"""Files that appear whole or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

TEMPORARY = ".tmp"


@contextmanager
def whole_file(path: Path) -> Iterator[IO[bytes]]:
    """A file beside `path` to write into, which takes its name only once everything is written.

    Nobody ever sees half a file, and where writing fails nothing is left.
    """
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=TEMPORARY)
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).chmod(0o644)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def write_whole(path: Path, data: bytes) -> None:
    """`data` as the file `path`, whole or not at all."""
    with whole_file(path) as file:
        file.write(data)


def remove_leftovers(folder: Path) -> int:
    """Deletes what killed runs left half written in `folder`; returns how many files."""
    leftovers = [file for file in folder.glob(f".*{TEMPORARY}") if file.is_file()] if folder.is_dir() else []
    for file in leftovers:
        file.unlink(missing_ok=True)
    return len(leftovers)
