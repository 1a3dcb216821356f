"""Jobs on object storage: a real server that speaks S3 on this machine, and storage that fails for a while."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from assets.errors import SynthError
from dataset.storage import retry as job_storage
from dataset.storage.path import StoragePath
from dataset.storage.retry import RetryingPath
from pipeline.jobs import lease as job_lease
from pipeline.jobs.lease import CANCELLED, Lease, acquire_lease, read_heartbeat
from pipeline.jobs.settings import read_settings
from pipeline.jobs.status import cancel_job, job_status
from support import job_stubs
from support.errors import raises
from support.job_stubs import files_of, job_at, run, skus, write_list


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """A server of the S3 protocol on loopback."""
    moto = pytest.importorskip("moto.server")
    server = moto.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def bucket(server: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """An empty bucket of it."""
    import boto3  # comes with moto
    import s3fs

    for name, value in {
        "AWS_ENDPOINT_URL": server,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)
    s3fs.S3FileSystem.clear_instance_cache()
    name = f"shelf-{time.monotonic_ns()}"
    boto3.client("s3").create_bucket(Bucket=name)
    yield f"s3://{name}/sets/tea"
    s3fs.S3FileSystem.clear_instance_cache()


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Drivers that beat quickly and are given up quickly."""
    monkeypatch.setattr(job_lease, "HEARTBEAT_S", 0.2)
    monkeypatch.setattr(job_lease, "HEARTBEAT_TIMEOUT_S", 1.0)
    monkeypatch.setattr(job_lease, "SETTLE_S", 0.1)
    monkeypatch.setattr(job_storage, "WAITS_S", (0.01,) * 5)


@pytest.mark.usefixtures("quick")
def test_a_bucket_holds_the_same_bytes_as_a_disk(tmp_path: Path, bucket: str) -> None:
    listed = write_list(tmp_path / "skus.csv", skus(12))
    run(job_at(tmp_path / "set", listed))
    summary = run(job_at(bucket, listed))
    on_disk, there = files_of(tmp_path / "set"), files_of(StoragePath(bucket))
    # Its date lies in dataset.json, whose hash lies in the checksums.
    assert {name for name in on_disk if on_disk[name] != there.get(name)} <= {"dataset.json", "checksums.sha256"}
    assert set(there) == set(on_disk) and summary.ended == "finished"
    kept = read_settings(StoragePath(bucket), tmp_path / "recipe.yaml")
    assert job_status(kept).state == "finished"
    assert run(kept).made == 0
    changed = write_list(tmp_path / "skus.csv", skus(12), **{"sku-001": "Coffee"})
    assert run(job_at(bucket, changed)).retired > 0
    shards = [name for name in StoragePath(bucket).names("shards") if "-r1" in name]
    assert shards and not {name.replace("-r1", "") for name in shards} & set(StoragePath(bucket).names("shards"))


@pytest.mark.usefixtures("quick")
def test_a_job_in_a_bucket_is_cancelled_and_goes_on(tmp_path: Path, bucket: str) -> None:
    settings = job_at(bucket, write_list(tmp_path / "skus.csv", skus(24)), times=20)
    ended = []
    driver = threading.Thread(target=lambda: ended.append(run(settings, job_stubs.slower)))
    driver.start()
    deadline = time.monotonic() + 30
    while not StoragePath(bucket).names("receipts"):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    with raises("output-locked"):
        run(settings, processes=True)
    cancel_job(StoragePath(bucket))
    driver.join(20)
    assert ended[0].ended == "cancelled"
    assert run(settings).ended == "finished"


@pytest.mark.usefixtures("quick")
def test_a_driver_on_another_machine_is_listened_to(monkeypatch: pytest.MonkeyPatch) -> None:
    place = StoragePath(f"memory://lease-{time.monotonic_ns()}")
    with acquire_lease(place) as lease:
        monkeypatch.setattr(job_lease.Heartbeat, "is_local", property(lambda beat: False))
        with raises("output-locked", found="process"), acquire_lease(place):
            pass
        lease._ended.set()  # as if its machine had gone
        with acquire_lease(place) as other:
            assert not other.should_end
        assert read_heartbeat(place).state == "finished"  # type: ignore[union-attr]


@pytest.mark.usefixtures("quick")
def test_a_driver_whose_job_was_taken_over_gives_way() -> None:
    place = StoragePath(f"memory://lost-{time.monotonic_ns()}")
    with acquire_lease(place) as lease:
        other = Lease(place, None)
        other._write_heartbeat("running")
        deadline = time.monotonic() + 5
        while not lease.should_end:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert lease.lost and not place.exists(CANCELLED)
    assert read_heartbeat(place).token == other._token  # type: ignore[union-attr]


@pytest.mark.usefixtures("quick")
def test_storage_that_fails_for_a_while_costs_time_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    listed = write_list(tmp_path / "skus.csv", skus(12))
    plain, calls = StoragePath.write, Counter[str]()

    def unsteady(place: StoragePath, name: str, data: bytes) -> None:
        calls[name] += 1  # of each file by itself: shards are stored side by side
        if calls[name] % 3:
            raise SynthError("storage request failed", code="storage-failed", where=name, found="503 Slow Down")
        plain(place, name, data)

    run(job_at(tmp_path / "steady", listed))
    monkeypatch.setattr(StoragePath, "write", unsteady)
    run(job_at(tmp_path / "set", listed))
    assert files_of(tmp_path / "set") == files_of(tmp_path / "steady")


@pytest.mark.usefixtures("quick")
def test_storage_that_stays_away_ends_the_job_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def away(place: StoragePath, name: str, data: bytes) -> None:
        calls.append(name)
        raise SynthError("storage request failed", code="storage-failed", where=name, found="no route to host")

    calls: list[str] = []
    monkeypatch.setattr(StoragePath, "write", away)
    with raises("storage-failed", found="no route to host"):
        RetryingPath("memory://away").write("a", b"")
    assert len(calls) == 6
