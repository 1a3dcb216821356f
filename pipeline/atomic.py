"""Files that appear whole or not at all."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

TEMPORARY = ".tmp"


def write_whole(path: Path, data: bytes) -> None:
    """Writes `data` beside `path` first and then renames it, so that nobody ever sees half a file."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=TEMPORARY)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).chmod(0o644)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def remove_leftovers(folder: Path) -> int:
    """Deletes what killed runs left half written in `folder`; returns how many files."""
    leftovers = [file for file in folder.glob(f".*{TEMPORARY}") if file.is_file()] if folder.is_dir() else []
    for file in leftovers:
        file.unlink(missing_ok=True)
    return len(leftovers)
