"""Pages are built from every kind of set, whole, once, and the same whatever happened on the way."""

from __future__ import annotations

import base64
import hashlib
import json
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image
from pycocotools import mask as codec
from rich.console import Console

from assets.errors import SynthError
from dataset.records import AnnotationRecord
from dataset.shop import SIDES
from pipeline.cli.main import main
from pipeline.target.measure import BRIGHTNESS, MEASURED, SHARPNESS, measure_picture
from pipeline.view import pieces
from pipeline.view.build import ViewSummary, _every, build_view
from pipeline.view.layers import depth_colors, id_colors
from pipeline.view.page import LIBRARY, SCRIPTS
from pipeline.view.rows import NO_VIEW, view_of
from pipeline.view.scripts import script_of
from pipeline.view.settings import ViewSettings
from pipeline.view.thumbs import fit, make_thumb
from support.sets.coco_files import HEIGHT, WIDTH, coco, write_image, write_json, write_set

QUIET = Console(quiet=True)


def build(place: Path, out: Path, **more: Any) -> ViewSummary:
    return build_view(ViewSettings(place, out=out, workers=1, **more), QUIET)


def content_of(file: Path) -> Any:
    """The content that a script hands to the page."""
    line = file.read_text("ascii").splitlines()[-1]
    assert line.startswith("SynthView.add(...") and line.endswith(");") and "<" not in line
    return json.loads(line.removeprefix("SynthView.add(...").removesuffix(");"))[1]


def column(text: str, kind: str) -> list[int]:
    return np.frombuffer(base64.b64decode(text), kind).tolist()


def files_of(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def test_index_and_boxes_hold_what_the_labels_say(tmp_path: Path) -> None:
    content = coco(2, boxes=2)
    content["annotations"][0] |= {"bbox": [1, 2, 10.25, 8], "visibility": 0.5, "truncation": 0.25, "ignore": 1}
    build(write_set(tmp_path / "set", content), tmp_path / "out")
    index = content_of(tmp_path / "out/data/a/index.js")
    boxes = content_of(tmp_path / "out/data/a/boxes.js")
    assert index["names"] == ["000000.png", "000001.png"]
    assert index["splits"] == ["train"] and index["sources"] == ["not rendered"]
    assert index["categories"] == [["cola", "Cola", ""], ["soup", "Soup", ""], ["tea", "Tea", ""]]
    assert column(index["size"], "<u4") == [WIDTH, HEIGHT] * 2
    assert column(boxes["starts"], "<u4") == [0, 2, 4]
    assert column(boxes["category"], "<u4") == [0, 1, 0, 1]
    assert column(boxes["width"], "<u2")[0] == 41  # quarters of a pixel
    assert column(boxes["visibility"], "u1")[:2] == [100, 255]  # half percents, and unknown
    assert column(boxes["truncation"], "u1")[:2] == [50, 255]
    assert column(boxes["ignored"], "u1") == [1, 0, 0, 0]


def test_polygons_become_masks_to_the_pixel(tmp_path: Path) -> None:
    content = coco(1, boxes=1)
    content["annotations"][0]["segmentation"] = [[5, 5, 15, 5, 15, 12, 5, 12]]
    build(write_set(tmp_path / "set", content), tmp_path / "out")
    ((_, _, url, _, ((category, box, *_, mask, amodal_box, amodal, _),)),) = content_of(
        tmp_path / "out/data/a/piece-00000.js"
    )
    decoded = codec.decode({"size": [HEIGHT, WIDTH], "counts": mask})
    assert decoded.sum() == 70 and decoded[5:12, 5:15].all()
    assert (category, box, amodal_box, amodal) == (0, [3, 3, 10, 8], 0, 0)
    assert (tmp_path / "out" / url).resolve() == (tmp_path / "set/images/000000.png").resolve()


def test_the_same_again_writes_nothing_and_changes_make_their_piece_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pieces, "PICTURES", 64)
    folder, out = write_set(tmp_path / "set", coco(70)), tmp_path / "out"
    assert [one.made for one in build(folder, out).sets] == [2]
    before = files_of(out)
    assert [one.made for one in build(folder, out).sets] == [0]
    assert files_of(out) == before
    write_image(folder / "images/000069.png", seed=999)
    assert [one.made for one in build(folder, out).sets] == [1]
    (out / "data/a/thumbs-00000-1.jpg").unlink()
    assert [one.made for one in build(folder, out).sets] == [1]
    # As if it had never been built before.
    build(folder, tmp_path / "fresh")
    assert files_of(tmp_path / "fresh") == files_of(out)
    # A smaller set leaves nothing of the larger one behind, nor do copies stay that are no longer wanted.
    build(folder, out, copy=True)
    assert len(list((out / "data/a").glob("picture-*"))) == 70
    write_json(folder / "annotations/instances_train.json", coco(3))
    build(folder, out)
    names = ["boxes.js", "index.js", "piece-00000.js", "thumbs-00000-0.jpg"]
    assert sorted(file.name for file in (out / "data/a").iterdir()) == names


def test_killed_and_started_again_gives_the_same_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, out = write_set(tmp_path / "set", coco(70)), tmp_path / "out"
    build(folder, tmp_path / "whole")
    made = pieces.picture_row

    def dies(*given: Any) -> Any:
        if given[0].file_name == "000066.png":
            raise KeyboardInterrupt
        return made(*given)

    monkeypatch.setattr(pieces, "picture_row", dies)
    with pytest.raises(KeyboardInterrupt):
        build(folder, out)
    assert not (out / "index.html").exists()
    monkeypatch.undo()
    assert [one.made for one in build(folder, out).sets] == [1]
    assert files_of(out) == files_of(tmp_path / "whole")


def test_shards_show_the_same_as_their_folder(tmp_path: Path) -> None:
    folder = write_set(tmp_path / "set", coco(5))
    done = CliRunner().invoke(main, ["data", "pack", str(folder), str(tmp_path / "shards")])
    assert done.exit_code == 0, done.output
    build(folder, tmp_path / "one", copy=True)
    build(tmp_path / "shards", tmp_path / "two")
    one, two = (files_of(tmp_path / name / "data/a") for name in ("one", "two"))
    assert sorted(one) == sorted(two)
    for name in one:
        if name not in ("index.js", "piece-00000.js"):  # the title, and what a piece was made from
            assert one[name] == two[name], name
    assert content_of(tmp_path / "one/data/a/piece-00000.js") == content_of(tmp_path / "two/data/a/piece-00000.js")


def test_photographs_without_labels_are_shown_and_broken_ones_are_named(tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    for number in range(2):
        write_image(folder / f"a{number}.jpg", seed=number)
    write_set(tmp_path / "set", coco(2))
    (tmp_path / "set/images/000001.png").write_bytes(b"no picture")
    summary = build(folder, tmp_path / "out", other=tmp_path / "set")
    assert [(one.images, one.annotations) for one in summary.sets] == [(2, 0), (2, 4)]
    assert summary.sets[0].problems == () and "000001.png" in summary.sets[1].problems[0]
    assert content_of(tmp_path / "out/data/sets.js") == {"keys": ["a", "b"], "found": ""}


def test_other_folders_are_left_alone(tmp_path: Path) -> None:
    folder = write_set(tmp_path / "set", coco(1))
    with pytest.raises(SynthError) as error:
        build(folder, folder)
    assert error.value.code == "output-not-empty"
    (tmp_path / "mine/data").mkdir(parents=True)
    with pytest.raises(SynthError) as error:
        build(folder, tmp_path / "mine")
    assert error.value.code == "output-not-empty" and not (tmp_path / "mine/index.html").exists()
    (tmp_path / "empty").mkdir()
    with pytest.raises(SynthError) as error:
        build(tmp_path / "empty", tmp_path / "out")
    assert error.value.code in ("file-missing", "coco-file-ambiguous", "dataset-missing", "images-missing")


@pytest.mark.parametrize(("turn", "shown"), [(None, True), (1, True), (3, False), (6, False)])
def test_turned_pictures_are_shown_as_their_labels_count(tmp_path: Path, turn: int | None, shown: bool) -> None:
    """Browsers turn by EXIF: where the labels count pixels as stored, the picture is copied without the tag."""
    content = coco(1)
    content["images"][0]["file_name"] = "a.jpg"
    folder = write_set(tmp_path / "set", content)
    write_image(folder / "images/a.jpg", turn=turn)
    build(folder, tmp_path / "out")
    ((width, height, url, *_),) = content_of(tmp_path / "out/data/a/piece-00000.js")
    assert (width, height) == (WIDTH, HEIGHT)
    assert url.startswith("../set/images/") == shown
    with Image.open(tmp_path / "out" / url) as image:
        assert image.size == (WIDTH, HEIGHT) and (shown or not image.getexif())


def test_a_picture_that_labels_count_turned_gets_an_upright_thumbnail(tmp_path: Path) -> None:
    write_image(tmp_path / "a.jpg", turn=6)
    thumb = make_thumb((tmp_path / "a.jpg").read_bytes(), (HEIGHT, WIDTH), "a")
    assert (thumb.width, thumb.height) == (HEIGHT, WIDTH) and thumb.suffix == "jpeg"
    assert thumb.image is not None and thumb.image.size == (HEIGHT, WIDTH)


@pytest.mark.parametrize(
    ("size", "small"), [((1920, 1080), (192, 108)), ((1000, 2000), (72, 144)), ((40, 30), (40, 30))]
)
def test_thumbnails_keep_their_shape(size: tuple[int, int], small: tuple[int, int]) -> None:
    assert fit(*size) == small


@pytest.mark.parametrize(
    ("place", "side"), [((0, -2, 0), "front"), ((0, 2, 0.5), "back"), ((-1, 0, 0), "left"), ((0, 0.1, 3), "top")]
)
def test_the_side_that_a_camera_sees(place: tuple[float, float, float], side: str) -> None:
    """A camera at a place of the object's frame, turned by 0.3 radians."""
    rotation = np.array([[np.cos(0.3), -np.sin(0.3), 0], [np.sin(0.3), np.cos(0.3), 0], [0, 0, 1]])
    pose = np.eye(4)
    pose[:3, :3], pose[:3, 3] = rotation, -rotation @ place
    assert SIDES[view_of(AnnotationRecord(camera_from_object=pose.tolist()))] == side
    assert view_of(AnnotationRecord()) == NO_VIEW


def test_depth_and_ids_get_colours() -> None:
    colors, near, far = depth_colors(np.array([[0, 1000], [2000, 3000]], np.uint16))
    assert (near, far) == (1.02, 2.98) and not colors[0, 0].any()
    assert colors[0, 1, 2] > colors[0, 1, 0] and colors[1, 1, 0] > colors[1, 1, 2]  # BGR: near is red, far is blue
    ids = id_colors(np.array([[0, 1], [2, 1]], np.uint16))
    assert not ids[0, 0].any() and (ids[0, 1] == ids[1, 1]).all() and (ids[0, 1] != ids[1, 0]).any()


def test_scenes_and_layers_of_rendered_sets(tmp_path: Path) -> None:
    folder = write_set(tmp_path / "set", coco(1))
    write_json(folder / "scenes/000000.json", {"recipe": "shelf", "pose": [1.23456789, 2], "__proto__": "x"})
    (folder / "depth").mkdir()
    Image.fromarray(np.full((HEIGHT, WIDTH), 1500, np.uint16)).save(folder / "depth/000000.png")
    build(folder, tmp_path / "out")
    (packed,) = content_of(tmp_path / "out/data/a/scenes-00000.js")
    assert json.loads(zlib.decompress(base64.b64decode(packed))) == {
        "recipe": "shelf",
        "pose": [1.2346, 2],
        "__proto__": "x",
    }
    (((url, near, far), normals, ids),) = content_of(tmp_path / "out/data/a/layers-00000.js")
    assert url.startswith("data:image/jpeg;base64,") and (near, far, normals, ids) == (1.5, 1.5, 0, 0)
    assert content_of(tmp_path / "out/data/a/index.js")["layers"] == ["depth", "scenes"]


def test_brightness_and_sharpness_are_those_of_the_gap(tmp_path: Path) -> None:
    """Of sets of more than 256 pictures every second is measured."""
    folder = write_set(tmp_path / "set", coco(4, boxes=0))
    build(folder, tmp_path / "out")
    boxes = content_of(tmp_path / "out/data/a/boxes.js")
    assert column(boxes["measured"], "<u4") == [0, 1, 2, 3]
    with Image.open(folder / "images/000002.png") as image:
        expected = measure_picture(np.array(image), detail=False)
    for name, statistic in (("brightness", BRIGHTNESS), ("sharpness", SHARPNESS)):
        assert column(boxes[name], "<f4")[2] == pytest.approx(expected[MEASURED.index(statistic)], abs=1e-4)
    assert [_every(count) for count in (1, 256, 257, 512, 513, 50_000)] == [1, 1, 2, 2, 4, 64]


def test_the_library_is_the_published_file_and_its_licences_travel(tmp_path: Path) -> None:
    """htm/preact/standalone.umd.js of htm 3.1.1 in the npm registry."""
    build(write_set(tmp_path / "set", coco(1)), tmp_path / "out")
    pages = tmp_path / "out/pages"
    published = "62c4ffea400078c0eda7f435b22726b4961ebdf74c8506f188e92bec41d8ac51"
    assert hashlib.sha256((pages / LIBRARY).read_bytes()).hexdigest() == published
    for name, words in (("LICENSE-htm", "Copyright 2018 Google Inc."), ("LICENSE-preact", "Jason Miller")):
        assert words in (pages / name).read_text()
    for script in SCRIPTS:
        assert "innerHTML" not in (pages / f"{script}.js").read_text(), "names would become markup"


def test_scripts_hold_no_markup() -> None:
    text = script_of("a/index", ["</script><img onerror=x>", "\u2028\u202e\x1b[0m", "\ud800"]).decode("ascii")
    assert "<" not in text and "\x1b" not in text and "\\u2028" in text
