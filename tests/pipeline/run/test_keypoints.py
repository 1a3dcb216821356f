"""A set with the corners of cuboids: what COCO tools read of it, and what `synth verify` finds."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pycocotools.coco import COCO

from dataset.categories import CORNER_NAMES
from dataset.layout import Layout
from pipeline.run.render import run_render
from pipeline.run.settings import RunSettings
from pipeline.verify.records import check_keypoints
from support.console import quiet
from support.errors import raises
from support.scenes import sign_files
from support.verified import verified
from support.work_here import work_here

Record = dict[str, Any]


@pytest.fixture(scope="module")
def labelled(rendered: RunSettings, tmp_path_factory: pytest.TempPathFactory) -> RunSettings:
    """A scene of the set that other tests use, with keypoints."""
    out = tmp_path_factory.mktemp("keypoints") / "set"
    settings = replace(rendered, out=out, scenes=1, views=1, splits=(("train", 1.0),), extras=(), keypoints=True)
    with work_here():
        assert not run_render(settings, quiet()).failures
    return settings


def without_keypoints(record: Record) -> Record:
    return {name: value for name, value in record.items() if name not in ("keypoints", "num_keypoints")}


def test_coco_tools_read_them_and_all_else_is_as_without(labelled: RunSettings, rendered: RunSettings) -> None:
    coco = COCO(str(Layout(labelled.out).annotations("train")))
    assert all(one["keypoints"] == list(CORNER_NAMES) and len(one["skeleton"]) == 12 for one in coco.cats.values())
    records = list(coco.anns.values())
    assert len(records) > 1 and sum(record["num_keypoints"] for record in records) > 4 * len(records)
    plain, own = (json.loads(Layout(s.out).labels("000000_0").read_text()) for s in (rendered, labelled))
    assert [without_keypoints(record) for record in own["annotations"]] == plain["annotations"]
    assert own["sha256"]["images"] == plain["sha256"]["images"]


def test_they_belong_to_what_a_set_is(labelled: RunSettings, rendered: RunSettings) -> None:
    assert json.loads(Layout(labelled.out).info.read_text())["identity"]["keypoints"] is True
    assert "keypoints" not in json.loads(Layout(rendered.out).info.read_text())["identity"]
    with raises("settings-differ"), work_here():
        run_render(replace(labelled, keypoints=False), quiet())


def moved(record: Record) -> None:
    place = next(place for place, flag in enumerate(record["keypoints"][2::3]) if flag)
    record["keypoints"][3 * place] += 0.25


def test_verify_makes_them_again(labelled: RunSettings, tmp_path: Path) -> None:
    assert verified(labelled.out).violations == ()
    folder = tmp_path / "set"
    shutil.copytree(labelled.out, folder)
    layout = Layout(folder)
    for file in (layout.annotations("train"), layout.labels("000000_0")):
        content = json.loads(file.read_text())
        moved(content["annotations"][0])
        file.write_text(json.dumps(content, separators=(",", ":")))
    sign_files(folder)
    found = [str(one) for one in verified(folder).violations]
    assert len(found) == 1 and "the annotations differ from those traced again" in found[0]


POINTS = [10.0, 10.0, 2, 20.0, 10.0, 1, *[0.0, 0.0, 0] * 6]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda record: None, ""),
        (lambda record: record.update(keypoints=POINTS[:-3]), "expected 8 triples"),
        (lambda record: record.update(keypoints="none"), "expected 8 triples"),
        (lambda record: record.update(keypoints=[*POINTS[:2], 3, *POINTS[3:]]), "expected 0, 1 or 2"),
        (lambda record: record.update(keypoints=[64.0, *POINTS[1:]]), "outside the image"),
        (lambda record: record.update(keypoints=[*POINTS[:-3], 5.0, 5.0, 0]), "not labelled"),
        (lambda record: record.update(num_keypoints=3), "but 2 are labelled"),
    ],
)
def test_their_form(change: Callable[[Record], None], told: str) -> None:
    record: Record = {"keypoints": POINTS, "num_keypoints": 2}
    change(record)
    found = [str(one) for one in check_keypoints(record, {"width": 64, "height": 48}, "annotation 1")]
    assert len(found) == bool(told) and all(told in text for text in found)
