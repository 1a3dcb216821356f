"""Data-set records of scenes and their annotations, with the corners of cuboids as keypoints."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from assets.library import Library
from assets.mesh.types import Mesh
from dataset.categories import ABSENT, CORNERS, HIDDEN, VISIBLE
from dataset.masks import encode_crop
from dataset.records import AnnotationRecord, CameraRecord, ImageRecord, LinkRecord, MarkRecord
from dataset.shop import SIDES, ShopRecords
from render.frame import Annotation, Geometry
from render.geometry import project, transform, xywh_from_xyxy
from render.scene import Camera, SceneSpec, mesh_of
from render.shop.labels import MarkLabel, ShopLabels

# Decimals of stored pixels.
DECIMALS = 2
# A surface hides a corner if it is nearer by more than this share of the cuboid's diagonal and so many pixels' width at
# the corner's depth: corners lie on the surface of boxes, whose depth is known at the centres of pixels only.
TOLERANCE, TOLERANCE_PX = 0.02, 2.0


def image_record(scene: SceneSpec, *, file_name: str, backend: str, renderer: str = "") -> ImageRecord:
    """Return the record of an image, without its id (which depends on the file that it ends up in).

    renderer: the device and a digest of the versions that rendered it; "" leaves it out.
    """
    return ImageRecord(
        file_name=file_name,
        width=scene.camera.width,
        height=scene.camera.height,
        camera=camera_record(scene.camera),
        recipe=scene.recipe,
        seed=scene.seed,
        index=scene.index,
        view=scene.view,
        backend=backend,
        renderer=renderer or None,
    )


def camera_record(camera: Camera) -> CameraRecord:
    """Return a camera as it is stored; a pinhole has neither distortion nor rolling shutter."""
    record: CameraRecord = {"K": camera.K.tolist(), "world_from_camera": camera.world_from_camera.tolist()}
    if camera.distortion is not None:
        record["distortion"] = {"model": camera.distortion.model, **camera.distortion.coefficients}
    if camera.rolling_shutter is not None:
        record["rolling_shutter"] = [float(angle) for angle in camera.rolling_shutter]
    return record


def annotation_records(
    scene: SceneSpec, library: Library, geometry: Geometry, annotations: Sequence[Annotation], *, keypoints: bool
) -> list[AnnotationRecord]:
    """Return the records of the products of an image; keypoints: with the corners of their cuboids."""
    records = [annotation_record(annotation) for annotation in annotations]
    if not keypoints:
        return records
    points = [cuboid_keypoints(scene, library, geometry, annotation) for annotation in annotations]
    return [
        replace(record, keypoints=some.ravel().tolist(), num_keypoints=int((some[:, 2] > 0).sum()))
        for record, some in zip(records, points, strict=True)
    ]


def annotation_record(annotation: Annotation) -> AnnotationRecord:
    """Return the record of a product in an image, without the ids of itself, its image and its category."""
    height, width = annotation.height, annotation.width
    visible, amodal = annotation.visible, annotation.amodal
    return AnnotationRecord(
        sku=annotation.sku,
        instance=annotation.instance,
        bbox=list(xywh_from_xyxy(annotation.box)),
        area=annotation.area,
        iscrowd=0,
        segmentation=encode_crop(visible.mask, visible.x, visible.y, height, width),
        visibility=annotation.visibility,
        truncation=annotation.truncation,
        amodal_bbox=list(xywh_from_xyxy(annotation.amodal_box)),
        amodal_segmentation=encode_crop(amodal.mask, amodal.x, amodal.y, height, width),
        camera_from_object=annotation.camera_from_object.tolist(),
        ignore=int(annotation.ignore),
    )


def cuboid_corners(mesh: Mesh) -> NDArray[np.float64]:
    """Return the corners (8, 3) of a mesh's bounding box, metres, object's frame, in the order of CORNER_NAMES."""
    low, high = mesh.vertices.min(axis=0).astype(np.float64), mesh.vertices.max(axis=0).astype(np.float64)
    return (low + high) / 2 + CORNERS * (high - low) / 2


def cuboid_keypoints(
    scene: SceneSpec, library: Library, geometry: Geometry, annotation: Annotation
) -> NDArray[np.float64]:
    """Return (8, 3) x, y and COCO's flag of an annotated product's corners, pixels with two decimals.

    A corner outside the image or behind the camera is 0, 0, 0. One inside is visible unless something, the product
    itself included, lies before it.
    """
    placement = scene.placements[annotation.instance - 1]
    corners = transform(placement.world_from_object, cuboid_corners(mesh_of(library, placement)))
    pixels, depth = project(scene.camera, corners)
    points = np.zeros((len(corners), 3))
    before = depth > 0
    points[before, :2] = np.round(pixels[before], DECIMALS)
    within = before & (points[:, :2] >= 0).all(axis=1)
    within &= (points[:, 0] < annotation.width) & (points[:, 1] < annotation.height)
    points[~within] = ABSENT
    columns, rows = points[within, :2].astype(int).T
    diagonal = float(np.linalg.norm(corners[6] - corners[0]))
    spare = TOLERANCE * diagonal + TOLERANCE_PX * depth[within] / scene.camera.K[0, 0]
    hidden = geometry.depth[rows, columns] < depth[within] - spare
    points[within, 2] = np.where(hidden, HIDDEN, VISIBLE)
    return points


def shop_records(labels: ShopLabels, camera: Camera) -> ShopRecords:
    """Return the records of the labels beyond products of an image, without ids."""
    links = [
        LinkRecord(
            instance=link.instance,
            position=link.position or None,
            tag_instance=link.tag or None,
            sides=dict(zip(SIDES, link.sides, strict=True)),
        )
        for link in labels.links
    ]
    return ShopRecords([_mark_record(label, camera) for label in labels.marks], links)


def _mark_record(label: MarkLabel, camera: Camera) -> MarkRecord:
    visible = label.visible
    return MarkRecord(
        instance=label.instance or None,
        bbox=list(xywh_from_xyxy(visible.box)),
        area=label.area,
        iscrowd=0,
        segmentation=encode_crop(visible.mask, visible.x, visible.y, camera.height, camera.width),
        kind=label.kind,
        position=label.position,
        text=label.text or None,
        sold_out=label.sku or None,
        ends=None if label.ends is None else [*label.ends[0], *label.ends[1]],
    )
