"""Jobs as users start them: planned, rendered, killed, interrupted, resumed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import psutil
import pytest
from click.testing import CliRunner, Result

from dataset.checksums import write_signed_index
from dataset.records import Head
from dataset.shards.index import ShardSample, read_index, write_shard
from dataset.shards.parts import read_part
from dataset.shards.tar import read_samples
from dataset.storage.path import StoragePath
from pipeline.cli.main import main
from pipeline.jobs.planning.store import read_plan
from support.job_stubs import files_of, skus, write_list
from support.paths import PYTHONPATH
from support.work_here import work_here

RENDER = ["--size", "64x48", "--appearances", "2", "--min-side", "4", "--shard-scenes", "3", "--extra-rounds", "0"]


def call(*words: object) -> Result:
    return CliRunner().invoke(main, [str(word) for word in words], env={"COLUMNS": "200"})


def start(scene: str, *words: object) -> subprocess.Popen:
    path = PYTHONPATH
    environment = {**os.environ, "PYTHONPATH": path, "COLUMNS": "200"}
    command = [sys.executable, "-m", "support.stub_job_cli", scene, "job", *map(str, words)]
    return subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    )


def finish(process: subprocess.Popen) -> tuple[int, str]:
    output, _ = process.communicate(timeout=60)
    return process.returncode, output


def wait_for(happened: Callable[[], object]) -> None:
    deadline = time.monotonic() + 60
    while not happened():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def test_a_real_job_is_planned_rendered_and_told(tmp_path: Path, cache: Path) -> None:
    listed = write_list(tmp_path / "skus.csv", skus(6))
    options = [listed, "--out", tmp_path / "set", "--cache", cache, *RENDER, "--workers", "1"]
    with work_here():
        planned = call("job", "plan", *options)
    if planned.exit_code and "OpenGL" in planned.output:
        pytest.skip(f"the raster backend cannot start here: {planned.output}")
    assert planned.exit_code == 0, planned.output
    for told in (
        "6 (6 new)",
        "scenes to render",
        "front",
        "COCO",
        "core-hours",
        "GPU-hours",
        "not measured: there is no GPU here",
    ):
        assert told in planned.output
    assert not (tmp_path / "set").exists()
    with work_here():
        done = call("job", "run", *options)
    assert done.exit_code == 0, done.output
    place = StoragePath(str(tmp_path / "set"))
    check_scenes(place)
    status = json.loads(call("job", "status", tmp_path / "set", "--json").output)
    assert (status["state"], status["skus"], status["failed"]) == ("finished", 6, 0)
    assert "nothing left to do" in call("job", "status", tmp_path / "set").output
    assert call("job", "resume", tmp_path / "set", "--workers", "1").exit_code == 0
    assert "2 shards, 4 images" in call("job", "index", tmp_path / "set").output
    with work_here():
        check_proof(place, cache, listed)


def check_proof(place: StoragePath, cache: Path, listed: Path) -> None:
    """Scenes are made again; what was changed and signed again is found by that, and another list is told."""
    words = ["verify", place.url, "--cache", cache]
    sound = call(*words)
    assert sound.exit_code == 0 and "4 scenes sampled again, 4 images rendered again" in sound.output, sound.output
    assert "not proven" not in sound.output
    assert "not requested (--sample)" in call(*words, "--sample", "0").output
    damages = iter([repainted, scene_changed, label_lost])
    entries = []
    for entry in read_index(place).shards:
        kinds = read_part(place, entry).head.categories
        samples = [next(damages, same)(sample) for sample in read_samples(place, entry)]
        entries.append(write_shard(place, entry.name, entry.split, samples, Head(kinds)))
    write_signed_index(place, entries)
    found = call(*words).output
    for told in (
        "image rendered again",
        "differs from the scene sampled again",
        "traced again",
        "another one in the job",
    ):
        assert told in found, found
    write_list(listed, skus(7))
    assert "not proven: sampling scenes and rendering images again: the SKU list is not the one" in call(*words).output


def repainted(sample: ShardSample) -> ShardSample:
    pixels = cv2.imdecode(np.frombuffer(sample.files["jpg"], np.uint8), cv2.IMREAD_COLOR)
    return replace(sample, files={**sample.files, "jpg": cv2.imencode(".jpg", 255 - pixels)[1].tobytes()})


def scene_changed(sample: ShardSample) -> ShardSample:
    return replace(sample, files={**sample.files, "scene.json": sample.files["scene.json"] + b" "})


def label_lost(sample: ShardSample) -> ShardSample:
    return replace(sample, annotations=sample.annotations[:-1])


def same(sample: ShardSample) -> ShardSample:
    return sample


def check_scenes(place: StoragePath) -> None:
    """Every image shows the products that were dealt to it, with labels that were traced anew from its scene."""
    from render.scene import SceneSpec

    plan = read_plan(place)
    for shard in read_index(place).shards:
        for sample in read_samples(place, shard):
            scene = SceneSpec.from_json(sample.files["scene.json"].decode())
            generation = next(g for g in reversed(plan.generations) if g.first <= scene.index)
            hand = generation.assignment.category_ids[generation.assignment.slice_of(scene.index - generation.first)]
            dealt = [plan.ids.key_of(int(number)) for number in hand]
            shown = [p.key for p in scene.placements if p.kind == "product"]
            assert shown[: len(dealt)] == dealt and set(shown) == set(dealt)  # further copies come last
            assert {record.sku for record in sample.annotations} <= set(dealt)
            assert all(plan.ids.of(str(record.sku)) == record.category_id for record in sample.annotations)
            image = cv2.imdecode(np.frombuffer(sample.files["jpg"], np.uint8), cv2.IMREAD_COLOR)
            assert image.shape == (48, 64, 3) and image.std() > 2


def run_words(folder: Path, out: str) -> list[object]:
    options = ["--size", "64x48", "--appearances", "16", "--shard-scenes", "4", "--extra-rounds", "1", "--workers", "2"]
    return ["run", folder / "skus.csv", "--out", folder / out, "--cache", folder / "cache", *options]


def test_a_job_whose_driver_is_killed_again_and_again_comes_out_the_same(tmp_path: Path) -> None:
    write_list(tmp_path / "skus.csv", skus(24))
    code, output = finish(start("write_scene", *run_words(tmp_path, "calm")))
    assert code == 0, output
    place, rng = StoragePath(str(tmp_path / "set")), np.random.default_rng(1)
    for wanted in (1, 4):
        process = start("slow", *run_words(tmp_path, "set"))
        wait_for(lambda wanted=wanted: len(place.names("receipts")) >= wanted)
        workers = psutil.Process(process.pid).children(recursive=True)
        workers[-1].kill()
        time.sleep(rng.uniform(0, 0.2))
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
        _, alive = psutil.wait_procs(workers, timeout=10)
        assert alive == []
    assert json.loads(call("job", "status", tmp_path / "set", "--json").output)["state"] == "interrupted"
    code, output = finish(start("slow", "resume", tmp_path / "set"))
    assert code == 0, output
    assert files_of(place) == files_of(tmp_path / "calm")
    assert not list((tmp_path / "set").rglob("*.tmp"))


def test_ctrl_c_ends_a_job_with_130_and_says_how_to_go_on(tmp_path: Path) -> None:
    write_list(tmp_path / "skus.csv", skus(24))
    process = start("slow", *run_words(tmp_path, "set"))
    wait_for(lambda: StoragePath(str(tmp_path / "set")).names("receipts"))
    os.killpg(process.pid, signal.SIGINT)
    code, output = finish(process)
    assert code == 130 and "synth job resume" in output, output
    code, output = finish(start("write_scene", "resume", tmp_path / "set"))
    assert code == 0, output


@pytest.mark.parametrize("command", ["status", "resume", "cancel", "index"])
def test_a_place_without_a_job_is_told(tmp_path: Path, command: str) -> None:
    result = call("job", command, tmp_path)
    assert result.exit_code == 1 and "job-missing" in result.output
