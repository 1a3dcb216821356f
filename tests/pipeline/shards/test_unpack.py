"""Unpacked sets: every image keeps its file, whatever others are called, and no set is written into another."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from PIL import Image

from dataset.shards.index import read_index, tar_name
from dataset.storage.path import StoragePath
from pipeline.run.settings import RunSettings
from pipeline.shards.merge import merge_data
from pipeline.shards.pack import pack_data
from pipeline.shards.settings import PackSettings
from pipeline.shards.unpack import unpack_data
from support.errors import raises
from support.sets.foreign import NAMES, QUIET, content_of, files_of, foreign_set
from support.sets.in_shards import with_file
from support.verified import verified

COLORS = {"train": (200, 10, 10), "valid": (10, 200, 10), "test": (10, 10, 200)}


def roboflow_set(root: Path, names: dict[str, list[str]]) -> Path:
    """One folder for each split, with its COCO file among its images, which are of the split's color."""
    for split, own in names.items():
        images = [{"id": n, "file_name": name, "width": 7 + n, "height": 8} for n, name in enumerate(own, 1)]
        for number, name in enumerate(own):
            (root / split / name).parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (8 + number, 8), COLORS[split]).save(root / split / name)
        content = {"categories": [{"id": 1, "name": "tea"}], "images": images, "annotations": []}
        (root / split / "_annotations.coco.json").write_text(json.dumps(content))
    return root


def colors_of(folder: Path, split: str) -> list[tuple[int, ...]]:
    """The color of the file of each image of a split."""
    records = content_of(folder / "annotations" / f"instances_{split}.json")["images"]
    return [Image.open(folder / "images" / one["file_name"]).getpixel((3, 3)) for one in records]  # type: ignore[misc]


def test_images_of_one_name_in_several_splits_keep_their_files(tmp_path: Path) -> None:
    # valid/1.png is a name of its own in one split and what another's image would be called.
    names = {"train": ["1.png", "2.png", "valid/1.png"], "valid": ["1.png", "3.png"], "test": ["1.png"]}
    place, back = StoragePath(str(tmp_path / "shards")), tmp_path / "back"
    pack_data(roboflow_set(tmp_path / "theirs", names), place, QUIET)
    unpack_data(place, back, QUIET)
    for split, own in names.items():
        assert colors_of(back, split) == [COLORS[split]] * len(own)
    assert len([path for path in (back / "images").rglob("*") if path.is_file()]) == 6
    assert not verified(back).violations


def test_splits_unpacked_one_by_one_give_the_same_files(tmp_path: Path) -> None:
    place = StoragePath(str(tmp_path / "shards"))
    pack_data(roboflow_set(tmp_path / "theirs", {"train": ["1.png"], "valid": ["1.png"]}), place, QUIET)
    unpack_data(place, tmp_path / "whole", QUIET)
    for split in ("valid", "train"):
        unpack_data(place, tmp_path / "back", QUIET, split=split)
    assert files_of(tmp_path / "back") == files_of(tmp_path / "whole")


def test_merged_sets_whose_splits_share_names_are_not_mixed(tmp_path: Path) -> None:
    places = []
    for split in ("train", "valid"):
        places.append(StoragePath(str(tmp_path / f"{split}-shards")))
        pack_data(roboflow_set(tmp_path / split, {split: ["1.png", "2.png"]}), places[-1], QUIET)
    out = StoragePath(str(tmp_path / "merged"))
    merge_data(places, out, QUIET)
    unpack_data(out, tmp_path / "back", QUIET)
    assert colors_of(tmp_path / "back", "train") == [COLORS["train"]] * 2
    assert colors_of(tmp_path / "back", "valid") == [COLORS["valid"]] * 2


def test_another_set_in_the_folder_is_left_alone(rendered: RunSettings, tmp_path: Path) -> None:
    place, other = StoragePath(str(tmp_path / "shards")), StoragePath(str(tmp_path / "other"))
    pack_data(foreign_set(tmp_path / "theirs", NAMES), place, QUIET)
    pack_data(foreign_set(tmp_path / "fewer", NAMES[:2], split="val"), other, QUIET)
    unpack_data(place, tmp_path / "back", QUIET)
    shutil.copytree(rendered.out, tmp_path / "made")
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "mine.txt").write_text("mine")
    for name, code in (("back", "settings-differ"), ("made", "output-not-empty"), ("notes", "output-not-empty")):
        before = files_of(tmp_path / name)
        with raises(code, where=name):
            unpack_data(other, tmp_path / name, QUIET)
        assert files_of(tmp_path / name) == before


def test_the_same_call_again_and_a_folder_made_empty_are_fine(tmp_path: Path) -> None:
    place, other = StoragePath(str(tmp_path / "shards")), StoragePath(str(tmp_path / "other"))
    pack_data(foreign_set(tmp_path / "theirs", NAMES), place, QUIET, PackSettings(shard_images=2))
    pack_data(foreign_set(tmp_path / "fewer", NAMES[:2], split="val"), other, QUIET)
    unpack_data(place, tmp_path / "back", QUIET)
    whole = files_of(tmp_path / "back")
    (tmp_path / "back" / "images" / "a.png").unlink()
    unpack_data(place, tmp_path / "back", QUIET)
    assert files_of(tmp_path / "back") == whole
    for path in (tmp_path / "back").iterdir():
        if path.name.startswith("."):
            continue
        path.unlink() if path.is_file() else shutil.rmtree(path)
    unpack_data(other, tmp_path / "back", QUIET)
    assert not verified(tmp_path / "back").violations


def test_damaged_shards_are_not_unpacked(tmp_path: Path) -> None:
    place = StoragePath(str(tmp_path / "shards"))
    pack_data(foreign_set(tmp_path / "theirs", NAMES), place, QUIET)
    file = tmp_path / "shards" / tar_name(read_index(place).shards[0].name)
    file.write_bytes(file.read_bytes().replace(b"IDAT", b"IDAU", 1))
    with raises("shard-damaged", where=r"train-000000\.tar"):
        unpack_data(place, tmp_path / "back", QUIET)


def test_files_of_a_shard_write_over_no_labels(tmp_path: Path) -> None:
    """Further files of a sample go into a folder of their kind: not into those of a data set's own files."""
    place = StoragePath(str(tmp_path / "shards"))
    pack_data(foreign_set(tmp_path / "theirs", ["instances_train.png"]), place, QUIET)
    with_file(place, "annotations.json", b"{}")
    with raises("shard-damaged", found="annotations"):
        unpack_data(place, tmp_path / "back", QUIET)
