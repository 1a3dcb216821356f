"""Jobs as a whole: covered in the end, the same bytes however they are made, whatever dies on the way."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path

import pytest

from dataset.shards.index import read_categories, read_index
from dataset.shards.tar import read_samples
from dataset.storage.path import StoragePath
from pipeline.jobs.receipts import read_receipts
from pipeline.jobs.run import write_index_now
from pipeline.jobs.settings import read_settings
from pipeline.jobs.status import cancel_job, job_status
from support import job_stubs
from support.errors import raises
from support.job_stubs import files_of, job_at, run, seen_well, skus, write_list


@pytest.fixture
def listed(tmp_path: Path) -> Path:
    return write_list(tmp_path / "skus.csv", skus(24))


def test_every_sku_is_seen_often_enough_in_the_end(tmp_path: Path, listed: Path) -> None:
    summary = run(job_at(tmp_path / "set", listed, splits=(("train", 0.7), ("val", 0.3))))
    found = seen_well(tmp_path / "set")
    assert set(found) == set(skus(24)) and min(found.values()) >= 4
    assert (summary.ended, summary.failed, summary.outcome["short"]) == ("finished", 0, {})
    assert summary.outcome["seen_least"] == min(found.values())
    place = StoragePath(str(tmp_path / "set"))
    index = read_index(place)
    assert {shard.split for shard in index.shards} == {"train", "val"}
    assert sum(shard.annotations for shard in index.shards) == summary.counts.annotations
    assert [kind.sku for kind in read_categories(place)] == skus(24)
    ids = [sample.image.id for shard in index.shards for sample in read_samples(place, shard)]
    assert len(set(ids)) == len(ids) == summary.counts.images
    assert not list((tmp_path / "cache" / "jobs").glob("*"))


def test_any_number_of_workers_and_views_make_the_same_bytes(tmp_path: Path, listed: Path) -> None:
    for name, workers in (("one", 1), ("three", 3)):
        run(job_at(tmp_path / name, listed, workers=workers, views=2), processes=True)
    assert files_of(tmp_path / "one") == files_of(tmp_path / "three")


def test_the_same_job_again_does_nothing(tmp_path: Path, listed: Path) -> None:
    run(job_at(tmp_path / "set", listed))
    before = files_of(tmp_path / "set")
    summary = run(job_at(tmp_path / "set", listed))
    assert (summary.made, summary.shards) == (0, 0) and files_of(tmp_path / "set") == before
    more = run(job_at(tmp_path / "set", listed, times=6))
    assert more.made > 0 and min(seen_well(tmp_path / "set").values()) >= 6
    assert {name: data for name, data in files_of(tmp_path / "set").items() if name in before and "/g0000" in name} == {
        name: data for name, data in before.items() if "/g0000" in name
    }


def test_poison_scenes_cost_themselves_alone(tmp_path: Path, listed: Path) -> None:
    summary = run(job_at(tmp_path / "set", listed, timeout_s=1.0, rounds=0), job_stubs.poison)
    assert summary.failed == 3
    lines = [json.loads(line) for line in (tmp_path / "set" / "failures.jsonl").read_text().splitlines()]
    assert {line["index"]: line["reason"].split("\n")[0] for line in lines} == {
        3: "the worker process died (SIGSEGV)",
        5: "not done after 1 s",
        6: "the mesh has no triangles",
    }
    assert all(line["spec"] == {"scene": line["index"]} for line in lines)
    assert (
        summary.counts.images
        == summary.made
        == sum(r.scenes for r in read_receipts(StoragePath(str(tmp_path / "set"))).values()) - 3
    )
    status = job_status(read_settings(StoragePath(str(tmp_path / "set")), tmp_path / "recipe.yaml"))
    assert (status.state, status.failed, len(status.failures)) == ("finished", 3, 3)
    mended = run(job_at(tmp_path / "set", listed, rounds=0), retry=True)
    assert mended.failed == 0 and not (tmp_path / "set" / "failures.jsonl").exists()
    run(job_at(tmp_path / "never-ill", listed, rounds=0))
    assert files_of(tmp_path / "set") == files_of(tmp_path / "never-ill")


def test_scenes_whose_process_was_killed_come_out_as_if_it_had_not(tmp_path: Path, listed: Path) -> None:
    assert run(job_at(tmp_path / "killed", listed), job_stubs.dies_once).failed == 0
    run(job_at(tmp_path / "set", listed))
    assert files_of(tmp_path / "killed") == files_of(tmp_path / "set")


def test_a_sku_that_cannot_be_used_costs_the_others_nothing(tmp_path: Path, listed: Path) -> None:
    summary = run(job_at(tmp_path / "set", listed, max_failures=1.0), job_stubs.one_sku_is_broken)
    found = seen_well(tmp_path / "set")
    assert set(found) == set(skus(24)) - {"sku-002"} and min(found.values()) >= 4
    assert summary.outcome["short"] == {"sku-002": {"seen": 0, "why": "cannot be used: the mesh has no triangles"}}


def test_too_many_failures_end_the_job_and_it_goes_on_once_the_cause_is_mended(tmp_path: Path, listed: Path) -> None:
    with raises("scenes-failed", what="3 scenes failed", found="there is no paper", expected="at most 10%"):
        run(job_at(tmp_path / "set", listed, max_failures=0.1), job_stubs.fails_everywhere)
    assert job_status(read_settings(StoragePath(str(tmp_path / "set")), tmp_path / "r.yaml")).state == "failed"
    assert run(job_at(tmp_path / "set", listed), retry=True).ended == "finished"
    run(job_at(tmp_path / "fine", listed))
    assert files_of(tmp_path / "set") == files_of(tmp_path / "fine")


@pytest.mark.parametrize("damage", ["receipt", "tar", "coco", "garbage", "other"])
def test_a_damaged_shard_is_made_anew(tmp_path: Path, listed: Path, damage: str) -> None:
    run(job_at(tmp_path / "set", listed))
    whole = files_of(tmp_path / "set")
    place, name = StoragePath(str(tmp_path / "set")), "train-g0000-000001"
    if damage == "receipt":
        place.write(f"receipts/{name}.json", place.read(f"receipts/{name}.json")[:100])
    elif damage == "tar":
        place.write(f"shards/{name}.tar", place.read(f"shards/{name}.tar")[:-100])
    elif damage == "coco":
        place.delete(f"annotations/{name}.json")
    elif damage == "garbage":
        place.write(f"receipts/{name}.json", b'{"shard": "other"}')
    else:
        record = json.loads(place.read(f"receipts/{name}.json"))
        place.write(f"receipts/{name}.json", json.dumps({**record, "cards": record["cards"][1:]}).encode())
    assert run(job_at(tmp_path / "set", listed)).shards == 1
    assert files_of(tmp_path / "set") == whole


def test_a_job_is_known_by_its_settings(tmp_path: Path, listed: Path) -> None:
    run(job_at(tmp_path / "set", listed))
    with raises("settings-differ", text="seed: was 0, now 1.*pixels: was 24, now 9"):
        run(job_at(tmp_path / "set", listed, seed=1, pixels=9))
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "photo.jpg").touch()
    with raises("output-not-empty"):
        run(job_at(tmp_path / "full", listed))
    settings = read_settings(StoragePath(str(tmp_path / "set")), tmp_path / "recipe.yaml")
    assert run(settings).made == 0


def test_a_second_driver_is_refused_and_cancel_ends_the_first(tmp_path: Path, listed: Path) -> None:
    settings = job_at(tmp_path / "set", listed, times=25)
    ended = []
    driver = threading.Thread(target=lambda: ended.append(run(settings, job_stubs.slower)))
    driver.start()
    place = StoragePath(str(tmp_path / "set"))
    deadline = time.monotonic() + 30
    while not place.names("receipts"):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    with raises("output-locked"):
        run(settings, processes=True)
    kept = read_settings(place, tmp_path / "recipe.yaml")
    assert job_status(kept).running
    counts = write_index_now(kept)
    assert 0 < counts.shards == len(read_index(place).shards)
    assert "it notices within seconds" in cancel_job(place)
    driver.join(20)
    assert not driver.is_alive() and ended[0].ended == "cancelled"
    status = job_status(kept)
    assert status.state == "cancelled" and status.shards[0] < status.shards[1]
    assert run(settings).ended == "finished" and not place.exists("cancelled")
    run(job_at(tmp_path / "fresh", listed, times=25))
    assert files_of(place) == files_of(tmp_path / "fresh")


def test_a_stopped_job_keeps_finished_scenes_of_unfinished_shards(tmp_path: Path, listed: Path) -> None:
    def stop() -> bool:
        return len(list((tmp_path / "cache" / "jobs").rglob("*.tar"))) > 3

    settings = job_at(tmp_path / "set", listed, shard_scenes=100, workers=1)
    first = run(settings, job_stubs.slow, stop=stop)
    assert first.ended == "interrupted" and first.made > 0 and first.shards == 0
    second = run(settings)
    assert second.made == second.counts.images - first.made
