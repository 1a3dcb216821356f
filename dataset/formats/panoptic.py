"""COCO panoptic: annotations/panoptic_SPLIT.json with an image of numbers for each image; masks that do not overlap.

annotations/panoptic_SPLIT.json     images, categories with `isthing`, and the segments of each image
annotations/panoptic_SPLIT/a/1.png  each pixel's segment as R + 256 G + 256^2 B; 0 is void, which counts as nothing
images/SPLIT/a/1.jpg                the images
Kirillov et al. 2019, "Panoptic segmentation", arXiv 1801.00868; the format is that of cocodataset.org.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from assets.errors import SynthError
from assets.files.atomic import atomic_file
from assets.files.json_input import stream_json
from assets.limits import COCO_BYTES, DATASET_IMAGES, DATASET_INSTANCES, SET_CLASSES
from dataset.find import SPLIT
from dataset.formats.files import FileStore, name_in, names_of, numbered
from dataset.formats.label_maps import VOID, decode_numbers, lost_in_pixels, number_pixels, records_of
from dataset.records import CategoryRecord, ImageLabels, ImageRecord, SplitLabels, record_json
from dataset.store import StoredImage, leaves_folder
from dataset.values import whole_number

FOLDER, PREFIX = "annotations", "panoptic_"
# Products without a mask have no pixels, and are lost.
NEEDS_MASKS = True


def detect(path: Path) -> bool:
    """Whether there are files annotations/panoptic_SPLIT.json, or it is one."""
    return path.name.startswith(PREFIX) or any((path / FOLDER).glob(f"{PREFIX}*.json"))


def open_labels(path: Path, images: Path | None = None) -> FileStore:
    """A split for each file. images: their folder, if not images/SPLIT. Raises SynthError if there is none."""
    files = [path] if path.is_file() else sorted((path / FOLDER).glob(f"{PREFIX}*.json"))
    named = [(file.stem.removeprefix(PREFIX), file) for file in files]
    if not named or not all(SPLIT.fullmatch(split) for split, _ in named):
        expected = f"{FOLDER}/{PREFIX}SPLIT.json"
        raise SynthError("there are no panoptic labels", code="file-missing", where=str(path), expected=expected)
    root = files[0].parent.parent
    parts = tuple(PanopticPart(split, file, images or root / "images" / split) for split, file in named)
    categories: dict[int | None, CategoryRecord] = {}
    for part in parts:
        categories |= {one.id: one for one in part.categories}
    return FileStore(str(path), parts, tuple(categories.values()))


@dataclass(frozen=True)
class PanopticPart:
    """A split. folder: of its images."""

    split: str
    file: Path
    folder: Path

    def _objects(self, name: str) -> Iterator[dict[str, Any]]:
        for place, one in enumerate(stream_json(self.file, f"{name}.item", COCO_BYTES, "the panoptic labels"), start=1):
            DATASET_IMAGES.check(place, str(self.file))
            if not isinstance(one, dict):
                raise _invalid(self.file, f"{name} {place}")
            yield one

    @cached_property
    def categories(self) -> Sequence[CategoryRecord]:
        found = [CategoryRecord.parse(one) for one in self._objects("categories")]
        SET_CLASSES.check(len(found), str(self.file))
        if not found or any(one.id is None or one.key is None for one in found):
            raise _invalid(self.file, "categories without id or name")
        return found

    @cached_property
    def count(self) -> int:
        return sum(1 for _ in self._objects("images"))

    def labels(self) -> Iterator[ImageLabels]:
        for stored in self.stored_images():
            yield stored.labels

    def stored_images(self, only: Collection[int] | None = None) -> Iterator[StoredImage]:
        # Both lists are in the order of images in all files that tools write; others are looked up.
        segments = {whole_number(one.get("image_id")): one for one in self._objects("annotations")}
        for place, content in enumerate(self._objects("images")):
            if only is None or place in only:
                image = ImageRecord.parse(content)
                name = (image.file_name or "").replace("\\", "/")
                if not name or leaves_folder(name) or image.size is None:
                    raise _invalid(self.file, f"images {place + 1}")
                yield self._stored(image, name, segments.get(image.id, {}))

    def _stored(self, image: ImageRecord, name: str, content: Mapping[str, Any]) -> StoredImage:
        path, found = self.folder / name, content.get("segments_info", [])
        where = f"{self.file}, image {image.id}"
        segments = [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []
        DATASET_INSTANCES.check(len(segments), where)
        ids: dict[int, int] = {}
        known = {one.id for one in self.categories}
        for one in segments:
            number, category = whole_number(one.get("id")), whole_number(one.get("category_id"))
            if number is None or number < 1 or category is None or category not in known or number in ids:
                raise _invalid(self.file, f"segments of image {image.id}")
            ids[number] = category
        file = content.get("file_name")
        if not ids:
            return StoredImage(ImageLabels(image, []), path, str(path))
        if not isinstance(file, str) or not file or leaves_folder(file):
            raise _invalid(self.file, f"file_name of the segments of image {image.id}")
        numbers = decode_numbers(self.file.with_suffix("") / file, image, "the segments")
        records = records_of(numbers, ids, image)
        return StoredImage(ImageLabels(image, numbered(image, records, where)), path, str(path))


def _invalid(file: Path, found: str) -> SynthError:
    expected = "images, categories and annotations with segments_info, as cocodataset.org describes them"
    what = "panoptic labels cannot be used"
    return SynthError(what, code="records-invalid", where=str(file), found=found, expected=expected)


def lost(labels: ImageLabels) -> Iterator[str]:
    """Everything but masks that do not overlap, and their boxes and classes."""
    yield from lost_in_pixels(labels)


def image_folder(split: str) -> str:
    """Where the images of a split lie."""
    return f"images/{split}"


def write_labels(folder: Path, sets: Iterable[SplitLabels]) -> None:
    """A JSON file for each split and a PNG for each image."""
    for one in sets:
        file = folder / FOLDER / f"{PREFIX}{one.split}.json"
        file.parent.mkdir(parents=True, exist_ok=True)
        _write_split(file, one)


def _write_split(file: Path, one: SplitLabels) -> None:
    categories = [record_json({**kind.content(), "isthing": 1}) for kind in one.head.categories]
    images, annotations = [], []
    for labels in one.images:
        images.append(record_json(labels.image.content()))
        annotations.append(record_json(_write_segments(file.with_suffix(""), labels, one)))
    with atomic_file(file) as out:
        for name, rows in {"categories": categories, "images": images, "annotations": annotations}.items():
            start = "{" if rows is categories else ",\n"
            out.write(f'{start}"{name}": [\n'.encode() + ",\n".join(rows).encode() + b"\n]")
        out.write(b"}\n")


def _write_segments(folder: Path, labels: ImageLabels, one: SplitLabels) -> dict[str, Any]:
    numbers, image = number_pixels(labels), labels.image
    file = (folder / str(image.file_name)).with_suffix(".png")
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(_colors(np.where(numbers == VOID, 0, numbers))).save(file)
    names = names_of(one.head.categories)
    for record in labels.annotations:
        name_in(names, record, image)
    ids = {place: record.category_id or 0 for place, record in enumerate(labels.annotations, start=1)}
    segments = [_segment(numbers, number, ids[number]) for number in np.unique(numbers[numbers > 0]).tolist()]
    return {
        "image_id": image.id,
        "file_name": file.relative_to(folder).as_posix(),
        "segments_info": segments,
    }


def _colors(numbers: NDArray[np.int32]) -> NDArray[np.uint8]:
    return np.stack([numbers & 255, numbers >> 8 & 255, numbers >> 16 & 255], axis=-1).astype(np.uint8)


def _segment(numbers: NDArray[np.int32], number: int, category: int) -> dict[str, Any]:
    y, x = np.nonzero(numbers == number)
    box = [int(x.min()), int(y.min()), int(np.ptp(x)) + 1, int(np.ptp(y)) + 1]
    return {"id": number, "category_id": category, "area": len(x), "bbox": box, "iscrowd": 0}
