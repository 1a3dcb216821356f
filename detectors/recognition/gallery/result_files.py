"""The result files of recognition.

predictions.json   one row for each box: COCO's fields, sku, verdict, similarity, margin, the best candidates
images.json        the images and categories; category 0 stands for products that the gallery lacks
counts.csv         the number of each SKU in each image: the checkout list
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TypedDict

import numpy as np
from numpy.typing import NDArray

from assets.catalog.csv_rows import csv_bytes
from dataset.records import CategoryRecord, InfoRecord
from detectors.evaluate.results import ResultRow, xywh_from_xyxy
from detectors.predict.input_images import InputImage
from detectors.predict.result_files import IMAGES, PREDICTIONS, DetectionFiles, image_row, kept_files
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


class CandidateRow(TypedDict):
    """A SKU that a box may show. similarity: cosine."""

    sku: str
    similarity: float


class RecognizedRow(ResultRow):
    """A recognized box as predictions.json has it."""

    sku: str | None
    verdict: str
    similarity: float
    margin: float
    detection_score: float
    candidates: list[CandidateRow]


class RecognitionFiles(DetectionFiles):
    """The three files, written image by image."""

    def __init__(self, gallery: Gallery, counts: IO[bytes], found: Sequence[IO[bytes]], info: InfoRecord) -> None:
        super().__init__(found, _categories(gallery), info)
        self.gallery, self.counts = gallery, counts
        self.counts.write(csv_bytes([["image_id", "file_name", "sku", "name", "count", "of them for review"]]))
        self.kept = self.counts.tell()

    def write(self, some: Sequence[ImageRecognition]) -> None:
        """Add images; each is either in all files or in none."""
        images = [image_row(one.image, one.image_id) for one in some]
        for one, row in zip(some, images, strict=True):
            self.counts.writelines(_count_lines(one, row.file_name or "", self.gallery))
        self.add(images, [row for one in some for row in result_rows(one, self.gallery)])
        self.kept = self.counts.tell()

    def finish(self) -> None:
        """End the files after the last complete image."""
        super().finish()
        self.counts.truncate(self.kept)


@contextmanager
def open_recognition_files(out: Path, gallery: Gallery, info: InfoRecord) -> Iterator[RecognitionFiles]:
    """Open the files in `out`. They appear at the end; after Ctrl-C, too, with the images completed until then."""
    with kept_files(out / COUNTS, out / PREDICTIONS, out / IMAGES) as (counts, *found):
        files = RecognitionFiles(gallery, counts, found, info)
        try:
            yield files
        finally:
            files.finish()


def result_rows(one: ImageRecognition, gallery: Gallery) -> list[RecognizedRow]:
    """Return the COCO results of an image. bbox: xywh pixels. score: detection score times similarity, 0 to 1.

    similarity: cosine to the best SKU. margin: its lead over the second. verdict: known, review or unknown.
    """
    rows: list[RecognizedRow] = []
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


def _candidates(nearest: NearestSkus, place: int, gallery: Gallery) -> list[CandidateRow]:
    pairs = zip(nearest.skus[place].tolist(), nearest.scores[place].tolist(), strict=True)
    return [{"sku": gallery.keys[sku], "similarity": round(score, DECIMALS)} for sku, score in pairs if sku != MISSING]


def _count_lines(one: ImageRecognition, file_name: str, gallery: Gallery) -> Iterator[bytes]:
    """Yield one line for each SKU in an image, and a last one for unknown products."""
    known = one.verdicts != Verdict.UNKNOWN
    counts = Counter(one.nearest.skus[known, 0].tolist())
    review = Counter(one.nearest.skus[one.verdicts == Verdict.REVIEW, 0].tolist())
    for sku in sorted(counts, key=gallery.keys.__getitem__):
        about = [gallery.keys[sku], gallery.names[sku], counts[sku], review[sku]]
        yield csv_bytes([[one.image_id, file_name, *about]])
    if not known.all():
        yield csv_bytes([[one.image_id, file_name, "", NO_NAME, int((~known).sum()), 0]])


def _categories(gallery: Gallery) -> Iterator[CategoryRecord]:
    yield CategoryRecord(id=NO_CATEGORY, name=NO_NAME)
    for sku in np.argsort(gallery.category_ids).tolist():
        yield CategoryRecord(
            id=int(gallery.category_ids[sku]),
            name=gallery.category_names[sku],
            sku=gallery.keys[sku],
            display_name=gallery.names[sku],
        )
