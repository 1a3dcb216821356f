"""BOP, scene by scene: poses in millimetres, masks of whole and of visible products, cameras; for pose estimation.

SPLIT/000000/rgb/000000.jpg            the images, 1,000 in a scene; read as well: gray/
SPLIT/000000/mask/000000_000003.png    all pixels in the image of product 3, 255; mask_visib/: those that are seen
SPLIT/000000/scene_camera.json         cam_K row by row, and cam_R_w2c, cam_t_w2c where the camera's pose is known
SPLIT/000000/scene_gt.json             obj_id, cam_R_m2c, cam_t_m2c of each product
SPLIT/000000/scene_gt_info.json        boxes and counts of pixels; visib_fract also counts what lies outside the image
SPLIT/000000/depth/000000.png          millimetres along the optical axis, where the source has them
models/                                meshes of the products, if a SKU list is given
test_targets_bop19.json                products of the split `test` of which a tenth is visible
categories.json                        which other tools ignore: names and SKUs; obj_id is the id of the category
Hodan et al. 2018, "BOP: Benchmark for 6D object pose estimation", and the description of its formats. Boxes are as its
toolkit makes them: the distance of the outermost pixels, one less than the width.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from assets.errors import SynthError
from assets.files.json_input import read_json
from assets.limits import DATASET_IMAGES, DATASET_INSTANCES, DATASET_JSON
from dataset.find import SPLIT
from dataset.formats.bop.models import ModelFrames, read_frames
from dataset.formats.bop.models import write_models as write_models
from dataset.formats.bop.targets import TARGET_SPLIT, TARGETS, BopTarget, targets_of, write_targets
from dataset.formats.bop.write import CAMERA, DEPTH, INFO, MM, POSES, SCENE_IMAGES, write_split
from dataset.formats.files import (
    FileStore,
    lost_fields,
    mask_of,
    numbered,
    read_categories,
    upright_size,
    write_categories,
)
from dataset.formats.label_maps import decode_numbers
from dataset.formats.shapes import box_of
from dataset.masks import encode_crop
from dataset.records import AnnotationRecord, CameraRecord, CategoryRecord, ImageLabels, ImageRecord, SplitLabels
from dataset.store import StoredImage
from dataset.values import number, short, whole_number

# Products of which less is visible are neither target nor background, as BOP's detection has it.
LEAST_VISIBLE = 0.1
# Where images wait to be put into their scenes.
WAITING = ".images"
# A product is lost without its pose and the mask of what is seen of it, an image without its camera.
NEEDS_MASKS = NEEDS_POSES = RENAMES = True
# Depth in other units than millimetres is left where it is.
MILLIMETRES = 1.0
NO_MODELS = ModelFrames()


def detect(path: Path) -> bool:
    """Whether there are folders SPLIT/000000 with a scene_camera.json, or it is one of those."""
    return bool(_scenes(path))


def _scenes(path: Path) -> list[tuple[str, Path]]:
    """Split and folder of each scene of a set, a split or a scene."""
    if (path / CAMERA).is_file():
        return [(path.parent.name if SPLIT.fullmatch(path.parent.name) else "train", path)]
    for pattern in ("[0-9]" * 6, "*/" + "[0-9]" * 6):
        found = [folder for folder in sorted(path.glob(pattern)) if (folder / CAMERA).is_file()]
        if found:
            return [(folder.parent.name, folder) for folder in found if SPLIT.fullmatch(folder.parent.name)]
    return []


def open_labels(path: Path, images: Path | None = None) -> FileStore:
    """The splits by folders. images: not asked, they are in the scenes. Raises SynthError if there is no scene."""
    scenes = _scenes(path)
    if not scenes:
        expected = f"SPLIT/000000/{CAMERA}"
        raise SynthError("there is no scene of BOP", code="file-missing", where=str(path), expected=expected)
    roots = dict.fromkeys([folder.parent.parent for _, folder in scenes])
    root = next((one for one in roots if (one / "categories.json").exists()), next(iter(roots)))
    categories, ids = categories_in(root, lambda: {one for _, folder in scenes for one in _numbers(folder)})
    frames = read_frames(root)
    return FileStore(str(path), tuple(BopPart(split, folder, ids, frames) for split, folder in scenes), categories)


def categories_in(
    root: Path, numbers: Callable[[], Collection[object]]
) -> tuple[tuple[CategoryRecord, ...], dict[int | None, int | None]]:
    """Return the categories of a set and their ids by obj_id. numbers: every obj_id, asked only without our list."""

    def names() -> set[str]:
        found = {whole_number(one) for one in numbers()}
        return {f"obj_{one:06d}" for one in found if one is not None and one > 0}

    categories = read_categories(root, names)
    # Without our list the number of an object is its name.
    ids = {whole_number(_number_in(one.name)): one.id for one in categories if one.sku is None} | {
        one.id: one.id for one in categories if (root / "categories.json").exists()
    }
    return categories, ids


def _numbers(folder: Path) -> Iterator[object]:
    for rows in _read(folder / POSES).values():
        if isinstance(rows, list):
            yield from (one.get("obj_id") for one in rows if not isinstance(one.get("obj_id"), list | dict))


def _number_in(name: str | None) -> int | None:
    digits = (name or "").removeprefix("obj_")
    return int(digits) if digits.isascii() and digits.isdigit() else None


def _read(file: Path) -> dict[str, Any]:
    content = read_json(file, DATASET_JSON, file.name)
    if not isinstance(content, dict) or not all(isinstance(rows, list | dict) for rows in content.values()):
        raise invalid(str(file), short(content))
    for rows in content.values():
        if isinstance(rows, list) and not all(isinstance(one, dict) for one in rows):
            raise invalid(str(file), short(rows))
    return content


def invalid(where: str, found: str) -> SynthError:
    """Return the error for a file that is not as BOP's description says."""
    what, expected = "a file of a BOP scene cannot be used", "what the description of BOP's formats says"
    return SynthError(what, code="records-invalid", where=where, found=found, expected=expected)


@dataclass(frozen=True)
class BopPart:
    """A scene. ids: of the categories by obj_id. frames: where models have their origins."""

    split: str
    folder: Path
    ids: Mapping[int | None, int | None]
    frames: ModelFrames = field(default_factory=ModelFrames)

    @cached_property
    def cameras(self) -> list[tuple[int, dict[str, Any]]]:
        """Number and camera of each image, in order."""
        content = _read(self.folder / CAMERA)
        DATASET_IMAGES.check(len(content), str(self.folder))
        if not all(key.isascii() and key.isdigit() and isinstance(one, dict) for key, one in content.items()):
            raise invalid(str(self.folder / CAMERA), "keys that are no numbers")
        return sorted((int(key), one) for key, one in content.items())

    @property
    def count(self) -> int:
        return len(self.cameras)

    def labels(self) -> Iterator[ImageLabels]:
        for stored in self.stored_images():
            yield stored.labels

    def stored_images(self, only: Collection[int] | None = None) -> Iterator[StoredImage]:
        poses = _read(self.folder / POSES) if (self.folder / POSES).is_file() else {}
        infos = _read(self.folder / INFO) if (self.folder / INFO).is_file() else {}
        for place, (image, camera) in enumerate(self.cameras):
            if only is None or place in only:
                key = str(image)
                yield self._stored(image, camera, poses.get(key, []), infos.get(key, []))

    def _stored(self, place: int, camera: Mapping[str, Any], poses: Any, infos: Any) -> StoredImage:
        names = [f"{kind}/{place:06d}.{suffix}" for kind in ("rgb", "gray") for suffix in ("jpg", "png", "tif")]
        name = next((one for one in names if (self.folder / one).is_file()), names[0])
        path = self.folder / name
        width, height = upright_size(path)
        scene = whole_number(_number_in(self.folder.name)) or 0
        image = ImageRecord(
            id=scene * 1_000_000 + place + 1,
            file_name=f"{self.folder.name}/{Path(name).name}",
            width=width,
            height=height,
            camera=camera_of(camera, str(self.folder / CAMERA)),
            group=f"scene {self.folder.name}",
        )
        DATASET_INSTANCES.check(len(poses), str(path))
        reader = ProductReader(image, self.ids, self.frames, str(self.folder / POSES))
        found = [
            reader.record(
                pose,
                infos[row] if row < len(infos) else {},
                *(self._mask(image, kind, f"{place:06d}_{row:06d}.png") for kind in ("mask_visib", "mask")),
            )
            for row, pose in enumerate(poses)
        ]
        records = numbered(image, [one for one in found if one is not None], str(path))
        depth = self.folder / "depth" / f"{place:06d}.png"
        beside = {"depth": depth} if number(camera.get("depth_scale")) == MILLIMETRES else {}
        return StoredImage(ImageLabels(image, records), path, str(path), beside)

    def _mask(self, image: ImageRecord, kind: str, name: str) -> NDArray[np.bool_] | None:
        file = self.folder / kind / name
        return decode_numbers(file, image, "the mask") > 0 if file.is_file() else None


@dataclass(frozen=True)
class ProductReader:
    """Makes records of the products of an image. where: for messages."""

    image: ImageRecord
    ids: Mapping[int | None, int | None]
    frames: ModelFrames
    where: str

    def record(
        self,
        pose: Mapping[str, Any],
        info: Mapping[str, Any],
        seen: NDArray[np.bool_] | None,
        whole: NDArray[np.bool_] | None,
    ) -> AnnotationRecord | None:
        """Return the annotation of a product; None if nothing of it is seen, or BOP says so."""
        object_id = whole_number(pose.get("obj_id"))
        category = self.ids.get(object_id)
        if category is None or object_id is None:
            raise invalid(self.where, f"obj_id {short(pose.get('obj_id'))}")
        if seen is not None and not seen.any():
            return None
        box = box_of(seen) if seen is not None else _stated_box(info.get("bbox_visib"))
        if box is None:
            return None
        height, width = self.image.height or 0, self.image.width or 0
        share, all_pixels = number(info.get("visib_fract")), number(info.get("px_count_all"))
        inside = float(whole.sum()) if whole is not None else float("nan")
        visible = float(seen.sum()) if seen is not None else number(info.get("px_count_visib"))
        known = inside > 0 and all_pixels > 0
        visibility = min(visible / inside, 1.0) if known else (share if 0 <= share <= 1 else None)
        matrix = np.array(matrix_of(pose, "cam_R_m2c", "cam_t_m2c", self.where))
        return AnnotationRecord(
            category_id=category,
            bbox=box,
            area=visible if visible == visible else box[2] * box[3],
            iscrowd=0,
            segmentation=encode_crop(seen, 0, 0, height, width) if seen is not None else None,
            visibility=visibility,
            truncation=max(1 - inside / all_pixels, 0.0) if known else None,
            amodal_bbox=_stated_box(info.get("bbox_obj")),
            amodal_segmentation=encode_crop(whole, 0, 0, height, width) if whole is not None else None,
            camera_from_object=self.frames.product_pose(object_id, matrix).tolist(),
            ignore=1 if share < LEAST_VISIBLE else None,
        )


def camera_of(content: Mapping[str, Any], where: str) -> CameraRecord:
    """Return the camera of an image. Raises SynthError if it is none."""
    lens = content.get("cam_K")
    if not isinstance(lens, list) or len(lens) != 9 or any(number(one) != number(one) for one in lens):
        raise invalid(where, f"cam_K {short(lens)}")
    record: dict[str, Any] = {"K": np.array(lens, float).reshape(3, 3).tolist()}
    if "cam_R_w2c" in content:
        pose = matrix_of(content, "cam_R_w2c", "cam_t_w2c", where)
        record["world_from_camera"] = np.linalg.inv(np.array(pose)).tolist()
    return record  # type: ignore[return-value]


def matrix_of(content: Mapping[str, Any], turn: str, shift: str, where: str) -> list[list[float]]:
    """Return a pose (4, 4) in metres. Raises SynthError if it is none."""
    rows, moved = content.get(turn), content.get(shift)
    good = isinstance(rows, list) and isinstance(moved, list) and len(rows) == 9 and len(moved) == 3
    numbers = [number(one) for one in [*rows, *moved]] if good else []  # type: ignore[misc]
    if not good or not all(abs(one) < 1e9 for one in numbers):
        raise invalid(where, f"{turn} {short(rows)}, {shift} {short(moved)}")
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = np.reshape(numbers[:9], (3, 3)), np.array(numbers[9:]) / MM
    if abs(np.linalg.det(matrix)) < 1e-6:
        raise invalid(where, f"{turn} {short(rows)}")
    return matrix.tolist()


def _stated_box(box: object) -> list[float] | None:
    sides = [number(one) for one in box] if isinstance(box, list) and len(box) == 4 else []
    if not sides or not all(abs(side) < 1e6 for side in sides) or min(sides[2:]) < 0:
        return None
    return [sides[0], sides[1], sides[2] + 1, sides[3] + 1]


def lost(labels: ImageLabels) -> Iterator[str]:
    """Everything but poses, masks, boxes, visibility and the camera."""
    if not _has_camera(labels.image):
        yield "images without the matrix of their camera, and their products"
    for record in labels.annotations:
        if record.camera_from_object is None or not _has_pixels(labels.image, record):
            yield "products without a pose or a mask"
        elif record.ignored and not (record.visibility or 0) * (1 - (record.truncation or 0)) < LEAST_VISIBLE:
            yield "ignored products of which more than a tenth is visible, which count"
    camera = labels.image.camera
    if camera is not None and ("distortion" in camera or "rolling_shutter" in camera):
        yield "distortion and rolling shutter of cameras"
    yield "names of images, which become numbers"
    kept = ("segmentation", "visibility", "truncation", "amodal_bbox", "amodal_segmentation", "camera_from_object")
    yield from lost_fields(labels, kept, ("camera",))


def _has_camera(image: ImageRecord) -> bool:
    return image.camera is not None and "K" in image.camera


def _has_pixels(image: ImageRecord, record: AnnotationRecord) -> bool:
    mask = mask_of(image, record)
    return mask is not None and bool(mask.any())


def image_folder(split: str) -> str:
    """Where the images of a split wait to be put into their scenes."""
    return f"{WAITING}/{split}"


def beside_file(folder: str, split: str, name: str) -> str | None:
    """Where a file beside an image waits with it; None for all but depth."""
    return f"{image_folder(split)}/{name}{DEPTH}" if folder == "depth" else None


def write_labels(folder: Path, sets: Iterable[SplitLabels], frames: ModelFrames = NO_MODELS) -> None:
    """Scenes of up to 1,000 images, targets and the categories. Raises SynthError for category ids below 1.

    frames: where the models have their origins.
    """
    targets: list[BopTarget] = []
    for one in sets:
        check_numbers(folder, one.head.categories)
        for count, image in write_split(folder / one.split, folder / image_folder(one.split), one, frames):
            if one.split == TARGET_SPLIT:
                shown = [
                    (pose["obj_id"], info["visib_fract"]) for pose, info in zip(image.poses, image.infos, strict=True)
                ]
                targets += targets_of(count // SCENE_IMAGES, count % SCENE_IMAGES, shown)
        write_categories(folder, one.head.categories)
    if targets:
        write_targets(folder / TARGETS, targets)
    empty_waiting(folder)


def check_numbers(folder: Path, categories: Sequence[CategoryRecord]) -> None:
    """Raise SynthError for categories that BOP has no numbers for."""
    wrong = [kind.id for kind in categories if kind.id is None or kind.id < 1]
    if wrong:
        what = "BOP numbers objects from 1"
        raise SynthError(what, code="categories-invalid", where=str(folder), found=f"category id {wrong[0]}")


def empty_waiting(folder: Path) -> None:
    """Delete what is left where images waited."""
    if (folder / WAITING).is_dir():
        for left in sorted((folder / WAITING).rglob("*"), reverse=True):
            left.unlink() if left.is_file() else left.rmdir()
        (folder / WAITING).rmdir()
