"""COCO's relatives: keypoints, Roboflow's folders, samples in tar files of our own and of others."""

from __future__ import annotations

import contextlib
import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from rich.console import Console

from dataset.categories import CORNER_NAMES, SKELETON, with_cuboid
from dataset.coco_writer import write_coco
from dataset.formats import open_labels
from dataset.records import AnnotationRecord, CategoryRecord, Head, ImageLabels, ImageRecord
from dataset.storage.path import StoragePath
from pipeline.shards.convert import ConvertSummary, convert_data
from pipeline.shards.settings import ConvertSettings
from support.errors import raises
from support.verified import verified

QUIET = Console(quiet=True)
CORNERS = [number for place in range(8) for number in (2 * place, 3 + place, (2, 1, 0)[place % 3])]


def png(color: str = "red") -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (40, 30), color).save(file, "PNG")
    return file.getvalue()


def write_set(folder: Path, *, cuboids: bool = True, **fields: Any) -> Path:
    """Two images of val and one of train; each product has eight corners but the last."""
    kinds = [CategoryRecord(id=3, name="Tea", sku="tea"), CategoryRecord(id=7, name="Soup", sku="soup")]
    (folder / "annotations").mkdir(parents=True)
    for split, count in (("train", 1), ("val", 2)):
        (folder / "images" / split).mkdir(parents=True)
        images = []
        for number in range(1, count + 1):
            (folder / "images" / split / f"{number}.png").write_bytes(png())
            rows = [
                {"id": 10 * number + row, "image_id": number, "category_id": kind, "bbox": [row, 2, 20, 15]}
                | {
                    "area": 300,
                    "iscrowd": 0,
                    **({"keypoints": CORNERS, "num_keypoints": 5} if kind == 3 else {}),
                    **fields,
                }
                for row, kind in enumerate((3, 7))
            ]
            image = ImageRecord(id=number, file_name=f"{number}.png", width=40, height=30)
            images.append(ImageLabels(image, [AnnotationRecord.parse(row) for row in rows]))
        head = Head([with_cuboid(one) for one in kinds] if cuboids else kinds)
        write_coco(folder / "annotations" / f"instances_{split}.json", images, head)
    return folder


def converted(source: Path, out: Path, name: str) -> ConvertSummary:
    return convert_data(source, out, ConvertSettings(name), QUIET)


def records_of(folder: Path, **options: Any) -> dict[str, list[AnnotationRecord]]:
    parts = open_labels(folder, **options).parts
    return {part.split: [one for labels in part.labels() for one in labels.annotations] for part in parts}


def test_keypoints_are_as_pycocotools_reads_them(tmp_path: Path) -> None:
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    summary = converted(write_set(tmp_path / "a"), tmp_path / "b", "coco-keypoints")
    assert summary.lost == {"products without keypoints, which get none that is labelled": 3}
    file = tmp_path / "b" / "annotations" / "keypoints_val.json"
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(str(file))
        rows = [row for row in truth.anns.values() if row["num_keypoints"]]
        found = truth.loadRes(
            [{**{k: row[k] for k in ("image_id", "category_id", "keypoints")}, "score": 1} for row in rows]
        )
        check = COCOeval(truth, found, "keypoints")
        check.params.kpt_oks_sigmas = check.params.kpt_oks_sigmas[:8]
        check.evaluate()
        check.accumulate()
        check.summarize()
    assert check.stats[0] == pytest.approx(1)
    (tea, soup) = (truth.cats[number] for number in (3, 7))
    assert tea["keypoints"] == soup["keypoints"] == list(CORNER_NAMES)
    assert tea["skeleton"] == [list(pair) for pair in SKELETON]
    empty = next(row for row in truth.anns.values() if row["category_id"] == 7)
    assert empty["keypoints"] == [0] * 24 and empty["num_keypoints"] == 0
    with contextlib.suppress(FileNotFoundError):
        assert records_of(tmp_path / "b")["val"][0].keypoints == CORNERS


def test_keypoints_without_names_are_refused(tmp_path: Path) -> None:
    with raises("records-invalid"):
        converted(write_set(tmp_path / "a", cuboids=False), tmp_path / "b", "coco-keypoints")
    assert not (tmp_path / "b").exists()


def test_names_of_coco_itself_are_read(tmp_path: Path) -> None:
    """annotations/person_keypoints_val2017.json beside val2017/; with instances beside it is a set of these."""
    write_set(tmp_path)
    (tmp_path / "images" / "val").rename(tmp_path / "val2017")
    instances = tmp_path / "annotations" / "instances_val.json"
    (tmp_path / "annotations" / "person_keypoints_val2017.json").write_bytes(instances.read_bytes())
    (tmp_path / "annotations" / "instances_train.json").unlink()
    (tmp_path / "annotations" / "instances_val.json").rename(tmp_path / "annotations" / "instances_val2017.json")
    assert set(records_of(tmp_path, name="coco-keypoints")) == {"val2017"}
    (tmp_path / "annotations" / "instances_val2017.json").unlink()
    assert records_of(tmp_path)["val2017"][0].num_keypoints == 5


def roboflow(folder: Path, *, used: bool = False) -> Path:
    """As Roboflow exports: category 0 is the group of the others."""
    for split in ("train", "valid"):
        (folder / split).mkdir(parents=True)
        (folder / split / "a_jpg.rf.12ab.png").write_bytes(png())
        kinds = [{"id": 0, "name": "goods", "supercategory": "none"}]
        kinds += [{"id": number, "name": name, "supercategory": "goods"} for number, name in ((1, "soup"), (2, "tea"))]
        image = {"id": 0, "license": 1, "file_name": "a_jpg.rf.12ab.png", "height": 30, "width": 40}
        box = {"id": 0, "image_id": 0, "category_id": 0 if used else 2, "bbox": [1, 2, 30, 20.5], "area": 615}
        rows = [{**box, "segmentation": [], "iscrowd": 0}]
        content = {"images": [image], "annotations": rows, "categories": kinds}
        (folder / split / "_annotations.coco.json").write_text(json.dumps(content))
    return folder


def test_the_group_of_roboflow_is_no_class(tmp_path: Path) -> None:
    store = open_labels(roboflow(tmp_path / "a"))
    assert [(one.id, one.key) for one in store.categories] == [(1, "soup"), (2, "tea")]
    assert [part.split for part in store.parts] == ["train", "val"]
    assert list(store.head("val").categories) == list(store.categories)
    converted(tmp_path / "a", tmp_path / "yolo", "yolo")
    assert "names:\n" in (text := (tmp_path / "yolo" / "data.yaml").read_text()) and "goods" not in text
    assert [one.bbox for one in records_of(tmp_path / "yolo")["val"]] == [pytest.approx([1, 2, 30, 20.5], abs=1e-3)]
    used = open_labels(roboflow(tmp_path / "b", used=True))
    assert [one.id for one in used.categories] == [0, 1, 2]


def test_roboflow_is_written_with_a_group(tmp_path: Path) -> None:
    converted(write_set(tmp_path / "a"), tmp_path / "b", "roboflow")
    assert sorted(path.name for path in (tmp_path / "b").iterdir()) == ["train", "valid"]
    content = json.loads((tmp_path / "b" / "valid" / "_annotations.coco.json").read_text())
    groups = [(one["id"], one["supercategory"]) for one in content["categories"]]
    assert groups == [(0, "none"), (3, "products"), (7, "products")]
    assert (tmp_path / "b" / "valid" / "2.png").read_bytes() == png()
    assert records_of(tmp_path / "b")["val"][0].keypoints == CORNERS


def test_shards_are_read_by_webdataset_and_verify(tmp_path: Path) -> None:
    webdataset = pytest.importorskip("webdataset")
    source = write_set(tmp_path / "a")
    (source / "depth").mkdir()
    Image.new("I;16", (40, 30), 700).save(source / "depth" / "2.png")
    summary = converted(source, tmp_path / "b", "webdataset")
    assert not summary.lost
    place = StoragePath(str(tmp_path / "b"))
    report = verified(place, sample=0)
    assert (report.violations, report.images, report.annotations) == ((), 3, 6)
    with (tmp_path / "b" / "shards" / "val-000000.tar").open("rb") as file:
        opened = webdataset.tariterators.tar_file_expander([{"url": "val", "stream": file}])
        samples = list(webdataset.tariterators.group_by_keys(opened))
    assert [sorted(key for key in one if not key.startswith("__")) for one in samples] == [
        ["json", "png"],
        ["depth.png", "json", "png"],
    ]
    assert [one["__key__"] for one in samples] == ["1", "2"] and samples[0]["png"] == png()
    assert records_of(tmp_path / "b") == records_of(source)
    assert not [path for path in (tmp_path / "b").rglob("*") if path.name.startswith(".images")]


def write_tar(path: Path, samples: list[tuple[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as tar:
        for key, labels in samples:
            for suffix, content in (("png", png()), ("json", json.dumps(labels).encode())):
                member = tarfile.TarInfo(f"{key}.{suffix}")
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))


def test_tar_files_of_others_are_read(tmp_path: Path) -> None:
    """As written by webdataset's own writer: no index, an image record or none, names of categories in annotations."""
    box = {"bbox": [1, 2, 3, 4], "category_id": 5, "category": "tea"}
    write_tar(tmp_path / "train-0000.tar", [("a", {"image_id": 7, "annotations": [box]}), ("b", {"annotations": []})])
    write_tar(tmp_path / "train-0001.tar", [("c", [{**box, "category_id": 6}])])
    write_tar(tmp_path / "valid" / "x.tar", [("d", {"image": {"file_name": "e/f.png"}, "annotations": [box]})])
    store = open_labels(tmp_path)
    assert [(one.id, one.name) for one in store.categories] == [(5, "tea"), (6, "tea 6")]
    assert [(part.split, part.count) for part in store.parts] == [("train", 2), ("train", 1), ("val", 1)]
    images = [stored for part in store.parts for stored in part.stored_images()]
    assert [(one.labels.image.file_name, one.labels.image.size) for one in images] == [
        *(("a.png", (40, 30)), ("b.png", (40, 30)), ("c.png", (40, 30)), ("e/f.png", (40, 30))),
    ]
    assert images[0].read() == png() and images[0].labels.annotations[0].bbox == [1, 2, 3, 4]
    converted(tmp_path, tmp_path.with_name("out"), "coco")
    assert [one.category_id for one in records_of(tmp_path.with_name("out"))["train"]] == [5, 6]


@pytest.mark.parametrize("labels", [3, {"annotations": 1}, {"annotations": [1]}, None])
def test_labels_of_others_that_are_none_have_a_code(labels: Any, tmp_path: Path) -> None:
    write_tar(tmp_path / "train-0000.tar", [("a", labels)])
    with raises("records-invalid"):
        open_labels(tmp_path)


def test_names_in_tars_do_not_lead_out(tmp_path: Path) -> None:
    write_tar(tmp_path / "set" / "train-0000.tar", [("a", {"image": {"file_name": "../../x.png"}, "annotations": []})])
    with raises("path-unsafe"):
        converted(tmp_path / "set", tmp_path / "out", "coco")
    write_tar(tmp_path / "evil" / "train-0000.tar", [("../a", {"annotations": []})])
    with raises("shard-damaged"):
        list(open_labels(tmp_path / "evil").parts)
