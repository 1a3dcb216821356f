"""Against real photographs: arrangements rebuilt from measured poses give the masks that others gave them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import trimesh
from support import StubLibrary, mesh_from, scene_of

from render.coco import mask_of_rle
from render.labels import annotate, trace_geometry
from render.scene import Camera, Placement


def test_traced_masks_agree_with_those_of_the_photographs(shared_data: Path) -> None:
    """In all four arrangements: mean overlap over 0.95 where nothing hides the product, boxes within 1 px (median)."""
    truth = json.loads((shared_data / "hope_real" / "train.json").read_text())
    skus = {item["sku"] for item in truth["annotations"]}
    # The poses are those of the mesh files as they lie: no normalisation here.
    library = StubLibrary({sku: mesh_from(trimesh.load(shared_data / f"hope/meshes/{sku}.obj"), sku) for sku in skus})
    overlaps, offsets = [], []
    for image in truth["images"]:
        if image["lighting"] == 0:
            known = [item for item in truth["annotations"] if item["image_id"] == image["id"]]
            compare(image, known, library, overlaps, offsets)
    assert len(overlaps) >= 12
    assert np.mean(overlaps) > 0.95
    assert np.median(offsets) < 1


def compare(image: dict, known: list[dict], library: StubLibrary, overlaps: list, offsets: list) -> None:
    """Traces one photograph's arrangement; its camera is the world."""
    camera = Camera(image["width"], image["height"], np.array(image["camera"]["K"]), np.eye(4))
    placements = [Placement("product", item["sku"], orthonormal(item["camera_from_mesh"])) for item in known]
    scene = scene_of(camera, *placements)
    found = {annotation.instance: annotation for annotation in annotate(scene, trace_geometry(scene, library))}
    for instance, item in enumerate(known, start=1):
        theirs, ours = mask_of_rle(compressed(item["segmentation"], image)), found[instance].mask
        # The photograph also shows products without a scan, which hide others: only what stands free is compared.
        if min(item["visibility"], found[instance].visibility) > 0.9:
            overlaps.append((theirs & ours).sum() / (theirs | ours).sum())
        x, y, width, height = item["amodal_bbox"]
        offsets.append(np.abs(np.array(found[instance].amodal_box) - [x, y, x + width, y + height]).max())


def orthonormal(pose: list[list[float]]) -> np.ndarray:
    """The nearest rigid pose: the file's numbers are rounded to six decimals."""
    matrix = np.array(pose)
    left, _, right = np.linalg.svd(matrix[:3, :3])
    matrix[:3, :3] = left @ right
    return matrix


def compressed(segmentation: object, image: dict[str, int]) -> dict:
    """COCO's polygons or run lengths as one compressed mask."""
    from pycocotools import mask as codec

    if isinstance(segmentation, list):
        return codec.merge(codec.frPyObjects(segmentation, image["height"], image["width"]))
    if isinstance(segmentation["counts"], list):  # type: ignore[index]
        return codec.frPyObjects(segmentation, image["height"], image["width"])
    return segmentation  # type: ignore[return-value]
