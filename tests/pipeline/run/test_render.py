"""The real run: the same bytes however often it is interrupted and by however many workers it is made."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pycocotools.coco import COCO

from assets.demo import demo_list
from dataset.layout import Layout
from pipeline.run.render import run_render
from pipeline.run.settings import RunSettings
from render.scene import SceneSpec
from support.console import quiet
from support.verified import verified


def files_of(folder: Path) -> dict[str, bytes]:
    files = (file for file in folder.rglob("*") if file.is_file() and file.name != ".lock")
    return {file.relative_to(folder).as_posix(): file.read_bytes() for file in files}


def command_of(settings: RunSettings) -> list[str]:
    """The command line that means these settings."""
    command = [
        sys.executable,
        "-m",
        "pipeline",
        "render",
        "--sku-list",
        str(settings.sku_list),
        "--out",
        str(settings.out),
    ]
    command += ["--scenes", str(settings.scenes), "--views", str(settings.views), "--cache", str(settings.cache)]
    command += ["--size", f"{settings.width}x{settings.height}", "--licence", settings.licence]
    command += ["--split", ",".join(f"{name}:{share}" for name, share in settings.splits)]
    return [*command, *(f"--{kind}" for kind in settings.extras)]


def test_two_workers_give_the_bytes_of_one(rendered: RunSettings, tmp_path: Path) -> None:
    # Beside the first set, so that the paths in dataset.json are the same.
    again = replace(rendered, out=rendered.out.with_name("two-workers"), workers=2)
    run_render(again, quiet())
    assert files_of(again.out) == files_of(rendered.out)


def test_killed_in_the_middle_and_given_again_it_is_as_if_never_killed(rendered: RunSettings) -> None:
    again = replace(rendered, out=rendered.out.with_name("killed"))
    process = subprocess.Popen(command_of(again), start_new_session=True, stdout=subprocess.DEVNULL)
    labels = again.out / "labels"
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and not (labels.is_dir() and len(list(labels.glob("*.json"))) >= 2):
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    made = len(list(labels.glob("*.json")))
    assert 2 <= made < rendered.scenes * rendered.views
    done = subprocess.run(command_of(again), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "are finished already" in done.stdout
    assert files_of(again.out) == files_of(rendered.out)


def test_the_set_is_what_a_coco_tool_expects(rendered: RunSettings, capsys: pytest.CaptureFixture[str]) -> None:
    layout, total = Layout(rendered.out), 0
    for split, _ in rendered.splits:
        coco = COCO(str(layout.annotations(split)))
        for image in coco.imgs.values():
            with Image.open(rendered.out / "images" / image["file_name"]) as opened:
                assert opened.size == (96, 72)
        for annotation in coco.anns.values():
            assert coco.annToMask(annotation).sum() == annotation["area"]
        total += len(coco.imgs)
    assert total == rendered.scenes * rendered.views


def test_images_show_something(rendered: RunSettings) -> None:
    """Neither black nor white nor flat: an image with a mean in the middle and contrast."""
    for file in sorted((rendered.out / "images").iterdir()):
        with Image.open(file) as image:
            pixels = np.asarray(image, dtype=float)
        assert 15 < pixels.mean() < 220, file.name
        assert pixels.std() > 8, file.name


def test_views_of_a_scene_stay_in_one_split(rendered: RunSettings) -> None:
    places: dict[int, set[str]] = {}
    for split, _ in rendered.splits:
        import json

        for image in json.loads(Layout(rendered.out).annotations(split).read_text())["images"]:
            places.setdefault(image["index"], set()).add(split)
    assert len(places) == rendered.scenes
    assert all(len(splits) == 1 for splits in places.values())


def test_stored_scenes_read_back_to_the_byte(rendered: RunSettings) -> None:
    for file in (rendered.out / "scenes").iterdir():
        assert SceneSpec.from_json(file.read_text()).to_json() == file.read_text()


@pytest.mark.usefixtures("here", "no_images")
def test_scans_render_and_verify(shared_data: Path, tmp_path: Path, cache: Path) -> None:
    settings = RunSettings(
        shared_data / "hope" / "skus.csv", tmp_path / "hope", scenes=1, width=96, height=72, cache=cache
    )
    summary = run_render(settings, quiet())
    assert summary.annotations > 4
    assert verified(settings.out, cache=cache).violations == ()


@pytest.mark.usefixtures("here", "no_images")
def test_a_catalogue_of_one_product_renders(tmp_path: Path, cache: Path) -> None:
    one = tmp_path / "one.csv"
    header, row, *_ = demo_list().read_text().splitlines()
    one.write_text(f"{header}\n{row}\n")
    settings = RunSettings(one, tmp_path / "set", scenes=1, width=64, height=48, recipe="scatter", cache=cache)
    assert run_render(settings, quiet()).skus <= 1
    assert verified(settings.out, cache=cache).violations == ()
