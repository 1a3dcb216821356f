"""COCO's numbers by pycocotools, and cases to compare with."""

from __future__ import annotations

import contextlib
import io

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from detectors.data.image_set import IGNORED, ImageSet, Predictions
from detectors.evaluate.metrics.coco_numbers import NAMES


def plain_coco(truth: ImageSet, found: Predictions) -> dict[str, float]:
    """pycocotools on all categories at once, with crowds of unknown class written into every category."""
    annotations: list[dict] = []
    ids = truth.image_ids.tolist()
    for row, image in enumerate(truth.image_of_box().tolist()):
        x0, y0, x1, y1 = truth.boxes[row].astype(float).tolist()
        label, crowd = int(truth.true_labels[row]), int(truth.labels[row] == IGNORED)
        for category in range(len(truth.classes)) if label == IGNORED else [label]:
            box = {"bbox": [x0, y0, x1 - x0, y1 - y0], "area": float(truth.areas[row]), "iscrowd": crowd}
            annotations.append({"id": len(annotations) + 1, "image_id": ids[image], "category_id": category, **box})
    place = {key: label for label, key in enumerate(truth.classes.keys)}
    results = []
    for image, box, label, score in zip(
        found.images.tolist(), found.boxes.astype(float), found.labels, found.scores, strict=True
    ):
        key = found.classes.keys[label]
        if key in place:
            xywh = [box[0], box[1], box[2] - box[0], box[3] - box[1]]
            results.append({"image_id": ids[image], "category_id": place[key], "bbox": xywh, "score": float(score)})
    with contextlib.redirect_stdout(io.StringIO()):
        known = COCO()
        categories = [{"id": label} for label in range(len(truth.classes))]
        images = [{"id": image} for image in ids]
        known.dataset = {"info": {}, "images": images, "categories": categories, "annotations": annotations}
        known.createIndex()
        answer = known.loadRes(results) if results else COCO()
        evaluation = COCOeval(known, answer, "bbox")
        evaluation.params.imgIds = ids
        evaluation.params.catIds = list(range(len(truth.classes)))
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return {name: np.nan if value < 0 else float(value) for name, value in zip(NAMES, evaluation.stats, strict=True)}


def assert_same(found: dict[str, float], expected: dict[str, float]) -> None:
    assert list(found) == list(expected)
    np.testing.assert_allclose(list(found.values()), list(expected.values()), atol=1e-9)


CASES: dict[str, dict] = {
    "crowds and foreign classes": {},
    "no crowd": {"ignored": 0.0},
    "many crowds": {"ignored": 0.6},
    "images without boxes": {"images": 12, "boxes": 6},
    "no boxes at all": {"boxes": 0},
    "nothing large": {"largest": 30.0},
    "one class": {"classes": 1, "boxes": 30},
    "more than a hundred detections an image": {"images": 1, "classes": 2, "boxes": 40, "extra": 330},
}
