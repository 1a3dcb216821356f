"""Places and the format of sharded data sets."""

from __future__ import annotations

import io
import json
import pickle
import tarfile
from pathlib import Path

import pytest

from dataset.coco_writer import coco_bytes
from dataset.records import AnnotationRecord, CategoryRecord, Head, ImageRecord, InfoRecord, parse_all
from dataset.shards.index import (
    ShardSample,
    annotation_id,
    image_id,
    read_categories,
    read_index,
    tar_of,
    write_categories,
    write_index,
    write_shard,
)
from dataset.storage.path import StoragePath
from support.errors import raises


def sample(number: int, boxes: int = 2) -> ShardSample:
    image = {"id": number, "file_name": f"{number}.jpg", "width": 4, "height": 3}
    annotations = [
        {"id": annotation_id(number, i), "image_id": number, "category_id": 7, "bbox": [0, 0, 1, 1]}
        for i in range(1, boxes + 1)
    ]
    files = {"jpg": b"picture", "depth.png": b"depth"}
    return ShardSample(str(number), files, ImageRecord.parse(image), parse_all(AnnotationRecord, annotations))


CATEGORIES = [CategoryRecord(id=7, name="Grüner Tee", sku="a")]


@pytest.fixture(params=["disk", "memory"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> StoragePath:
    return (
        StoragePath(str(tmp_path / "set")) if request.param == "disk" else StoragePath(f"memory://{tmp_path.name}/set")
    )


@pytest.mark.parametrize(
    "url",
    [
        *("http://127.0.0.1:9/set", "https://127.0.0.1:9/set", "github://a:b@/", "zip://a::file:///etc/passwd"),
        *(
            "simplecache::s3://a/b",
            "s3://a::http://127.0.0.1/b",
            "reference://x",
            "ftp://127.0.0.1/a",
            "S3://a",
            "data://",
        ),
        *("sftp://127.0.0.1/a", "dask-worker://a", "hdfs://a/b", "git://a", "jlab://a", "filecache::file:///tmp"),
    ],
)
def test_only_disks_and_object_storages_are_tried(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import fsspec

    def tried(*names: object, **options: object) -> None:
        raise AssertionError("it was tried")

    monkeypatch.setattr(fsspec.core, "url_to_fs", tried)
    with raises("storage-unusable", where=url[:4], expected="s3://"):
        StoragePath(url).exists("index.json")


def test_a_folder_may_be_named_like_a_chain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    place = StoragePath("zip::a:b/")
    place.write("c", b"1")
    assert (tmp_path / "zip::a:b" / "c").read_bytes() == b"1" == place.read("c")
    assert place.local == tmp_path / "zip::a:b"


def test_what_is_written_is_read_back(place: StoragePath) -> None:
    assert not place.exists("a/b") and place.names("a") == []
    place.write("a/b", b"1")
    place.write("a/c", b"22")
    assert (place.read("a/b"), place.size("a/c"), place.names("a")) == (b"1", 2, ["b", "c"])
    with (place / "a").open("c") as file:
        file.seek(1)
        assert file.read() == b"2"
    place.delete("a/b")
    place.delete("a/b")
    assert place.names("a") == ["c"]
    with pytest.raises(FileNotFoundError):
        place.read("a/b")


def test_a_place_goes_into_other_processes(place: StoragePath) -> None:
    place.write("x", b"1")
    other = pickle.loads(pickle.dumps(place))
    assert other == place and other.read("x") == b"1"


def test_unknown_storage_is_told() -> None:
    with raises("storage-unusable"):
        StoragePath("nowhere://x").exists("a")


def test_a_shard_is_a_web_data_set_and_a_coco_file(place: StoragePath) -> None:
    import webdataset

    samples = [sample(1), sample(2, boxes=0), sample(3)]
    entry = write_shard(place, "train-000", "train", samples, Head(CATEGORIES, InfoRecord(description="x")))
    assert (entry.images, entry.annotations) == (3, 4)
    write_index(place, [entry])
    write_categories(place, CATEGORIES)
    assert read_index(place).shards == (entry,) and read_categories(place) == CATEGORIES
    content = place.read("shards/train-000.tar")
    assert len(content) == entry.tar_bytes
    read = list(webdataset.tariterators.group_by_keys(tar_members(content)))
    assert [item["__key__"] for item in read] == ["1", "2", "3"]
    assert read[0]["jpg"] == b"picture" and read[0]["depth.png"] == b"depth"
    coco = json.loads(place.read("annotations/train-000.json"))
    assert coco["images"] == [json.loads(item["json"])["image"] for item in read]
    assert coco["annotations"] == [one for item in read for one in json.loads(item["json"])["annotations"]]


def tar_members(content: bytes) -> list[dict[str, object]]:
    with tarfile.open(fileobj=io.BytesIO(content)) as tar:
        return [{"fname": m.name, "data": tar.extractfile(m).read(), "__url__": "x"} for m in tar.getmembers()]


def test_equal_samples_give_equal_bytes() -> None:
    assert tar_of([sample(1), sample(2)]) == tar_of(iter([sample(1), sample(2)]))
    assert json.loads(coco_bytes([], Head(()))) == {"info": {}, "categories": [], "images": [], "annotations": []}


def test_ids_differ_and_follow_from_the_scene() -> None:
    images = [image_id(index, view, 3) for index in range(4) for view in range(3)]
    assert images == list(range(1, 13))
    assert annotation_id(12, 1) > annotation_id(11, 9_999)
    with pytest.raises(ValueError, match="at most 9999"):
        annotation_id(1, 10_000)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{", "index"),
        ('{"format": 2, "shards": []}', "format"),
        ('{"format": 1, "shards": [{"name": "../x"}]}', "shards.0.name"),
    ],
)
def test_damaged_indexes_are_told(place: StoragePath, text: str, told: str) -> None:
    place.write("index.json", text.encode())
    with raises("content-invalid", text=told):
        read_index(place)


def test_a_missing_index_is_told(place: StoragePath) -> None:
    with raises("dataset-not-sharded"):
        read_index(place)
