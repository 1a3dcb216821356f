"""The records of a data set: images, annotations and categories as COCO has them, with the fields that `synth` adds.

Parsing never fails. A value that a field cannot hold (a width of "640", a box with NaN) and every unknown field is kept
unchanged in `extra`, so that a reader can report it, a tolerant one can still use it, and writing gives it back.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from math import isfinite
from typing import Any, ClassVar, NotRequired, Self, TypedDict, TypeVar

from assets.errors import SynthError
from dataset.values import INT64, is_set, is_text, sku_text, whole_number

# x, y, width, height in pixels.
Bbox = Sequence[float]
Matrix = Sequence[Sequence[float]]
# Compressed run lengths {"size": [height, width], "counts": text}, plain ones, or a list of polygons.
Segmentation = Mapping[str, Any] | Sequence[Any]


class CameraRecord(TypedDict):
    """The camera of an image.

    K: (3, 3), pixels. world_from_camera: (4, 4), metres. distortion: `model` and OpenCV's coefficients by name; absent
    for a pinhole. rolling_shutter: rotation vector (3,), radians, from the first to the last row; absent for none.
    """

    K: Matrix
    world_from_camera: Matrix
    distortion: NotRequired[Mapping[str, str | float]]
    rolling_shutter: NotRequired[Sequence[float]]


Check = Callable[[object], bool]
LARGEST = sys.float_info.max
R = TypeVar("R", bound="_Record")


def _is_unknown(value: object) -> bool:
    return False


def _is_int(value: object) -> bool:
    return type(value) is int and -INT64 <= value < INT64


def _is_number(value: object) -> bool:
    # Integers beyond the range of floats are not finite numbers.
    kind = type(value)
    return (kind is float or kind is int) and -LARGEST <= value <= LARGEST  # type: ignore[operator]


def _are_numbers(values: Sequence[Any]) -> bool:
    # Most are floats, and a finite sum says at once that each of them is finite.
    return (set(map(type, values)) == {float} and isfinite(sum(values))) or all(map(_is_number, values))


def _is_box(value: Any) -> bool:
    return type(value) in (list, tuple) and len(value) == 4 and _are_numbers(value)


def _is_matrix(value: Any) -> bool:
    if type(value) is not list or not set(map(type, value)) <= {list}:
        return False
    return _are_numbers(list(chain.from_iterable(value)))


def _is_segmentation(value: object) -> bool:
    return type(value) in (dict, list)


def _is_object(value: object) -> bool:
    return isinstance(value, dict)


def _is_string(value: object) -> bool:
    return isinstance(value, str)


def _is_licence(value: object) -> bool:
    return _is_int(value) or is_text(value)


@dataclass(frozen=True)
class _Record:
    """Base of all records. extra: unknown fields, and values that their field cannot hold."""

    _checks: ClassVar[Mapping[str, Check]] = {}
    extra: Mapping[str, Any] = field(default_factory=dict, kw_only=True)

    @classmethod
    def parse(cls, content: Mapping[str, Any]) -> Self:
        """Parse a JSON object."""
        check = cls._checks.get
        known = {name: value for name, value in content.items() if check(name, _is_unknown)(value)}
        extra = {} if len(known) == len(content) else {name: content[name] for name in content if name not in known}
        # Fields that are not stated have their defaults from the class. The constructor of a frozen dataclass sets all
        # of them one by one, which took a third of the time.
        record = cls.__new__(cls)
        vars(record).update(known, extra=extra)
        return record

    def content(self) -> dict[str, Any]:
        """Return the JSON object of the record: fields in their order, then those of `extra`."""
        stated = {name: value for name in self._checks if (value := getattr(self, name)) is not None}
        return {**stated, **self.extra}

    def value(self, name: str) -> Any:
        """Return the value of a key of the JSON object, None if it is missing."""
        known = getattr(self, name) if name in self._checks else None
        return self.extra.get(name) if known is None else known


@dataclass(frozen=True)
class ImageRecord(_Record):
    """An image of a data set.

    file_name: relative to the folder of images. width, height: pixels. recipe, seed, index, view: what the scene was
    sampled from. group: what belongs together and is never split. backend, renderer: what made the image. license:
    COCO's number of a licence, or its text.
    """

    id: int | None = None
    file_name: str | None = None
    width: int | None = None
    height: int | None = None
    camera: CameraRecord | None = None
    recipe: str | None = None
    seed: int | None = None
    index: int | None = None
    view: int | None = None
    group: str | None = None
    backend: str | None = None
    renderer: str | None = None
    license: int | str | None = None
    _checks: ClassVar[Mapping[str, Check]] = {
        "id": _is_int,
        "file_name": is_text,
        "width": _is_int,
        "height": _is_int,
        "camera": _is_object,
        "recipe": is_text,
        "seed": _is_int,
        "index": _is_int,
        "view": _is_int,
        "group": is_text,
        "backend": is_text,
        "renderer": is_text,
        "license": _is_licence,
    }

    @property
    def size(self) -> tuple[int, int] | None:
        """Width and height in pixels, None if one is missing or not a positive whole number."""
        sides = whole_number(self.value("width")), whole_number(self.value("height"))
        return (sides[0], sides[1]) if sides[0] and sides[1] and min(sides[0], sides[1]) > 0 else None

    @property
    def rendered(self) -> bool:
        """Whether `synth` rendered the image: then it names the backend."""
        return self.value("backend") is not None


@dataclass(frozen=True)
class AnnotationRecord(_Record):
    """An object in an image.

    sku: the product's own key. instance: the placement in the scene, from 1. bbox: of the visible pixels. area: visible
    pixels. segmentation: the visible pixels. visibility: visible share of the product's pixels inside the image.
    truncation: share of its pixels outside. amodal_bbox, amodal_segmentation: hidden pixels as well.
    camera_from_object: (4, 4), metres. ignore: 1 for neither target nor background. keypoints: x, y and COCO's flag of
    each; num_keypoints: those whose flag is not 0.
    """

    id: int | None = None
    image_id: int | None = None
    category_id: int | None = None
    sku: str | None = None
    instance: int | None = None
    bbox: Bbox | None = None
    area: float | None = None
    iscrowd: int | None = None
    segmentation: Segmentation | None = None
    visibility: float | None = None
    truncation: float | None = None
    amodal_bbox: Bbox | None = None
    amodal_segmentation: Segmentation | None = None
    camera_from_object: Matrix | None = None
    ignore: int | None = None
    keypoints: Sequence[float] | None = None
    num_keypoints: int | None = None
    _checks: ClassVar[Mapping[str, Check]] = {
        "id": _is_int,
        "image_id": _is_int,
        "category_id": _is_int,
        "sku": is_text,
        "instance": _is_int,
        "bbox": _is_box,
        "area": _is_number,
        "iscrowd": _is_int,
        "segmentation": _is_segmentation,
        "visibility": _is_number,
        "truncation": _is_number,
        "amodal_bbox": _is_box,
        "amodal_segmentation": _is_segmentation,
        "camera_from_object": _is_matrix,
        "ignore": _is_int,
        "keypoints": lambda value: type(value) is list and len(value) % 3 == 0 and _are_numbers(value),
        "num_keypoints": _is_int,
    }

    @property
    def ignored(self) -> bool:
        """Whether it is neither target nor background: marked `ignore`, or a crowd."""
        return is_set(self.value("ignore")) or is_set(self.value("iscrowd"))


@dataclass(frozen=True)
class MarkRecord(AnnotationRecord):
    """A price tag, a gap or a shelf line in an image.

    kind: the name of its category. position: of the products that belong there; of a line, the name of its board. text,
    instance: of a tag. sold_out: SKU of a gap. ends: x1, y1, x2, y2 of the visible part of a line's centre, pixels.
    """

    kind: str | None = None
    position: str | None = None
    text: str | None = None
    sold_out: str | None = None
    ends: Sequence[float] | None = None
    _checks: ClassVar[Mapping[str, Check]] = {
        **AnnotationRecord._checks,
        "kind": is_text,
        "position": is_text,
        "text": is_text,
        "sold_out": is_text,
        "ends": _is_box,
    }


@dataclass(frozen=True)
class LinkRecord(_Record):
    """Where a product of an image belongs, and which of its sides are seen.

    annotation_id: of the product, in the file of products. tag_id: of the tag of its position, in the file of labels of
    shops. instance, tag_instance: the same as placements of the scene. position: its place in the plan. Those are
    missing where there is none. sides: share of its visible pixels by side.
    """

    image_id: int | None = None
    annotation_id: int | None = None
    instance: int | None = None
    position: str | None = None
    tag_id: int | None = None
    tag_instance: int | None = None
    sides: Mapping[str, float] | None = None
    _checks: ClassVar[Mapping[str, Check]] = {
        "image_id": _is_int,
        "annotation_id": _is_int,
        "instance": _is_int,
        "position": is_text,
        "tag_id": _is_int,
        "tag_instance": _is_int,
        "sides": _is_object,
    }


@dataclass(frozen=True)
class CategoryRecord(_Record):
    """A class of objects, of ours a SKU.

    name: unlike that of every other category. sku: the product's own key. display_name: for people. delisted: no longer
    sold. keypoints: their names. skeleton: pairs of them that an edge joins, from 1.
    """

    id: int | None = None
    name: str | None = None
    supercategory: str | None = None
    sku: str | None = None
    display_name: str | None = None
    delisted: bool | None = None
    keypoints: Sequence[str] | None = None
    skeleton: Sequence[Sequence[int]] | None = None
    _checks: ClassVar[Mapping[str, Check]] = {
        "id": _is_int,
        "name": is_text,
        "supercategory": _is_string,
        "sku": is_text,
        "display_name": is_text,
        "delisted": lambda value: isinstance(value, bool),
        "keypoints": lambda value: type(value) is list and all(map(is_text, value)),
        "skeleton": lambda value: type(value) is list and all(type(pair) is list for pair in value),
    }

    @property
    def shown(self) -> str:
        """The name for people; sets made by earlier versions have it in `name`."""
        return str(self.value("display_name") or self.value("name") or "")

    @property
    def key(self) -> str | None:
        """Key that categories are matched by: the SKU, else the name; None without both."""
        return sku_text(self.value("sku")) or sku_text(self.value("name"))


@dataclass(frozen=True)
class InfoRecord(_Record):
    """What a COCO file says of itself, for people; also what others wrote, of any type."""

    description: str | None = None
    version: str | None = None
    contributor: str | None = None
    _checks: ClassVar[Mapping[str, Check]] = {
        "description": _is_string,
        "version": _is_string,
        "contributor": _is_string,
    }


@dataclass(frozen=True)
class ImageLabels:
    """An image with its annotations. links: of labels of shops; `content` leaves them out."""

    image: ImageRecord
    annotations: Sequence[AnnotationRecord]
    links: Sequence[LinkRecord] = ()

    @classmethod
    def parse(cls, content: Any) -> Self:
        """Parse {"image": ..., "annotations": [...]}. Raises KeyError, TypeError or ValueError for anything else."""
        if not isinstance(content["image"], dict) or not isinstance(content["annotations"], list):
            raise TypeError("no records")
        return cls(ImageRecord.parse(content["image"]), parse_all(AnnotationRecord, content["annotations"]))

    def content(self) -> dict[str, Any]:
        """Return the JSON object of both."""
        return {"image": self.image.content(), "annotations": [record.content() for record in self.annotations]}


@dataclass(frozen=True)
class Head:
    """What precedes the records of a COCO file. licenses: as they were written."""

    categories: Sequence[CategoryRecord]
    info: InfoRecord = field(default_factory=InfoRecord)
    licenses: Sequence[Any] = ()


@dataclass(frozen=True)
class SplitLabels:
    """The labels of one split, to be written in a label format.

    head: info, licences and all categories. images: can be iterated once; each has its file name relative to the
    format's folder of images, and its size.
    """

    split: str
    head: Head
    images: Iterable[ImageLabels]


def parse_all(kind: type[R], values: Iterable[Any]) -> list[R]:
    """Parse a list of JSON objects. Raises ValueError if an entry is not an object."""
    records = []
    for value in values:
        if not isinstance(value, dict):
            raise ValueError("no list of objects")
        records.append(kind.parse(value))
    return records


def names_by_id(categories: Iterable[CategoryRecord]) -> dict[int | None, str]:
    """Map category ids to SKUs, or to names of categories without one."""
    return {whole_number(one.value("id")): one.key or "?" for one in categories}


def sku_of(record: AnnotationRecord, names: Mapping[int | None, str]) -> str:
    """Return the SKU of an annotation: its own, else that of its category."""
    return sku_text(record.value("sku")) or names.get(whole_number(record.value("category_id")), "?")


def record_json(content: object) -> str:
    """Format a record's content as one line of JSON, text unescaped. Raises SynthError for NaN and infinity."""
    try:
        return json.dumps(content, ensure_ascii=False, allow_nan=False)
    except ValueError as error:
        raise SynthError(
            "a record holds a number that JSON has not",
            code="records-invalid",
            found=str(content)[:200],
        ) from error
