"""Photographed arrangements with measured poses, rebuilt as SceneSpecs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from assets.catalog.types import Catalog
from assets.library import load_product


@dataclass(frozen=True, eq=False)
class Known:
    """One product of a photograph. camera_from_mesh: (4, 4), metres, from the mesh file's own frame.

    mask: (H, W) bool, its visible pixels as the data set has them. amodal_box: xyxy, pixels. scanned: it has a mesh.
    """

    sku: str
    camera_from_mesh: NDArray[np.float64]
    mask: NDArray[np.bool_]
    visibility: float
    amodal_box: tuple[float, float, float, float]
    scanned: bool


@dataclass(frozen=True, eq=False)
class Arrangement:
    """Things that stood still while the lights changed. photos: file of each lighting. K: (3, 3), pixels."""

    group: str
    width: int
    height: int
    K: NDArray[np.float64]
    products: tuple[Known, ...]
    photos: tuple[Path, ...]

    @property
    def scanned(self) -> list[Known]:
        """The products that can be rendered."""
        return [product for product in self.products if product.scanned]


def read_arrangements(folder: Path, split: str) -> list[Arrangement]:
    """The arrangements of `folder`/{split}_all28.json, products in the file's order, photographs by lighting."""
    data = json.loads((folder / f"{split}_all28.json").read_text())
    images: dict[str, list[dict[str, Any]]] = {}
    for image in data["images"]:
        images.setdefault(image["group"], []).append(image)
    found = []
    for group, shots in sorted(images.items()):
        shots.sort(key=lambda image: image["lighting"])
        first = shots[0]
        known = [_known(item, first) for item in data["annotations"] if item["image_id"] == first["id"]]
        photos = tuple(folder / "images" / image["file_name"] for image in shots)
        K = np.array(first["camera"]["K"])
        found.append(Arrangement(group, first["width"], first["height"], K, tuple(known), photos))
    return found


def _known(item: dict[str, Any], image: dict[str, Any]) -> Known:
    from pycocotools import mask as codec

    mask = codec.decode(compressed(item["segmentation"], image)).astype(bool)
    x, y, width, height = item["amodal_bbox"]
    scanned = item["label_source"] == "mesh"
    pose = orthonormal(item["camera_from_mesh"])
    return Known(item["sku"], pose, mask, item["visibility"], (x, y, x + width, y + height), scanned)


def compressed(segmentation: Any, image: dict[str, Any]) -> Any:
    """COCO's polygons or run lengths as one compressed mask."""
    from pycocotools import mask as codec

    if isinstance(segmentation, list):
        return codec.merge(codec.frPyObjects(segmentation, image["height"], image["width"]))
    if isinstance(segmentation["counts"], list):
        return codec.frPyObjects(segmentation, image["height"], image["width"])
    return segmentation


def orthonormal(pose: Sequence[Sequence[float]]) -> NDArray[np.float64]:
    """The nearest rigid pose (4, 4): the file's numbers are rounded to six decimals."""
    matrix = np.array(pose, dtype=np.float64)
    left, _, right = np.linalg.svd(matrix[:3, :3])
    matrix[:3, :3] = left @ right
    return matrix


def camera_from_object(product: Known, catalog: Catalog) -> NDArray[np.float64]:
    """The pose (4, 4) of the product's normalised mesh (docs/conventions.md)."""
    normalized = load_product(catalog.find(product.sku), catalog.root).normalized_from_source
    return product.camera_from_mesh @ np.linalg.inv(normalized)
