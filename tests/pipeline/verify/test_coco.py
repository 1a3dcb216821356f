"""Sets that others made: a sound one is clean as far as it goes, and what is wrong with its files is told."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from PIL import Image
from rich.console import Console

from dataset.storage.path import StoragePath
from pipeline.cli.main import main
from pipeline.run.settings import RunSettings
from pipeline.shards.pack import pack_data
from pipeline.shards.unpack import unpack_data
from pipeline.verify.report import print_report
from support.sets.foreign import NAMES, foreign_set
from support.verified import verified

QUIET = Console(quiet=True)


@pytest.fixture
def theirs(tmp_path: Path) -> Path:
    file = foreign_set(tmp_path / "theirs", NAMES)
    _edit(lambda data: [one.update(bbox=[i % 9, 1.25, 2.5, 3]) for i, one in enumerate(data["annotations"])])(file)
    return file


def _edit(edit: Callable[[dict[str, Any]], object]) -> Callable[[Path], None]:
    def damage(file: Path) -> None:
        data = json.loads(file.read_text())
        edit(data)
        file.write_text(json.dumps(data))

    return damage


def edit_image(edit: Callable[[Path], object], name: str = "a.png") -> Callable[[Path], None]:
    return lambda file: edit(file.parent / "images" / name) and None


def image(**fields: Any) -> Callable[[Path], None]:
    return _edit(lambda data: data["images"][0].update(fields))


def box(**fields: Any) -> Callable[[Path], None]:
    return _edit(lambda data: data["annotations"][0].update(fields))


DAMAGES: dict[str, tuple[Callable[[Path], None], str]] = {
    "missing": (edit_image(Path.unlink), "'a.png' is missing"),
    "cut": (edit_image(lambda path: path.write_bytes(path.read_bytes()[:-60])), "'a.png'.*cannot be read"),
    "text": (edit_image(lambda path: path.write_text("%!PS-Adobe EPSF")), "an EPS"),
    "other size": (edit_image(lambda path: Image.new("RGB", (9, 9)).save(path)), "is 9x9 px, expected 16x12"),
    "same content": (lambda f: shutil.copy(f.parent / "images/a.png", f.parent / "images/b/a.png"), "same content"),
    "leads out": (image(file_name="../theirs/images/a.png"), "is outside the image folder"),
    "no size": (image(width=None), "width None, expected a whole number"),
    "name twice": (image(file_name="b/a.png"), "file 'b/a.png' is used by several images"),
    "image id twice": (image(id=10), "image 10: the id is also another image's"),
    "image id": (image(id="x"), "id 'x', expected a whole number"),
    "box outside": (box(bbox=[10, 2, 9, 3]), "leaves an image of 16x12"),
    "box of nothing": (box(bbox=[1, 2, 0, 3]), "expected x, y, width, height"),
    "box of texts": (box(bbox=["1", 2, 3, 3]), "expected x, y, width, height"),
    "area": (box(area=1000), "area 1000"),
    "run lengths": (box(segmentation={"size": [12, 16], "counts": "1"}), "do not fill the image"),
    "polygon": (box(segmentation=[[1, 2, 3]]), "a polygon is not"),
    "category": (box(category_id=[]), "not one of the categories"),
    "no such image": (box(image_id=1), "image_id 1 is no image"),
    "id twice": (
        _edit(lambda data: data["annotations"][1].update(id=data["annotations"][0]["id"])),
        "also another one's",
    ),
    "doubled": (
        _edit(lambda data: data["annotations"].append({**data["annotations"][0], "id": 5})),
        "2 annotations of one image, category and box",
    ),
    "category id twice": (_edit(lambda data: data["categories"][0].update(id=9)), "id 9 is also another category's"),
    "category name twice": (_edit(lambda data: data["categories"][0].update(name="=soap")), "also another category's"),
}


def told(path: Path, **options: Any) -> str:
    return "\n".join(map(str, verified(path, **options).violations))


def test_a_sound_set_is_clean_and_says_what_was_not_checked(theirs: Path) -> None:
    for path in (theirs, theirs.parent):
        report = verified(path)
        assert report.violations == () and (report.images, report.annotations) == (7, 9)
        assert "sampled again" in report.skipped[0] and "no checksums" in report.skipped[1]
    console = Console(record=True, width=500, quiet=False, file=(theirs.parent / "out").open("w"))
    print_report(console, report)
    console.file.close()
    assert "checked: images are there" in (text := console.export_text()) and "clean: 7 images" in text


@pytest.mark.parametrize(("damage", "words"), DAMAGES.values(), ids=DAMAGES)
def test_what_is_wrong_is_told(theirs: Path, damage: Callable[[Path], None], words: str) -> None:
    import re

    damage(theirs)
    assert re.search(words, told(theirs)), told(theirs)


def test_images_elsewhere_are_found_where_they_are_said_to_be(theirs: Path, tmp_path: Path) -> None:
    (theirs.parent / "images").rename(tmp_path / "elsewhere")
    run = CliRunner()
    done = run.invoke(main, ["verify", str(theirs)])
    assert done.exit_code == 1 and "give the folder with --images" in done.output
    done = run.invoke(main, ["verify", str(theirs), "--images", str(tmp_path / "elsewhere")])
    assert done.exit_code == 0 and "clean: 7 images" in done.output
    box(bbox=[10, 2, 9, 3])(theirs)
    done = run.invoke(main, ["verify", str(theirs), "--images", str(tmp_path / "elsewhere")])
    assert done.exit_code == 1 and "1 violation in 7 images" in done.output


def test_an_unpacked_set_is_held_to_its_checksums(theirs: Path, tmp_path: Path) -> None:
    place = StoragePath(str(tmp_path / "shards"))
    pack_data(theirs, place, QUIET)
    unpack_data(place, tmp_path / "back", QUIET)
    assert told(tmp_path / "back") == ""
    with (tmp_path / "back" / "images" / "a.png").open("ab") as file:
        file.write(b"\0")
    (tmp_path / "back" / "images" / "more.png").write_bytes(b"")
    assert told(tmp_path / "back").splitlines() == [
        "images/a.png: has a different checksum than in checksums.sha256",
        "images/more.png: is not in checksums.sha256",
    ]


def test_a_check_that_is_stopped_says_so(theirs: Path) -> None:
    asked: list[int] = []
    report = verified(theirs, stop=lambda: asked.append(1) or len(asked) > 3)
    assert report.interrupted and 0 < report.images < 7


def test_the_json_file_of_a_rendered_set_can_be_given(rendered: RunSettings) -> None:
    report = verified(rendered.out / "annotations" / "instances_train.json")
    assert not report.violations and report.images == 4
