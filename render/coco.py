"""Data-set records of scenes and their annotations."""

from __future__ import annotations

from dataset.masks import encode_crop
from dataset.records import AnnotationRecord, CameraRecord, ImageRecord, LinkRecord, MarkRecord
from dataset.shop import SIDES, ShopRecords
from render.frame import Annotation
from render.geometry import xywh_from_xyxy
from render.scene import Camera, SceneSpec
from render.shop.labels import MarkLabel, ShopLabels


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
