"""Split real photos into training and validation by whole groups, copies of one photo together."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from assets.plurals import count_of
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
    """Return the images of groups that, in `order`, bring their number closer to `share`; at least one group."""
    counts = np.bincount(images.groups, minlength=len(order))
    missing, chosen = share * len(images), []
    for group in order[counts[order] > 0]:
        if abs(missing - counts[group]) < abs(missing):
            chosen.append(group)
            missing -= counts[group]
    if not chosen and len(images):
        chosen.append(np.argmin(np.where(counts > 0, counts, len(images) + 1)))
    return np.flatnonzero(np.isin(images.groups, chosen))


def images_also_in(images: ImageSet, others: ImageSet) -> NDArray[np.int64]:
    """Return the indices of those images whose file content is also that of an image in `others`."""
    mine, theirs = _by_size(images), _by_size(others)
    leaked: list[int] = []
    # Only files of equal size can be equal, so most need not be read.
    for size in mine.keys() & theirs.keys():
        digests = {_digest(others, index) for index in theirs[size]}
        leaked += [index for index in mine[size] if _digest(images, index) in digests]
    return np.array(sorted(leaked), np.int64)


def group_copies(images: ImageSet) -> tuple[ImageSet, int]:
    """Merge the groups of images with identical files; also return by how many groups this reduced their number."""
    groups = images.groups.copy()
    joined = 0
    for places in _by_size(images).values():
        if len(places) < 2:
            continue
        copies: dict[bytes, list[int]] = defaultdict(list)
        for index in places:
            copies[_digest(images, index)].append(index)
        for twins in copies.values():
            among = np.unique(groups[twins])
            joined += len(among) - 1
            groups[np.isin(groups, among)] = among[0]
    return replace(images, groups=groups), joined


def _by_size(images: ImageSet) -> dict[int, list[int]]:
    places: dict[int, list[int]] = defaultdict(list)
    for index in range(len(images)):
        places[images.path(index).stat().st_size].append(index)
    return places


def _digest(images: ImageSet, index: int) -> bytes:
    return hashlib.blake2b(images.path(index).read_bytes()).digest()
