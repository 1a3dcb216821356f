"""Cases for review by a person after a recognition: close calls, and products called unknown.

review/index.html      the closest calls and the most similar unknown crops, to be decided by click or key
review/decisions.csv   all boxes of their images, in the format that the page exports (dataset/review/table.py)
review/review.jsonl    every close call
"""

from __future__ import annotations

import heapq
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from assets.files.atomic import write_atomic
from dataset.review.table import ReviewedBox, cells_of
from detectors.evaluate.page.images import save_jpeg
from detectors.predict.input_images import InputImage, turned_in_place
from detectors.recognition.embedder.crops import prepare_crop
from detectors.recognition.gallery.decision import Decision, Verdict
from detectors.recognition.gallery.open import MISSING, Gallery
from detectors.recognition.gallery.result_files import ImageRecognition
from detectors.recognition.gallery.review_cases import Case, ReviewImage, ViewImage
from detectors.recognition.gallery.review_page import CSV, PAGE, write_review_page

FOLDER, CASES = "review", "review.jsonl"
# Maximum number of cases on the page; the file has all close calls.
MAX_SHOWN = {Verdict.REVIEW: 200, Verdict.UNKNOWN: 100}
CROP_SIDE, CROP_MARGIN = 220, 0.15


class Review:
    """Collects the cases of a run, image by image; those not shown on the page only take a line of text."""

    def __init__(self, out: Path, gallery: Gallery, view_image: ViewImage | None = None) -> None:
        self._folder, self._gallery, self._view_image = out / FOLDER, gallery, view_image
        # Heaps whose smallest entry is dropped next.
        self._kept: dict[Verdict, list[tuple[float, int, Case]]] = {verdict: [] for verdict in MAX_SHOWN}
        self._totals = dict.fromkeys(MAX_SHOWN, 0)
        self._lines: list[str] = []

    def __len__(self) -> int:
        """Return the number of close calls."""
        return self._totals[Verdict.REVIEW]

    def add(self, some: Sequence[ImageRecognition]) -> None:
        """Add the cases of some images."""
        for one in some:
            review_image: ReviewImage | None = None
            for place in np.flatnonzero(one.verdicts != Verdict.KNOWN).tolist():
                review_image = self._add(one, place, review_image)

    def finish(self, decision: Decision, *, soon: bool = False) -> Path | None:
        """Write the files; returns the page, None if there are no cases.

        soon: show the gallery's fronts instead of views, which may take minutes to render.
        """
        if not any(self._totals.values()):
            for name in (PAGE, CSV, CASES):  # from an earlier run
                (self._folder / name).unlink(missing_ok=True)
            return None
        self._folder.mkdir(parents=True, exist_ok=True)
        write_atomic(self._folder / CASES, "".join(self._lines).encode())
        cases = {
            verdict: [case for _, _, case in sorted(kept, key=lambda item: (-item[0], -item[1]))]
            for verdict, kept in self._kept.items()
        }
        view_image = None if soon else self._view_image
        return write_review_page(self._folder, self._gallery, cases, self._totals, decision, view_image)

    def _add(self, one: ImageRecognition, place: int, review_image: ReviewImage | None) -> ReviewImage | None:
        """Count a case, and keep it if it belongs to those to show; returns the image if it has a kept case."""
        verdict, nearest = Verdict(one.verdicts[place]), one.nearest
        self._totals[verdict] += 1
        number = sum(self._totals.values())
        skus = tuple(sku for sku in nearest.skus[place].tolist() if sku != MISSING)
        scores = tuple(float(score) for score in nearest.scores[place][: len(skus)])
        margin = float(nearest.margins[place])
        if verdict == Verdict.REVIEW:
            self._lines.append(self._record(one, place, skus, scores, margin))
        # The smallest lead comes first; of unknown crops those most similar to a SKU.
        rank = -margin if verdict == Verdict.REVIEW else (scores or (-1.0,))[0]
        kept = self._kept[verdict]
        if len(kept) == MAX_SHOWN[verdict] and (rank, -number) <= kept[0][:2]:
            return review_image
        review_image = review_image or self._review_image(one)
        crop = f"crops/{number:06d}.jpg"
        case = Case(verdict, review_image, place, crop, margin, skus, scores, one.vectors[place])
        heapq.heappush(kept, (rank, -number, case))
        if len(kept) > MAX_SHOWN[verdict]:
            (self._folder / heapq.heappop(kept)[2].crop).unlink(missing_ok=True)
        self._save(prepare_crop(one.image.pixels, one.boxes.xyxy[place], margin=CROP_MARGIN), crop, CROP_SIDE)
        return review_image

    def _review_image(self, one: ImageRecognition) -> ReviewImage:
        """Return an image with all its boxes: clear ones are marked known, the others open."""
        image = one.image
        height, width = image.pixels.shape[:2]
        file = self._file_of(image)
        review_image = ReviewImage(image.source.file_name or image.name)
        for place, verdict in enumerate(one.verdicts.tolist()):
            x0, y0, x1, y1 = _inside(one.boxes.xyxy[place], width, height)
            best = int(one.nearest.skus[place, 0])
            suggested = "" if best == MISSING else self._gallery.keys[best]
            known = verdict == Verdict.KNOWN
            row = ReviewedBox.model_construct(
                image=str(file),
                image_width=width,
                image_height=height,
                x=x0,
                y=y0,
                width=x1 - x0,
                height=y1 - y0,
                decision="known" if known else "open",
                sku=suggested if known else "",
                suggested=suggested,
                similarity=f"{float(one.nearest.scores[place, 0]):.4f}",
            )
            review_image.rows.append(cells_of(row))
        return review_image

    def _file_of(self, image: InputImage) -> Path:
        """Return a file with the image as processed; video frames and turned images are saved beside the page."""
        if image.frame is None and not turned_in_place(image):
            return image.source.file.absolute()
        name = f"frames/{image.name}.jpg"
        self._save(image.pixels, name, max(image.pixels.shape))
        return (self._folder / name).absolute()

    def _save(self, pixels: NDArray[np.uint8], name: str, side: int) -> None:
        thumbnail = Image.fromarray(pixels)
        thumbnail.thumbnail((side, side))
        (self._folder / name).parent.mkdir(parents=True, exist_ok=True)
        save_jpeg(thumbnail, self._folder / name)

    def _record(
        self, one: ImageRecognition, place: int, skus: Sequence[int], scores: Sequence[float], margin: float
    ) -> str:
        pairs = zip(skus, scores, strict=True)
        record: dict[str, Any] = {
            "image_id": one.image_id,
            "file_name": one.image.source.file_name or one.image.name,
            "box": [round(float(edge), 2) for edge in one.boxes.xyxy[place]],
            "margin": round(margin, 5),
            "candidates": [{"sku": self._gallery.keys[sku], "similarity": round(score, 5)} for sku, score in pairs],
        }
        return json.dumps(record, ensure_ascii=False) + "\n"


def _inside(box: NDArray[np.float64], width: int, height: int) -> tuple[float, float, float, float]:
    """Clip a box to the image, at least a pixel wide and high; returns xyxy rounded to a hundredth of a pixel."""
    x0, y0 = min(max(float(box[0]), 0.0), width - 1.0), min(max(float(box[1]), 0.0), height - 1.0)
    x1, y1 = min(max(float(box[2]), x0 + 1), width), min(max(float(box[3]), y0 + 1), height)
    return round(x0, 2), round(y0, 2), round(x1, 2), round(y1, 2)
