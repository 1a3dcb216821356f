"""Split real photos into training and validation by whole groups."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from assets.plurals import count_of
from detectors.data.duplicates import group_copies
from detectors.data.image_set import ImageSet
from detectors.data.mix import TrainingStream, stream
from detectors.data.settings import DataSettings

PrintLine = Callable[[str], None]


def split_real(
    real: ImageSet, settings: DataSettings, needs_validation: bool, seed: int, print_line: PrintLine
) -> tuple[ImageSet, ImageSet | None]:
    """Return the real images to train on, and those held out for validation (None if not needed or impossible)."""
    held = None
    real, copies = group_copies(real)
    if copies:
        print_line(f"{count_of(copies, 'group')} of real photos merged with others that contain copies of their photos")
    order = stream(seed, TrainingStream.HOLD_OUT).permutation(int(real.groups.max()) + 1 if len(real) else 0)
    if needs_validation and settings.hold_out > 0:
        chosen = _held_out(real, order[::-1], settings.hold_out)
        rest = np.setdiff1d(np.arange(len(real)), chosen)
        if len(rest) and len(chosen):
            held, real = real.take(chosen), real.take(rest)
            groups = len(np.unique(held.groups))
            photos = f"{len(held)} real photos ({count_of(groups, 'group')})"
            print_line(f"no --val given: {photos} are held out for validation")
        else:
            print_line("no --val given, and the real photos are a single group: none can be held out for validation")
    if settings.real_fraction < 1:
        before = len(real)
        real = real.take(_groups_for(real, order, settings.real_fraction))
        print_line(f"--real-fraction {settings.real_fraction:g}: {len(real)} of {before} real photos are used")
    return real, held


def _groups_for(images: ImageSet, order: NDArray[np.int64], share: float) -> NDArray[np.int64]:
    """Return the images of the first groups in `order`, so many that their number is closest to `share` of all.

    At least one group. A smaller share is a subset of a larger one, so that points of a learning curve are comparable.
    """
    counts = np.bincount(images.groups, minlength=len(order))[order]
    present = order[counts > 0]
    reached = np.cumsum(counts[counts > 0])
    nearest = int(np.argmin(np.abs(reached - share * len(images)))) if len(reached) else -1
    return np.flatnonzero(np.isin(images.groups, present[: nearest + 1]))


def _held_out(images: ImageSet, order: NDArray[np.int64], share: float) -> NDArray[np.int64]:
    """Return the images of groups that, added in `order`, bring their number closer to `share` of all.

    At least those of the smallest group.
    """
    counts = np.bincount(images.groups, minlength=len(order))
    missing, chosen = share * len(images), []
    for group in order[counts[order] > 0]:
        if abs(missing - counts[group]) < abs(missing):
            chosen.append(group)
            missing -= counts[group]
    if not chosen and len(images):
        chosen.append(np.argmin(np.where(counts > 0, counts, len(images) + 1)))
    return np.flatnonzero(np.isin(images.groups, chosen))
