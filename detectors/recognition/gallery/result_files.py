"""The result files of recognition.

predictions.json   one row for each box: COCO's fields, sku, verdict, similarity, margin, the best candidates
images.json        the images and categories; category 0 stands for products that the gallery lacks
counts.csv         the number of each SKU in each image: the checkout list
"""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from assets.files.atomic import atomic_file
from detectors.evaluate.results import xywh_from_xyxy
from detectors.models.detect import Detections
from detectors.predict.input_images import InputImage
from detectors.predict.result_files import IMAGES, PREDICTIONS, ImageDetections, JsonRows, image_row
from detectors.recognition.gallery.boxes import ImageBoxes
from detectors.recognition.gallery.decision import Verdict
from detectors.recognition.gallery.open import MISSING, Gallery
from detectors.recognition.gallery.search import NearestSkus

COUNTS = "counts.csv"
NO_CATEGORY, NO_NAME = 0, "unknown"
DECIMALS = 5


@dataclass(frozen=True, eq=False)
class ImageRecognition:
    """The recognized products of one image. boxes, nearest, verdicts: one entry for each box, in the same order.

    vectors: (D, dim) float32 of the crops.
    """

    image: InputImage
    image_id: int
    boxes: ImageBoxes
    nearest: NearestSkus
    verdicts: NDArray[np.int8]
    vectors: NDArray[np.float32]


class RecognitionFiles:
    """The three files, written image by image."""

    def __init__(self, gallery: Gallery, predictions: JsonRows, images: JsonRows, counts: IO[bytes]) -> None:
        self.gallery, self.predictions, self.images, self.counts = gallery, predictions, images, counts
        self.counts.write(_csv_line(["image_id", "file_name", "sku", "name", "count", "of them for review"]))

    def add(self, some: Sequence[ImageRecognition]) -> None:
        """Add images; each is either in all files or in none."""
        for one in some:
            row = image_row(ImageDetections(one.image, one.image_id, NO_DETECTIONS, []))
            self.images.add(row)
            for record in result_rows(one, self.gallery):
                self.predictions.add(record)
            for line in _count_lines(one, row["file_name"], self.gallery):
                self.counts.write(line)
        self.images.keep()
        self.predictions.keep()
        self.kept = self.counts.tell()

    def finish(self) -> None:
        """End the files after the last complete image."""
        self.predictions.finish()
        self.images.finish()
        self.counts.truncate(getattr(self, "kept", self.counts.tell()))


NO_DETECTIONS = Detections(np.zeros((0, 4), np.float32), np.zeros(0, np.int32), np.zeros(0, np.float32))


@contextmanager
def open_recognition_files(out: Path, gallery: Gallery, info: dict[str, Any]) -> Iterator[RecognitionFiles]:
    """Open the files in `out`. They appear at the end; after Ctrl-C, too, with the images completed until then."""
    with ExitStack() as stack:
        predictions = JsonRows(stack.enter_context(atomic_file(out / PREDICTIONS)), "[", "\n]\n")
        head = f'{{\n"info": {json.dumps(info, ensure_ascii=False)},\n"images": ['
        tail = f'\n],\n"categories": [\n{_categories(gallery)}\n],\n"annotations": []\n}}\n'
        images = JsonRows(stack.enter_context(atomic_file(out / IMAGES)), head, tail)
        files = RecognitionFiles(gallery, predictions, images, stack.enter_context(atomic_file(out / COUNTS)))
        try:
            yield files
        except KeyboardInterrupt:
            files.finish()
            stack.close()
            raise
        files.finish()


def result_rows(one: ImageRecognition, gallery: Gallery) -> list[dict[str, Any]]:
    """Return the COCO results of an image. bbox: xywh pixels. score: detection score times similarity, 0 to 1.

    similarity: cosine to the best SKU. margin: its lead over the second. verdict: known, review or unknown.
    """
    rows = []
    boxes = xywh_from_xyxy(one.boxes.xyxy).tolist()
    for place, verdict in enumerate(one.verdicts.tolist()):
        best, similarity = int(one.nearest.skus[place, 0]), float(one.nearest.scores[place, 0])
        named = verdict != Verdict.UNKNOWN
        found = float(one.boxes.scores[place])
        rows.append(
            {
                "image_id": one.image_id,
                "category_id": int(gallery.category_ids[best]) if named else NO_CATEGORY,
                "bbox": [round(side, 2) for side in boxes[place]],
                "score": round(found * min(max(similarity, 0.0), 1.0), DECIMALS),
                "sku": gallery.keys[best] if named else None,
                "verdict": Verdict(verdict).name.lower(),
                "similarity": round(similarity, DECIMALS),
                "margin": round(float(one.nearest.margins[place]), DECIMALS),
                "detection_score": round(found, DECIMALS),
                "candidates": _candidates(one.nearest, place, gallery),
            }
        )
    return rows


def _candidates(nearest: NearestSkus, place: int, gallery: Gallery) -> list[dict[str, Any]]:
    pairs = zip(nearest.skus[place].tolist(), nearest.scores[place].tolist(), strict=True)
    return [{"sku": gallery.keys[sku], "similarity": round(score, DECIMALS)} for sku, score in pairs if sku != MISSING]


def _count_lines(one: ImageRecognition, file_name: str, gallery: Gallery) -> Iterator[bytes]:
    """Yield one line for each SKU in an image, and a last one for unknown products."""
    known = one.verdicts != Verdict.UNKNOWN
    counts = Counter(one.nearest.skus[known, 0].tolist())
    review = Counter(one.nearest.skus[one.verdicts == Verdict.REVIEW, 0].tolist())
    for sku in sorted(counts, key=gallery.keys.__getitem__):
        about = [gallery.keys[sku], gallery.names[sku], counts[sku], review[sku]]
        yield _csv_line([one.image_id, file_name, *about])
    if not known.all():
        yield _csv_line([one.image_id, file_name, "", NO_NAME, int((~known).sum()), 0])


def _csv_line(values: Sequence[object]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(values)
    return text.getvalue().encode()


def _categories(gallery: Gallery) -> str:
    rows = [{"id": NO_CATEGORY, "name": NO_NAME}]
    order = np.argsort(gallery.category_ids).tolist()
    rows += [
        {
            "id": int(gallery.category_ids[sku]),
            "name": gallery.category_names[sku],
            "sku": gallery.keys[sku],
            "display_name": gallery.names[sku],
        }
        for sku in order
    ]
    return ",\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
