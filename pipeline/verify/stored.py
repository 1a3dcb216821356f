"""Whether an image's own files say what the COCO file says of it, and whether the folders hold what they should."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any

import numpy as np

from assets.errors import SynthError
from assets.files.json_input import read_json
from assets.limits import DATASET_JSON, read_file
from dataset.layout import SUFFIXES, Layout, stem_of
from pipeline.run.dataset_info import DatasetInfo
from pipeline.verify.checksums import is_leftover
from pipeline.verify.records import MALFORMED, Record, Violation


def check_stored(layout: Layout, stem: str, image: Record, records: list[Record], where: str) -> Iterator[Violation]:
    """The image's own labels and its SceneSpec say the same as the COCO file."""
    from render.scene import SceneSpec

    try:
        fragment: dict[str, Any] = read_json(layout.labels(stem), DATASET_JSON, "the labels")
        own = [{k: v for k, v in record.items() if k not in ("id", "image_id", "category_id")} for record in records]
        if fragment["annotations"] != own:
            yield Violation(where, f"labels/{stem}.json holds different annotations")
        if {**image, **fragment["image"]} != image:
            yield Violation(where, f"labels/{stem}.json holds a different image entry")
    except (SynthError, *MALFORMED) as error:
        yield Violation(where, f"labels/{stem}.json cannot be used: {type(error).__name__}: {error}")
    try:
        text = read_file(layout.scene(stem), DATASET_JSON, "the scene").decode()
        scene = SceneSpec.from_json(text, where=f"scenes/{stem}.json")
    except (SynthError, *MALFORMED) as error:
        yield Violation(where, f"scenes/{stem}.json cannot be used: {error}")
        return
    if not np.array_equal(scene.camera.K, image["camera"]["K"]):
        yield Violation(where, f"camera.K differs from scenes/{stem}.json")
    if not np.array_equal(scene.camera.world_from_camera, image["camera"]["world_from_camera"]):
        yield Violation(where, f"camera.world_from_camera differs from scenes/{stem}.json")
    for record in records:
        yield from _check_placement(scene, record, stem, where)


def _check_placement(scene: Any, record: Record, stem: str, where: str) -> Iterator[Violation]:
    instance = record.get("instance")
    if type(instance) is not int or not 1 <= instance <= len(scene.placements):
        return  # reported with the annotation
    placement = scene.placements[instance - 1]
    if placement.kind != "product" or placement.key != record.get("sku"):
        yield Violation(
            where, f"instance {instance} is {placement.key!r} in scenes/{stem}.json, not {record.get('sku')!r}"
        )
        return
    pose = np.linalg.inv(scene.camera.world_from_camera) @ placement.world_from_object
    try:
        close = np.allclose(pose, np.array(record.get("camera_from_object"), dtype=float), atol=1e-9)
    except (TypeError, ValueError):
        return  # reported with the annotation
    if not close:
        yield Violation(where, f"camera_from_object of instance {instance} differs from scenes/{stem}.json")


def check_folders(layout: Layout, info: DatasetInfo, stems: set[str]) -> Iterator[Violation]:
    """No image without a record, no record without its files, nothing half written."""
    for name in layout.folders(info.extras):
        folder = layout.root / name
        there = {file.name for file in folder.iterdir()} if folder.is_dir() else set()
        for file in sorted(there):
            if is_leftover(file):
                yield Violation(
                    f"{name}/{file}", "left half written by a run that was killed: render again to clean up"
                )
            elif name not in ("annotations", "scenes") and file.removesuffix(SUFFIXES.get(name, ".png")) not in stems:
                yield Violation(f"{name}/{file}", "belongs to no image of any annotation file")
    views = info.identity["views"]
    wanted = (stem_of(index, view) for index in range(info.scenes) for view in range(views))
    missing = (stem for stem in wanted if stem not in stems)
    for stem in islice(missing, 20):
        yield Violation(f"images/{stem}.jpg", "is in no annotation file: the run is not finished, or the scene failed")
    if more := sum(1 for _ in missing):
        yield Violation("images", f"and {more} more images are missing")
