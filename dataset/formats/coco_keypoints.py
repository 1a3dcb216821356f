"""COCO keypoints: annotations/keypoints_SPLIT.json and images/SPLIT; of `synth render --keypoints` corners of cuboids.

Each annotation has `keypoints` (x, y and 0 absent, 1 hidden or 2 visible, of each) and `num_keypoints`, each category
the names of its keypoints and the edges between them (`skeleton`). Read as well: COCO's own
person_keypoints_val2017.json beside val2017/ or images/val2017/.
Lin et al. 2014, "Microsoft COCO: Common objects in context".
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from assets.errors import SynthError
from assets.limits import COCO_BYTES, check_file
from dataset.coco_reader import images_of
from dataset.coco_writer import write_coco
from dataset.find import MAX_NAMES, SPLIT, CocoSplit, find_images
from dataset.formats.coco import beside_file as beside_file
from dataset.records import AnnotationRecord, CategoryRecord, ImageLabels, SplitLabels
from dataset.store import CocoPart, CocoStore

FILES = "annotations/*keypoints_*.json"
MARK = "keypoints_"
# Instances and keypoints of COCO lie side by side: where there are both, the set is one of instances.
INSTANCES = "annotations/instances_*.json"
NEEDS_KEYPOINTS = True


def detect(path: Path) -> bool:
    """Whether there are files of keypoints and none of instances."""
    return path.is_dir() and any(path.glob(FILES)) and not any(path.glob(INSTANCES))


def open_labels(path: Path, images: Path | None = None) -> CocoStore:
    """The splits of the folder. images: the folder of images, if it is another one. Raises SynthError without any."""
    files = sorted(path.glob(FILES)) if path.is_dir() else [path]
    if not files:
        expected = "annotations/keypoints_train.json"
        raise SynthError("there are no keypoints", code="file-missing", where=str(path), expected=expected)
    return CocoStore(path, tuple(CocoPart(_split_of(file, images)) for file in files))


def _split_of(file: Path, images: Path | None) -> CocoSplit:
    check_file(file, COCO_BYTES, "the COCO file")
    name = file.stem.rpartition(MARK)[2] or file.stem
    root = file.parent.parent if file.parent.name == "annotations" else file.parent
    named = []
    for image in images_of(file):
        named += [image.file_name] if image.file_name is not None else []
        if len(named) >= MAX_NAMES:
            break
    usual = (folder for folder in (root / "images" / name, root / name) if folder.is_dir())
    found = find_images(file, named, given=images or next(usual, None))
    return CocoSplit(name if SPLIT.fullmatch(name) else "train", file, root, found)


def lost(labels: ImageLabels) -> Iterator[str]:
    """Nothing: products without keypoints are written as COCO does, with none that is labelled."""
    for record in labels.annotations:
        if record.keypoints is None:
            yield "products without keypoints, which get none that is labelled"
        if record.bbox is None:
            yield "annotations without a box"


def image_folder(split: str) -> str:
    """Where the images of a split lie."""
    return f"images/{split}"


def write_labels(folder: Path, sets: Iterable[SplitLabels]) -> None:
    """One COCO file for each split, streamed. Raises SynthError for keypoints that categories do not name."""
    (folder / "annotations").mkdir(parents=True, exist_ok=True)
    for one in sets:
        counts = _counts(one.head.categories)
        images = (replace(labels, annotations=list(_written(labels, counts))) for labels in one.images)
        write_coco(folder / "annotations" / f"keypoints_{one.split}.json", images, one.head)


def _counts(categories: Sequence[CategoryRecord]) -> dict[int | None, int]:
    return {one.id: len(one.keypoints or ()) for one in categories}


def _written(labels: ImageLabels, counts: Mapping[int | None, int]) -> Iterator[AnnotationRecord]:
    for record in labels.annotations:
        count = counts.get(record.category_id, 0)
        points = [0] * (3 * count) if record.keypoints is None else list(record.keypoints)
        if len(points) != 3 * count:
            what, hint = "keypoints of an annotation are not those that its category names", "choose another format"
            where, found = str(labels.image.file_name), f"{len(points) // 3}"
            raise SynthError(what, code="records-invalid", where=where, found=found, expected=f"{count}", hint=hint)
        if record.bbox is not None:
            labelled = sum(flag != 0 for flag in points[2::3])
            yield replace(record, keypoints=points, num_keypoints=labelled, iscrowd=record.iscrowd or 0)
