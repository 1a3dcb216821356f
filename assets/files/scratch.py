"""Scratch folders in the system's temporary folder, named by owner so that those of dead processes can be deleted."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from pathlib import Path

from assets.files.atomic import is_orphaned, temporary_prefix

PREFIX = ".synth-"
SIGNED = re.compile(r"^\.synth-[a-z]*\.(?P<process>\d{1,9})@(?P<machine>[0-9a-f]{8})\.[^.]*$")


def scratch_folder(purpose: str) -> tempfile.TemporaryDirectory[str]:
    """Create a folder that is deleted when the returned object is closed, after deleting those of killed processes.

    purpose: a lower-case word for the folder's name.
    """
    sweep_scratch(Path(tempfile.gettempdir()))
    prefix = temporary_prefix(f"synth-{purpose}")
    return tempfile.TemporaryDirectory(prefix=prefix, ignore_cleanup_errors=True)


def sweep_scratch(folder: Path) -> int:
    """Delete the scratch folders in `folder` of dead processes of this user and machine; return their number."""
    try:
        with os.scandir(folder) as found:
            entries = [entry for entry in found if entry.name.startswith(PREFIX)]
    except OSError:
        return 0
    count = 0
    for entry in entries:
        owner = SIGNED.match(entry.name)
        if owner is None or not entry.is_dir(follow_symlinks=False) or not _is_own(entry):
            continue
        if is_orphaned(owner["process"], owner["machine"]):
            shutil.rmtree(entry.path, ignore_errors=True)
            count += 1
    return count


def _is_own(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.stat(follow_symlinks=False).st_uid == os.getuid()
    except OSError:  # deleted meanwhile
        return False
