"""COCO files that grow while a detector looks at pictures: memory stays flat however many there are."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np

from assets.catalog.categories import unique_names
from assets.files.atomic import atomic_file
from detectors.data.image_set import Classes
from detectors.evaluate.results import xywh_from_xyxy
from detectors.models.detect import Detections
from detectors.predict.input_images import InputImage

# What Ctrl-C does to a command that looks at pictures.
FOUND_KEPT, FOUND_STEP = "what was found until then is kept", "these pictures"
PREDICTIONS, IMAGES = "predictions.json", "images.json"


@dataclass(frozen=True)
class ImageDetections:
    """One picture with its detections and COCO run lengths, none where the detector makes no masks."""

    shot: InputImage
    image_id: int
    detections: Detections
    masks: list[dict[str, Any]]


class JsonRows:
    """A JSON list that is written row by row; those that `keep` has not confirmed are dropped at the end."""

    def __init__(self, file: IO[bytes], head: str, tail: str) -> None:
        self.file, self.tail, self.count = file, tail, 0
        self.file.write(head.encode())
        self.keep()

    def add(self, row: dict[str, Any]) -> None:
        """One more row."""
        self.file.write(((",\n" if self.count else "\n") + json.dumps(row, ensure_ascii=False)).encode())
        self.count += 1

    def keep(self) -> None:
        """All rows so far are complete and belong into the file."""
        self.kept, self.kept_count = self.file.tell(), self.count

    def finish(self) -> None:
        """Ends the list after the last row that counts."""
        self.file.seek(self.kept)
        self.file.truncate()
        self.file.write(self.tail.encode())
        self.count = self.kept_count


class FoundFiles:
    """predictions.json (COCO results) and images.json (the pictures and categories that they speak of)."""

    def __init__(self, predictions: JsonRows, images: JsonRows) -> None:
        self.predictions, self.images = predictions, images

    def add(self, pictures: Iterable[dict[str, Any]], found: Iterable[dict[str, Any]]) -> None:
        """A batch: pictures with what was found in them, in both files or in neither."""
        for picture in pictures:
            self.images.add(picture)
        for row in found:
            self.predictions.add(row)
        # A picture without its detections looks empty; detections without their picture break every reader.
        self.images.keep()
        self.predictions.keep()


@contextmanager
def open_found(out: Path, classes: Classes, info: dict[str, Any]) -> Iterator[FoundFiles]:
    """The files in `out`, which appear at the end; also after Ctrl-C, with the batches that were complete."""
    with ExitStack() as stack:
        predictions = JsonRows(stack.enter_context(atomic_file(out / PREDICTIONS)), "[", "\n]\n")
        tail = f'\n],\n"categories": {_json(categories_of(classes))},\n"annotations": []\n}}\n'
        head = f'{{\n"info": {_json(info)},\n"images": ['
        images = JsonRows(stack.enter_context(atomic_file(out / IMAGES)), head, tail)
        try:
            yield FoundFiles(predictions, images)
        except KeyboardInterrupt:
            _finish(predictions, images)
            stack.close()
            raise
        _finish(predictions, images)


def categories_of(classes: Classes) -> list[dict[str, Any]]:
    """COCO categories of a detector: ids count from 1 in the order of its labels."""
    names = unique_names(zip(classes.keys, classes.names, strict=True))
    return [{"id": label + 1, "name": names[key], "sku": key} for label, key in enumerate(classes.keys)]


def image_row(found: ImageDetections) -> dict[str, Any]:
    """The COCO entry of a picture. file_name: as in the COCO file that it came from, else absolute."""
    shot = found.shot
    file = shot.source.file.absolute()
    sides = {"width": shot.letterbox.width, "height": shot.letterbox.height}
    if shot.frame is not None:
        # No such file exists unless somebody unpacks the video.
        name = f"{shot.name}.jpg"
        return {"id": found.image_id, "file_name": name, **sides, "video": str(file), "frame": shot.frame}
    return {"id": found.image_id, "file_name": shot.source.file_name or str(file), **sides}


def result_rows(found: ImageDetections) -> list[dict[str, Any]]:
    """COCO results of a picture. bbox: xywh pixels of the original. category_id: label + 1."""
    detections = found.detections
    columns = (
        (detections.labels + 1).tolist(),
        xywh_from_xyxy(detections.boxes.astype(np.float64)).tolist(),
        detections.scores.astype(np.float64).tolist(),
    )
    rows = [
        {"image_id": found.image_id, "category_id": category, "bbox": box, "score": score}
        for category, box, score in zip(*columns, strict=True)
    ]
    for row, mask in zip(rows, found.masks, strict=False):
        row["segmentation"] = mask
    return rows


def _finish(*files: JsonRows) -> None:
    for file in files:
        file.finish()


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)
