"""COCO result files that are written incrementally, so that memory use does not grow with the number of images."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from assets.files.atomic import atomic_file
from dataset.categories import unique_names
from dataset.records import CategoryRecord, ImageRecord, InfoRecord, record_json
from detectors.data.image_set import Classes
from detectors.evaluate.results import ResultRow, coco_rows, corner_numbers
from detectors.models.detect import Detections
from detectors.predict.input_images import InputImage

# Messages on what Ctrl-C does to a command that processes images.
RESULTS_KEPT, RESULTS_STEP = "results so far are kept", "these images"
PREDICTIONS, IMAGES = "predictions.json", "images.json"


@dataclass(frozen=True)
class ImageDetections:
    """One image with its detections and their compressed run lengths, () if the detector predicts no masks."""

    image: InputImage
    image_id: int
    detections: Detections
    masks: tuple[bytes, ...]


class JsonRows:
    """A JSON list that is written row by row; rows not confirmed by `keep` are dropped at the end."""

    def __init__(self, file: IO[bytes], head: str, tail: str) -> None:
        self.file, self.tail, self.count = file, tail, 0
        self.file.write(head.encode())
        self.keep()

    def add(self, row: Mapping[str, object]) -> None:
        """Append a row."""
        self.file.write(((",\n" if self.count else "\n") + json.dumps(row, ensure_ascii=False)).encode())
        self.count += 1

    def keep(self) -> None:
        """Confirm all rows so far."""
        self.kept, self.kept_count = self.file.tell(), self.count

    def finish(self) -> None:
        """End the list after the last confirmed row."""
        self.file.seek(self.kept)
        self.file.truncate()
        self.file.write(self.tail.encode())
        self.count = self.kept_count


class DetectionFiles:
    """predictions.json (COCO results) and images.json (the images and categories that these refer to)."""

    def __init__(self, opened: Sequence[IO[bytes]], categories: Iterable[CategoryRecord], info: InfoRecord) -> None:
        predictions, images = opened
        self.predictions = JsonRows(predictions, "[", "\n]\n")
        kinds = ",\n".join(record_json(one.content()) for one in categories)
        tail = f'\n],\n"categories": [\n{kinds}\n],\n"annotations": []\n}}\n'
        self.images = JsonRows(images, f'{{\n"info": {record_json(info.content())},\n"images": [', tail)

    def add(self, records: Iterable[ImageRecord], found: Iterable[ResultRow]) -> None:
        """Add a batch of images and their detections, to both files or to neither."""
        for record in records:
            self.images.add(record.content())
        for row in found:
            self.predictions.add(row)
        # Confirmed together: an image without its detections looks empty, and detections without image break readers.
        self.images.keep()
        self.predictions.keep()

    def finish(self) -> None:
        """End both files after the last complete batch."""
        self.images.finish()
        self.predictions.finish()


@contextmanager
def open_detection_files(out: Path, classes: Classes, info: InfoRecord) -> Iterator[DetectionFiles]:
    """Open the files in `out`. They appear at the end; after Ctrl-C, too, with the batches completed until then."""
    with kept_files(out / PREDICTIONS, out / IMAGES) as opened:
        files = DetectionFiles(opened, categories_of(classes), info)
        try:
            yield files
        finally:
            files.finish()


@contextmanager
def kept_files(*paths: Path) -> Iterator[list[IO[bytes]]]:
    """Open files that appear at the end, also after Ctrl-C, but after no other error."""
    with ExitStack() as stack:
        files = [stack.enter_context(atomic_file(path)) for path in paths]
        try:
            yield files
        except KeyboardInterrupt:
            stack.close()
            raise


def categories_of(classes: Classes) -> list[CategoryRecord]:
    """Return the COCO categories of a detector; ids are label + 1."""
    names = unique_names(zip(classes.keys, classes.names, strict=True))
    return [CategoryRecord(id=label + 1, name=names[key], sku=key) for label, key in enumerate(classes.keys)]


def image_row(image: InputImage, image_id: int) -> ImageRecord:
    """Return the COCO record of an image. file_name: as in the COCO file that lists it, else the absolute path."""
    file = image.source.file.absolute()
    width, height = image.letterbox.width, image.letterbox.height
    if image.frame is not None:
        # The file only exists if someone extracts the frames.
        name = f"{image.name}.jpg"
        extra = {"video": str(file), "frame": image.frame}
        return ImageRecord(id=image_id, file_name=name, width=width, height=height, extra=extra)
    return ImageRecord(id=image_id, file_name=image.source.file_name or str(file), width=width, height=height)


def result_rows(found: ImageDetections) -> list[ResultRow]:
    """Return the COCO results of an image. bbox: xywh pixels of the original image. category_id: label + 1."""
    labels, detections = (found.detections.labels + 1).tolist(), found.detections
    images = [found.image_id] * len(labels)
    rows = list(coco_rows(images, labels, detections.boxes, detections.scores))
    size = [found.image.letterbox.height, found.image.letterbox.width]
    for row, counts in zip(rows, found.masks, strict=False):
        row["segmentation"] = {"size": size, "counts": counts.decode("ascii")}
    if detections.keypoints is not None:
        for row, points in zip(rows, detections.keypoints, strict=True):
            row["keypoints"] = corner_numbers(points)
    return rows
