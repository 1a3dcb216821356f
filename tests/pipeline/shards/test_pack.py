"""Ordinary data sets to shards and back: nothing lost, nothing changed, whatever happens in between."""

from __future__ import annotations

import gc
import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from dataset.shards.index import read_categories, read_index
from dataset.shards.tar import read_samples
from dataset.spool import IdSpool
from dataset.storage.path import StoragePath
from pipeline.cli.main import main
from pipeline.run.settings import RunSettings
from pipeline.shards import pack as data_pack
from pipeline.shards.merge import merge_data
from pipeline.shards.pack import pack_data
from pipeline.shards.settings import PackSettings
from pipeline.shards.unpack import unpack_data
from support.errors import raises
from support.sets.foreign import NAMES, QUIET, content_of, files_of, foreign_set
from support.sets.in_shards import change_samples, samples_in
from support.verified import verified


def test_a_rendered_set_comes_back_byte_for_byte(rendered: RunSettings, tmp_path: Path) -> None:
    place = StoragePath(str(tmp_path / "shards"))
    summary = pack_data(rendered.out, place, QUIET, PackSettings(shard_images=3))
    assert (summary.shards, summary.images) == (4, 8)
    assert place.names("shards") == [f"{split}-00000{n}.tar" for split in ("train", "val") for n in (0, 1)]
    unpack_data(place, tmp_path / "back", QUIET)
    assert files_of(tmp_path / "back") == files_of(rendered.out)


def test_labels_of_shops_come_back_byte_for_byte(shop: RunSettings, tmp_path: Path) -> None:
    place = StoragePath(str(tmp_path / "shards"))
    pack_data(shop.out, place, QUIET, PackSettings(shard_images=1))
    assert not verified(place, sample=0).violations
    unpack_data(place, tmp_path / "back", QUIET)
    assert files_of(tmp_path / "back") == files_of(shop.out)
    tar = tmp_path / "shards" / "shards" / "train-000000.tar"
    tar.write_bytes(tar.read_bytes().replace(b'"front":', b'"fromt":'))
    told = "\n".join(map(str, verified(place, sample=0).violations))
    assert "shop.json link of instance" in told and "expected shares of front" in told


def test_labels_of_shops_of_merged_sets_stay_with_their_images(shop: RunSettings, tmp_path: Path) -> None:
    """Both sets have images of the same names; the second one's is another in the end."""
    one, other, out = (StoragePath(str(tmp_path / name)) for name in ("one", "other", "out"))
    twin = tmp_path / "twin"
    shutil.copytree(shop.out, twin)
    shop_file = twin / "shop" / "000000_0.json"
    shop_file.write_text(shop_file.read_text().replace('"text":"', '"text":"NEW '))
    pack_data(shop.out, one, QUIET)
    pack_data(twin, other, QUIET)
    merge_data([one, other], out, QUIET)
    unpack_data(out, tmp_path / "back", QUIET)
    file = tmp_path / "back" / "annotations" / "shop_train.json"
    marks, products = content_of(file), content_of(file.with_name("instances_train.json"))
    assert marks["images"] == products["images"] and len(marks["images"]) == 4
    assert [link["annotation_id"] for link in marks["links"]] == [one["id"] for one in products["annotations"]]
    assert [mark["id"] for mark in marks["annotations"]] == list(range(1, len(marks["annotations"]) + 1))
    new = {mark["image_id"] for mark in marks["annotations"] if mark.get("text", "").startswith("NEW ")}
    assert new == {image["id"] for image in marks["images"] if image["file_name"] == "set2/000000_0.jpg"}
    assert (tmp_path / "back" / "shop" / "set2" / "000000_0.json").read_bytes() == shop_file.read_bytes()
    # Packed again, each image has its own beside it.
    again = StoragePath(str(tmp_path / "again"))
    pack_data(tmp_path / "back", again, QUIET)
    packed = {str(sample.image.file_name): sample.files["shop.json"] for sample in samples_in(again, "train-000000")}
    assert packed["set2/000000_0.jpg"] == shop_file.read_bytes() != packed["000000_0.jpg"]
    assert packed["set2/000001_0.jpg"] == packed["000001_0.jpg"]


def test_a_foreign_set_comes_back(tmp_path: Path) -> None:
    file = foreign_set(tmp_path / "theirs", NAMES)
    place = StoragePath(f"memory://{tmp_path.name}/shards")
    pack_data(file, place, QUIET, PackSettings(shard_images=4, spool=tmp_path / "spool"))
    unpack_data(place, tmp_path / "back", QUIET)
    before, after = content_of(file), content_of(tmp_path / "back" / "annotations" / "instances_train.json")
    order = {image["id"]: place for place, image in enumerate(before["images"])}
    before["annotations"].sort(key=lambda record: order[record["image_id"]])
    assert after == before
    assert files_of(tmp_path / "back" / "images") == files_of(tmp_path / "theirs" / "images")
    assert (
        not any((tmp_path / "spool").iterdir())
        and [one.content() for one in read_categories(place)] == before["categories"]
    )


# The library leaves its files to the garbage collector.
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
def test_the_usual_library_reads_the_shards(tmp_path: Path) -> None:
    import webdataset

    place = StoragePath(str(tmp_path / "shards"))
    pack_data(foreign_set(tmp_path / "theirs", NAMES), place, QUIET, PackSettings(shard_images=3))
    tars = [str(tmp_path / "shards" / "shards" / name) for name in place.names("shards")]
    read = list(webdataset.WebDataset(tars, shardshuffle=False))
    ours = [sample for entry in read_index(place).shards for sample in read_samples(place, entry)]
    assert [item["__key__"] for item in read] == [sample.stem for sample in ours] and len(ours) == len(NAMES)
    assert [json.loads(item["json"])["image"]["file_name"] for item in read] == NAMES
    decoded = list(webdataset.WebDataset(tars, shardshuffle=False).decode("rgb8"))
    assert all(
        item["json"]["annotations"] == sample.labels.content()["annotations"]
        for item, sample in zip(decoded, ours, strict=True)
    )
    assert all((12, 16, 3) in [getattr(value, "shape", None) for value in item.values()] for item in decoded[:2])
    gc.collect()


@pytest.mark.parametrize("after", [0, 1, 3])
def test_going_on_after_an_interruption_gives_the_same_bytes(
    after: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = foreign_set(tmp_path / "theirs", NAMES)
    whole, stopped = StoragePath(str(tmp_path / "whole")), StoragePath(str(tmp_path / "stopped"))
    pack_data(file, whole, QUIET, PackSettings(shard_images=2))
    plain, calls = data_pack.write_shard, []

    def dying(*args: Any) -> Any:
        if len(calls) == after:
            raise KeyboardInterrupt
        calls.append(args)
        return plain(*args)

    with monkeypatch.context() as patch:
        patch.setattr(data_pack, "write_shard", dying)
        with pytest.raises(KeyboardInterrupt):
            pack_data(file, stopped, QUIET, PackSettings(shard_images=2))
    assert not stopped.exists("index.json")
    summary = pack_data(file, stopped, QUIET, PackSettings(shard_images=2))
    assert (summary.shards, summary.there) == (4 - after, after)
    assert files_of(tmp_path / "stopped") == files_of(tmp_path / "whole")
    assert pack_data(file, stopped, QUIET, PackSettings(shard_images=2)).there == 4


def test_a_folder_for_the_spool_keeps_what_else_is_in_it(tmp_path: Path) -> None:
    (tmp_path / "records").mkdir()
    (tmp_path / "records" / "mine.txt").write_text("mine")
    place = StoragePath(str(tmp_path / "shards"))
    pack_data(foreign_set(tmp_path / "theirs", NAMES), place, QUIET, PackSettings(spool=tmp_path))
    assert (tmp_path / "records" / "mine.txt").read_text() == "mine"
    assert {path.name for path in tmp_path.iterdir()} == {"records", "shards", "theirs"}


def test_another_set_in_the_place_is_refused(tmp_path: Path) -> None:
    place = StoragePath(str(tmp_path / "shards"))
    file = foreign_set(tmp_path / "theirs", NAMES)
    pack_data(file, place, QUIET)
    with raises("settings-differ"):
        pack_data(file, place, QUIET, PackSettings(shard_images=3))
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "x.txt").write_text("mine")
    with raises("output-not-empty"):
        pack_data(file, StoragePath(str(tmp_path / "other")), QUIET)


def test_a_set_that_is_in_shards_already_is_told_from_none(tmp_path: Path) -> None:
    file = foreign_set(tmp_path / "theirs", NAMES)
    pack_data(file, StoragePath(str(tmp_path / "shards")), QUIET)
    with raises("dataset-sharded"):
        pack_data(tmp_path / "shards", StoragePath(str(tmp_path / "again")), QUIET)


def test_everything_wrong_is_told_before_anything_is_written(tmp_path: Path) -> None:
    file = foreign_set(tmp_path / "theirs", NAMES)
    content = content_of(file)
    (tmp_path / "theirs" / "images" / "z.bmp").unlink()
    content["images"][0]["file_name"] = "../a.png"
    content["images"][1]["id"] = content["images"][2]["id"]
    del content["images"][3]["width"]
    content["annotations"][0]["image_id"] = "x"
    file.write_text(json.dumps(content))
    place = StoragePath(str(tmp_path / "shards"))
    with raises("records-invalid") as caught:
        pack_data(file, place, QUIET)
    told = str(caught.value)
    for words in ("missing: 1 ('z.bmp')", "outside the image folder", "given twice", "width and height", "unknown"):
        assert words in told
    assert not place.names("shards")


def test_names_that_lead_out_are_not_written(tmp_path: Path) -> None:
    place = StoragePath(str(tmp_path / "shards"))
    pack_data(foreign_set(tmp_path / "theirs", NAMES), place, QUIET)
    change_samples(place, lambda one: replace(one, image=replace(one.image, file_name="../.g")))
    with raises("path-unsafe"):
        unpack_data(place, tmp_path / "back", QUIET)


@pytest.mark.parametrize(
    "text", ["[", "[]", '{"splits": []}', '{"splits": {"train": {"info": 3, "licenses": []}}}', ""]
)
def test_a_damaged_note_of_what_it_was_made_from_loses_only_the_note(text: str, tmp_path: Path) -> None:
    place = StoragePath(str(tmp_path / "shards"))
    file = foreign_set(tmp_path / "theirs", NAMES)
    pack_data(file, place, QUIET)
    place.write("dataset.json", text.encode())
    unpack_data(place, tmp_path / "back", QUIET)
    after = content_of(tmp_path / "back" / "annotations" / "instances_train.json")
    assert after["info"] == {"description": "theirs"} and after["images"] == content_of(file)["images"]


def test_a_split_of_its_own(rendered: RunSettings, tmp_path: Path) -> None:
    place = StoragePath(str(tmp_path / "shards"))
    pack_data(rendered.out, place, QUIET)
    runner = CliRunner()
    done = runner.invoke(main, ["data", "unpack", str(place), str(tmp_path / "back"), "--split", "val"])
    assert done.exit_code == 0 and "unpacked: 1 shard, 4 images" in done.output
    assert [path.name for path in (tmp_path / "back" / "annotations").iterdir()] == ["instances_val.json"]
    done = runner.invoke(main, ["data", "unpack", str(place), str(tmp_path / "back"), "--split", "vall"])
    assert done.exit_code == 1 and "val" in done.output
    assert len(read_index(place).shards) == 2


@settings(max_examples=20)
@given(st.lists(st.integers(-(2**40), 2**40)), st.lists(st.integers(0, 300)), st.integers(0, 5))
def test_numbers_on_disk_know_what_they_share(ones: list[int], others: list[int], shift: int) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        one, other = IdSpool(Path(folder) / "a"), IdSpool(Path(folder) / "b")
        one.add(np.array(ones, np.int64))
        other.add(np.array(others, np.int64))
        assert one.shares_any(other) == bool(set(ones) & set(others))
        one.take_in(other, shift)
        both = ones + [number + shift for number in others]
        assert sorted(one.twice()) == sorted({number for number in both if both.count(number) > 1})
