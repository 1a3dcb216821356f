"""A folder that appears once everything is in it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from assets.errors import SynthError
from assets.files.atomic import lock_folder
from pipeline.workers.disk_errors import disk_error, takes_no_more


@contextmanager
def fresh_folder(out: Path) -> Iterator[Path]:
    """Give a folder to fill, which becomes `out` at the end; nothing is left of it after an error.

    A run that was killed leaves a hidden folder beside `out`, which the next one deletes. Raises SynthError if `out` is
    not empty.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        hint = "give the name of a folder that is not there yet"
        raise SynthError("the output folder is not empty", code="output-not-empty", where=str(out), hint=hint)
    partial = out.with_name(f".{out.name}.partial")
    with lock_folder(partial):
        for left in partial.iterdir():
            if left.name != ".lock":
                shutil.rmtree(left) if left.is_dir() else left.unlink()
        made = partial / "set"
        made.mkdir()
        try:
            yield made
            out.parent.mkdir(parents=True, exist_ok=True)
            made.replace(out)
        except OSError as error:
            # Files that are read have errors of their own.
            if takes_no_more(error, partial):
                raise disk_error(out, error, kept=False) from error
            raise
        finally:
            shutil.rmtree(partial, ignore_errors=True)
