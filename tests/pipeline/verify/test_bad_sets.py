"""Data sets of strangers: verify and preview end in order whatever lies in them, and believe nothing."""

from __future__ import annotations

import json
import os
import re
import shutil
import tempfile
import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

import dataset.coco_spool as spool_module
from assets.limits import DATASET_INSTANCES
from pipeline.run.settings import RunSettings
from pipeline.verify.masks import MaskMap, decode_mask
from pipeline.verify.records import check_image
from pipeline.verify.report import MAX_VIOLATIONS, VerifyReport
from support.errors import raises
from support.fuzzing.files import Files, deadline, run_command, sandbox
from support.fuzzing.sets import check_set_is_verified, damages
from support.scenes import rle_of_mask, sign_files
from support.verified import verified

INFO, TRAIN = "dataset.json", "annotations/instances_train.json"


@pytest.fixture
def copy(rendered: RunSettings, tmp_path: Path) -> Path:
    return Path(shutil.copytree(rendered.out, tmp_path / "set"))


def change(file: Path, edit: Callable[[dict[str, Any]], Any]) -> None:
    data = json.loads(file.read_text())
    edit(data)
    file.write_text(json.dumps(data))


def verify(folder: Path, cache: Path) -> VerifyReport:
    with deadline():
        return verified(folder, sample=0, cache=cache)


def told(report: VerifyReport) -> str:
    return "\n".join(map(str, report.violations))


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda data: data["identity"].update(width=10**9), "identity.width: Input should be less than"),
        (lambda data: data["identity"].update(seed=-1), "identity.seed"),
        (lambda data: data["identity"].update(views=True), "identity.views"),
        (lambda data: data["identity"].update(height=None), "identity.height"),
        (lambda data: data.update(scenes=10**15), "images of a data set"),
        (lambda data: data["identity"].update(split="../../x:1"), "identity.split"),
        (lambda data: data["identity"].update(split="train:nan"), "identity.split"),
        (lambda data: data["identity"].update(split={"train": 1}), "identity.split"),
        (lambda data: data["identity"].pop("split"), "identity.split"),
        (lambda data: data["identity"].update(extras="depth,../x"), "identity.extras"),
    ],
)
def test_settings_that_make_no_sense_are_named_and_nothing_is_built_on_them(
    copy: Path, cache: Path, edit: Callable, message: str
) -> None:
    change(copy / INFO, edit)
    with raises("content-invalid", "limit-exceeded", text=message):
        verify(copy, cache)


def test_all_problems_of_the_settings_are_named_at_once(copy: Path, cache: Path) -> None:
    change(copy / INFO, lambda data: data["identity"].update(seed=-1, split="train", denoise=1, plugins={"a": None}))
    with raises("content-invalid") as caught:
        verify(copy, cache)
    named = [problem.partition(":")[0] for problem in caught.value.problems]
    assert named == ["identity.seed", "identity.denoise", "identity.split", "identity.plugins.a"]


@pytest.mark.parametrize(
    "edit",
    [
        lambda data: data.update(scenes="many"),
        lambda data: data.update(scenes=-1),
        lambda data: data.update(identity=[]),
        lambda data: data.update(recipe={"recipe": "tabletop"}),
        lambda data: data.update(sources={"sku_list": 3}),
        lambda data: data.update(format=2),
        lambda data: data.update(more=1),
        lambda data: data.pop("versions"),
    ],
)
def test_a_dataset_json_of_other_fields_is_an_error(copy: Path, cache: Path, edit: Callable) -> None:
    change(copy / INFO, edit)
    with raises("content-invalid", what=r"dataset\.json"):
        verify(copy, cache)


@pytest.mark.parametrize("data", [b"", b"[]", b"\xff\xfe", b"3", b"[" * 100_000, b'{"format": 1e999}', b"null"])
def test_a_dataset_json_that_is_none_is_an_error(copy: Path, cache: Path, data: bytes) -> None:
    (copy / INFO).write_bytes(data)
    with raises("content-invalid", "json-invalid", "limit-exceeded"):
        verify(copy, cache)


@pytest.mark.parametrize(
    "path", ["\0", "x" * 5000, "/dev/zero", "loop", ".", "../../../../../../etc/passwd", "pipe.csv"]
)
@pytest.mark.parametrize("name", ["sku_list", "hdri"])
def test_sources_that_are_none_are_said_and_the_rest_is_verified(copy: Path, cache: Path, name: str, path: str) -> None:
    (copy / "loop").symlink_to(copy / "loop")
    os.mkfifo(copy / "pipe.csv")
    change(copy / INFO, lambda data: data["sources"].update({name: path}))
    sign_files(copy)
    report = verify(copy, cache)
    assert not report.violations and report.images == 8 and report.scenes_sampled == 0
    assert "sampling scenes and rendering images again" in "".join(report.skipped)


@pytest.mark.parametrize("name", ["images", "labels", "scenes", "depth", "annotations", INFO])
@pytest.mark.parametrize("kind", ["pipe", "zero", "folder", "loop"])
def test_what_is_no_file_is_not_waited_for(copy: Path, cache: Path, name: str, kind: str) -> None:
    path = copy / name
    path = sorted(path.iterdir())[0] if path.is_dir() else path
    path.unlink()
    make = {"pipe": os.mkfifo, "zero": lambda p: p.symlink_to("/dev/zero"), "folder": Path.mkdir}
    make.get(kind, lambda p: p.symlink_to(p))(path)
    if name == INFO:
        with raises("dataset-missing", "not-a-file"):
            verify(copy, cache)
    else:
        assert verify(copy, cache).violations


def first(data: dict) -> dict:
    return max(data["annotations"], key=lambda item: item["area"])


def bomb(path: Path) -> None:
    """100 million pixels of nothing, in a PNG of some kilobytes."""
    Image.MAX_IMAGE_PIXELS, before = None, Image.MAX_IMAGE_PIXELS
    Image.new("1", (10_000, 10_000)).save(path, "PNG")
    Image.MAX_IMAGE_PIXELS = before


@pytest.mark.parametrize("name", ["images", "depth"])
def test_images_that_unpack_to_gigabytes_are_told(copy: Path, cache: Path, name: str) -> None:
    bomb(sorted((copy / name).iterdir())[0])
    report = verify(copy, cache)
    assert "pixels of an image" in told(report)


@pytest.mark.parametrize(
    ("rle", "message"),
    [
        ({"size": [10**9, 10**9], "counts": "1"}, "expected an RLE of size"),
        ({"size": [72, 96], "counts": "o" * 100_000}, "runs than pixels|run lengths"),
        ({"size": [72, 96], "counts": "PPPPPPPPPPPPPPPPPPPP0"}, "run lengths"),
        ({"size": [72, 96], "counts": "\ud800é"}, "run lengths"),
        ({"size": [72, 96], "counts": [72 * 96]}, "expected an RLE"),
        ({"size": "7296", "counts": ""}, "expected an RLE"),
        ([[0, 0, 5, 0, 5, 5]], "expected an RLE"),
        ("[" * 50, "expected an RLE"),
        (None, "expected an RLE"),
    ],
)
def test_masks_that_are_none_are_told_and_never_decoded(rle: Any, message: str) -> None:
    answer = decode_mask(rle, 72, 96)
    assert isinstance(answer, str) and re.search(message, answer)


@pytest.mark.parametrize("field", ["segmentation", "amodal_segmentation"])
def test_a_mask_that_is_none_is_told_with_its_annotation(copy: Path, cache: Path, field: str) -> None:
    change(copy / TRAIN, lambda data: first(data).update({field: {"size": [10**9, 10**9], "counts": "1"}}))
    assert f"{field}: expected an RLE of size [72, 96]" in told(verify(copy, cache))


@pytest.mark.parametrize(
    "rle", [{"size": [10**9, 10**9], "counts": "1"}, {"size": [72, 96], "counts": "o" * 9999}, [[1, 2]]]
)
def test_masks_that_are_none_do_not_end_preview(copy: Path, rle: Any) -> None:
    for file in (copy / "labels").iterdir():
        change(file, lambda data: [item.update(segmentation=rle, ignore=0) for item in data["annotations"]])
    assert run_command("preview", str(copy)) == 1
    assert not (copy / "preview.png").exists()


@pytest.mark.parametrize(
    "name",
    ["../../secret.jpg", "/etc/passwd", "..", "", ".", "\0.jpg", "x" * 300 + ".jpg", "\ud800.jpg", "000000_0.jpg/.."],
)
def test_names_of_images_lead_nowhere(copy: Path, cache: Path, name: str) -> None:
    (copy.parent.parent / "secret.jpg").write_bytes(b"")
    change(copy / TRAIN, lambda data: data["images"][0].update(file_name=name))
    report = verify(copy, cache)
    assert "does not match index" in told(report) and told(report).encode()


@pytest.mark.parametrize("value", [-1, 10**30, True, 1.5, "0", None, [], {}])
@pytest.mark.parametrize("field", ["index", "view", "width", "height", "id", "seed"])
def test_numbers_that_are_none_in_an_image(rendered: RunSettings, field: str, value: Any) -> None:
    image = json.loads((rendered.out / TRAIN).read_text())["images"][0]
    assert not list(check_image(image, 1, "here"))
    assert list(check_image({**image, field: value}, 1, "here"))


def test_more_annotations_on_an_image_than_are_kept(copy: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spool_module, "DATASET_INSTANCES", replace(DATASET_INSTANCES, maximum=30))
    change(copy / TRAIN, lambda data: data["annotations"].extend([data["annotations"][0]] * 31))
    change(copy / TRAIN, lambda data: data["annotations"].sort(key=lambda item: item["image_id"]))
    assert "annotations of an image of a data set" in told(verify(copy, cache))


def test_masks_take_the_memory_of_one_image() -> None:
    """A thousand masks of one image are one map."""
    tracemalloc.start()
    masks = MaskMap(480, 640)
    for number in range(1000):
        mask = np.zeros((480, 640), bool)
        mask[number // 4, number % 640] = True
        assert masks.add(number + 1, rle_of_mask(mask)) == 0
    assert tracemalloc.get_traced_memory()[1] < 5e6
    tracemalloc.stop()
    assert len(masks) == 1000 and masks[7].sum() == 1 and masks[7][1, 6] and 1001 not in masks
    assert masks.add(1001, rle_of_mask(np.ones((480, 640), bool))) == 1000 and masks[7].sum() == 1


def test_annotations_of_nothing_give_a_bounded_report(copy: Path, cache: Path) -> None:
    change(copy / TRAIN, lambda data: data.update(annotations=[{"image_id": "x" * 5000, "id": "y" * 5000}] * 3000))
    report = verify(copy, cache)
    assert len(report.violations) == MAX_VIOLATIONS and len(told(report)) < 1_500_000


@pytest.mark.usefixtures("no_images")
def test_any_damage_is_told_or_does_no_harm(rendered: RunSettings, cache: Path) -> None:
    @settings(max_examples=10, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
    @given(files=damages(rendered.out), sample=st.integers(0, 1))
    def run(files: Files, sample: int) -> None:
        with tempfile.TemporaryDirectory() as root, sandbox(Path(root) / "box") as box:
            check_set_is_verified(files, box, rendered.out, cache, sample=sample)

    run()
