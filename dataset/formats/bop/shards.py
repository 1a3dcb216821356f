"""BOP in shards (BOP-webdataset): the same as scenes, in tar files of up to 1,000 images, for reading in one go.

SPLIT/shard-000000.tar       of each image KEY.rgb.jpg, KEY.depth.png, KEY.camera.json, KEY.gt.json, KEY.gt_info.json,
                             and KEY.mask.json, KEY.mask_visib.json with run lengths by row; KEY is SCENE_IMAGE
SPLIT/key_to_shard.json      the number of the shard of each image
models/, categories.json     as beside scenes
"""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from assets.errors import SynthError
from assets.files.atomic import atomic_file, write_atomic
from assets.files.json_input import parse_json
from assets.limits import DATASET_IMAGES, DATASET_INSTANCES, IMAGE_BYTES, LABEL_FILE, SHARD_BYTES, Limit, check_file
from dataset.find import SPLIT
from dataset.formats.bop.models import ModelFrames, read_frames
from dataset.formats.bop.scenes import (
    MILLIMETRES,
    NO_MODELS,
    ProductReader,
    camera_of,
    categories_in,
    check_numbers,
    empty_waiting,
    image_folder,
    invalid,
)
from dataset.formats.bop.scenes import NEEDS_MASKS as NEEDS_MASKS
from dataset.formats.bop.scenes import NEEDS_POSES as NEEDS_POSES
from dataset.formats.bop.scenes import RENAMES as RENAMES
from dataset.formats.bop.scenes import beside_file as beside_file
from dataset.formats.bop.scenes import lost as lost
from dataset.formats.bop.scenes import write_models as write_models
from dataset.formats.bop.write import DEPTH, SCENE_IMAGES, BopImage, bop_images, plain_image
from dataset.formats.files import FileStore, numbered, upright_size, write_categories
from dataset.masks import compressed_mask, decode_mask, encode_crop, run_lengths
from dataset.records import ImageLabels, ImageRecord, SplitLabels
from dataset.shards.tar import Members, scan_tar
from dataset.store import StoredImage
from dataset.values import number, short

SHARD, KEYS = "shard-[0-9]*.tar", "key_to_shard.json"
LENS = "camera.json"
PICTURES = tuple(f"{kind}.{suffix}" for kind in ("rgb", "gray") for suffix in ("jpg", "png", "jpeg", "tif", "tiff"))


def detect(path: Path) -> bool:
    """Whether there are folders SPLIT with shards and key_to_shard.json, or it is one of those."""
    return bool(_splits(path))


def _splits(path: Path) -> list[tuple[str, Path]]:
    folders = [path, *sorted(one for one in path.glob("*") if one.is_dir())] if path.is_dir() else []
    found = [folder for folder in folders if (folder / KEYS).is_file() and any(folder.glob(SHARD))]
    return [(one.name if SPLIT.fullmatch(one.name) else "train", one) for one in found]


def open_labels(path: Path, images: Path | None = None) -> FileStore:
    """The splits by folders. images: not asked, they are in the shards. Raises SynthError if there is no shard."""
    splits = _splits(path)
    if not splits:
        expected = f"SPLIT/shard-000000.tar and SPLIT/{KEYS}"
        raise SynthError("there is no shard of BOP", code="file-missing", where=str(path), expected=expected)
    root = splits[0][1].parent if splits[0][1] == path else path
    parts = [BopShard(split, file) for split, folder in splits for file in sorted(folder.glob(SHARD))]
    categories, ids = categories_in(root, lambda: {one for part in parts for one in part.numbers()})
    frames = read_frames(root)
    return FileStore(str(path), tuple(BopShard(one.split, one.file, ids, frames) for one in parts), categories)


@dataclass(frozen=True)
class BopShard:
    """A shard. ids: of the categories by obj_id. frames: where models have their origins."""

    split: str
    file: Path
    ids: Mapping[int | None, int | None] | None = None
    frames: ModelFrames = NO_MODELS

    @cached_property
    def members(self) -> list[Members]:
        """The files of each image."""
        check_file(self.file, SHARD_BYTES, "the shard")
        with self.file.open("rb") as file:
            members = scan_tar(file, str(self.file), needed=LENS)
        DATASET_IMAGES.check(len(members), str(self.file))
        if not members:
            raise invalid(str(self.file), "no image")
        return members

    @property
    def count(self) -> int:
        return len(self.members)

    def numbers(self) -> Iterator[object]:
        """Iterate over the obj_id of all products."""
        with self.file.open("rb") as file:
            for members in self.members:
                found = (row.get("obj_id") for row in self._rows(file, members, "gt.json"))
                yield from (one for one in found if not isinstance(one, list | dict))

    def labels(self) -> Iterator[ImageLabels]:
        for stored in self.stored_images():
            yield stored.labels

    def stored_images(self, only: Collection[int] | None = None) -> Iterator[StoredImage]:
        with self.file.open("rb") as file:
            for place, members in enumerate(self.members):
                if only is None or place in only:
                    yield self._stored(file, place, members)

    def _stored(self, file: IO[bytes], place: int, members: Members) -> StoredImage:
        where = f"{self.file}: {members.stem}"
        suffix = next((one for one in PICTURES if one in members.spans), None)
        if suffix is None:
            raise invalid(where, "no image")
        data = _read(file, members, suffix, IMAGE_BYTES, where)
        width, height = upright_size(data, where)
        camera = self._json(file, members, LENS)
        if not isinstance(camera, dict):
            raise invalid(where, short(camera))
        image = ImageRecord(
            id=self._number * 1_000_000 + place + 1,
            file_name=f"{self.file.stem}/{members.stem}.{suffix.rpartition('.')[2]}",
            width=width,
            height=height,
            camera=camera_of(camera, where),
            group=f"scene {members.stem.partition('_')[0]}",
        )
        poses, infos = (self._rows(file, members, f"{name}.json") for name in ("gt", "gt_info"))
        DATASET_INSTANCES.check(len(poses), where)
        masks = [self._masks(file, members, kind) for kind in ("mask_visib", "mask")]
        reader = ProductReader(image, self.ids or {}, self.frames, where)
        found = [
            reader.record(
                pose, infos[row] if row < len(infos) else {}, *(_mask(one.get(str(row)), image) for one in masks)
            )
            for row, pose in enumerate(poses)
        ]
        records = numbered(image, [one for one in found if one is not None], where)
        scaled = number(camera.get("depth_scale")) == MILLIMETRES and "depth.png" in members.spans
        beside = {"depth": _read(file, members, "depth.png", IMAGE_BYTES, where)} if scaled else {}
        return StoredImage(ImageLabels(image, records), data, where, beside)

    @property
    def _number(self) -> int:
        digits = self.file.stem.rpartition("-")[2]
        return int(digits) if digits.isascii() and digits.isdigit() and len(digits) < 10 else 0

    def _json(self, file: IO[bytes], members: Members, suffix: str) -> Any:
        where = f"{self.file}: {members.stem}.{suffix}"
        return parse_json(_read(file, members, suffix, LABEL_FILE, where), "a file of a BOP shard", where)

    def _rows(self, file: IO[bytes], members: Members, suffix: str) -> list[dict[str, Any]]:
        content = self._json(file, members, suffix) if suffix in members.spans else []
        if not isinstance(content, list) or not all(isinstance(row, dict) for row in content):
            raise invalid(f"{self.file}: {members.stem}.{suffix}", short(content))
        return content

    def _masks(self, file: IO[bytes], members: Members, kind: str) -> dict[str, Any]:
        content = self._json(file, members, f"{kind}.json") if f"{kind}.json" in members.spans else {}
        return content if isinstance(content, dict) else {}


def _read(file: IO[bytes], members: Members, suffix: str, limit: Limit, where: str) -> bytes:
    first, size = members.spans[suffix]
    limit.check(size, where)
    file.seek(first)
    return file.read(size)


def _mask(value: object, image: ImageRecord) -> NDArray[np.bool_] | None:
    width, height = image.size or (0, 0)
    counts = compressed_mask(value, height, width)
    return decode_mask(counts, height, width) > 0 if counts and isinstance(counts, bytes) else None


def write_labels(folder: Path, sets: Iterable[SplitLabels], frames: ModelFrames = NO_MODELS) -> None:
    """Shards, a list of their images, and the categories. Raises SynthError for category ids below 1.

    frames: where the models have their origins.
    """
    for one in sets:
        check_numbers(folder, one.head.categories)
        (folder / one.split).mkdir(parents=True, exist_ok=True)
        keys = _write_shards(folder / one.split, folder / image_folder(one.split), bop_images(one, frames))
        rows = ",\n".join(f"{json.dumps(key)}: {shard}" for key, shard in keys.items())
        write_atomic(folder / one.split / KEYS, f"{{\n{rows}\n}}\n".encode())
        write_categories(folder, one.head.categories)
    empty_waiting(folder)


def _write_shards(folder: Path, waiting: Path, images: Iterator[BopImage]) -> dict[str, int]:
    """Write all images of a split; return the shard of each."""
    keys: dict[str, int] = {}
    image = next(images, None)
    for shard in range(DATASET_IMAGES.maximum):
        if image is None:
            break
        with (
            atomic_file(folder / f"shard-{shard:06d}.tar") as file,
            tarfile.open(fileobj=file, mode="w", format=tarfile.USTAR_FORMAT) as tar,
        ):
            for place in range(SCENE_IMAGES):
                if image is not None:
                    key = f"{shard:06d}_{place:06d}"
                    _add(tar, key, waiting, image)
                    keys[key] = shard
                    image = next(images, None)
    return keys


def _add(tar: tarfile.TarFile, key: str, waiting: Path, image: BopImage) -> None:
    """Add the files of an image, which are deleted where they waited."""
    file, suffix = plain_image(waiting / image.name)
    depth = waiting / f"{image.name}{DEPTH}"
    files = {f"rgb.{suffix}": file.read_bytes()} | ({"depth.png": depth.read_bytes()} if depth.is_file() else {})
    contents = {"camera": image.camera, "gt": image.poses, "gt_info": image.infos}
    contents |= {"mask": _lengths(image.whole), "mask_visib": _lengths(image.seen)}
    files |= {f"{name}.json": json.dumps(content).encode() for name, content in contents.items()}
    for name, content in files.items():
        member = tarfile.TarInfo(f"{key}.{name}")
        member.size, member.mode = len(content), 0o644
        tar.addfile(member, io.BytesIO(content))
    file.unlink()
    depth.unlink(missing_ok=True)


def _lengths(masks: Sequence[NDArray[np.uint8]]) -> dict[str, Any]:
    """Return plain run lengths by row, as the toolkit reads them without compiled code."""
    found = {}
    for row, mask in enumerate(masks):
        height, width = mask.shape
        counts = run_lengths(str(encode_crop(mask > 0, 0, 0, height, width)["counts"]).encode())
        found[str(row)] = {"counts": [] if counts is None else counts.tolist(), "size": [height, width]}
    return found
