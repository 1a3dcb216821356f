"""The contract of label formats: every entry of the table brings back what it says it can carry, and survives junk."""

from __future__ import annotations

import errno
import io
import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from rich.console import Console

from assets.errors import SynthError
from dataset.categories import with_cuboid
from dataset.coco_writer import write_coco
from dataset.formats import FORMAT_TABLE, FORMATS, open_labels
from dataset.records import AnnotationRecord, CategoryRecord, Head, ImageLabels, ImageRecord
from dataset.storage.path import StoragePath
from pipeline.cli.main import main
from pipeline.shards.convert import ConvertSummary, convert_data
from pipeline.shards.pack import pack_data
from pipeline.shards.settings import ConvertSettings, PackSettings
from support.errors import raises

QUIET = Console(quiet=True)
WIDTH, HEIGHT = 40, 30
CAMERA = {"K": [[50.0, 0.0, 20.0], [0.0, 50.0, 15.0], [0.0, 0.0, 1.0]]}
POSE = [[1.0, 0.0, 0.0, 0.1], [0.0, 1.0, 0.0, -0.2], [0.0, 0.0, 1.0, 0.7], [0.0, 0.0, 0.0, 1.0]]
SKUS = {3: "tea", 7: "soup"}
formats = pytest.mark.parametrize("name", FORMATS)


def png() -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (WIDTH, HEIGHT), (90, 90, 90)).save(file, "PNG")
    return file.getvalue()


@st.composite
def boxes(draw: st.DrawFn) -> list[list[float]]:
    corners = st.tuples(st.floats(0, WIDTH - 2), st.floats(0, HEIGHT - 2), st.floats(1, WIDTH), st.floats(1, HEIGHT))
    found = draw(st.lists(corners, max_size=4))
    return [[x, y, min(width, WIDTH - x), min(height, HEIGHT - y)] for x, y, width, height in found]


@st.composite
def cells(draw: st.DrawFn) -> list[list[float]]:
    """Boxes of whole pixels that do not overlap: in quarters of the image."""
    half = (WIDTH // 2, HEIGHT // 2)
    found = []
    for place in draw(st.lists(st.integers(0, 3), max_size=4, unique=True)):
        x, y = draw(st.integers(0, half[0] - 2)), draw(st.integers(0, half[1] - 2))
        width, height = draw(st.integers(1, half[0] - x)), draw(st.integers(1, half[1] - y))
        found.append([place % 2 * half[0] + x, place // 2 * half[1] + y, width, height])
    return found


def write_source(folder: Path, splits: dict[str, list[list[list[float]]]], name: str = "coco", **fields: Any) -> Path:
    """A COCO set with the boxes of each image of each split; SKUs in turn, `fields` in every annotation.

    name: of a format, for which there are masks that fill the boxes, poses and cameras where it needs them.
    """
    needed: dict[str, Any] = {"camera": CAMERA} if needs(name, "POSES") else {}
    categories = [CategoryRecord(id=number, name=sku.title(), sku=sku) for number, sku in SKUS.items()]
    categories = [with_cuboid(one) for one in categories] if needs(name, "KEYPOINTS") else categories
    (folder / "annotations").mkdir(parents=True)
    for split, images in splits.items():
        (folder / "images" / split).mkdir(parents=True)
        made = []
        for number, found in enumerate(images, start=1):
            file = f"{split}{number}.png"
            (folder / "images" / split / file).write_bytes(png())
            image = ImageRecord(id=number, file_name=file, width=WIDTH, height=HEIGHT, **needed)
            annotations = [
                AnnotationRecord.parse(
                    {
                        "id": 100 * number + at,
                        "image_id": number,
                        "category_id": [3, 7][at % 2],
                        "bbox": box,
                        **({"segmentation": filled_box(box)} if needs(name, "MASKS") else {}),
                        **({"camera_from_object": POSE} if needs(name, "POSES") else {}),
                        **({"keypoints": [1, 2, 2] * 8, "num_keypoints": 8} if needs(name, "KEYPOINTS") else {}),
                        **fields,
                    }
                )
                for at, box in enumerate(found)
            ]
            made.append(ImageLabels(image, annotations))
        write_coco(folder / "annotations" / f"instances_{split}.json", made, Head(categories))
    return folder


def filled_box(box: list[float]) -> list[list[float]]:
    left, top, right, bottom = edges(box)
    return [[left, top, right, top, right, bottom, left, bottom]]


def carried(folder: Path, name: str | None = None) -> dict[str, list[tuple[str, list[tuple[str | None, list[float]]]]]]:
    """By split: file names with SKUs and boxes, as every format carries them."""
    store = open_labels(folder, name=name)
    keys = {one.id: one.key for one in store.categories}
    found: dict[str, list[Any]] = {}
    for part in store.parts:
        for image in part.stored_images():
            assert image.read() == png() and image.labels.image.size == (WIDTH, HEIGHT)
            rows = [(keys[one.category_id], list(one.bbox or ())) for one in image.labels.annotations]
            found.setdefault(part.split, []).append((str(image.labels.image.file_name), rows))
    return found


def check_equal(before: Any, after: Any, name: str = "coco") -> None:
    """As exact as the format is."""
    precision = getattr(FORMAT_TABLE.load(name), "PRECISION", 1e-3)
    assert before.keys() == after.keys()
    for split, images in before.items():
        if not getattr(FORMAT_TABLE.load(name), "RENAMES", False):
            assert [file for file, _ in after[split]] == [file for file, _ in images]
        for (_, rows), (_, others) in zip(images, after[split], strict=True):
            assert [key for key, _ in others] == [key for key, _ in rows]
            for (_, box), (_, other) in zip(rows, others, strict=True):
                assert edges(other) == pytest.approx(edges(box), abs=precision + 1e-6)


def edges(box: list[float]) -> list[float]:
    return [box[0], box[1], box[0] + box[2], box[1] + box[3]]


def needs(name: str, what: str) -> bool:
    return getattr(FORMAT_TABLE.load(name), f"NEEDS_{what}", False)


def converted(source: Path, out: Path, name: str) -> ConvertSummary:
    return convert_data(source, out, ConvertSettings(name), QUIET)


@formats
@given(data=st.data())
@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_boxes_and_skus_come_back(name: str, data: st.DataObject, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder, masks = tmp_path_factory.mktemp(name), needs(name, "MASKS")
    images = data.draw(st.lists(cells() if masks else boxes(), min_size=1, max_size=3))
    source = write_source(folder / "source", {"train": images, "val": images[:1]}, name)
    summary = converted(source, folder / "there", name)
    assert (summary.images, summary.splits) == (len(images) + 1, {"train": len(images), "val": 1})
    check_equal(carried(source), carried(folder / "there"), name)
    check_equal(carried(source), carried(folder / "there", name), name)
    converted(folder / "there", folder / "back", "coco")
    check_equal(carried(source), carried(folder / "back"), name)


@formats
def test_a_set_is_known_by_its_files(name: str, tmp_path: Path) -> None:
    source = write_source(tmp_path / "source", {"train": [[[1, 2, 3, 4]]]}, name)
    converted(source, tmp_path / "there", name)
    detecting = [other for other in FORMATS if FORMAT_TABLE.load(other).detect(tmp_path / "there")]
    assert detecting == [getattr(FORMAT_TABLE.load(name), "READ_AS", name)]


@formats
def test_what_cannot_be_carried_is_counted(name: str, tmp_path: Path) -> None:
    """Whatever is not the same after the way back is named."""
    fields = {"segmentation": [[1, 2, 4, 2, 4, 6]], "visibility": 0.5, "iscrowd": 1, "note": "left"}
    source = write_source(tmp_path / "source", {"train": [[[1, 2, 3, 4], [5, 6, 7, 8]]]}, name, **fields)
    summary = converted(source, tmp_path / "there", name)
    after = [
        one.content() for part in open_labels(tmp_path / "there").parts for p in part.labels() for one in p.annotations
    ]
    same = len(after) == 2 and all(fields.items() <= one.items() for one in after)
    assert same == (not summary.lost)
    assert all(words and count > 0 for words, count in summary.lost.items())


@formats
def test_shards_can_be_converted(name: str, tmp_path: Path) -> None:
    source = write_source(tmp_path / "source", {"train": [[[1, 2, 3, 4]], [], [[0, 0, 9, 9]]]}, name)
    pack_data(source, StoragePath(str(tmp_path / "shards")), QUIET, PackSettings(shard_images=2))
    converted(tmp_path / "shards", tmp_path / "there", name)
    check_equal(carried(source), carried(tmp_path / "there"), name)


@formats
@given(data=st.data())
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_damaged_labels_end_in_errors_with_codes(
    name: str, data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Whatever the files of labels hold: a set is read, or a SynthError says what is wrong."""
    folder = tmp_path_factory.mktemp(name)
    source = write_source(folder / "source", {"train": [[[1, 2, 3, 4]]], "val": [[]]}, name)
    converted(source, folder / "there", name)
    files = [file for file in sorted((folder / "there").rglob("*")) if file.is_file()]
    labels = [file for file in files if file.name not in ("train1.png", "val1.png") or "classes" in file.parts]
    file = data.draw(st.sampled_from(labels))
    before = file.read_bytes()
    cut = data.draw(st.integers(0, len(before)))
    junk = data.draw(
        st.sampled_from([b"", b"nan", b"-1", b"\xff", b"{}", b"[1]", b": x", b"../../etc/passwd", b"1e999"])
    )
    file.write_bytes(before[:cut] + junk + before[cut + data.draw(st.integers(0, 9)) :])
    with suppress(SynthError):
        for part in open_labels(folder / "there", name=name).parts:
            for image in part.stored_images():
                image.read()


@formats
def test_the_folder_appears_whole_or_not_at_all(name: str, tmp_path: Path) -> None:
    source = write_source(tmp_path / "source", {"train": [[], []]})
    (source / "images" / "train" / "train2.png").unlink()
    with raises("file-missing"):
        converted(source, tmp_path / "there", name)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["source"]
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "mine.txt").write_text("x")
    with raises("output-not-empty"):
        converted(source, tmp_path / "there", name)


def test_a_full_disk_is_told_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = write_source(tmp_path / "source", {"train": [[]]})

    def full(path: Path, data: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with raises("disk-full", hint="free some space"):
        converted(source, tmp_path / "there", "yolo")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["source"]


def test_names_that_lead_out_and_names_given_twice_are_refused(tmp_path: Path) -> None:
    for number, names, code in ((0, ["../x.png"], "path-unsafe"), (1, ["a.png", "A.jpg"], "image-name-duplicate")):
        folder = tmp_path / str(number)
        (folder / "images").mkdir(parents=True)
        for name in ("x.png", "a.png", "A.jpg", "images/b.png"):
            (folder / name).write_bytes(png())
            (folder / "images" / Path(name).name).write_bytes(png())
        images = [{"id": at, "file_name": name} for at, name in enumerate([*names, "b.png"])]
        content = {"images": images, "annotations": [], "categories": [{"id": 1, "name": "tea"}]}
        (folder / "train.json").write_text(json.dumps(content))
        with raises(code):
            converted(folder / "train.json", tmp_path / f"out{number}", "coco")


def test_command(tmp_path: Path) -> None:
    source = write_source(tmp_path / "source", {"train": [[[1, 2, 3, 4]]]})
    out = str(tmp_path / "there")
    done = CliRunner().invoke(main, ["data", "convert", str(source), out, "--format", "coco", "--from", "coco"])
    assert done.exit_code == 0 and "converted to coco: 1 image, 1 annotation" in done.output, done.output
    done = CliRunner().invoke(main, ["data", "convert", str(source), out + "2", "--format", "yollo"])
    assert done.exit_code != 0 and "label format" in done.output
