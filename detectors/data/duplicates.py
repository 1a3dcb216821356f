"""Detection of duplicate images by the content of their files."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from detectors.data.image_set import ImageSet


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
