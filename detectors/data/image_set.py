"""Labelled images stored as columns: a million boxes take megabytes and are shared by all processes.

Lists of Python objects would be copied page by page into each loader process as reference counts change.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Annotated, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import FailFast

from assets.errors import SynthError
from assets.files.atomic import atomic_file, write_atomic
from assets.files.models import FileModel, read_model
from assets.limits import COLUMN_BYTES, DATASET_JSON, check_file
from dataset.images import read_image
from dataset.masks import decode_outlines
from detectors.data.class_match import IGNORED, Classes, label_table
from detectors.data.sample import Sample

AGAIN = "run the same command again: the first process writes the files again"
Names = Annotated[tuple[str, ...], FailFast()]


@dataclass(frozen=True)
class Packed:
    """N byte strings in one array. data: (B,) uint8. offsets: (N + 1,) int64, start of each string, and the end."""

    data: NDArray[np.uint8]
    offsets: NDArray[np.int64]

    @classmethod
    def of(cls, strings: Sequence[bytes]) -> Self:
        lengths = np.fromiter((len(text) for text in strings), np.int64, len(strings))
        return cls(np.frombuffer(b"".join(strings), np.uint8), np.concatenate([[0], np.cumsum(lengths)]))

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, index: int) -> bytes:
        return self.data[self.offsets[index] : self.offsets[index + 1]].tobytes()

    def take(self, indices: NDArray[np.int64]) -> Packed:
        """Return the strings at `indices`, in that order."""
        return Packed.of([self[int(index)] for index in indices])


@dataclass(frozen=True)
class ImageSet:
    """N labelled images with A annotations, sorted by image.

    name: of the source, such as "real". root: folder that file_names are relative to.
    image_ids: (N,) int64, as in the COCO file. sizes: (N, 2) int32, width and height in pixels.
    groups: (N,) int32, images with the same number (one arrangement, one shop visit) must not be split.
    first: (N + 1,) int64, the annotations of image i are first[i] to first[i + 1] - 1.
    boxes: (A, 4) float32 xyxy pixels. labels: (A,) int32, index into classes or IGNORED.
    true_labels: (A,) int32, like labels, but also set for ignored boxes if their class is known, else IGNORED.
    areas: (A,) float32 pixels, of the mask if there is one. visibility, truncation: (A,) float32, nan if unknown.
    annotation_ids: (A,) int64. masks: A compressed COCO RLEs of the image's size, empty if there is no mask.
    keypoints: (A, 8, 3) float32, x, y and COCO's flag of the corners of cuboids; None if no annotation has any.
    category_ids: of the COCO file the images were read from, one for each class; empty after relabelling.
    rendered: whether `synth` rendered the images.
    """

    name: str
    root: Path
    classes: Classes
    file_names: Packed
    image_ids: NDArray[np.int64]
    sizes: NDArray[np.int32]
    groups: NDArray[np.int32]
    first: NDArray[np.int64]
    boxes: NDArray[np.float32]
    labels: NDArray[np.int32]
    true_labels: NDArray[np.int32]
    areas: NDArray[np.float32]
    visibility: NDArray[np.float32]
    truncation: NDArray[np.float32]
    annotation_ids: NDArray[np.int64]
    masks: Packed
    category_ids: tuple[int, ...] = ()
    rendered: bool = False
    keypoints: NDArray[np.float32] | None = None

    def __post_init__(self) -> None:
        images, annotations = len(self.file_names), len(self.boxes)
        per_image = (self.image_ids, self.sizes, self.groups, self.first[:-1])
        per_box = (
            self.labels,
            self.true_labels,
            self.areas,
            self.visibility,
            self.truncation,
            self.annotation_ids,
            self.masks,
        )
        if any(len(column) != images for column in per_image) or any(len(column) != annotations for column in per_box):
            raise ValueError("columns differ in length")
        if self.keypoints is not None and self.keypoints.shape[:1] != (annotations,):
            raise ValueError("keypoints do not fit the boxes")
        if self.first[-1] != annotations or self.boxes.shape != (annotations, 4):
            raise ValueError("boxes do not fit the images")

    def __len__(self) -> int:
        return len(self.file_names)

    @property
    def columns(self) -> ImageSet:
        """The set itself, since its labels are in memory."""
        return self

    @property
    def windows(self) -> None:
        """None, since the images can be read in any order."""

    @property
    def live(self) -> None:
        """None, since the images are stored."""

    def fetch_ahead(self, shards: Iterable[int]) -> None:
        """Do nothing, since the images are on a local disk."""

    @property
    def box_count(self) -> int:
        """Number of boxes with a class."""
        return int((self.labels >= 0).sum())

    @property
    def missing_masks(self) -> str:
        """A message if labelled boxes lack masks, "" if all have one."""
        lengths = np.diff(self.masks.offsets)
        without = int(((lengths == 0) & (self.labels >= 0)).sum())
        return f"{without} of {len(lengths)} annotations have no mask" if without else ""

    @property
    def missing_keypoints(self) -> str:
        """A message if no annotation has corners of a cuboid, else ""."""
        return "no annotation has the corners of a cuboid as keypoints" if self.keypoints is None else ""

    def relabelled(self, classes: Classes) -> ImageSet:
        """Return the same images labelled by `classes`; boxes of other classes become ignored regions.

        If `classes` is the single class "product", every box with a known class gets it.
        """
        known = self.true_labels != IGNORED
        true_labels = np.where(known, label_table(classes, self)[np.where(known, self.true_labels, 0)], IGNORED)
        labels = np.where(self.labels == IGNORED, IGNORED, true_labels)
        columns = (labels.astype(np.int32), true_labels.astype(np.int32))
        return replace(self, classes=classes, labels=columns[0], true_labels=columns[1], category_ids=())

    def lost_classes(self, classes: Classes) -> list[str]:
        """Return the keys of classes that occur here but are not in `classes`."""
        occurring = np.unique(self.true_labels[self.true_labels != IGNORED])
        table = label_table(classes, self)
        return [self.classes.keys[label] for label in occurring if table[label] == IGNORED]

    def path(self, index: int) -> Path:
        """Return the file of an image."""
        return self.root / self.file_names[index].decode()

    def locate(self, index: int) -> str:
        """Return the name of an image for messages."""
        return str(self.path(index))

    def read_image(self, index: int) -> NDArray[np.uint8]:
        """Read an image as (H, W, 3) uint8 RGB. Raises SynthError if it cannot be read."""
        width, height = (int(side) for side in self.sizes[index])
        return read_image(self.path(index), width, height)

    def read_sample(self, index: int, *, masks: bool) -> Sample:
        """Read an image with its boxes, and with masks if requested and if every box has one.

        Raises SynthError if the image cannot be read.
        """
        width, height = (int(side) for side in self.sizes[index])
        span = self.span(index)
        counts = [self.masks[place] for place in range(span.start, span.stop)] if masks else []
        outlines = decode_outlines(counts, height, width) if masks and all(counts) else None
        boxes, labels = np.array(self.boxes[span]), self.labels[span].astype(np.int64)
        corners = None if self.keypoints is None else np.array(self.keypoints[span])
        visibility = np.array(self.visibility[span])
        return Sample(self.read_image(index), boxes, labels, outlines, visibility, keypoints=corners)

    def span(self, index: int) -> slice:
        """Return the range of an image's annotations."""
        return slice(int(self.first[index]), int(self.first[index + 1]))

    def image_of_box(self) -> NDArray[np.int64]:
        """Return (A,) the index of each annotation's image."""
        return np.repeat(np.arange(len(self)), np.diff(self.first))

    def take(self, images: NDArray[np.int64]) -> ImageSet:
        """Return the images at these indices, in that order, with their annotations."""
        spans = [np.arange(self.first[index], self.first[index + 1]) for index in images]
        boxes = np.concatenate(spans) if spans else np.zeros(0, np.int64)
        lengths = np.array([len(span) for span in spans], np.int64)
        columns: dict[str, object] = {}
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name in ("file_names", "image_ids", "sizes", "groups"):
                columns[field.name] = value.take(images) if isinstance(value, Packed) else value[images]
            elif field.name == "first":
                columns[field.name] = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
            elif value is None or field.name in ("name", "root", "classes", "category_ids", "rendered"):
                columns[field.name] = value
            else:
                columns[field.name] = value.take(boxes) if isinstance(value, Packed) else value[boxes]
        return ImageSet(**columns)  # type: ignore[arg-type]

    def save(self, folder: Path) -> None:
        """Write every column as .npy into `folder`, from where `open_images` opens them."""
        folder.mkdir(parents=True, exist_ok=True)
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, Packed):
                _save(folder / f"{field.name}.data.npy", value.data)
                _save(folder / f"{field.name}.offsets.npy", value.offsets)
            elif isinstance(value, np.ndarray):
                _save(folder / f"{field.name}.npy", value)
        head = {
            "name": self.name,
            "root": str(self.root.resolve()),
            "keys": self.classes.keys,
            "names": self.classes.names,
            "category_ids": self.category_ids,
            "rendered": self.rendered,
        }
        write_atomic(folder / "set.json", json.dumps(head, ensure_ascii=False).encode())


@dataclass(frozen=True)
class Predictions:
    """The detections in all images of an ImageSet, sorted by image, then by falling score.

    images: (D,) int64, index in the ImageSet. boxes: (D, 4) float32 xyxy pixels of the original image.
    labels: (D,) int32, index into `classes`, those of the detector. scores: (D,) float32, 0 to 1; float64 of a file.
    masks: D compressed COCO RLEs of the image's size, None if the detector finds none. pixelwise: whether together they
    say what each pixel is, whatever the scores. keypoints: (D, 8, 3) float32, x, y in pixels of the original image and
    score of the corners of cuboids, or None.
    """

    classes: Classes
    images: NDArray[np.int64]
    boxes: NDArray[np.float32]
    labels: NDArray[np.int32]
    scores: NDArray[np.float32] | NDArray[np.float64]
    masks: Packed | None = None
    pixelwise: bool = False
    keypoints: NDArray[np.float32] | None = None

    def __post_init__(self) -> None:
        columns = (self.images, self.boxes, self.labels, self.scores, self.masks, self.keypoints)
        if any(len(column) != len(self.boxes) for column in columns if column is not None):
            raise ValueError("columns differ in length")

    def __len__(self) -> int:
        return len(self.boxes)


class ImagesFile(FileModel):
    """The content of set.json, which describes an image set whose columns are beside it."""

    name: str
    root: str
    keys: Names
    names: Names
    category_ids: Annotated[tuple[int, ...], FailFast()]
    rendered: bool = False


def open_images(folder: Path) -> ImageSet:
    """Open a set written by `ImageSet.save`, with its columns memory-mapped."""
    head = read_model(ImagesFile, folder / "set.json", DATASET_JSON, "the data of the run", hint=AGAIN)
    columns: dict[str, object] = {
        "name": head.name,
        "root": Path(head.root),
        "classes": stored_classes(head.keys, head.names, folder / "set.json"),
        "category_ids": head.category_ids,
        "rendered": head.rendered,
    }
    for field in fields(ImageSet):
        if field.name in ("file_names", "masks"):
            columns[field.name] = Packed(
                _open(folder / f"{field.name}.data.npy"), _open(folder / f"{field.name}.offsets.npy")
            )
        elif field.name not in columns and field.name != "keypoints":
            columns[field.name] = _open(folder / f"{field.name}.npy")
    corners = folder / "keypoints.npy"  # absent where there are none, and in folders of earlier versions
    columns["keypoints"] = _open(corners) if corners.exists() else None
    return ImageSet(**columns)  # type: ignore[arg-type]


def stored_classes(keys: Sequence[str], names: Sequence[str], path: Path) -> Classes:
    """Return the classes stored in a file of the run. Raises SynthError if they are invalid."""
    try:
        return Classes(tuple(keys), tuple(names))
    except ValueError as error:
        raise _damaged(path, error) from error


def _damaged(path: Path, error: Exception) -> SynthError:
    what = "the stored data of the run is damaged"
    return SynthError(what, code="run-data-damaged", where=str(path), found=str(error), hint=AGAIN)


def _save(path: Path, array: np.ndarray) -> None:
    with atomic_file(path) as file:
        np.save(file, array)


def _open(path: Path) -> np.ndarray:
    try:
        check_file(path, COLUMN_BYTES, "the data of the run")
        # Arrays without entries cannot be mapped. Mapping never reads beyond the end of a truncated file.
        array = np.load(path, mmap_mode="r" if path.stat().st_size > 128 else None, allow_pickle=False)
        return array if len(array) else np.array(array)
    except (OSError, ValueError, EOFError, TypeError) as error:
        raise _damaged(path, error) from error
