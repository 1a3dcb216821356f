"""Galleries from SKU lists: built, added to, pruned, gone on with; and products recognized by them."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from rich.console import Console

import pipeline.gallery.build as gallery_build
import pipeline.gallery.render as gallery_render
from assets.catalog.load import load_catalog
from detectors.recognition.gallery.decision import Decision, write_decision
from detectors.recognition.gallery.index import open_index
from detectors.recognition.gallery.open import open_gallery
from detectors.recognition.gallery.recognize import recognize
from detectors.recognition.gallery.search import find_skus
from detectors.recognition.gallery.versions import is_gallery, verify_gallery, version_ids
from detectors.recognition.settings import RecognizeSettings
from pipeline.gallery.build import add_to_gallery, build_gallery, remove_from_gallery
from pipeline.gallery.digest import digest_skus
from pipeline.gallery.settings import GalleryBuildSettings
from pipeline.gallery.task import (
    MAX_CRASHES,
    GalleryTask,
    main_face,
    make_task,
    read_result,
    result_path,
    start_worker,
    write_plan,
)
from pipeline.gallery.version import assign_ids
from render.views import ProductView, open_studio, views_of
from support.errors import raises
from support.gallery import shop
from support.work_here import work_here

KEYS = ("red", "green", "blue", "yellow")
QUIET = Console(quiet=True)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An embedder, a list of four SKUs, and another with a fifth."""
    folder = tmp_path_factory.mktemp("shop")
    shop.write_embedder(folder / "embedder.ckpt")
    shop.write_list(folder / "four.csv", KEYS)
    shop.write_list(folder / "five.csv", (*KEYS, "black"))
    return folder


@pytest.fixture(scope="module")
def photos(home: Path) -> Path:
    """Two photographs with all five products, twice as large as the gallery's views: from before and from behind."""
    library, backend = open_studio(home / "five.csv", home / "cache")
    shown = [
        [(key, views_of(library, backend, key, 2, side=96)[place]) for key in (*KEYS, "black")] for place in (0, 1)
    ]
    backend.close()
    return shop.write_photos(home / "photos", shown)


@pytest.fixture
def here() -> Iterator[None]:
    """Work in this process, with its threads as they were afterwards."""
    torch = sys.modules["torch"]
    threads = torch.get_num_threads()
    with work_here():
        yield
    torch.set_num_threads(threads)


def settings_of(home: Path, out: Path, sku_list: str = "four.csv", **fields: Any) -> GalleryBuildSettings:
    made = GalleryBuildSettings(
        home / sku_list, out, home / "embedder.ckpt", views=4, device="cpu", cache=home / "cache"
    )
    return replace(made, **fields)


def nearest_of(gallery_folder: Path, other: Path) -> np.ndarray:
    """Keys of the two best SKUs of a gallery for each view of another."""
    gallery, queries = open_gallery(gallery_folder), open_gallery(other)
    vectors = np.concatenate([queries.vectors(queries.rows_of(queries.positions[key])) for key in sorted(queries.keys)])
    found = find_skus(gallery, open_index(gallery), vectors, k=2)
    return np.array(gallery.keys)[found.skus]


def test_a_process_makes_what_is_made_here(home: Path, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """In two tasks. One process, as each loads torch and a renderer; that any number works is tested with the pool."""
    by_process = build_gallery(settings_of(home, tmp_path / "two", workers=1, task_skus=2), QUIET)
    request.getfixturevalue("here")
    made_here = build_gallery(settings_of(home, tmp_path / "one", task_skus=2), QUIET)
    assert by_process.version == made_here.version and by_process.made == 4
    assert verify_gallery(tmp_path / "two") == []
    assert not list((tmp_path / "two" / "work").iterdir())


@pytest.mark.usefixtures("here")
def test_adding_finds_what_building_anew_finds(home: Path, tmp_path: Path) -> None:
    grown, anew = tmp_path / "grown", tmp_path / "anew"
    first = build_gallery(settings_of(home, grown), QUIET)
    summary = add_to_gallery(settings_of(home, grown, "five.csv", embedder=None), QUIET)
    assert (summary.made, summary.skus, summary.before) == (1, 5, first.version)
    build_gallery(settings_of(home, anew, "five.csv"), QUIET)
    assert (nearest_of(grown, anew) == nearest_of(anew, anew)).all()
    again = add_to_gallery(settings_of(home, grown, "five.csv", embedder=None), QUIET)
    assert (again.made, again.version) == (0, summary.version)


@pytest.mark.usefixtures("here")
def test_category_ids_stay_when_skus_come_and_go(home: Path, tmp_path: Path) -> None:
    out = tmp_path / "gallery"
    build_gallery(settings_of(home, out), QUIET)
    ids = dict(zip(open_gallery(out).keys, open_gallery(out).category_ids.tolist(), strict=True))
    assert ids == {"blue": 1, "green": 2, "red": 3, "yellow": 4}
    add_to_gallery(settings_of(home, out, "five.csv"), QUIET)
    remove_from_gallery(out, ["green"])
    gallery = open_gallery(out)
    held = dict(zip(gallery.keys, gallery.category_ids.tolist(), strict=True))
    assert held == {"blue": 1, "red": 3, "yellow": 4, "black": 5}
    add_to_gallery(settings_of(home, out, "five.csv"), QUIET)
    gallery = open_gallery(out)
    # Nobody remembers a SKU that has gone, and its number is not given away again.
    assert gallery.category_ids[gallery.positions["green"]] == 6


@pytest.mark.usefixtures("here")
def test_only_what_changed_is_rendered_and_what_the_list_lacks_is_dropped_on_demand(home: Path, tmp_path: Path) -> None:
    out = tmp_path / "gallery"
    build_gallery(settings_of(home, out), QUIET)
    shop.write_list(home / "changed.csv", ("red", "green", "blue"), changed="green")
    summary = add_to_gallery(settings_of(home, out, "changed.csv"), QUIET)
    assert (summary.made, summary.dropped, summary.skus) == (1, 0, 4)
    assert open_gallery(out).names[open_gallery(out).positions["green"]] == "New green"
    summary = add_to_gallery(settings_of(home, out, "changed.csv"), QUIET, prune=True)
    assert (summary.made, summary.dropped, summary.skus) == (0, 1, 3)
    assert "yellow" not in open_gallery(out).positions
    assert len(version_ids(out)) == 3


@pytest.mark.usefixtures("here")
def test_single_skus_can_be_added(home: Path, tmp_path: Path) -> None:
    out = tmp_path / "gallery"
    build_gallery(settings_of(home, out), QUIET)
    assert add_to_gallery(settings_of(home, out, "five.csv"), QUIET, keys=("red", "black")).made == 1
    with raises("unknown-sku", what="unknown SKU"):
        add_to_gallery(settings_of(home, out, "five.csv"), QUIET, keys=("violet",))


@pytest.mark.usefixtures("here")
def test_skus_that_cannot_be_rendered_are_left_out_and_told(home: Path, tmp_path: Path) -> None:
    shop.write_list(home / "bad.csv", KEYS[:2], bad="broken")
    summary = build_gallery(settings_of(home, tmp_path, "bad.csv"), QUIET)
    assert [key for key, _ in summary.failed] == ["broken"] and summary.skus == 2
    (line,) = (tmp_path / "failures.jsonl").read_text().splitlines()
    assert json.loads(line)["sku"] == "broken" and "broken.png" in json.loads(line)["reason"]


@pytest.mark.usefixtures("here")
def test_another_embedder_is_refused(home: Path, tmp_path: Path) -> None:
    out, other = tmp_path / "gallery", shop.write_embedder(tmp_path / "other.ckpt", dim=24)
    build_gallery(settings_of(home, out), QUIET)
    with raises("embedder-mismatch"):
        add_to_gallery(settings_of(home, out, "five.csv", embedder=other), QUIET)
    assert len(version_ids(out)) == 1


def test_a_new_gallery_needs_an_embedder(home: Path, tmp_path: Path) -> None:
    with raises("option-missing", what="needs an embedder"):
        build_gallery(settings_of(home, tmp_path, embedder=None), QUIET)


@pytest.mark.usefixtures("here")
def test_what_was_made_before_a_stop_is_not_made_again(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []

    def stop(under_way: int) -> bool:
        asked.append(under_way)
        return len(asked) > 3

    settings = settings_of(home, tmp_path, task_skus=1)
    stopped = build_gallery(settings, QUIET, stop=stop)
    assert stopped.interrupted and stopped.version == ""
    (work,) = (tmp_path / "work").iterdir()
    before = {path.name: path.stat().st_mtime_ns for path in work.glob("*.json")}
    assert len(before) == 3  # the plan and two tasks
    made: list[int] = []
    monkeypatch.setattr(
        "pipeline.gallery.render.TASK_FUNCTIONS", replace(gallery_render.TASK_FUNCTIONS, scene=_noting(made))
    )
    assert build_gallery(settings, QUIET).skus == 4
    assert made == [2, 3]


def _noting(made: list[int]) -> Any:
    def scene(task: GalleryTask, index: int) -> tuple[int, int]:
        made.append(index)
        return make_task(task, index)

    return scene


@pytest.mark.usefixtures("here")
def test_a_sku_that_takes_its_process_down_is_left_out(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Down(BaseException):
        pass

    def views(library: Any, backend: Any, key: str, count: int, *, side: int) -> list[ProductView]:
        if key == "green":
            raise Down
        return views_of(library, backend, key, count, side=side)

    monkeypatch.setattr("render.views.views_of", views)
    task = GalleryTask(home / "four.csv", tmp_path, home / "embedder.ckpt", 2, 48, home / "cache", device="cpu")
    write_plan(tmp_path, sorted(KEYS))
    start_worker(task)
    for _ in range(MAX_CRASHES):
        with pytest.raises(Down):
            make_task(task, 0)
        assert not result_path(tmp_path, 0).exists()
    assert make_task(task, 0) == (6, 3)
    result = read_result(result_path(tmp_path, 0))
    assert result.made == ("blue", "red", "yellow") and [key for key, _ in result.failed] == ["green"]


def test_digests_follow_what_is_seen(home: Path, tmp_path: Path) -> None:
    packshot = tmp_path / "front.png"

    def digest(row: str, content: bytes = b"one", *, age: float = 100) -> str:
        packshot.write_bytes(content)
        os.utime(packshot, (packshot.stat().st_atime - age, packshot.stat().st_mtime - age))
        head = "sku,name,package,width_m,height_m,depth_m,mass_kg,packshot\n"
        (tmp_path / "skus.csv").write_text(head + row + "\n")
        return digest_skus(load_catalog(tmp_path / "skus.csv"), ["a"], cache=tmp_path / "cache")["a"]

    plain = digest("a,Oats,carton,0.1,0.2,0.05,0.5,front.png")
    assert digest("a,Oats,carton,0.1,0.2,0.05,0.5,front.png") == plain
    assert digest("a,Oats,carton,0.1,0.2,0.05,0.9,front.png") == plain  # nobody sees its mass
    assert digest("a,Oats,carton,0.1,0.21,0.05,0.5,front.png") != plain
    assert digest("a,Oats,carton,0.1,0.2,0.05,0.5,front.png", b"two", age=50) != plain
    assert digest("a,Oats,carton,0.1,0.2,0.05,0.5,front.png", age=20) == plain


def recognized(home: Path, gallery: Path, photos: Path, out: Path) -> list[dict[str, Any]]:
    """The rows of predictions.json for the labelled boxes of the photographs."""
    settings = RecognizeSettings(gallery, (str(photos),), out, boxes=photos, device="cpu")
    summary = recognize(settings, QUIET)
    assert not summary.failed
    rows: list[dict[str, Any]] = json.loads((out / "predictions.json").read_bytes())
    return rows


@pytest.mark.usefixtures("here")
def test_a_new_sku_is_recognized_once_it_is_added_and_nothing_else_changes(
    home: Path, photos: Path, tmp_path: Path
) -> None:
    out = tmp_path / "gallery"
    build_gallery(settings_of(home, out), QUIET)
    write_decision(open_gallery(out), Decision(threshold=-1.0, margin=0.0, chosen_on="all are to be named"))
    labels = json.loads(photos.read_bytes())
    keys = {category["id"]: category["sku"] for category in labels["categories"]}
    truth = [keys[annotation["category_id"]] for annotation in labels["annotations"]]
    before = recognized(home, out, photos, tmp_path / "before")
    add_to_gallery(settings_of(home, out, "five.csv"), QUIET)
    after = recognized(home, out, photos, tmp_path / "after")
    known = [place for place, key in enumerate(truth) if key != "black"]
    assert [before[place]["sku"] for place in known] == [truth[place] for place in known]
    assert all(row["sku"] != "black" for row in before)
    assert [row["sku"] for row in after] == truth
    assert [after[place]["similarity"] for place in known] == [before[place]["similarity"] for place in known]


@pytest.mark.usefixtures("here")
def test_small_parts_are_joined_once_there_are_many(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "gallery"
    build_gallery(settings_of(home, out, part_skus=3), QUIET)
    before = open_gallery(out)
    assert [part.skus for part in before.manifest.parts] == [3, 1]
    monkeypatch.setattr("pipeline.gallery.version.MAX_SMALL", 0)
    add_to_gallery(settings_of(home, out, "five.csv", part_skus=3), QUIET)
    after = open_gallery(out)
    assert [part.skus for part in after.manifest.parts] == [3, 2]
    for key in before.keys:
        old, new = before.positions[key], after.positions[key]
        assert np.array_equal(before.vectors(before.rows_of(old)), after.vectors(after.rows_of(new)))
        assert before.front(old) == after.front(new) != b""
    assert verify_gallery(out) == []


def parent_of(ids: dict[str, int], next_id: int) -> Any:
    """What ids are given by: a version with these SKUs."""
    manifest = SimpleNamespace(next_id=next_id)
    return SimpleNamespace(keys=tuple(ids), category_ids=np.array([*ids.values()]), manifest=manifest)


def test_ids_are_those_of_the_registry_where_there_is_one(tmp_path: Path) -> None:
    catalog = load_catalog(shop.write_list(tmp_path / "skus.csv", ("red", "green", "blue")))
    assert assign_ids(catalog, catalog.keys, None) == ({"blue": 1, "green": 2, "red": 3}, 4)
    # Without a registry the gallery goes on from what it has.
    parent = parent_of({"red": 1, "yellow": 2}, 9)
    assert assign_ids(catalog, catalog.keys, parent) == ({"red": 1, "blue": 9, "green": 10}, 11)
    (tmp_path / "skus.ids.csv").write_text("id,sku\n1,red\n2,yellow\n3,blue\n")
    assert assign_ids(catalog, ("blue", "green"), parent) == ({"blue": 3, "green": 4}, 9)
    with raises("category-ids-conflict") as caught:
        assign_ids(catalog, catalog.keys, parent_of({"red": 2}, 3))
    assert "'red': 2 in the gallery, 1 in the registry" in str(caught.value)


@pytest.mark.parametrize(("widths", "shown"), [((20, 20, 8, 8), 0), ((8, 8, 20, 20), 2), ((10, 12, 10, 10), 0)])
def test_people_are_shown_the_broad_side(widths: tuple[int, ...], shown: int) -> None:
    views = []
    for number, width in enumerate(widths):
        coverage = np.zeros((40, 40), np.uint8)
        coverage[:, :width] = 255
        views.append(ProductView(np.full((40, 40, 3), number, np.uint8), coverage, np.array([0.0, 0, width, 40])))
    assert main_face(views)[0, 0, 0] == shown
    assert main_face(views, known=True)[0, 0, 0] == 0  # the list says where the front is


@pytest.mark.usefixtures("here")
def test_a_gallery_of_products_that_change_meanwhile_is_not_made(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some views would be of the old files and some of the new ones."""
    plain, states = gallery_build.digest_skus, iter(("before", "after"))
    monkeypatch.setattr(gallery_build, "digest_skus", lambda *a, **k: {**plain(*a, **k), "red": next(states)})
    with raises("product-files-changed") as told:
        build_gallery(settings_of(home, tmp_path / "gallery"), QUIET)
    assert told.value.problems == ("SKU 'red'",) and not is_gallery(tmp_path / "gallery")
