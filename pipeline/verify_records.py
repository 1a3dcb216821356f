"""Checks of single COCO records, with arithmetic of their own: nothing here is shared with the code that wrote them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from assets.errors import SynthError, printable
from assets.limits import open_picture
from pipeline.dataset_check import MOST_SEED, MOST_SIDE

Record = dict[str, Any]
LEAST_VISIBLE = 0.1
MOST_WORDS = 500
# Visibility and truncation are stored with six decimals.
ROUNDING = 2e-6
LARGEST = 1e300


@dataclass(frozen=True)
class Violation:
    """One thing that is wrong with a data set. where: file and id. what: found and expected, in words."""

    where: str
    what: str

    def __post_init__(self) -> None:
        # A stranger's file may hold anything where a number should stand: its start is enough, and no steering signs.
        for name in ("where", "what"):
            object.__setattr__(self, name, printable(getattr(self, name)[:MOST_WORDS]))

    def __str__(self) -> str:
        return f"{self.where}: {self.what}"


def is_number(value: object) -> bool:
    """A finite JSON number (bool is none), not too large for arithmetic."""
    return isinstance(value, int | float) and not isinstance(value, bool) and -LARGEST < value < LARGEST


def check_image(record: Record, number: int, where: str) -> Iterator[Violation]:
    """Fields of an image entry; `number` is its place in the file, from 1."""
    if type(record.get("id")) is not int or record["id"] != number:
        yield Violation(where, f"id {record.get('id')!r}, expected {number}: ids are dense from 1")
    for name in ("width", "height"):
        if type(record.get(name)) is not int or not 1 <= record[name] <= MOST_SIDE:
            yield Violation(where, f"{name} {record.get(name)!r}, expected a number of pixels, at most {MOST_SIDE}")
    for name in ("file_name", "recipe", "backend"):
        if type(record.get(name)) is not str:
            yield Violation(where, f"{name} is {record.get(name)!r}, expected a text")
    for name in ("seed", "index", "view"):
        if type(record.get(name)) is not int or not 0 <= record[name] <= MOST_SEED:
            yield Violation(where, f"{name} is {record.get(name)!r}, expected a number of 0 or more")
    camera = record.get("camera")
    if not isinstance(camera, dict):
        yield Violation(where, "camera is missing, expected K and world_from_camera")
        return
    intrinsics = matrix_of(camera.get("K"), (3, 3))
    if (
        intrinsics is None
        or intrinsics[0, 0] <= 0
        or intrinsics[1, 1] <= 0
        or not np.array_equal(intrinsics[2], [0, 0, 1])
    ):
        yield Violation(where, f"camera.K is {camera.get('K')!r}, expected [[fx, 0, cx], [0, fy, cy], [0, 0, 1]]")
    if not is_rigid(camera.get("world_from_camera")):
        yield Violation(where, "camera.world_from_camera is no rigid 4x4 pose")


def matrix_of(value: object, shape: tuple[int, int]) -> NDArray[np.float64] | None:
    """A nested list as a finite matrix of that shape, or None."""
    try:
        matrix = np.array(value, dtype=np.float64)
    except (TypeError, ValueError, OverflowError):
        return None
    return matrix if matrix.shape == shape and np.isfinite(matrix).all() else None


def is_rigid(value: object) -> bool:
    """A 4x4 rotation and translation."""
    pose = matrix_of(value, (4, 4))
    if pose is None or not np.allclose(pose[3], [0, 0, 0, 1]):
        return False
    rotation = pose[:3, :3]
    return bool(np.allclose(rotation.T @ rotation, np.eye(3), atol=1e-5) and np.linalg.det(rotation) > 0)


def check_picture(record: Record, path: Path, where: str) -> Iterator[Violation]:
    """The image file: there, readable to its last byte, of the stated size."""
    if not path.exists():
        yield Violation(where, f"file {path.name} is missing")
        return
    try:
        with open_picture(path, path.name, "the picture") as image:
            image.load()
            if (image.width, image.height) != (record.get("width"), record.get("height")):
                size = f"{record.get('width')}x{record.get('height')}"
                yield Violation(where, f"{path.name} is {image.width}x{image.height} px, expected {size}")
            if image.mode != "RGB":
                yield Violation(where, f"{path.name} has mode {image.mode}, expected RGB")
    except SynthError as error:
        yield Violation(where, f"file {path.name}: {' '.join(str(error).split())}")
    except MemoryError:
        raise
    except Exception as error:  # decoders raise many kinds
        yield Violation(where, f"file {path.name} cannot be read: {error}")


# Characters of the longest run length.
LONGEST_RUN = 9


def decode_mask(value: object, height: int, width: int) -> NDArray[np.bool_] | str:
    """The mask of an RLE, or what is wrong with it in words."""
    from pycocotools import mask as codec

    if not isinstance(value, dict) or value.get("size") != [height, width] or not isinstance(value.get("counts"), str):
        return f"expected an RLE of size [{height}, {width}]"
    if len(value["counts"]) > LONGEST_RUN * (height * width + 2):
        return "there are more runs than pixels"
    lengths = _run_lengths(value["counts"])
    if lengths is None or sum(lengths) != height * width:
        # pycocotools writes past its buffer on such input: it must not see it.
        return "the run lengths do not fill the picture"
    return codec.decode({"size": value["size"], "counts": value["counts"]}).astype(bool)


def _run_lengths(counts: str) -> list[int] | None:
    """COCO's run lengths: LEB128 in six-bit characters, from the fourth on differences to the last but one."""
    lengths: list[int] = []
    value = shift = 0
    for character in counts:
        code = ord(character) - 48
        if not 0 <= code < 64 or shift > 40:
            return None
        value |= (code & 31) << shift
        shift += 5
        if not code & 32:
            if code & 16:
                value -= 1 << shift
            value += lengths[-2] if len(lengths) > 2 else 0
            if value < 0:
                return None
            lengths.append(value)
            value = shift = 0
    return None if shift else lengths


class MaskMap(Mapping[int, NDArray[np.bool_]]):
    """The masks of a picture by instance, no pixel in two: kept as one map, since a file may name thousands."""

    def __init__(self, height: int, width: int) -> None:
        self._ids = np.zeros((height, width), np.uint16)
        self._instances: dict[int, None] = {}

    def add(self, instance: int, mask: NDArray[np.bool_]) -> int:
        """Takes in the pixels of a mask that are nobody's yet; returns how many were another's."""
        free = self._ids == 0
        self._ids[mask & free] = instance
        self._instances[instance] = None
        return int((mask & ~free).sum())

    def __getitem__(self, instance: int) -> NDArray[np.bool_]:
        if instance not in self._instances:
            raise KeyError(instance)
        return self._ids == instance

    def __iter__(self) -> Iterator[int]:
        return iter(self._instances)

    def __len__(self) -> int:
        return len(self._instances)


def tight_box(mask: NDArray[np.bool_]) -> list[float]:
    """x, y, width, height of a mask's pixels."""
    rows, columns = np.nonzero(mask)
    return [
        float(columns.min()),
        float(rows.min()),
        float(columns.max() - columns.min() + 1),
        float(rows.max() - rows.min() + 1),
    ]


def check_annotation(record: Record, number: int, keys: dict[int, str], where: str) -> Iterator[Violation]:
    """Fields of an annotation that stand for themselves. keys: category id -> SKU."""
    if type(record.get("id")) is not int or record["id"] != number:
        yield Violation(where, f"id {record.get('id')!r}, expected {number}: ids are dense from 1")
    if type(record.get("category_id")) is not int or record["category_id"] not in keys:
        yield Violation(where, f"category_id {record.get('category_id')!r} is none of the categories")
    elif keys[record["category_id"]] != record.get("sku"):
        yield Violation(where, f"sku {record.get('sku')!r}, but its category is {keys[record['category_id']]!r}")
    if record.get("iscrowd") != 0:
        yield Violation(where, f"iscrowd {record.get('iscrowd')!r}, expected 0")
    for name in ("visibility", "truncation"):
        if not is_number(record.get(name)) or not 0 <= record[name] <= 1:
            yield Violation(where, f"{name} {record.get(name)!r}, expected a number from 0 to 1")
    if not is_rigid(record.get("camera_from_object")):
        yield Violation(where, "camera_from_object is no rigid 4x4 pose")
    if all(is_number(record.get(name)) for name in ("visibility", "truncation")):
        seen = record["visibility"] * (1 - record["truncation"])
        if bool(record.get("ignore")) != (seen < LEAST_VISIBLE) or record.get("ignore") not in (0, 1):
            yield Violation(
                where, f"ignore {record.get('ignore')!r}, but {seen:.3f} of the product is seen (limit {LEAST_VISIBLE})"
            )


def check_masks(record: Record, mask: NDArray[np.bool_], amodal: NDArray[np.bool_], where: str) -> Iterator[Violation]:
    """Area, boxes and visibility against the decoded masks."""
    area, within = int(mask.sum()), int(amodal.sum())
    if area == 0:
        yield Violation(where, "the mask is empty")
        return
    if record.get("area") != area:
        yield Violation(where, f"area {record.get('area')!r}, but the mask has {area} pixels")
    if record.get("bbox") != tight_box(mask):
        yield Violation(where, f"bbox {record.get('bbox')!r}, but the mask's is {tight_box(mask)}")
    if (mask & ~amodal).any():
        yield Violation(where, f"{int((mask & ~amodal).sum())} visible pixels lie outside the amodal mask")
        return
    if is_number(record.get("visibility")) and abs(record["visibility"] - area / within) > ROUNDING:
        yield Violation(
            where, f"visibility {record['visibility']}, but {area} of {within} pixels are {area / within:.6f}"
        )
    yield from _check_amodal_box(record, tight_box(amodal), mask.shape, where)


def _check_amodal_box(record: Record, inner: list[float], shape: tuple[int, ...], where: str) -> Iterator[Violation]:
    """The amodal box ends where the amodal mask ends, and beyond the picture only where the product is cut."""
    box = matrix_of([record.get("amodal_bbox")], (1, 4))
    if box is None:
        yield Violation(where, f"amodal_bbox is {record.get('amodal_bbox')!r}, expected four numbers")
        return
    left, top, right, bottom = box[0, 0], box[0, 1], box[0, 0] + box[0, 2], box[0, 1] + box[0, 3]
    height, width = shape
    clipped = [max(left, 0.0), max(top, 0.0), min(right, width), min(bottom, height)]
    expected = [inner[0], inner[1], inner[0] + inner[2], inner[1] + inner[3]]
    if clipped[0] > expected[0] or clipped[1] > expected[1] or clipped[2] < expected[2] or clipped[3] < expected[3]:
        yield Violation(where, f"amodal_bbox {record['amodal_bbox']} does not hold the amodal mask {inner}")
    leaves = left < 0 or top < 0 or right > width or bottom > height
    if is_number(record.get("truncation")) and leaves != (record["truncation"] > 0):
        told = f"amodal_bbox {record['amodal_bbox']} and truncation {record['truncation']} do not agree"
        yield Violation(where, told)
    if not leaves and clipped != expected:
        yield Violation(where, f"amodal_bbox {record['amodal_bbox']}, but the amodal mask's is {inner}")
