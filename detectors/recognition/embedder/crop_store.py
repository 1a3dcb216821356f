"""Storage of training crops: cut from their images once, with some surroundings, then read in any order.

Training samples crops of all images at random; decoding a whole image for each of them would take most of the time.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray
from torch.utils.data import Dataset

from assets.errors import SynthError
from assets.files.atomic import atomic_file, write_atomic
from assets.files.image_input import decode_pixels
from assets.files.json_input import read_json
from assets.limits import DATASET_JSON
from dataset.images import read_image
from detectors.augment.view import resize
from detectors.data.image_set import ImageSet
from detectors.device import PREFETCH, ProcessLoader, limit_threads
from detectors.recognition.embedder.crops import ImageArray, crop_edges, fit_square, prepare_crop

# Margin stored around a box as a fraction of its sides, for augmentation by imprecise boxes and rotation.
SURROUNDING = 0.35
# Maximum size of a stored product relative to the network's input: augmentation zooms in.
SPARE_SIZE = 1.3
QUALITY = 95
# Written last and removed first: where it exists, the crops beside it are complete.
HEAD = "crops.json"


class Cut(NamedTuple):
    """A product with its surroundings. image: (h, w, 3) uint8 RGB. box: (4,) float32 xyxy in its pixels."""

    image: ImageArray
    box: NDArray[np.float32]


class CropSource(Protocol):
    """A source of training crops. labels: (N,) classes."""

    @property
    def labels(self) -> NDArray[np.int32]: ...

    def read(self, index: int) -> Cut:
        """Read a crop."""
        ...


class _ImagesOf(Dataset[Any]):
    """The images that contain chosen boxes; an item is the list of what `work` returns for an image's boxes."""

    def __init__(self, images: ImageSet, rows: NDArray[np.int64], work: Callable[[ImageArray, NDArray], Any]) -> None:
        owner = images.image_of_box()[rows]
        self.images, self.work = images, work
        self.shown, first = np.unique(owner, return_index=True)
        self.spans = np.split(rows, first[1:])

    def __len__(self) -> int:
        return len(self.shown)

    def __getitem__(self, place: int) -> list[Any] | SynthError:
        index = int(self.shown[place])
        width, height = (int(side) for side in self.images.sizes[index])
        try:
            image = read_image(self.images.path(index), width, height)
        except SynthError as error:
            # Returned, not raised: torch would wrap its text in the traceback of the worker process.
            return error
        return [self.work(image, self.images.boxes[row]) for row in self.spans[place]]


@dataclass(frozen=True)
class Fitting:
    """Cuts boxes as recognition does and fits them into a square."""

    side: int
    margin: float

    def __call__(self, image: ImageArray, box: NDArray) -> ImageArray:
        return fit_square(prepare_crop(image, box, margin=self.margin), self.side)


@dataclass(frozen=True)
class Cutting:
    """Cuts boxes with their surroundings and encodes them as JPEG. side: of the network's input."""

    side: int

    def __call__(self, image: ImageArray, box: NDArray) -> tuple[bytes, NDArray[np.float32]]:
        left, top, right, bottom = crop_edges(box, image.shape[1], image.shape[0], margin=SURROUNDING)
        region = image[top:bottom, left:right]
        scale = min(1.0, SPARE_SIZE * self.side / float((box[2:] - box[:2]).max()))
        height, width = region.shape[:2]
        small = resize(region, max(1, round(width * scale)), max(1, round(height * scale)))
        factor = np.array([small.shape[1] / width, small.shape[0] / height] * 2)
        options = [cv2.IMWRITE_JPEG_QUALITY, QUALITY, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, _FULL_COLOR]
        coded = cv2.imencode(".jpg", cv2.cvtColor(small, cv2.COLOR_RGB2BGR), options)[1]
        return coded.tobytes(), ((np.asarray(box, np.float64) - [left, top, left, top]) * factor).astype(np.float32)


# No chroma subsampling, which would blur small coloured print.
_FULL_COLOR = cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444


def each_crop(
    images: ImageSet,
    rows: NDArray[np.int64],
    work: Callable[[ImageArray, NDArray], Any],
    *,
    workers: int = 0,
) -> Iterator[Any]:
    """Yield the result of `work` (image, xyxy box) for each chosen box, in order; every image is read once.

    rows: indices of annotations, ascending. Raises SynthError if an image cannot be read, ValueError for unsorted rows.
    """
    if (np.diff(rows) < 0).any():
        raise ValueError("rows must be ascending, because crops are read image by image")
    for results in load_items(_ImagesOf(images, rows, work), workers):
        yield from results


def load_items(dataset: Dataset[Any], workers: int) -> Iterator[Any]:
    """Yield the items of a data set in order, read by worker processes; raises an item that is a SynthError."""
    loader = ProcessLoader(
        dataset,
        batch_size=None,
        num_workers=workers,
        worker_init_fn=limit_threads,
        prefetch_factor=PREFETCH if workers else None,
        collate_fn=_identity,
    )
    for item in loader:
        if isinstance(item, SynthError):
            raise item
        yield item


def _identity(item: Any) -> Any:
    return item


def store_crops(
    images: ImageSet,
    rows: NDArray[np.int64],
    folder: Path,
    *,
    side: int,
    data_hash: str = "",
    workers: int = 0,
    advance: Callable[[int], None] = lambda count: None,
) -> StoredCrops:
    """Cut the chosen boxes of a set into `folder`, or reuse those that an earlier call stored there.

    data_hash: of the data set; if it has changed, the crops are cut again.
    """
    chosen = hashlib.sha256(rows.tobytes()).hexdigest()
    head = {"set": images.name, "side": side, "surrounding": SURROUNDING, "rows": chosen, "data": data_hash}
    labels = images.labels[rows].tolist()
    cuts = each_crop(images, rows, Cutting(side), workers=workers)
    made = ((coded, box, label) for (coded, box), label in zip(cuts, labels, strict=True))
    return write_crops(made, folder, head, advance=advance)


def write_crops(
    made: Iterable[tuple[bytes, NDArray[np.float32], int]],
    folder: Path,
    head: dict[str, Any],
    *,
    advance: Callable[[int], None] = lambda count: None,
) -> StoredCrops:
    """Write JPEGs with their boxes and labels, unless the folder has crops with the same `head`; then reuse those."""
    folder.mkdir(parents=True, exist_ok=True)
    if _head_of(folder) == head:
        stored = StoredCrops(folder)
        advance(len(stored))
        return stored
    (folder / HEAD).unlink(missing_ok=True)
    offsets, boxes, labels = [0], [], []
    with atomic_file(folder / "crops.bin") as file:
        for coded, box, label in made:
            file.write(coded)
            offsets.append(offsets[-1] + len(coded))
            boxes.append(box)
            labels.append(label)
            advance(1)
    columns: dict[str, NDArray] = {
        "offsets": np.array(offsets, np.int64),
        "boxes": np.array(boxes, np.float32).reshape(-1, 4),
        "labels": np.array(labels, np.int32),
    }
    for name, column in columns.items():
        with atomic_file(folder / f"{name}.npy") as file:
            np.save(file, column)
    write_atomic(folder / HEAD, json.dumps(head).encode())
    return StoredCrops(folder)


def _head_of(folder: Path) -> Any:
    file = folder / HEAD
    with suppress(SynthError):  # if it cannot be read, the crops are cut again
        return read_json(file, DATASET_JSON, "the crops of the run")
    return None


@dataclass(frozen=True)
class StoredCrops:
    """The crops of one data set stored by `store_crops`; memory-mapped, so that worker processes share them."""

    folder: Path

    @cached_property
    def labels(self) -> NDArray[np.int32]:
        """(N,) classes."""
        return np.load(self.folder / "labels.npy")

    @cached_property
    def boxes(self) -> NDArray[np.float32]:
        """(N, 4) xyxy in the pixels of each stored crop."""
        return np.load(self.folder / "boxes.npy")

    @cached_property
    def _offsets(self) -> NDArray[np.int64]:
        return np.load(self.folder / "offsets.npy")

    @cached_property
    def _data(self) -> NDArray[np.uint8]:
        empty = not self._offsets[-1]
        return np.zeros(0, np.uint8) if empty else np.memmap(self.folder / "crops.bin", np.uint8, mode="r")

    def __len__(self) -> int:
        return len(self.labels)

    def read(self, index: int) -> Cut:
        """Read a crop."""
        coded = self._data[self._offsets[index] : self._offsets[index + 1]]
        where = f"{self.folder}: crop {index}"
        image = decode_pixels(np.asarray(coded).tobytes(), cv2.IMREAD_COLOR, where, "a stored crop")
        return Cut(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), self.boxes[index])


@dataclass(frozen=True)
class JoinedCrops:
    """Several sources, concatenated."""

    sources: tuple[CropSource, ...]

    @cached_property
    def labels(self) -> NDArray[np.int32]:
        """(N,) classes."""
        return np.concatenate([source.labels for source in self.sources])

    @cached_property
    def _first(self) -> NDArray[np.int64]:
        return np.cumsum([0, *(len(source.labels) for source in self.sources)])

    def read(self, index: int) -> Cut:
        """Read a crop."""
        source = int(np.searchsorted(self._first, index, side="right")) - 1
        return self.sources[source].read(index - int(self._first[source]))


def prepared_crops(source: CropSource, places: Iterable[int], margin: float) -> Iterator[ImageArray]:
    """Yield the crops at some indices, cut as for an embedder. margin: around the box, as a fraction of its sides."""
    for place in places:
        cut = source.read(int(place))
        yield prepare_crop(cut.image, cut.box, margin=margin)
