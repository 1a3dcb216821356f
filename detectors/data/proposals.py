"""Object proposals by selective search (Uijlings et al. 2013, IJCV 104), remembered by the content of the image.

Searching takes a second per image, so that what was found is kept in the user's cache: a training needs it once per
image, and copies of a data set, shards and photos share it.
"""

from __future__ import annotations

import hashlib
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from assets.files.atomic import atomic_file
from assets.machine import cache_folder

SearchMode = Literal["fast", "quality"]
FOLDER = "proposals-1"
# Taller images are searched at a smaller width, so that no image takes unbounded time.
MAX_HEIGHT_PER_WIDTH = 2.0
# Thinner regions are edges, not objects. In pixels of the searched image.
MIN_SIDE = 4
# A file of ten times the largest number of regions seen; larger ones are not ours.
MAX_BYTES = 1 << 20


@dataclass(frozen=True)
class ProposalSettings:
    """How proposals are made. width: that images are scaled to before the search. count: of an image at most."""

    mode: SearchMode = "fast"
    width: int = 500
    count: int = 2000


def search_proposals(image: NDArray[np.uint8], settings: ProposalSettings) -> NDArray[np.float32]:
    """Propose up to `count` boxes that may hold an object in an (H, W, 3) uint8 RGB image; (P, 4) xyxy pixels.

    The same image gives the same boxes in the same order (`rank_regions`).
    """
    return _in_image(_search(image, settings), image, settings)


def cached_proposals(
    image: NDArray[np.uint8], settings: ProposalSettings, *, store: bool = True, cache: Path | None = None
) -> NDArray[np.float32]:
    """Return `search_proposals(image, settings)` from the cache, where it is put if `store` and it is not there.

    cache: folder, by default the user's. Damaged files are made again; a folder that cannot be written only costs time.
    """
    path = (cache or proposals_folder()) / _file_name(image, settings)
    regions = _load(path)
    if regions is None:
        regions = _search(image, settings)
        if store:
            _store(path, regions)
    return _in_image(regions, image, settings)


def proposals_folder() -> Path:
    """Return the folder of what was found."""
    return cache_folder() / FOLDER


def rank_regions(regions: NDArray[np.uint16]) -> NDArray[np.uint16]:
    """Order (P, 4) regions from the largest to the smallest, each place multiplied by a random number.

    As Uijlings et al. order the regions of a hierarchy, so that a cut keeps regions of all sizes. OpenCV's own order
    differs from call to call; this one is the same for the same set of regions.
    """
    boxes = regions[np.lexsort(regions.T[::-1])].astype(np.int64)
    area = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    boxes = boxes[np.argsort(-area, kind="stable")]
    places = np.arange(1, len(boxes) + 1) * np.random.default_rng(len(boxes)).random(len(boxes))
    return boxes[np.argsort(places, kind="stable")].astype(np.uint16)


def searched_size(width: int, height: int, wanted: int) -> tuple[int, int]:
    """Return width and height of the image that is searched for one of `width` x `height`."""
    scale = min(wanted / width, MAX_HEIGHT_PER_WIDTH * wanted / height)
    return max(1, round(width * scale)), max(1, round(height * scale))


def _search(image: NDArray[np.uint8], settings: ProposalSettings) -> NDArray[np.uint16]:
    """Return (P, 4) regions xyxy in pixels of the searched image, ranked."""
    size = searched_size(image.shape[1], image.shape[0], settings.width)
    shrinks = size[0] < image.shape[1]
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
    search = cv2.ximgproc.segmentation.createSelectiveSearchSegmentation()
    search.setBaseImage(cv2.cvtColor(small, cv2.COLOR_RGB2BGR))
    if settings.mode == "fast":
        search.switchToSelectiveSearchFast()
    else:
        search.switchToSelectiveSearchQuality()
    found = np.asarray(search.process(), np.int64).reshape(-1, 4)
    found = found[(found[:, 2:] >= MIN_SIDE).all(axis=1)]
    return rank_regions(np.concatenate([found[:, :2], found[:, :2] + found[:, 2:]], axis=1).astype(np.uint16))


def _in_image(regions: NDArray[np.uint16], image: NDArray[np.uint8], settings: ProposalSettings) -> NDArray[np.float32]:
    height, width = image.shape[:2]
    factor = np.array([width, height]) / searched_size(width, height, settings.width)
    return (regions[: settings.count] * np.tile(factor, 2)).astype(np.float32)


def _file_name(image: NDArray[np.uint8], settings: ProposalSettings) -> str:
    content = hashlib.blake2b(np.ascontiguousarray(image).data, digest_size=20)
    content.update(f"{image.shape} {settings.mode} {settings.width} {cv2.__version__}".encode())
    digest = content.hexdigest()
    return f"{digest[:2]}/{digest}.npy"


def _load(path: Path) -> NDArray[np.uint16] | None:
    """Return the regions of a file, None if it is missing or damaged."""
    with suppress(OSError, ValueError, EOFError):
        if path.stat().st_size <= MAX_BYTES:
            regions = np.load(path, allow_pickle=False)
            if regions.dtype == np.uint16 and regions.ndim == 2 and regions.shape[1] == 4:
                return regions if (regions[:, 2:] > regions[:, :2]).all() else None
    return None


def _store(path: Path, regions: NDArray[np.uint16]) -> None:
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_file(path) as file:
            np.save(file, regions)
