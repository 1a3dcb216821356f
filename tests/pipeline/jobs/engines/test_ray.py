"""Jobs on a Ray cluster of two nodes: the same bytes as by local workers, also when nodes die or scenes are poison."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dataset.storage.path import StoragePath
from pipeline.jobs.receipts import read_receipts
from support import job_stubs
from support.errors import raises
from support.job_stubs import files_of, job_at, run, skus, write_list
from support.paths import PYTHONPATH

NODE = {"num_cpus": 1, "object_store_memory": 80 << 20}


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """Two nodes on this machine; what tests add to it they take away again."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    os.environ["RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO"] = "0"
    ray = pytest.importorskip("ray")
    utils = pytest.importorskip("ray.cluster_utils")

    before = os.environ.get("PYTHONPATH")
    # What actors import: the project and the stand-ins.
    os.environ["PYTHONPATH"] = PYTHONPATH
    cluster = utils.Cluster(initialize_head=True, head_node_args={**NODE, "include_dashboard": False})
    cluster.add_node(**NODE)
    yield cluster
    ray.shutdown()
    cluster.shutdown()
    os.environ.pop("PYTHONPATH") if before is None else os.environ.update(PYTHONPATH=before)


def on(cluster: Any, out: Path, listed: Path, **changes: Any) -> Any:
    return job_at(out, listed, engine="ray", address=cluster.address, **{"workers": 0, "rounds": 0, **changes})


def test_a_cluster_makes_the_same_bytes(tmp_path: Path, cluster: Any) -> None:
    listed = write_list(tmp_path / "skus.csv", skus(24))
    run(job_at(tmp_path / "local", listed, times=8, rounds=0))
    summary = run(on(cluster, tmp_path / "ray", listed, times=8))
    assert summary.ended == "finished" and summary.made == summary.counts.images
    assert files_of(tmp_path / "ray") == files_of(tmp_path / "local")


def test_poison_costs_itself_alone_on_a_cluster_too(tmp_path: Path, cluster: Any) -> None:
    listed = write_list(tmp_path / "skus.csv", skus(24))
    ill = {"timeout_s": 2.0, "rounds": 0}
    summary = run(on(cluster, tmp_path / "ray", listed, **ill), job_stubs.poison)
    assert summary.failed == 3
    run(job_at(tmp_path / "local", listed, **ill), job_stubs.poison)
    assert files_of(tmp_path / "ray") == files_of(tmp_path / "local")


def test_the_shards_of_a_node_that_dies_are_made_by_others(tmp_path: Path, cluster: Any) -> None:
    listed = write_list(tmp_path / "skus.csv", skus(24))
    node = cluster.add_node(**NODE)
    settings = on(cluster, tmp_path / "ray", listed, times=8)
    ended = []
    driver = threading.Thread(target=lambda: ended.append(run(settings, job_stubs.slower)))
    driver.start()
    place = StoragePath(str(tmp_path / "ray"))
    deadline = time.monotonic() + 60
    while len(place.names("receipts")) < 3:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    cluster.remove_node(node, allow_graceful=False)
    driver.join(90)
    assert not driver.is_alive() and ended[0].ended == "finished" and ended[0].failed == 0
    run(job_at(tmp_path / "local", listed, times=8, rounds=0))
    assert files_of(tmp_path / "ray") == files_of(tmp_path / "local")


def test_stopping_on_a_cluster_leaves_what_is_finished_and_local_workers_go_on(tmp_path: Path, cluster: Any) -> None:
    listed = write_list(tmp_path / "skus.csv", skus(24))
    place = StoragePath(str(tmp_path / "ray"))
    settings = on(cluster, tmp_path / "ray", listed, times=8)
    first = run(settings, job_stubs.slow, stop=lambda: len(place.names("receipts")) > 1)
    assert first.ended == "interrupted" and 0 < first.shards <= len(read_receipts(place))
    run(job_at(tmp_path / "ray", listed, times=8, rounds=0))
    run(job_at(tmp_path / "local", listed, times=8, rounds=0))
    assert files_of(tmp_path / "ray") == files_of(tmp_path / "local")


def test_a_head_that_restarts_costs_time_only(tmp_path: Path, cluster: Any) -> None:
    listed = write_list(tmp_path / "skus.csv", skus(24))
    place = StoragePath(str(tmp_path / "ray"))
    first = new_head()
    settings = on(first, tmp_path / "ray", listed, times=5)
    ended = []
    driver = threading.Thread(target=lambda: ended.append(run(settings, job_stubs.slower)), daemon=True)
    driver.start()
    deadline = time.monotonic() + 60
    while len(place.names("receipts")) < 2:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    first.remove_node(first.head_node, allow_graceful=False)
    there = len(place.names("receipts"))
    second = new_head(int(settings.address.rpartition(":")[2]))
    try:
        driver.join(120)
        assert not driver.is_alive() and ended[0].ended == "finished" and ended[0].failed == 0
        assert there < len(place.names("receipts"))
    finally:
        second.shutdown()
    run(job_at(tmp_path / "local", listed, times=5, rounds=0))
    assert files_of(tmp_path / "ray") == files_of(tmp_path / "local")


def new_head(port: int = 0) -> Any:
    """A cluster of one node, beside the one of the other tests."""
    from ray.cluster_utils import Cluster  # noqa: TID251

    args = {**NODE, "include_dashboard": False, **({"gcs_server_port": port} if port else {})}
    return Cluster(initialize_head=True, head_node_args=args)


def test_a_cluster_that_is_not_there_is_told(tmp_path: Path) -> None:
    listed = write_list(tmp_path / "skus.csv", skus(4))
    with raises("cluster-unreachable"):
        run(job_at(tmp_path / "set", listed, engine="ray", address="127.0.0.1:1"))
    with raises("unknown-name", what="'rai'", hint="did you mean 'ray'"):
        run(job_at(tmp_path / "other", listed, engine="rai"))
