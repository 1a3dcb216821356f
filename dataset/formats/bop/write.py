"""Writing of BOP: the rows and masks of an image, scenes of files, and models; see scenes.py for what they hold."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from assets.files.atomic import write_atomic
from assets.files.image_input import open_image
from dataset.formats.bop.models import ModelFrames
from dataset.formats.files import mask_of, name_in, names_of
from dataset.formats.shapes import box_of
from dataset.records import AnnotationRecord, CameraRecord, ImageLabels, ImageRecord, SplitLabels

CAMERA, POSES, INFO = "scene_camera.json", "scene_gt.json", "scene_gt_info.json"
SCENE_IMAGES = 1000
MM = 1000.0
SUFFIXES = {".jpg": "jpg", ".jpeg": "jpg", ".png": "png", ".tif": "tif", ".tiff": "tif"}
# A depth image waits beside its image, under this suffix.
DEPTH = ".depth.png"
Row = dict[str, Any]


@dataclass
class BopImage:
    """What BOP holds of an image. seen, whole: (H, W) uint8 0/1 masks of each product."""

    name: str
    camera: Row
    poses: list[Row] = field(default_factory=list)
    infos: list[Row] = field(default_factory=list)
    seen: list[NDArray[np.uint8]] = field(default_factory=list)
    whole: list[NDArray[np.uint8]] = field(default_factory=list)


def bop_images(one: SplitLabels, frames: ModelFrames) -> Iterator[BopImage]:
    """Iterate over the images of a split that have a camera. frames: where the models have their origins."""
    names = names_of(one.head.categories)
    for labels in one.images:
        if labels.image.camera is not None and "K" in labels.image.camera:
            yield _bop_image(labels, labels.image.camera, names, frames)


def _bop_image(
    labels: ImageLabels, camera: CameraRecord, names: dict[int | None, str], frames: ModelFrames
) -> BopImage:
    found = BopImage(str(labels.image.file_name), _camera_row(camera))
    for record in labels.annotations:
        if record.camera_from_object is not None:
            name_in(names, record, labels.image)
            _add_product(found, labels.image, record, frames)
    return found


def _camera_row(camera: CameraRecord) -> Row:
    row: Row = {"cam_K": np.array(camera["K"], float).ravel().tolist(), "depth_scale": 1.0}
    if "world_from_camera" in camera:
        turn, shift = _in_mm(np.linalg.inv(np.array(camera["world_from_camera"], float)))
        row |= {"cam_R_w2c": turn, "cam_t_w2c": shift}
    return row


def _in_mm(pose: NDArray[np.float64]) -> tuple[list[float], list[float]]:
    return pose[:3, :3].ravel().tolist(), (pose[:3, 3] * MM).tolist()


def _add_product(found: BopImage, image: ImageRecord, record: AnnotationRecord, frames: ModelFrames) -> None:
    """Add the masks and rows of a product, unless nothing of it is seen."""
    seen = mask_of(image, record)
    if seen is None or not seen.any():
        return
    whole = mask_of(image, AnnotationRecord(segmentation=record.amodal_segmentation))
    whole = seen if whole is None else np.maximum(whole, seen)
    found.seen.append(seen)
    found.whole.append(whole)
    pose = frames.model_pose(record.category_id or 0, np.array(record.camera_from_object, float))
    turn, shift = _in_mm(pose)
    found.poses.append({"obj_id": record.category_id, "cam_R_m2c": turn, "cam_t_m2c": shift})
    inside, visible = int(whole.sum()), int(seen.sum())
    # As silhouettes on a canvas three times as large, what lies outside the image counts.
    everything = round(inside / max(1 - (record.truncation or 0.0), 1e-6))
    found.infos.append(
        {
            "bbox_obj": _toolkit_box(record.amodal_bbox or box_of(whole > 0)),
            "bbox_visib": _toolkit_box(box_of(seen > 0)),
            "px_count_all": everything,
            "px_count_valid": inside,
            "px_count_visib": visible,
            "visib_fract": visible / everything,
        }
    )


def _toolkit_box(box: Sequence[float]) -> list[int]:
    """A box as the toolkit has it: distances of the outermost pixels."""
    x, y, width, height = (round(side) for side in box)
    return [x, y, width - 1, height - 1]


def write_split(folder: Path, waiting: Path, one: SplitLabels, frames: ModelFrames) -> Iterator[tuple[int, BopImage]]:
    """Write the scenes of a split into `folder`; yield each image with its number in the split, once it is written.

    waiting: folder of its images, which are moved from there.
    """
    rows: dict[str, Row] = {CAMERA: {}, POSES: {}, INFO: {}}
    number = -1
    for number, image in enumerate(bop_images(one, frames)):
        place, target = number % SCENE_IMAGES, folder / f"{number // SCENE_IMAGES:06d}"
        _write_files(target, waiting, place, image)
        for name, row in ((CAMERA, image.camera), (POSES, image.poses), (INFO, image.infos)):
            rows[name][str(place)] = row
        if place == SCENE_IMAGES - 1:
            _write_scene(target, rows)
        yield number, image
    if rows[CAMERA]:
        _write_scene(folder / f"{number // SCENE_IMAGES:06d}", rows)


def _write_files(target: Path, waiting: Path, place: int, image: BopImage) -> None:
    for kind in ("rgb", "mask", "mask_visib"):
        (target / kind).mkdir(parents=True, exist_ok=True)
    file, suffix = plain_image(waiting / image.name)
    file.replace(target / "rgb" / f"{place:06d}.{suffix}")
    depth = waiting / f"{image.name}{DEPTH}"
    if depth.is_file():
        (target / "depth").mkdir(exist_ok=True)
        depth.replace(target / "depth" / f"{place:06d}.png")
    for row, (seen, whole) in enumerate(zip(image.seen, image.whole, strict=True)):
        for kind, mask in (("mask_visib", seen), ("mask", whole)):
            Image.fromarray(mask * np.uint8(255)).save(target / kind / f"{place:06d}_{row:06d}.png")


def plain_image(file: Path) -> tuple[Path, str]:
    """Return an image's file and suffix; one of a kind that BOP does not know becomes a PNG."""
    suffix = SUFFIXES.get(file.suffix.lower())
    if suffix is not None:
        return file, suffix
    new = file.with_name(f"{file.name}.png")
    with open_image(file, str(file), "the image") as image:
        image.convert("RGB").save(new)
    file.unlink()
    return new, "png"


def _write_scene(target: Path, rows: dict[str, Row]) -> None:
    for name, content in rows.items():
        lines = ",\n".join(f"{json.dumps(key)}: {json.dumps(row)}" for key, row in content.items())
        write_atomic(target / name, f"{{\n{lines}\n}}\n".encode())
        content.clear()
