"""Sharded sets brought together: categories by SKU, no id twice, and the bytes left alone where nothing changes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from rich.console import Console

from dataset.records import AnnotationRecord, CategoryRecord, Head, ImageRecord, InfoRecord, parse_all
from dataset.shards.index import (
    ShardSample,
    annotation_id,
    read_categories,
    read_index,
    write_categories,
    write_index,
    write_shard,
)
from dataset.shards.tar import read_samples
from dataset.storage.path import StoragePath
from pipeline.cli.main import main
from pipeline.shards import merge as data_merge
from pipeline.shards.categories import unite_categories
from pipeline.shards.merge import merge_data
from support.errors import raises
from support.sets.foreign import files_of
from support.verified import verified

QUIET = Console(quiet=True)


def png_bytes() -> bytes:
    import io

    from PIL import Image

    buffer = io.BytesIO()
    Image.new("RGB", (4, 3)).save(buffer, "PNG")
    return buffer.getvalue()


def small_set(
    place: StoragePath, shards: dict[str, list[int]], skus: dict[int, str], *, prefix: str = "p", split: str = "train"
) -> StoragePath:
    """Shards of images of given ids, each with one box of every SKU, whose ids follow from the image's."""
    kinds = [CategoryRecord(id=number, name=sku.upper(), sku=sku) for number, sku in skus.items()]
    entries = []
    for name, ids in shards.items():
        samples = []
        for number in ids:
            image = ImageRecord(id=number, file_name=f"{prefix}{number}.png", width=4, height=3)
            boxes = [
                AnnotationRecord(
                    id=annotation_id(number, n), image_id=number, category_id=kind, sku=sku, bbox=[0, 0, 2, 2], area=4
                )
                for n, (kind, sku) in enumerate(skus.items(), start=1)
            ]
            samples.append(ShardSample(f"{prefix}{number}", {"png": png_bytes()}, image, boxes))
        entries.append(write_shard(place, name, split, samples, Head(kinds, InfoRecord(description=prefix))))
    write_categories(place, kinds)
    write_index(place, entries)
    return place


def records_of(place: StoragePath) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    samples = [sample for entry in read_index(place).shards for sample in read_samples(place, entry)]
    return [s.image.content() for s in samples], [record.content() for s in samples for record in s.annotations]


@pytest.fixture
def places(tmp_path: Path) -> tuple[StoragePath, StoragePath, StoragePath]:
    return tuple(StoragePath(str(tmp_path / name)) for name in ("a", "b", "out"))  # type: ignore[return-value]


def test_sets_that_do_not_meet_keep_their_bytes(
    places: tuple[StoragePath, StoragePath, StoragePath], tmp_path: Path
) -> None:
    a, b, out = places
    small_set(a, {"a-0": [1, 2], "a-1": [3]}, {1: "tea", 2: "soap"})
    small_set(b, {"b-0": [10]}, {2: "soap", 7: "rice"}, prefix="q")
    summary = merge_data([a, b], out, QUIET)
    assert (summary.shards, summary.images, summary.annotations, summary.notes) == (3, 4, 8, ())
    merged = files_of(tmp_path / "out")
    for place in (a, b):
        own = files_of(Path(str(place)))
        assert all(merged[name] == own[name] for name in own if name.endswith(".tar") or "annotations" in name)
    assert [kind.id for kind in read_categories(out)] == [1, 2, 7]
    assert not verified(out, sample=0).violations


def test_what_meets_is_given_anew(places: tuple[StoragePath, StoragePath, StoragePath]) -> None:
    a, b, out = places
    small_set(a, {"s-0": [1, 2]}, {1: "tea", 2: "soap"})
    small_set(b, {"s-0": [2, 3]}, {1: "soap", 2: "rice", 3: "tea"})
    summary = merge_data([a, b], out, QUIET)
    assert len(summary.notes) == 3 and "soap: 1 is now 2" in summary.notes[0]
    images, annotations = records_of(out)
    assert [image["id"] for image in images] == [1, 2, 4, 5]
    assert [image["file_name"] for image in images] == ["p1.png", "p2.png", "set2/p2.png", "set2/p3.png"]
    assert all(0 < one["id"] - one["image_id"] * 10_000 < 10_000 for one in annotations)
    by_id = {kind.id: kind.sku for kind in read_categories(out)}
    assert by_id == {1: "tea", 2: "soap", 4: "rice"}
    assert all(by_id[one["category_id"]] == one["sku"] for one in annotations)
    report = verified(out, sample=0)
    assert (report.violations, report.images, report.annotations) == ((), 4, 10)


def test_a_merged_set_can_be_merged_again(places: tuple[StoragePath, StoragePath, StoragePath], tmp_path: Path) -> None:
    a, b, out = places
    small_set(a, {"s": [1]}, {1: "tea"})
    small_set(b, {"s": [1]}, {1: "tea"})
    merge_data([a, b], out, QUIET)
    again = StoragePath(str(tmp_path / "again"))
    merge_data([out, b], again, QUIET)
    assert [entry.name for entry in read_index(again).shards] == ["s", "set2-s", "set3-s"]
    report = verified(again, sample=0)
    assert (report.violations, report.images) == ((), 3)


def test_an_interrupted_merge_goes_on_to_the_same_bytes(
    places: tuple[StoragePath, StoragePath, StoragePath], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    a, b, out = places
    small_set(a, {"s-0": [1, 2], "s-1": [5]}, {1: "tea"})
    small_set(b, {"s-0": [1]}, {4: "tea"})
    merge_data([a, b], StoragePath(str(tmp_path / "whole")), QUIET)
    plain, calls = data_merge.write_receipt, []

    def dying(*args: Any) -> None:
        if calls:
            raise KeyboardInterrupt
        calls.append(args)
        plain(*args)

    with monkeypatch.context() as patch:
        patch.setattr(data_merge, "write_receipt", dying)
        with pytest.raises(KeyboardInterrupt):
            merge_data([a, b], out, QUIET)
    assert merge_data([a, b], out, QUIET).there == 1
    assert files_of(tmp_path / "out") == files_of(tmp_path / "whole")


def test_damage_is_told_not_spread(places: tuple[StoragePath, StoragePath, StoragePath], tmp_path: Path) -> None:
    a, b, out = places
    small_set(a, {"s-0": [1]}, {1: "tea"})
    small_set(b, {"t-0": [9]}, {1: "tea"}, prefix="q")
    tar = tmp_path / "b" / "shards" / "t-0.tar"
    tar.write_bytes(tar.read_bytes().replace(b'"area": 4', b'"area": 5'))
    with raises("shard-damaged", where=r"t-0\.tar"):
        merge_data([a, b], out, QUIET)
    with raises("input-duplicate"):
        merge_data([a, b], a, QUIET)
    done = CliRunner().invoke(main, ["data", "merge", str(a), str(tmp_path / "nothing"), str(tmp_path / "o2")])
    assert done.exit_code == 1 and "no such data set" in done.output


def test_categories_of_one_sku_are_one() -> None:
    one = [{"id": 1, "sku": "a", "name": "A"}, {"id": 2, "sku": "b", "name": "B"}]
    other = [
        {"id": 2, "sku": "a", "name": "AA"},
        {"id": 1, "sku": "c", "name": "C"},
        {"id": 3, "sku": "d", "name": "D"},
    ]
    (first, second), notes = unite_categories([kinds_of(one), kinds_of(other)], ["x", "y"])
    assert {number: record.id for number, record in first.items()} == {1: 1, 2: 2}
    assert {number: record.id for number, record in second.items()} == {2: 1, 1: 4, 3: 3}
    assert second[2].name == "A" and len(notes) == 2
    with raises("categories-invalid"):
        unite_categories([kinds_of([{"id": 1, "sku": "a"}, {"id": 2, "sku": "a"}])], ["x"])


def kinds_of(contents: list[dict[str, Any]]) -> list[CategoryRecord]:
    return parse_all(CategoryRecord, contents)


def test_names_of_other_skus_get_the_sku_appended() -> None:
    one = [{"id": 1, "sku": "a", "name": "Cola"}, {"id": 2, "sku": "b", "name": "Cola"}]
    # The same SKUs of a set in which b is the first of the name: they are described alike.
    other = [{"id": 5, "sku": "b", "name": "Cola", "display_name": "Cola"}]
    (first, second), notes = unite_categories([kinds_of(one), kinds_of(other)], ["x", "y"])
    assert first[1] == CategoryRecord(id=1, sku="a", name="Cola")
    assert first[2] == second[5] == CategoryRecord(id=2, sku="b", name="Cola (b)", display_name="Cola")
    assert not any("described" in note for note in notes) and any("name of another" in note for note in notes)


def test_a_second_merge_into_the_place_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    a = small_set(StoragePath(str(tmp_path / "a")), {"train-0": [1]}, {1: "x"})
    b = small_set(StoragePath(str(tmp_path / "b")), {"train-0": [2]}, {1: "y"})
    out, plain, refused = StoragePath(str(tmp_path / "out")), data_merge._write_one, []

    def write_one(*arguments: Any) -> Any:
        with raises("output-locked") as told:
            merge_data([a, b], out, QUIET)
        refused.append(told.value)
        return plain(*arguments)

    monkeypatch.setattr(data_merge, "_write_one", write_one)
    assert merge_data([a, b], out, QUIET).images == 2 and len(refused) == 2
    assert not list((tmp_path / "out").glob(".spool*"))
