"""Errors of disks that cannot be written to, and the messages for users."""

from __future__ import annotations

import errno
from pathlib import Path

from assets.errors import SynthError

# With these no scene could be written: the run ends instead of failing scene by scene.
NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
NO_ACCESS = (errno.EROFS, errno.EACCES, errno.EPERM)
DISK_GONE = (errno.EIO, errno.ESTALE, errno.ENODEV, errno.ENXIO)


def takes_no_more(error: OSError, folder: Path) -> bool:
    """Return whether nothing more can be written into `folder`; False if the error names a file elsewhere."""
    named = error.filename
    if isinstance(named, str) and not Path(named).absolute().is_relative_to(folder.absolute()):
        return False
    return error.errno in (*NO_ROOM, *NO_ACCESS, *DISK_GONE)


def disk_error(folder: Path, error: OSError, *, kept: bool = True) -> SynthError:
    """Return the error for a data set that cannot be written. kept: whether finished work is there the next time."""
    code, hint = "output-unwritable", "check that the folder still exists and nothing else changes it"
    if error.errno in NO_ROOM:
        code, hint = "disk-full", "free some space"
    elif error.errno in NO_ACCESS:
        hint = "get write permission"
    elif error.errno in DISK_GONE:
        code, hint = "disk-failed", "check the disk"
    hint += ", and run the same command again" + (": finished work is kept" if kept else "")
    return SynthError("the data set cannot be written", code=code, where=str(folder), found=str(error), hint=hint)
