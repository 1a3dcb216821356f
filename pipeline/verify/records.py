"""Checks of single COCO records, with arithmetic of their own: nothing here is shared with the code that wrote them.

They check the JSON objects of the files, not typed records: values that no field of a record could hold are what they
are for.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from assets.errors import SynthError, printable
from assets.files.image_input import open_image, reason_of
from assets.options import MAX_SEED
from dataset.masks import compressed_mask
from dataset.values import box_numbers, short
from pipeline.run.identity import MAX_SIDE

Record = dict[str, Any]
# Depth, normals and ids of an image by their kind: their pixels, or in words why they cannot be read.
Extras = Mapping[str, NDArray[np.uint16] | str]
MIN_VISIBLE = 0.1
MAX_WORDS = 500
# Visibility and truncation are stored with six decimals.
ROUNDING = 2e-6
LARGEST = 1e300
# A box of others may leave the image by rounding.
ROUNDING_PX = 1.0
EYE = np.eye(4)
# Corners of a cuboid.
KEYPOINTS = 8
# The coefficients of each model of lens distortion.
COEFFICIENTS = {"brown_conrady": ("k1", "k2", "p1", "p2", "k3"), "fisheye": ("k1", "k2", "k3", "k4")}
# What arithmetic and look-ups raise over values of another kind, and depth over nests of thousands of lists.
MALFORMED = (KeyError, TypeError, AttributeError, ValueError, IndexError, OverflowError, RecursionError)


@dataclass(frozen=True)
class Violation:
    """One finding about a data set. where: file and id. what: found and expected, in words."""

    where: str
    what: str

    def __post_init__(self) -> None:
        # A third party's file may hold anything where a number should stand: its start is enough, on one line.
        object.__setattr__(self, "where", printable(self.where[:MAX_WORDS]))
        object.__setattr__(self, "what", printable(" ".join(self.what[:MAX_WORDS].split())))

    def __str__(self) -> str:
        return f"{self.where}: {self.what}"


def is_number(value: object) -> bool:
    """Whether a value is a finite JSON number (not a bool), not too large for arithmetic."""
    return isinstance(value, int | float) and not isinstance(value, bool) and -LARGEST < value < LARGEST


def check_image(record: Record, number: object, where: str) -> Iterator[Violation]:
    """Check the fields of an image of `synth render`; `number` is the id it must have."""
    if type(record.get("id")) is not int or record["id"] != number:
        yield Violation(where, f"id {record.get('id')!r}, expected {number}: ids are dense from 1")
    for name in ("width", "height"):
        if type(record.get(name)) is not int or not 1 <= record[name] <= MAX_SIDE:
            yield Violation(where, f"{name} {record.get(name)!r}, expected a number of pixels, at most {MAX_SIDE}")
    for name in ("file_name", "recipe", "backend"):
        if type(record.get(name)) is not str:
            yield Violation(where, f"{name} is {record.get(name)!r}, expected a text")
    for name in ("seed", "index", "view"):
        if type(record.get(name)) is not int or not 0 <= record[name] <= MAX_SEED:
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
        yield Violation(where, "camera.world_from_camera is not a rigid 4x4 pose")
    yield from _check_lens(camera, where)


def _check_lens(camera: Record, where: str) -> Iterator[Violation]:
    """Check the two fields that only cameras other than pinholes have."""
    lens: Any = camera.get("distortion")
    turn: Any = camera.get("rolling_shutter")
    if "distortion" in camera:
        model = lens.get("model") if isinstance(lens, dict) else None
        names = COEFFICIENTS.get(model, ()) if type(model) is str else ()
        if not names or {*lens} != {"model", *names} or not all(is_number(lens[name]) for name in names):
            yield Violation(where, f"camera.distortion is {lens!r}, expected the model and coefficients of OpenCV")
    if "rolling_shutter" in camera and matrix_of([turn], (1, 3)) is None:
        yield Violation(where, f"camera.rolling_shutter is {turn!r}, expected three angles in radians")


def matrix_of(value: object, shape: tuple[int, int]) -> NDArray[np.float64] | None:
    """Return a nested list as a finite matrix of that shape, else None."""
    try:
        matrix = np.array(value, dtype=np.float64)
    except (TypeError, ValueError, OverflowError):
        return None
    return matrix if matrix.shape == shape and np.isfinite(matrix).all() else None


def is_rigid(value: object) -> bool:
    """Whether a value is a 4x4 rotation and translation."""
    pose = matrix_of(value, (4, 4))
    # By hand: np.allclose takes 50 us, and there are millions of poses.
    if pose is None or np.abs(pose[3] - EYE[3]).max() > 1e-5:
        return False
    rotation = pose[:3, :3]
    return bool(np.abs(rotation.T @ rotation - EYE[:3, :3]).max() <= 2e-5 and np.linalg.det(rotation) > 0)


def check_image_file(data: bytes, stated: tuple[object, object], where: str, *, rendered: bool) -> Iterator[Violation]:
    """Check that an image file can be read to its last byte and has the stated width and height.

    rendered: `synth` wrote it: RGB, and of just that size; of others EXIF may turn it by a quarter.
    """
    try:
        with open_image(data, where, "the image") as image:
            image.load()
            size, mode = (image.width, image.height), image.mode
    except SynthError as error:
        yield Violation(where, f"the image cannot be read: {reason_of(error)}")
    except MemoryError:
        raise
    except Exception as error:  # decoders raise many kinds
        yield Violation(where, f"the image cannot be read: {error}")
    else:
        if size != stated and (rendered or size[::-1] != stated):
            expected = f"{short(stated[0])}x{short(stated[1])}"
            yield Violation(where, f"the image is {size[0]}x{size[1]} px, expected {expected}")
        if rendered and mode != "RGB":
            yield Violation(where, f"the image has mode {mode}, expected RGB")


def check_annotation(
    record: Record, number: object, keys: dict[int, str], where: str, *, delisted: Container[int] = ()
) -> Iterator[Violation]:
    """Check the fields of an annotation of `synth render`, without its masks. keys: category id -> SKU.

    delisted: categories that are no longer sold; their annotations are ignored, however much of them is seen.
    """
    if type(record.get("id")) is not int or record["id"] != number:
        yield Violation(where, f"id {record.get('id')!r}, expected {number}: ids are dense from 1")
    if type(record.get("category_id")) is not int or record["category_id"] not in keys:
        yield Violation(where, f"category_id {record.get('category_id')!r} is not one of the categories")
    elif keys[record["category_id"]] != record.get("sku"):
        yield Violation(where, f"sku {record.get('sku')!r}, but its category is {keys[record['category_id']]!r}")
    if record.get("iscrowd") != 0:
        yield Violation(where, f"iscrowd {record.get('iscrowd')!r}, expected 0")
    for name in ("visibility", "truncation"):
        if not is_number(record.get(name)) or not 0 <= record[name] <= 1:
            yield Violation(where, f"{name} {record.get(name)!r}, expected a number from 0 to 1")
    if not is_rigid(record.get("camera_from_object")):
        yield Violation(where, "camera_from_object is not a rigid 4x4 pose")
    if all(is_number(record.get(name)) for name in ("visibility", "truncation")):
        seen = record["visibility"] * (1 - record["truncation"])
        gone = type(record.get("category_id")) is int and record["category_id"] in delisted
        if bool(record.get("ignore")) != (gone or seen < MIN_VISIBLE) or record.get("ignore") not in (0, 1):
            why = f"{seen:.3f} of the product is seen (limit {MIN_VISIBLE})"
            yield Violation(where, f"ignore {record.get('ignore')!r}, but {'it is delisted' if gone else why}")


def check_keypoints(record: Record, image: Record, where: str) -> Iterator[Violation]:
    """Check the form of an annotation's keypoints: eight triples, in the image or 0, 0, 0, and how many are in it."""
    triples = matrix_of([record.get("keypoints")], (1, KEYPOINTS * 3))
    if triples is None:
        yield Violation(where, f"keypoints {short(record.get('keypoints'))}, expected {KEYPOINTS} triples of numbers")
        return
    points = triples.reshape(KEYPOINTS, 3)
    if not np.isin(points[:, 2], (0, 1, 2)).all():
        yield Violation(where, f"keypoints have the flags {points[:, 2].tolist()}, expected 0, 1 or 2")
    there = points[:, 2] > 0
    beyond = (points[:, :2] < 0) | (points[:, :2] >= [image["width"], image["height"]])
    if beyond[there].any() or points[~there].any():
        yield Violation(where, "keypoints outside the image, or coordinates of some that are not labelled")
    if record.get("num_keypoints") != int(there.sum()):
        yield Violation(where, f"num_keypoints {record.get('num_keypoints')!r}, but {int(there.sum())} are labelled")


def check_foreign_image(record: Record, where: str) -> Iterator[Violation]:
    """Check id, name and size of a third party's image: what any user of COCO relies on."""
    for name in ("id", "width", "height"):
        if type(record.get(name)) is not int or (name != "id" and record[name] < 1):
            yield Violation(where, f"{name} {record.get(name)!r}, expected a whole number")
    if not isinstance(record.get("file_name"), str):
        yield Violation(where, f"file_name is {record.get('file_name')!r}, expected a text")


def check_foreign_record(record: Record, image: Record, categories: Container[int], where: str) -> Iterator[Violation]:
    """Check id, category, box, area and mask of a third party's annotation."""
    if type(record.get("id")) is not int:
        yield Violation(where, f"id {record.get('id')!r}, expected a whole number")
    if type(record.get("category_id")) is not int or record["category_id"] not in categories:
        yield Violation(where, f"category_id {record.get('category_id')!r} is not one of the categories")
    box = box_numbers(record.get("bbox"))
    if box is None or min(box[2:]) <= 0:
        yield Violation(where, f"bbox {record.get('bbox')!r}, expected x, y, width, height in pixels")
    elif (
        min(box[:2]) < -ROUNDING_PX
        or box[0] + box[2] > image["width"] + ROUNDING_PX
        or box[1] + box[3] > image["height"] + ROUNDING_PX
    ):
        yield Violation(where, f"bbox {box} leaves an image of {image['width']}x{image['height']}")
    area = record.get("area")
    if area is not None and (not is_number(area) or not 0 <= area <= image["width"] * image["height"]):
        yield Violation(where, f"area {area!r}, expected pixels of an image of {image['width']}x{image['height']}")
    mask = compressed_mask(record.get("segmentation"), image["height"], image["width"])
    if isinstance(mask, str):
        yield Violation(where, f"segmentation: {mask}")
