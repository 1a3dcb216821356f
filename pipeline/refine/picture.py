"""One picture in a worker process: refined, its edges compared, written with its labels."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Self

import numpy as np

from assets.errors import SynthError
from assets.files.atomic import write_atomic
from assets.files.image_input import open_image, reason_of
from dataset.checksums import sha256
from dataset.images import decode_image
from dataset.masks import compressed_mask, decode_mask
from dataset.records import AnnotationRecord, ImageLabels
from dataset.spool import hash64
from dataset.store import StoredImage, leaves_folder
from dataset.values import box_numbers
from pipeline.refine.edges import EdgeAgreement, Region, compare_edges
from pipeline.refine.methods import METHOD_TABLE, Pixels, RefinedPicture, RefinePicture, SourcePicture
from pipeline.refine.photos import TargetPhotos
from pipeline.refine.settings import RefineSettings
from pipeline.target.photos import jpeg_quality

# Of a picture with more products, so many of the largest are compared.
MAX_REGIONS = 64
USUAL_QUALITY, FULL_COLOR_QUALITY = 95, 90
MOVED, CHANGED, FAILED = "moved", "changed", "failed"


@dataclass(frozen=True)
class PictureTask:
    """A picture to refine. image: the file to write. labels: the file of its new labels, None if they stay."""

    stored: StoredImage
    donors: Sequence[StoredImage]
    image: Path
    labels: Path | None


@dataclass(frozen=True)
class PictureOutcome:
    """What became of a picture, a line of refined.jsonl.

    file: its name. split: of the data set. photo: the photograph that it was refined with. shift, agreement, regions:
    as in EdgeAgreement. rejected: "moved", "changed", "failed", or "" if it was refined; a rejected picture stays as it
    was. reason: of a failure. sha256: of the file written.
    """

    split: str
    file: str
    photo: str
    strength: float
    shift: float
    agreement: float
    regions: int
    rejected: str
    reason: str
    sha256: str

    @classmethod
    def parse(cls, content: Any) -> Self:
        """Parse a line. Raises TypeError or ValueError for anything else."""
        kinds = {
            one.name: str if one.type == "str" else int if one.type == "int" else (int, float) for one in fields(cls)
        }
        if not isinstance(content, Mapping) or set(content) != set(kinds):
            raise ValueError("no line of a refinement")
        if not all(isinstance(content[name], kind) for name, kind in kinds.items()):
            raise TypeError("no line of a refinement")
        if leaves_folder(content["file"]):
            raise ValueError("a file outside of the folder of images")
        return cls(**content)

    def content(self) -> dict[str, Any]:
        """Return the JSON object of a line."""
        return asdict(self)


def refine_picture(settings: RefineSettings, pool: TargetPhotos, task: PictureTask, split: str) -> PictureOutcome:
    """Refine a picture and write it; with the same arguments the same bytes, in any process.

    Raises SynthError if the picture itself cannot be read.
    """
    labels = task.stored.labels
    name = str(labels.image.file_name)
    data = task.stored.read()
    size = labels.image.size
    if size is None:
        raise SynthError("an image has no width and height", code="image-size-missing", where=task.stored.where)
    pixels = decode_image(data, *size, task.stored.where)
    rng = np.random.default_rng([settings.seed, hash64(name) % 2**64])
    number, strength = int(rng.integers(len(pool.files))), float(rng.uniform(*settings.strength))
    rejected, reason, found, made = "", "", EdgeAgreement(), None
    try:
        photo = pool.read(number, size[0] * size[1])
        made = _method(settings)(SourcePicture(pixels, labels, task.donors), photo, strength, rng)
        found = compare_edges(made.before, made.pixels, regions_of(labels, made))
    except (SynthError, ValueError, FloatingPointError, np.linalg.LinAlgError) as error:
        rejected, reason = FAILED, reason_of(error) if isinstance(error, SynthError) else str(error)[:200]
    rejected = rejected or rejection(found, settings)
    written = _write(task, data, None if rejected else made)
    values = (round(strength, 4), round(found.shift, 4), round(found.agreement, 4), found.regions)
    return PictureOutcome(split, name, str(pool.files[number]), *values, rejected, reason, written)


def rejection(found: EdgeAgreement, settings: RefineSettings) -> str:
    """Return why a picture is rejected, "" if it is not."""
    if found.agreement < settings.min_agreement:
        return CHANGED
    return MOVED if found.shift > settings.max_shift else ""


@lru_cache(maxsize=1)
def _method(settings: RefineSettings) -> RefinePicture:
    import cv2

    cv2.setNumThreads(1)
    opened: RefinePicture = METHOD_TABLE.load(settings.method).open_method(settings)
    return opened


def regions_of(labels: ImageLabels, made: RefinedPicture) -> list[Region]:
    """Return the products of a refined picture as regions to compare, the largest ones."""
    height, width = made.pixels.shape[:2]
    records = labels.annotations if made.annotations is None else made.annotations
    found = [region for record in records if (region := region_of(record, width, height)) is not None]
    return sorted(found, key=_area, reverse=True)[:MAX_REGIONS]


def _area(region: Region) -> int:
    x0, y0, x1, y1 = region.box
    return (x1 - x0) * (y1 - y0)


def region_of(record: AnnotationRecord, width: int, height: int) -> Region | None:
    """Return the part of a picture that a label covers; None if it says nothing that can be used."""
    box = box_numbers(record.value("bbox"))
    if box is None:
        return None
    x0, y0 = max(int(box[0]), 0), max(int(box[1]), 0)
    x1, y1 = min(int(np.ceil(box[0] + box[2])), width), min(int(np.ceil(box[1] + box[3])), height)
    if x1 - x0 < 2 or y1 - y0 < 2:
        return None
    mask = compressed_mask(record.segmentation, height, width)
    known = isinstance(mask, bytes) and mask
    return Region((x0, y0, x1, y1), decode_mask(mask, height, width).astype(bool) if known else None)  # type: ignore[arg-type]


def _write(task: PictureTask, data: bytes, made: RefinedPicture | None) -> str:
    """Write a picture, and its labels where there are new ones; return the digest of the picture."""
    labels = task.stored.labels
    content = data if made is None else encoded_like(data, made.pixels, task.image.suffix.lower(), task.stored.where)
    if task.labels is not None:
        if made is not None and made.annotations is not None:
            image = replace(labels.image, camera=None, backend=None, renderer=None, recipe=None)
            labels = ImageLabels(image, made.annotations)
        own = ImageLabels(
            replace(labels.image, id=None),
            [replace(record, id=None, image_id=None) for record in labels.annotations],
        )
        task.labels.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(task.labels, labels_bytes(own))
    task.image.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(task.image, content)
    return sha256(content)


def labels_bytes(labels: ImageLabels) -> bytes:
    """Return the labels of an image as its own file has them."""
    import json

    return json.dumps(labels.content(), ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()


def encoded_like(data: bytes, pixels: Pixels, suffix: str, where: str) -> bytes:
    """Encode a picture in the format of the file that it replaces, in the quality of that."""
    from PIL import Image

    buffer, image = io.BytesIO(), Image.fromarray(pixels)
    if suffix in (".jpg", ".jpeg"):
        with open_image(data, where, "the image") as old:
            quality = jpeg_quality(old) or USUAL_QUALITY
        image.save(buffer, "JPEG", quality=quality, subsampling=0 if quality >= FULL_COLOR_QUALITY else 2)
    elif suffix == ".webp":
        image.save(buffer, "WEBP", quality=USUAL_QUALITY)
    else:
        image.save(buffer, {".bmp": "BMP", ".tif": "TIFF", ".tiff": "TIFF"}.get(suffix, "PNG"))
    return buffer.getvalue()
