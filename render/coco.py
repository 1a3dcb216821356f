"""Labels as COCO JSON: one record per picture as it is made, then one file per split, streamed."""

from __future__ import annotations

import io
import json
import shutil
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np

from assets.errors import SynthError
from assets.files.atomic import TEMPORARY, atomic_file
from render.frame import Annotation, MaskCrop
from render.geometry import xywh_from_xyxy
from render.scene import SceneSpec

Record = dict[str, Any]


@dataclass(frozen=True)
class CocoCounts:
    """What one file holds."""

    images: int
    annotations: int


def rle_of_crop(crop: MaskCrop, height: int, width: int) -> Record:
    """COCO's compressed run lengths of the crop on a picture of that size: {"size": [height, width], "counts": text}.

    The picture is never made, which is 100 times faster. Raises ValueError where the crop reaches beyond the picture.
    """
    from pycocotools import mask as codec

    counts = _run_lengths(crop, height, width)
    encoded = codec.frPyObjects({"size": [height, width], "counts": counts}, height, width)
    return {"size": [height, width], "counts": encoded["counts"].decode("ascii")}


def _run_lengths(crop: MaskCrop, height: int, width: int) -> list[int]:
    """Lengths of the runs of 0 and 1 in turn, down the picture's columns from left to right."""
    rows, columns = crop.mask.shape
    if min(crop.x, crop.y) < 0 or crop.x + columns > width or crop.y + rows > height:
        raise ValueError(f"a mask of {columns}x{rows} at ({crop.x}, {crop.y}) leaves a picture of {width}x{height}")
    padded = np.zeros((columns, rows + 2), np.int8)
    padded[:, 1:-1] = crop.mask.T
    steps = np.diff(padded, axis=1)
    starts, stops = (
        (column + crop.x) * height + row + crop.y for column, row in (np.nonzero(steps == 1), np.nonzero(steps == -1))
    )
    # A run that reaches the bottom goes on at the top of the next column.
    broken = starts[1:] != stops[:-1]
    starts, stops = starts[np.append(True, broken)[: len(starts)]], stops[np.append(broken, True)[: len(stops)]]
    edges = np.column_stack([starts, stops]).ravel()
    counts = np.diff(np.concatenate([[0], edges, [height * width]]))
    return [int(count) for count in (counts if counts[-1] else counts[:-1])]


def image_record(scene: SceneSpec, *, file_name: str, backend: str, renderer: str = "") -> Record:
    """COCO's entry of a picture, without its id (which belongs to the file that it ends up in).

    renderer: the device and a digest of the versions that made it; "" leaves it out.
    """
    camera = scene.camera
    return {
        "file_name": file_name,
        "width": camera.width,
        "height": camera.height,
        "camera": {"K": camera.K.tolist(), "world_from_camera": camera.world_from_camera.tolist()},
        "recipe": scene.recipe,
        "seed": scene.seed,
        "index": scene.index,
        "view": scene.view,
        "backend": backend,
        **({"renderer": renderer} if renderer else {}),
    }


def annotation_record(annotation: Annotation) -> Record:
    """COCO's entry of a product in a picture, without the ids of itself, its picture and its category."""
    return {
        "sku": annotation.sku,
        "instance": annotation.instance,
        "bbox": list(xywh_from_xyxy(annotation.box)),
        "area": annotation.area,
        "iscrowd": 0,
        "segmentation": rle_of_crop(annotation.visible, annotation.height, annotation.width),
        "visibility": annotation.visibility,
        "truncation": annotation.truncation,
        "amodal_bbox": list(xywh_from_xyxy(annotation.amodal_box)),
        "amodal_segmentation": rle_of_crop(annotation.amodal, annotation.height, annotation.width),
        "camera_from_object": annotation.camera_from_object.tolist(),
        "ignore": int(annotation.ignore),
    }


def write_coco(
    path: Path,
    fragments: Iterable[Record],
    categories: Sequence[Record],
    *,
    description: str,
    licence: str = "",
    creator: str = "",
) -> CocoCounts:
    """Writes one COCO file from fragments {"image": {...}, "annotations": [...]}, in their order, in flat memory.

    categories: COCO's, each with its `sku`. Ids of images and annotations are given here, dense from 1. The file
    appears whole or not at all. Raises SynthError where a fragment names a SKU that no category has.
    """
    info = {"description": description, "version": "1.0", "contributor": creator}
    licenses = [{"id": 1, "name": licence, "url": ""}] if licence else []
    # Beside the file: a million annotations are gigabytes, and the system's folder for such things is often small.
    with (
        atomic_file(path) as file,
        tempfile.TemporaryFile("w+", encoding="utf-8", dir=path.parent, prefix=".", suffix=TEMPORARY) as spool,
    ):
        out = io.TextIOWrapper(file, encoding="utf-8", newline="\n", write_through=True)
        out.write(f'{{"info": {_json(info)},\n"licenses": {_json(licenses)},\n"categories": [\n')
        _write_list(out, categories)
        out.write('\n],\n"images": [\n')
        numbers = {record["sku"]: record["id"] for record in categories}
        counts = _write_images(out, spool, fragments, numbers, bool(licence))
        out.write('\n],\n"annotations": [\n')
        spool.seek(0)
        shutil.copyfileobj(spool, out, 1 << 20)
        out.write("\n]}\n")
        out.detach()
    return counts


def _write_images(
    out: IO[str], spool: IO[str], fragments: Iterable[Record], numbers: Mapping[str, int], licensed: bool
) -> CocoCounts:
    """Images go to `out` at once; their annotations wait in `spool` until all images are written."""
    images = annotations = 0
    for fragment in fragments:
        images += 1
        image = {"id": images, **fragment["image"], **({"license": 1} if licensed else {})}
        out.write(("" if images == 1 else ",\n") + _json(image))
        for record in fragment["annotations"]:
            annotations += 1
            ids = {"id": annotations, "image_id": images, "category_id": _category_id(numbers, record["sku"])}
            spool.write(("" if annotations == 1 else ",\n") + _json({**ids, **record}))
    return CocoCounts(images, annotations)


def _category_id(numbers: Mapping[str, int], sku: str) -> int:
    if sku not in numbers:
        hint = "the data set was rendered from another SKU list: render it again, or give the list it was made from"
        raise SynthError(f"a label names the SKU {sku!r}, which the catalogue lacks", code="unknown-sku", hint=hint)
    return numbers[sku]


def _write_list(out: IO[str], records: Iterable[Record]) -> None:
    for number, record in enumerate(records):
        out.write(("" if number == 0 else ",\n") + _json(record))


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False)
