"""Writing of BOP scenes; see bop.py for what they hold."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from assets.files.atomic import write_atomic
from assets.files.image_input import open_image
from dataset.formats.files import mask_of, name_in, names_of
from dataset.formats.shapes import box_of
from dataset.records import AnnotationRecord, ImageRecord, SplitLabels

CAMERA, POSES, INFO = "scene_camera.json", "scene_gt.json", "scene_gt_info.json"
SCENE_IMAGES = 1000
MM = 1000.0
SUFFIXES = {".jpg": "jpg", ".jpeg": "jpg", ".png": "png", ".tif": "tif", ".tiff": "tif"}
Scene = dict[str, dict[str, Any]]


def write_split(folder: Path, waiting: Path, one: SplitLabels) -> None:
    """Write the scenes of a split into `folder`. waiting: folder of its images, which are moved from there."""
    names = names_of(one.head.categories)
    scene: Scene = {CAMERA: {}, POSES: {}, INFO: {}}
    done = 0
    for labels in one.images:
        if labels.image.camera is None or "K" not in labels.image.camera:
            continue
        place, target = done % SCENE_IMAGES, folder / f"{done // SCENE_IMAGES:06d}"
        for kind in ("rgb", "mask", "mask_visib"):
            (target / kind).mkdir(parents=True, exist_ok=True)
        _move_image(waiting / str(labels.image.file_name), target / "rgb" / f"{place:06d}")
        scene[CAMERA][str(place)] = _camera_row(labels.image)
        scene[POSES][str(place)], scene[INFO][str(place)] = [], []
        for record in labels.annotations:
            if record.camera_from_object is not None:
                name_in(names, record, labels.image)
                _write_product(target, labels.image, record, place, scene)
        done += 1
        if done % SCENE_IMAGES == 0:
            _write_scene(target, scene)
    if done % SCENE_IMAGES:
        _write_scene(folder / f"{done // SCENE_IMAGES:06d}", scene)


def _move_image(source: Path, target: Path) -> None:
    """Move an image; one of a kind that BOP does not know becomes a PNG."""
    suffix = SUFFIXES.get(source.suffix.lower())
    if suffix is not None:
        source.replace(target.with_name(f"{target.name}.{suffix}"))
        return
    with open_image(source, str(source), "the image") as image:
        image.convert("RGB").save(target.with_name(f"{target.name}.png"))
    source.unlink()


def _write_scene(target: Path, scene: Scene) -> None:
    for name, content in scene.items():
        rows = ",\n".join(f"{json.dumps(key)}: {json.dumps(row)}" for key, row in content.items())
        write_atomic(target / name, f"{{\n{rows}\n}}\n".encode())
        content.clear()


def _camera_row(image: ImageRecord) -> dict[str, Any]:
    camera: Mapping[str, Any] = image.camera or {}
    row: dict[str, Any] = {"cam_K": np.array(camera["K"], float).ravel().tolist(), "depth_scale": 1.0}
    if "world_from_camera" in camera:
        turn, shift = _in_mm(np.linalg.inv(np.array(camera["world_from_camera"], float)))
        row |= {"cam_R_w2c": turn, "cam_t_w2c": shift}
    return row


def _in_mm(pose: NDArray[np.float64]) -> tuple[list[float], list[float]]:
    return pose[:3, :3].ravel().tolist(), (pose[:3, 3] * MM).tolist()


def _write_product(target: Path, image: ImageRecord, record: AnnotationRecord, place: int, scene: Scene) -> None:
    """Write the masks of a product and add its rows, unless nothing of it is seen."""
    seen = mask_of(image, record)
    if seen is None or not seen.any():
        return
    whole = mask_of(image, AnnotationRecord(segmentation=record.amodal_segmentation))
    whole = seen if whole is None else np.maximum(whole, seen)
    file = f"{place:06d}_{len(scene[POSES][str(place)]):06d}.png"
    Image.fromarray(seen * np.uint8(255)).save(target / "mask_visib" / file)
    Image.fromarray(whole * np.uint8(255)).save(target / "mask" / file)
    turn, shift = _in_mm(np.array(record.camera_from_object, float))
    scene[POSES][str(place)].append({"obj_id": record.category_id, "cam_R_m2c": turn, "cam_t_m2c": shift})
    inside, visible = int(whole.sum()), int(seen.sum())
    everything = round(inside / max(1 - (record.truncation or 0.0), 1e-6))
    scene[INFO][str(place)].append(
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
