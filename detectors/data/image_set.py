"""Labelled images as columns: flat arrays, so that a million boxes cost megabytes and every process can share them.

A list of Python objects is copied page by page into each loader worker as reference counts are touched; arrays are not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from dataset.masks import decode_outlines
from dataset.pictures import read_picture
from detectors.data.sample import Sample

# Label of a box that is neither target nor background: a crowd, a product hardly seen, a class left out.
IGNORED = -1


@dataclass(frozen=True)
class Packed:
    """Many byte strings as one array. data: (B,) uint8. offsets: (N + 1,) int64, string i ends where i + 1 begins."""

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
        """The strings at `indices`, in that order."""
        return Packed.of([self[int(index)] for index in indices])


@dataclass(frozen=True)
class Classes:
    """What a detector tells apart. Label i is keys[i] everywhere in `detectors` (torchvision's own labels are i + 1).

    keys: the SKUs (a foreign data set's category names). names: for people, as long as keys.
    """

    keys: tuple[str, ...]
    names: tuple[str, ...]

    def __post_init__(self) -> None:
        if len(self.keys) != len(self.names) or len(set(self.keys)) != len(self.keys):
            raise ValueError("every class needs one key of its own and one name")

    def __len__(self) -> int:
        return len(self.keys)


@dataclass(frozen=True)
class ImageSet:
    """N labelled images with A annotations, sorted by image.

    name: of the source, such as "real". root: folder that file_names are relative to.
    image_ids: (N,) int64, as in the COCO file. sizes: (N, 2) int32, width and height in pixels.
    groups: (N,) int32, images of one number belong together (an arrangement, a shop visit); never split them.
    first: (N + 1,) int64, the annotations of image i are first[i] to first[i + 1].
    boxes: (A, 4) float32 xyxy pixels. labels: (A,) int32, index into classes or IGNORED.
    true_labels: (A,) int32, as labels but also known where the box is ignored (IGNORED where not even that).
    areas: (A,) float32 pixels, of the mask where there is one. visibility, truncation: (A,) float32, nan where unknown.
    annotation_ids: (A,) int64. masks: A COCO compressed run lengths at the image's size, empty where there is none.
    category_ids: of the COCO file it was read from, one for each class; none where the classes are others.
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
        if self.first[-1] != annotations or self.boxes.shape != (annotations, 4):
            raise ValueError("boxes do not fit the images")

    def __len__(self) -> int:
        return len(self.file_names)

    def path(self, index: int) -> Path:
        """The file of an image."""
        return self.root / self.file_names[index].decode()

    def locate(self, index: int) -> str:
        """What an image is called by people."""
        return str(self.path(index))

    def read_sample(self, index: int, *, masks: bool) -> Sample:
        """An image with its boxes, and its masks where they are wanted and every box has one.

        Raises SynthError where the picture cannot be read.
        """
        width, height = (int(side) for side in self.sizes[index])
        span = self.span(index)
        counts = [self.masks[place] for place in range(span.start, span.stop)] if masks else []
        outlines = decode_outlines(counts, height, width) if masks and all(counts) else None
        picture = read_picture(self.path(index), width, height)
        return Sample(picture, np.array(self.boxes[span]), self.labels[span].astype(np.int64), outlines)

    def span(self, index: int) -> slice:
        """The annotations of an image."""
        return slice(int(self.first[index]), int(self.first[index + 1]))

    def image_of_box(self) -> NDArray[np.int64]:
        """(A,) the image that each annotation lies in."""
        return np.repeat(np.arange(len(self)), np.diff(self.first))

    def take(self, images: NDArray[np.int64]) -> ImageSet:
        """The images at these places, in that order, with their annotations."""
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
            elif field.name in ("name", "root", "classes", "category_ids"):
                columns[field.name] = value
            else:
                columns[field.name] = value.take(boxes) if isinstance(value, Packed) else value[boxes]
        return ImageSet(**columns)  # type: ignore[arg-type]


@dataclass(frozen=True)
class Predictions:
    """What a detector found in the images of an ImageSet, sorted by image, then by falling score.

    images: (D,) int64, place in the ImageSet. boxes: (D, 4) float32 xyxy pixels of the original image.
    labels: (D,) int32, index into the detector's classes. scores: (D,) float32, 0 to 1.
    """

    classes: Classes
    images: NDArray[np.int64]
    boxes: NDArray[np.float32]
    labels: NDArray[np.int32]
    scores: NDArray[np.float32]

    def __post_init__(self) -> None:
        if not len(self.images) == len(self.boxes) == len(self.labels) == len(self.scores):
            raise ValueError("columns differ in length")

    def __len__(self) -> int:
        return len(self.boxes)
