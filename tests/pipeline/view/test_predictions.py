"""Detections over truth: who found what, worked out by hand, and as the pages show it."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from rich.console import Console

from dataset.storage.path import StoragePath
from pipeline.shards.pack import pack_data
from pipeline.shards.settings import PackSettings
from pipeline.view.build import build_view
from pipeline.view.settings import ViewSettings
from support.errors import raises
from support.sets.coco_files import annotation, coco, write_json, write_set

if TYPE_CHECKING:
    from playwright.sync_api import Page


def found(image: int, category: int, box: tuple[float, ...], score: float) -> dict[str, Any]:
    return {"image_id": image, "category_id": category, "bbox": list(box), "score": score}


# Of the first picture: cola twice (the better one counts), soup at another place, tea where there is none. Of the
# second: the ignored tea. Of the third: nothing.
DETECTIONS = [
    found(1, 1, (2, 2, 10, 10), 0.9),
    found(1, 1, (3, 2, 10, 10), 0.8),
    found(1, 2, (20, 10, 10, 10), 0.7),
    found(1, 3, (2, 2, 10, 10), 0.3),
    found(2, 3, (5, 5, 10, 10), 0.6),
]


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("judged")
    write_set(folder / "set", coco(2), first_seed=50)
    content = coco(3, boxes=0)
    content["annotations"] = [
        annotation(1, 1, 1, (2, 2, 10, 10)),
        annotation(2, 1, 2, (20, 4, 10, 10)),
        annotation(3, 2, 3, (5, 5, 10, 10), ignore=1),
        annotation(4, 3, 1, (5, 5, 10, 10)),
    ]
    write_set(folder / "set", content, split="val", first_seed=60)
    write_json(folder / "run/evaluation/predictions.json", DETECTIONS)
    write_set(folder / "other", coco(2), first_seed=70)
    settings = ViewSettings(
        folder / "set", other=folder / "other", predictions=folder / "run", out=folder / "out", workers=1
    )
    build_view(settings, Console(quiet=True))
    return folder / "out/index.html"


def pictures(page: Page, title: str = "set") -> list[str]:
    return page.get_by_role("list", name=f"pictures of {title}").locator(".caption").all_inner_texts()


def wait(page: Page, count: int) -> None:
    page.locator("#count", has_text=re.compile(rf"^{count} of ")).wait_for()


def test_who_found_what(shown: Path, open_page: Callable[..., Page]) -> None:
    """In train, which was not evaluated, nothing is missed."""
    page = open_page(shown)
    kind = page.get_by_label("pictures with")
    for choice, score, files in (
        ("tp", "0.5", ["000000.png"]),
        ("fp", "0.5", ["000000.png"]),
        ("fp", "0.85", []),
        ("fn", "0.5", ["000000.png", "000002.png"]),
        ("fn", "0.95", ["000000.png", "000002.png"]),
    ):
        page.locator("#score").fill(score)
        kind.select_option(choice)
        wait(page, len(files))
        assert pictures(page) == files, (choice, score)
    page.get_by_label("Order").select_option("worst")
    kind.select_option("")
    page.locator("#score").fill("0.1")
    wait(page, 5)
    assert pictures(page)[:2] == ["000000.png", "000002.png"]


def test_a_picture_says_what_each_detection_is(shown: Path, open_page: Callable[..., Page]) -> None:
    page = open_page(shown, "#pic=val%2F000000.png&score=0.25")
    text = "1 right (TP), 3 wrong (FP), 1 missed (FN) at a score of 0.25"
    page.get_by_text(text).wait_for()
    assert [page.locator(f"rect.{kind}").count() for kind in ("tp", "fp", "fn")] == [1, 3, 1]
    page.get_by_text("4 detections").click()
    rows = [line.split() for line in page.locator(".detected li").all_inner_texts()]
    assert rows == [["TP", "0.90", "cola"], ["FP", "0.80", "cola"], ["FP", "0.70", "soup"], ["FP", "0.30", "tea"]]
    page = open_page(shown, "#pic=val%2F000001.png&score=0.25")
    page.get_by_text("0 right (TP), 0 wrong (FP), 0 missed (FN)").wait_for()
    assert page.locator("rect.neither").count() == 1
    page = open_page(shown, "#pic=train%2F000000.png")
    page.get_by_text("not in the split that was evaluated").wait_for()


def test_two_sets_side_by_side(shown: Path, open_page: Callable[..., Page]) -> None:
    page = open_page(shown, "#split=train")
    page.get_by_role("heading", name="other 2").wait_for()
    assert pictures(page) == pictures(page, "other") == ["000000.png", "000001.png"]
    page.locator(".cell a").first.click()
    page.locator("figure.picture").nth(1).wait_for()
    assert page.locator("figure.picture figcaption").all_inner_texts() == ["train/000000.png"] * 2


def test_results_of_a_detector_that_tells_no_products_apart(tmp_path: Path, open_page: Callable[..., Page]) -> None:
    write_set(tmp_path / "set", coco(1))
    rows = [found(1, 1, (3, 3, 10, 8), 0.9), found(1, 1, (4, 3, 10, 8), 0.8)]
    write_json(tmp_path / "run/predictions.json", rows)
    write_json(tmp_path / "run/report.json", {"classes": [{"key": "product"}]})
    settings = ViewSettings(tmp_path / "set", predictions=tmp_path / "run", out=tmp_path / "out", workers=1)
    build_view(settings, Console(quiet=True))
    page = open_page(tmp_path / "out/index.html", "#pic=train%2F000000.png")
    page.get_by_text("2 right (TP), 0 wrong (FP), 0 missed (FN)").wait_for()


def test_results_of_shards_lie_in_several_files(tmp_path: Path) -> None:
    folder = write_set(tmp_path / "set", coco(3, boxes=1))
    pack_data(folder, StoragePath(str(tmp_path / "shards")), Console(quiet=True), PackSettings(shard_images=2))
    for shard, image in (("train-000000", 1), ("train-000001", 3)):
        write_json(tmp_path / f"run/evaluation/predictions/{shard}.json", [found(image, 1, (3, 3, 10, 8), 0.9)])
    settings = ViewSettings(tmp_path / "shards", predictions=tmp_path / "run", out=tmp_path / "out", workers=1)
    build_view(settings, Console(quiet=True))
    text = (tmp_path / "out/data/a/found.js").read_text().removeprefix("SynthView.add(...").removesuffix(");\n")
    columns = json.loads(text)[1]
    starts = np.frombuffer(base64.b64decode(columns["starts"]), "<u4")
    assert starts.tolist() == [0, 1, 1, 2]
    assert np.frombuffer(base64.b64decode(columns["judged"]), "u1").all()


@pytest.mark.parametrize(
    ("rows", "code"),
    [
        ([found(99, 1, (0, 0, 1, 1), 0.5)], "predictions-mismatch"),
        ([{"image_id": 1}], "predictions-invalid"),
        ([found(1, 1, (0, 0, 1), 0.5)], "predictions-invalid"),
        (["x"], "predictions-invalid"),
    ],
)
def test_wrong_results_are_refused(tmp_path: Path, rows: list[Any], code: str) -> None:
    write_set(tmp_path / "set", coco(1))
    file = tmp_path / "found.json"
    file.write_text(json.dumps(rows))
    with raises(code):
        build_view(
            ViewSettings(tmp_path / "set", predictions=file, out=tmp_path / "out", workers=1), Console(quiet=True)
        )


def test_a_run_without_an_evaluation_says_so(tmp_path: Path) -> None:
    write_set(tmp_path / "set", coco(1))
    with raises("file-missing"):
        build_view(
            ViewSettings(tmp_path / "set", predictions=tmp_path, out=tmp_path / "out", workers=1), Console(quiet=True)
        )
