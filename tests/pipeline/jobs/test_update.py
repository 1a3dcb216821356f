"""Another version of the catalogue: only what it needs is rendered, all else keeps its bytes, ids keep their SKUs."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from assets.catalog.category_ids import CategoryIds, ids_csv, ids_path
from assets.catalog.load import load_catalog
from dataset.shards.index import coco_name, read_categories, read_index
from dataset.shards.parts import read_part
from dataset.shards.tar import read_samples
from dataset.storage.path import StoragePath
from pipeline.jobs.estimate.run import estimate_job
from pipeline.jobs.pilot import Pilot
from pipeline.jobs.planning.digests import sku_digests
from pipeline.jobs.planning.store import read_plan
from pipeline.run.settings import BackdropFolders
from support.errors import raises
from support.job_stubs import files_of, job_at, run, seen_well, skus, write_list
from support.verified import verified

OLD = skus(24)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished job of 24 SKUs, not to be changed."""
    folder = tmp_path_factory.mktemp("finished")
    run(job_at(folder / "set", write_list(folder / "skus.csv", OLD)))
    return folder / "set"


@pytest.fixture
def place(tmp_path: Path, finished: Path) -> StoragePath:
    """A copy of it."""
    shutil.copytree(finished, tmp_path / "set")
    return StoragePath(str(tmp_path / "set"))


def samples_of(place: StoragePath) -> dict[str, tuple]:
    """By stem, what the data set holds of each image."""
    found = {}
    for shard in read_index(place).shards:
        samples = list(read_samples(place, shard))
        coco = json.loads(place.read(coco_name(shard.name)))
        assert coco["images"] == [sample.image.content() for sample in samples]
        assert coco["annotations"] == [record.content() for sample in samples for record in sample.annotations]
        found |= {sample.stem: (sample.files, sample.image, sample.annotations) for sample in samples}
    return found


def shown_in(sample: tuple) -> set[str]:
    return {record.sku for record in sample[2]}


def test_new_skus_are_added_and_nothing_else_is_touched(tmp_path: Path, place: StoragePath) -> None:
    before, images = files_of(place), samples_of(place)
    settings = job_at(tmp_path / "set", write_list(tmp_path / "skus.csv", ["aaa-first", *OLD, "sku-999"]))
    summary = run(settings)
    assert (summary.change.new, summary.change.changed, summary.change.delisted) == (2, 0, 0)
    after = files_of(place)
    same = [name for name in before if name.startswith(("shards/", "annotations/", "receipts/", "plan/"))]
    assert all(after[name] == before[name] for name in same)
    ids = {kind.sku: kind.id for kind in read_categories(place)}
    assert ids == {**{sku: number for number, sku in enumerate(OLD, 1)}, "aaa-first": 25, "sku-999": 26}
    added = set(samples_of(place)) - set(images)
    assert 0 < len(added) == summary.made < 15
    assert min(seen_well(place)[sku] for sku in ("aaa-first", "sku-999")) >= 4


def test_a_job_of_planograms_covers_what_stands_in_them(tmp_path: Path) -> None:
    plan = tmp_path / "plan.csv"
    rows = [f"{'left' if number < 5 else 'right'},1,{sku}" for number, sku in enumerate(OLD[:9])]
    plan.write_text("\n".join(["planogram,shelf,sku", *rows, "right,1,elsewhere"]))
    backdrops = BackdropFolders(planogram=(plan,))
    settings = job_at(tmp_path / "set", write_list(tmp_path / "skus.csv", OLD), recipe="shelf", backdrops=backdrops)
    summary = run(settings)
    assert summary.outcome["skus"] == 9 and summary.outcome["seen_least"] >= 4 and not summary.outcome["short"]
    for sample in samples_of(settings.location).values():
        assert shown_in(sample) in (set(OLD[:5]), set(OLD[5:9]))
    done = read_plan(settings.location)
    assert done.lists(OLD).tolist() == [number < 9 for number in range(len(OLD))] and len(done.current.digests) == 9
    again = run(settings)
    assert not again.change and not again.made
    with raises("planogram-recipe"):
        run(
            replace(
                settings, render=replace(settings.render, recipe="tabletop"), location=StoragePath(str(tmp_path / "b"))
            )
        )


def test_changed_skus_retire_the_scenes_that_show_them(
    tmp_path: Path, place: StoragePath, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = Pilot(scenes=1, products=8, share=0.8, annotations=8.0, sides={}, sizes={}, areas={})
    monkeypatch.setattr("pipeline.jobs.estimate.run.run_pilot", lambda *given: drawn)
    before = samples_of(place)
    settings = job_at(tmp_path / "set", write_list(tmp_path / "skus.csv", OLD, **{"sku-005": "Coffee"}))
    estimate = estimate_job(settings, measure=False)
    summary = run(settings)
    assert summary.change.changed == estimate.change.changed == 1
    after = samples_of(place)
    assert 0 < estimate.scenes <= summary.made and estimate.there == len(before)
    showing = {stem for stem, sample in before.items() if "sku-005" in shown_in(sample)}
    assert showing and set(before) - set(after) == showing and summary.retired == len(showing) == estimate.retired
    assert all(after[stem] == before[stem] for stem in set(before) - showing)
    assert min(seen_well(place)[sku] for sku in OLD) >= 4
    assert len(place.names("shards")) == len(place.names("annotations")) == len(read_index(place).shards)
    kept = files_of(place)
    assert run(settings).made == 0 and files_of(place) == kept


def test_delisted_skus_stay_in_the_images_and_are_ignored(tmp_path: Path, place: StoragePath) -> None:
    before = samples_of(place)
    gone = {"sku-003", "sku-011"}
    settings = job_at(tmp_path / "set", write_list(tmp_path / "skus.csv", [sku for sku in OLD if sku not in gone]))
    summary = run(settings)
    assert (summary.change.delisted, summary.made, summary.retired) == (2, 0, 0)
    after = samples_of(place)
    assert set(after) == set(before)
    for stem, (files, image, records) in after.items():
        assert (files, image) == before[stem][:2]
        for record, old in zip(records, before[stem][2], strict=True):
            assert record == replace(old, ignore=int(old.ignore or old.sku in gone))
    kinds = {kind.sku: kind for kind in read_categories(place)}
    assert {sku for sku, kind in kinds.items() if kind.delisted} == gone
    assert kinds["sku-003"].id == 4 and kinds["sku-003"].name == "Tea sku-003"
    run(job_at(tmp_path / "set", write_list(tmp_path / "skus.csv", OLD)))
    assert samples_of(place) == before


def test_an_unfinished_job_takes_another_list_in(tmp_path: Path) -> None:
    settings = job_at(tmp_path / "set", write_list(tmp_path / "skus.csv", OLD), workers=1)
    receipts = tmp_path / "set" / "receipts"
    assert run(settings, stop=lambda: receipts.is_dir() and len(list(receipts.iterdir())) > 1).ended == "interrupted"
    newer = [sku for sku in OLD if sku != "sku-003"] + ["sku-500"]
    summary = run(job_at(tmp_path / "set", write_list(tmp_path / "skus.csv", newer, **{"sku-004": "Coffee"})))
    assert summary.ended == "finished" and not summary.outcome["short"]
    found = seen_well(StoragePath(str(tmp_path / "set")))
    assert set(found) >= set(newer) and min(found[sku] for sku in newer) >= 4
    assert "sku-003" not in found


def test_ids_follow_the_registry_beside_the_list(tmp_path: Path) -> None:
    listed = write_list(tmp_path / "skus.csv", ["a", "b"])
    ids_path(listed).write_bytes(ids_csv(CategoryIds(("z", "b", "a"))))
    run(job_at(tmp_path / "set", listed))
    place = StoragePath(str(tmp_path / "set"))
    assert {kind.sku: kind.id for kind in read_categories(place)} == {"z": 1, "b": 2, "a": 3}
    ids_path(listed).write_bytes(ids_csv(CategoryIds(("a", "b"))))
    with raises("category-ids-conflict"):
        run(job_at(tmp_path / "set", listed))


def test_a_digest_tells_what_changes_the_looks_of_a_sku_and_nothing_else(tmp_path: Path) -> None:
    listed = tmp_path / "skus.csv"
    header = "sku,name,category,package,width_m,height_m,depth_m,packshot\n"

    def digests(text: str) -> np.ndarray:
        listed.write_text(header + text)
        return sku_digests(load_catalog(listed), tmp_path / "cache")

    from PIL import Image

    Image.new("RGB", (4, 4), "red").save(tmp_path / "a.png")
    first = digests("a,Tea,drinks,carton,0.1,0.2,0.1,a.png\nb,Tea,drinks,carton,0.1,0.2,0.1,\n")
    moved = digests("b,Tea,food,carton,0.1,0.2,0.1,\na,Tea,drinks,carton,0.1,0.2,0.1,a.png\n")
    assert (first == moved).all() and (first[0] != first[1]).any()
    other = digests("a,Tea,drinks,carton,0.1,0.2,0.1,a.png\nb,Tea,drinks,carton,0.1,0.21,0.1,\n")
    assert (first[0] == other[0]).all() and (first[1] != other[1]).any()
    Image.new("RGB", (4, 4), "blue").save(tmp_path / "a.png")
    assert (digests("a,Tea,drinks,carton,0.1,0.2,0.1,a.png\n")[0] != first[0]).any()


def test_files_that_change_during_a_run_are_told_and_their_scenes_made_anew(tmp_path: Path) -> None:
    from PIL import Image

    listed, image = tmp_path / "skus.csv", tmp_path / "a.png"
    rows = [f"{sku},Tea {sku},carton,0.1,0.2,0.05,{'a.png' if sku == OLD[0] else ''}" for sku in OLD]
    listed.write_text("\n".join(["sku,name,package,width_m,height_m,depth_m,packshot", *rows]) + "\n")
    settings = job_at(tmp_path / "set", listed)

    def repaint(color: str) -> bool:
        Image.new("RGB", (4, 4), color).save(image)
        return False  # asked whether to stop, once the products are known

    repaint("red")
    with raises("product-files-changed", found="1 of 24 SKUs", problems=f"'{OLD[0]}'"):
        run(settings, stop=lambda: repaint("blue"))
    repaint("red")  # as if nothing had been
    showing = [stem for stem, sample in samples_of(settings.location).items() if OLD[0] in shown_in(sample)]
    summary = run(settings)
    assert summary.change.changed == 1 and summary.retired == len(showing) > 0
    assert run(settings).made == 0


def test_skus_of_one_name_have_categories_of_their_own_that_stay(tmp_path: Path) -> None:
    place = StoragePath(str(tmp_path / "set"))
    cola = dict.fromkeys(("aa", "bb", "cc"), "Cola")
    run(job_at(tmp_path / "set", write_list(tmp_path / "skus.csv", ["bb", "cc"], **cola)))
    names = {record.sku: record.name for record in read_categories(place)}
    assert names == {"bb": "Cola", "cc": "Cola (cc)"}
    # One that sorts before them comes, the first is renamed: the names that are in shards stay.
    run(job_at(tmp_path / "set", write_list(tmp_path / "skus.csv", ["aa", "bb", "cc"], **{**cola, "bb": "Lemonade"})))
    records = read_categories(place)
    assert {record.sku: record.name for record in records} == {
        "bb": "Lemonade",
        "cc": "Cola (cc)",
        "aa": "Cola",
    }
    assert {record.display_name for record in records} == {"Cola", "Lemonade"}
    kinds = {record.id: record for record in records}
    for shard in read_index(place).shards:
        assert all(kinds[kind.id] == kind for kind in read_part(place, shard).head.categories)


@pytest.mark.parametrize("changed", [{"sku-005": "Coffee"}, {"sku-000": "A", "sku-001": "B", "sku-002": "C"}])
def test_shards_that_lose_all_their_scenes_leave_no_files(changed: dict[str, str], tmp_path: Path) -> None:
    """One scene a shard, and products that are others by now: the set verifies, and nothing is made twice."""
    listed = tmp_path / "skus.csv"
    run(job_at(tmp_path / "set", write_list(listed, OLD), shard_scenes=1))
    settings = job_at(tmp_path / "set", write_list(listed, OLD, **changed), shard_scenes=1)
    summary = run(settings)
    place = settings.location
    assert summary.change.changed == len(changed) and summary.retired > 0
    names = {entry.name for entry in read_index(place).shards}
    assert {name.removesuffix(".tar") for name in place.names("shards")} == names
    assert {name.removesuffix(".json") for name in place.names("annotations")} == names
    told = [str(one) for one in verified(place, sample=0).violations]
    assert not [line for line in told if "belongs to no shard" in line or "missing" in line]
    kept = files_of(place)
    again = run(settings)
    assert (again.made, again.retired) == (0, 0) and files_of(place) == kept
