"""What we write, read by other programs: panlabel, supervision and globox find the same boxes and names."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from dataset.coco_writer import write_coco
from dataset.masks import encode_crop
from dataset.records import AnnotationRecord, CategoryRecord, Head, ImageLabels, ImageRecord
from pipeline.shards.convert import convert_data
from pipeline.shards.settings import ConvertSettings

WIDTH, HEIGHT = 60, 40
NAMES = {3: "Tea & more", 7: "Soup"}
# By image: name, and category with box (x, y, width, height) of each product.
IMAGES: dict[str, list[tuple[int, tuple[int, int, int, int]]]] = {
    "first.jpg": [(3, (0, 0, 20, 10)), (7, (30, 15, 30, 25))],
    "second.jpg": [(7, (5, 6, 7, 8))],
}
Boxes = dict[str, list[tuple[str, list[float]]]]
EXPECTED: Boxes = {
    name: [(NAMES[number], [float(side) for side in box]) for number, box in rows] for name, rows in IMAGES.items()
}


def converted(folder: Path, name: str, *, masks: bool = False) -> Path:
    """A set of one split in a format. masks: ellipses in the boxes."""
    source = folder / "source"
    (source / "images" / "train").mkdir(parents=True)
    (source / "annotations").mkdir()
    images = []
    for number, (file, rows) in enumerate(IMAGES.items(), start=1):
        Image.new("RGB", (WIDTH, HEIGHT)).save(source / "images" / "train" / file)
        records = [
            AnnotationRecord(
                id=100 * number + place,
                image_id=number,
                category_id=category,
                bbox=[float(side) for side in box],
                area=float(box[2] * box[3]),
                iscrowd=0,
                segmentation=encode_crop(ellipse(box[2], box[3]), box[0], box[1], HEIGHT, WIDTH) if masks else None,
            )
            for place, (category, box) in enumerate(rows)
        ]
        image = ImageRecord(id=number, file_name=file, width=WIDTH, height=HEIGHT)
        images.append(ImageLabels(image, records))
    head = Head([CategoryRecord(id=number, name=text, sku=text.lower()) for number, text in NAMES.items()])
    write_coco(source / "annotations" / "instances_train.json", images, head)
    convert_data(source, folder / name, ConvertSettings(name), Console(quiet=True))
    return folder / name


def ellipse(width: int, height: int) -> np.ndarray:
    y, x = np.mgrid[:height, :width]
    return ((x + 0.5 - width / 2) / width) ** 2 + ((y + 0.5 - height / 2) / height) ** 2 < 0.25


def by_panlabel(source: Path, name: str) -> Boxes:
    """Boxes by file name, as panlabel converts them to COCO."""
    program, out = Path(sys.executable).with_name("panlabel"), source.parent / "panlabel.json"
    command = [program, "convert", "-f", name, "-t", "coco", "-i", source, "-o", out, "--allow-lossy"]
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    content = json.loads(out.read_text())
    names = {one["id"]: one["name"] for one in content["categories"]}
    files = {one["id"]: Path(one["file_name"]).name for one in content["images"]}
    found: Boxes = {file: [] for file in files.values()}
    for one in content["annotations"]:
        found[files[one["image_id"]]].append((names[one["category_id"]], one["bbox"]))
    return found


def check_boxes(found: Boxes, expected: Boxes = EXPECTED) -> None:
    assert found.keys() == expected.keys()
    for name, rows in expected.items():
        assert [label for label, _ in found[name]] == [label for label, _ in rows]
        np.testing.assert_allclose([box for _, box in found[name]], [box for _, box in rows], atol=1e-4)


@pytest.mark.parametrize("name", ["yolo", "cvat"])
def test_panlabel_reads_boxes_and_names(name: str, tmp_path: Path) -> None:
    check_boxes(by_panlabel(converted(tmp_path, name), name))


def test_panlabel_reads_tasks_of_label_studio(tmp_path: Path) -> None:
    """It wants the path of an image where Label Studio has the URL of local files."""
    file = converted(tmp_path, "label-studio") / "label_studio_train.json"
    file.write_text(file.read_text().replace("/data/local-files/?d=", ""))
    check_boxes(by_panlabel(file, "label-studio"))


def test_panlabel_reads_hugging_faces_metadata(tmp_path: Path) -> None:
    """It takes places of classes for names."""
    places = {text: str(place) for place, text in enumerate(NAMES.values())}
    expected = {name: [(places[label], box) for label, box in rows] for name, rows in EXPECTED.items()}
    check_boxes(by_panlabel(converted(tmp_path, "huggingface"), "hf"), expected)


def test_panlabel_reads_vocs_numbers_as_they_are(tmp_path: Path) -> None:
    """It counts neither from 1 nor with the last pixel inside: one more at the left and top, one less of each side."""
    expected = {
        name: [(label, [x + 1, y + 1, width - 1, height - 1]) for label, (x, y, width, height) in rows]
        for name, rows in EXPECTED.items()
    }
    check_boxes(by_panlabel(converted(tmp_path, "voc"), "voc"), expected)


@pytest.mark.filterwarnings("ignore")  # of what they import
@pytest.mark.parametrize("name", ["yolo", "voc"])
def test_supervision_reads_boxes_and_names(name: str, tmp_path: Path) -> None:
    supervision = pytest.importorskip("supervision")
    folder = converted(tmp_path, name)
    if name == "voc":
        read = supervision.DetectionDataset.from_pascal_voc(str(folder / "JPEGImages"), str(folder / "Annotations"))
    else:
        places = [str(folder / part) for part in ("images/train", "labels/train", "data.yaml")]
        read = supervision.DetectionDataset.from_yolo(*places)
    found: Boxes = {}
    for path, _, detections in read:
        rows = zip(detections.class_id, detections.xyxy, strict=True)
        found[Path(path).name] = [
            (read.classes[number], [box[0], box[1], box[2] - box[0], box[3] - box[1]]) for number, box in rows
        ]
    check_boxes(dict(sorted(found.items())))


@pytest.mark.filterwarnings("ignore")
def test_supervision_fills_the_masks_of_yolo(tmp_path: Path) -> None:
    """It rounds corners, so that a mask may grow by a pixel to the right and below, and nowhere else."""
    supervision = pytest.importorskip("supervision")
    folder = converted(tmp_path, "yolo-segment", masks=True)
    places = [str(folder / part) for part in ("images/train", "labels/train", "data.yaml")]
    read = supervision.DetectionDataset.from_yolo(*places, force_masks=True)
    masks = {Path(path).name: detections.mask for path, _, detections in read}
    assert {name: len(found) for name, found in masks.items()} == {name: len(rows) for name, rows in IMAGES.items()}
    for name, rows in IMAGES.items():
        for mask, (_, (x, y, width, height)) in zip(masks[name], rows, strict=True):
            expected = np.zeros((HEIGHT, WIDTH), bool)
            expected[y : y + height, x : x + width] = ellipse(width, height)
            right, below = np.roll(expected, 1, axis=1), np.roll(expected, 1, axis=0)
            assert mask[expected].all() and not mask[~(expected | right | below | np.roll(right, 1, axis=0))].any()


@pytest.mark.filterwarnings("ignore")
def test_globox_reads_boxes_and_names(tmp_path: Path) -> None:
    globox = pytest.importorskip("globox")
    for name in ("yolo", "cvat"):
        folder = converted(tmp_path / name, name)
        if name == "cvat":
            read = globox.AnnotationSet.from_cvat(folder / "annotations.xml")
            labels = {text: text for text in NAMES.values()}
        else:
            read = globox.AnnotationSet.from_yolo_v5(folder / "labels/train", image_folder=folder / "images/train")
            labels = {str(place): text for place, text in enumerate(NAMES.values())}
        found = {
            one.image_id: [(labels[box.label], list(box.ltwh)) for box in one.boxes]
            for one in sorted(read, key=lambda one: one.image_id)
        }
        check_boxes(found)
        shutil.rmtree(tmp_path / name)
