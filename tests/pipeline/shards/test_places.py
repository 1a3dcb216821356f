"""Commands on folders and storage URLs, as sources and as outputs: the same files, also after a kill."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import fsspec
import pytest
from click.testing import CliRunner
from PIL import Image
from rich.console import Console

from dataset.coco_reader import head_of
from dataset.coco_writer import write_coco
from dataset.formats import open_labels
from dataset.formats.remote import UNFINISHED
from dataset.records import AnnotationRecord, CategoryRecord, Head, ImageLabels, ImageRecord, names_by_id, sku_of
from dataset.storage.path import StoragePath
from pipeline.cli.main import main
from pipeline.shards import convert, crop, fresh
from pipeline.shards.convert import convert_data
from pipeline.shards.crop import crop_data
from pipeline.shards.settings import ConvertSettings, CroppingSettings
from support.errors import raises
from support.paths import ROOT
from support.sets.foreign import files_of

QUIET = Console(quiet=True)
URL = "memory://bucket"


def png(color: int, side: int = 20) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (side, side), (color % 256, color // 256, 0)).save(file, "PNG")
    return file.getvalue()


def write_set(
    folder: Path, skus: dict[int, str], *, splits: dict[str, int], color: int = 0, license_name: str = "CC0"
) -> Path:
    """A plain COCO set of somebody: images 1.png, 2.png, ... of each split, each with a box of every SKU."""
    (folder / "annotations").mkdir(parents=True)
    for split, count in splits.items():
        (folder / "images" / split).mkdir(parents=True)
        images = []
        for number in range(1, count + 1):
            (folder / "images" / split / f"{number}.png").write_bytes(png(color + number))
            records = [
                AnnotationRecord(
                    id=10 * number + row, image_id=number, category_id=kind, bbox=[row, 1, 16, 17], area=272, iscrowd=0
                )
                for row, kind in enumerate(skus)
            ]
            image = ImageRecord(id=number, file_name=f"{number}.png", width=20, height=20, license=1)
            images.append(ImageLabels(image, records))
        kinds = [CategoryRecord(id=number, name=sku) for number, sku in skus.items()]
        head = Head(kinds, licenses=[{"id": 1, "name": license_name}])
        write_coco(folder / "annotations" / f"instances_{split}.json", images, head)
    return folder


@pytest.fixture(autouse=True)
def memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    system = fsspec.filesystem("memory")
    yield system
    system.store.clear()
    system.pseudo_dirs[:] = [""]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return write_set(tmp_path / "source", {3: "tea", 7: "soup"}, splits={"train": 3, "val": 1})


def put(folder: Path, url: str) -> None:
    place = StoragePath(url)
    for name, content in files_of(folder).items():
        place.write(name, content)


def done(*words: str | Path) -> str:
    result = CliRunner().invoke(main, ["data", *map(str, words)])
    assert result.exit_code == 0, result.output
    return result.output


def there(url: str) -> dict[str, bytes]:
    system = fsspec.filesystem("memory")
    root = url.removeprefix("memory:/")
    return {name.removeprefix(f"{root}/"): system.cat_file(name) for name in system.find(root)}


@pytest.mark.parametrize(
    "words",
    [
        ("convert", "--format", "yolo"),
        ("filter", "--sku", "tea", "--format", "voc"),
        ("sample", "--count", "2"),
        ("split", "--split", "a:0.5,b:0.5"),
        ("crop",),
    ],
)
def test_a_location_gives_and_takes_what_a_folder_does(source: Path, words: tuple[str, ...], tmp_path: Path) -> None:
    put(source, f"{URL}/set")
    done(words[0], source, tmp_path / "out", *words[1:])
    said = done(words[0], f"{URL}/set", f"{URL}/out", *words[1:])
    assert there(f"{URL}/out") == files_of(tmp_path / "out") != {}
    assert str(tmp_path / "cache") not in said
    assert not list((tmp_path / "cache" / "synth" / "outputs").glob("*/set"))
    with raises("output-not-empty"):
        convert_data(source, f"{URL}/out", ConvertSettings(), QUIET)


def test_images_of_coco_are_read_when_they_are_due(source: Path, tmp_path: Path) -> None:
    put(source, f"{URL}/set")
    assert "2 SKUs: 0 never seen" in " ".join(done("stats", f"{URL}/set").split())
    copied = [path.name for path in (tmp_path / "cache" / "synth" / "sets").rglob("*") if path.is_file()]
    assert sorted(name for name in copied if name != ".lock") == ["instances_train.json", "instances_val.json"]
    assert "the same images, boxes and classes" in done("diff", source, f"{URL}/set")


def test_what_lies_beside_images_comes_along(source: Path, tmp_path: Path) -> None:
    (source / "depth").mkdir()
    (source / "depth" / "2.png").write_bytes(png(5))
    put(source, f"{URL}/set")
    convert_data(f"{URL}/set", f"{URL}/coco", ConvertSettings(), QUIET)
    assert there(f"{URL}/coco")["depth/2.png"] == png(5)
    summary = convert_data(f"{URL}/set", tmp_path / "voc", ConvertSettings("voc"), QUIET)
    assert summary.lost["depth images"] == 4  # a storage is not asked for each image


def test_licences_of_shards_are_kept(source: Path, tmp_path: Path) -> None:
    done("pack", source, tmp_path / "shards")
    done("convert", tmp_path / "shards", tmp_path / "coco")
    assert list(open_labels(tmp_path / "coco").head("val").licenses) == [{"id": 1, "name": "CC0"}]
    (tmp_path / "shards" / "dataset.json").write_text('{"splits": [3]}')
    assert not open_labels(tmp_path / "shards").head("val").licenses


def test_a_change_at_a_location_is_seen(source: Path) -> None:
    put(source, f"{URL}/set")
    done("stats", f"{URL}/set")
    place, name = StoragePath(f"{URL}/set"), "annotations/instances_val.json"
    place.write(name, place.read(name).replace(b'"name": "tea"', b'"name": "jam"'))
    (kind, *_) = (one for one in open_labels(f"{URL}/set", name="coco").parts if one.split == "val")
    assert [one.key for one in head_of(kind.source.file).categories] == ["jam", "soup"]  # type: ignore[attr-defined]


def test_other_formats_are_copied_first(source: Path, tmp_path: Path) -> None:
    done("convert", source, f"{URL}/yolo", "--format", "yolo")
    assert "the same images, boxes and classes" in done("diff", source, f"{URL}/yolo")
    done(
        "pack", f"{URL}/yolo-as-coco" if done("convert", f"{URL}/yolo", f"{URL}/yolo-as-coco") else "", f"{URL}/shards"
    )
    assert "the same images, boxes and classes" in done("diff", source, f"{URL}/shards")


def test_an_upload_that_was_ended_is_resumed(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    whole = StoragePath.put

    def ending(self: StoragePath, name: str, file: Path) -> None:
        if len(calls) == 3:
            raise KeyboardInterrupt
        calls.append(name)
        whole(self, name, file)

    monkeypatch.setattr(fresh, "REQUESTS", 1)
    monkeypatch.setattr(StoragePath, "put", ending)
    with pytest.raises(KeyboardInterrupt):
        convert_data(source, f"{URL}/out", ConvertSettings("voc"), QUIET)
    assert UNFINISHED in there(f"{URL}/out")
    with raises("dataset-unfinished"):
        open_labels(f"{URL}/out")
    with raises("output-not-empty"):
        convert_data(source, f"{URL}/out", ConvertSettings("yolo"), QUIET)
    first, calls[:] = calls[:], ["", "", "", ""]
    convert_data(source, f"{URL}/out", ConvertSettings("voc"), QUIET)
    assert not set(first) & set(calls)
    convert_data(source, tmp_path / "out", ConvertSettings("voc"), QUIET)
    assert there(f"{URL}/out") == files_of(tmp_path / "out")


def test_an_upload_that_was_ended_after_its_last_file_is_finished(
    source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ending(*arguments: Any, **options: Any) -> None:
        raise KeyboardInterrupt

    for name in ("delete", "is_empty"):
        with monkeypatch.context() as patch:
            if name == "delete":  # all is there but the mark is not yet gone
                patch.setattr(StoragePath, "delete", ending)
            else:  # the mark is gone
                patch.setattr(fresh.shutil, "rmtree", ending)
            with pytest.raises(KeyboardInterrupt):
                convert_data(source, f"{URL}/{name}", ConvertSettings("voc"), QUIET)
        assert convert_data(source, f"{URL}/{name}", ConvertSettings("voc"), QUIET).images == 4
        assert UNFINISHED not in there(f"{URL}/{name}")
    assert there(f"{URL}/delete") == there(f"{URL}/is_empty")


def run_convert(source: Path, out: Path) -> None:
    convert_data(source, out, ConvertSettings("yolo-segment"), QUIET)


def run_crop(source: Path, out: Path) -> None:
    crop_data(source, out, CroppingSettings(), QUIET)


@pytest.mark.parametrize(("run", "module"), [(run_convert, convert), (run_crop, crop)])
def test_what_was_ended_anywhere_is_resumed(
    run: Callable[[Path, Path], None], module: Any, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After each number of images; what is left half written counts for nothing, and finished images are kept."""
    run(source, tmp_path / "whole")
    step = "_copied" if module is convert else "_write_crops"
    work = getattr(module, step)
    for ends_at in range(1, 5):
        calls: list[int] = []

        def counted(*arguments: Any, ends: list[int] = calls, last: int = ends_at, **names: Any) -> Any:
            if len(ends) == last - 1:
                raise KeyboardInterrupt
            ends.append(1)
            return work(*arguments, **names)

        out = tmp_path / f"out{ends_at}"
        monkeypatch.setattr(module, step, counted)
        with pytest.raises(KeyboardInterrupt):
            run(source, out)
        partial = tmp_path / f".out{ends_at}.partial"
        assert partial.is_dir() and not out.exists()
        (partial / "set" / "half.txt").write_text("x") if module is convert else None
        for image in list(partial.rglob("*.png"))[:1]:
            image.write_bytes(image.read_bytes()[:9])
        with (partial / "rows.jsonl").open("ab") as file:
            file.write(b'[["a", "b"')
        monkeypatch.setattr(module, step, work)
        run(source, out)
        assert files_of(out) == files_of(tmp_path / "whole")
        assert not partial.exists()


def test_what_another_command_left_is_not_taken(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def ending(*arguments: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(convert, "put_file", ending)
        with pytest.raises(KeyboardInterrupt):
            run_convert(source, tmp_path / "out")
    left = tmp_path / ".out.partial" / "set" / "images" / "train" / "left.png"
    left.parent.mkdir(parents=True)
    left.write_bytes(png(1))
    time.sleep(0.01)
    with (source / "images" / "val" / "1.png").open("ab") as file:
        file.write(b"more")
    run_convert(source, tmp_path / "out")
    assert "images/train/left.png" not in files_of(tmp_path / "out")


def test_killed_is_resumed(source: Path, tmp_path: Path) -> None:
    """As a process that dies at once, somewhere in the work."""
    script = (
        "import sys, os, signal; from pipeline.shards import convert\n"
        "work, count = convert.put_file, []\n"
        "def put(path, data):\n"
        "    count.append(work(path, data[:len(data) // 2] if len(count) == 2 else data))\n"
        "    len(count) == 3 and os.kill(os.getpid(), signal.SIGKILL)\n"
        "convert.put_file = put\n"
        "from pipeline.cli.main import main; main(['data', 'convert', *sys.argv[1:], '--format', 'yolo'])\n"
    )
    words = [sys.executable, "-c", script, str(source), str(tmp_path / "out")]
    ended = subprocess.run(words, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, check=False)
    assert ended.returncode == -signal.SIGKILL
    assert len(list((tmp_path / ".out.partial" / "set").rglob("*.png"))) == 3
    for name in ("out", "whole"):
        done("convert", source, tmp_path / name, "--format", "yolo")
    assert files_of(tmp_path / "out") == files_of(tmp_path / "whole")
    assert sorted(path.name for path in tmp_path.iterdir() if path.name != "cache") == ["out", "source", "whole"]


def rows_of(source: str | Path) -> dict[str, list[tuple[str, list[str]]]]:
    store = open_labels(source)
    names = names_by_id(store.categories)
    rows: dict[str, list[tuple[str, list[str]]]] = {}
    for part in store.parts:
        for labels in part.labels():
            found = [sku_of(one, names) for one in labels.annotations]
            rows.setdefault(part.split, []).append((str(labels.image.file_name), found))
    return rows


@pytest.mark.parametrize("name", ["folder", "url", "shards"])
def test_plain_sets_are_merged_by_the_keys_of_their_products(source: Path, name: str, tmp_path: Path) -> None:
    other = write_set(tmp_path / "other", {3: "rice", 4: "tea"}, splits={"train": 2, "test": 1}, license_name="mine")
    place: str | Path = other
    if name == "url":
        place = f"{URL}/other"
        put(other, str(place))
    elif name == "shards":
        place = tmp_path / "shards"
        done("pack", other, place)
    said = done("merge", source, place, tmp_path / "both")
    assert "begin with set2/" in said and "rice: 3 is now 8" in said
    kinds = {one.id: one.key for one in open_labels(tmp_path / "both").categories}
    assert kinds == {3: "tea", 7: "soup", 8: "rice"}
    both = [["tea", "soup"], ["rice", "tea"]]
    assert rows_of(tmp_path / "both") == {
        "test": [("1.png", both[1])],
        "train": [*((f"{n}.png", both[0]) for n in (1, 2, 3)), *((f"set2/{n}.png", both[1]) for n in (1, 2))],
        "val": [("1.png", both[0])],
    }
    store = open_labels(tmp_path / "both")
    train = [labels for part in store.parts if part.split == "train" for labels in part.labels()]
    assert [labels.image.id for labels in train] == [1, 2, 3, 4, 5]
    assert [one.id for labels in train for one in labels.annotations] == list(range(1, 11))
    assert all(one.image_id == labels.image.id for labels in train for one in labels.annotations)
    assert [labels.image.license for labels in train] == [1, 1, 1, 2, 2]
    assert list(store.head("train").licenses) == [{"id": 1, "name": "CC0"}, {"id": 2, "name": "mine"}]
    # In splits of one set alone ids are kept.
    (only,) = (labels for part in store.parts if part.split == "test" for labels in part.labels())
    assert [one.id for one in only.annotations] == [10, 11]


def test_merging_says_what_is_wrong(source: Path, tmp_path: Path) -> None:
    for words in ((source, source, tmp_path / "out"), (source, tmp_path / "no", tmp_path / "out")):
        result = CliRunner().invoke(main, ["data", "merge", *map(str, words)])
        assert result.exit_code == 1 and not (tmp_path / "out").exists(), result.output


@pytest.mark.parametrize("name", ["../x.json", "a\nb.json", "..\\x"])
def test_names_at_a_location_do_not_lead_out(name: str, memory: Any, tmp_path: Path) -> None:
    memory.pipe_file(f"/bucket/evil/{name}" if not name.startswith("..") else "/bucket/evil/data.yaml", b"x")
    if name.startswith("../"):
        memory.store["/bucket/evil/" + name] = memory.store["/bucket/evil/data.yaml"]
    elif name.startswith(".."):
        memory.store["/bucket/evil/a\\..\\..\\x"] = memory.store["/bucket/evil/data.yaml"]
    with raises("path-unsafe"):
        open_labels("memory://bucket/evil")
    assert not list(tmp_path.rglob("x*"))


def test_images_of_a_hostile_coco_file_are_not_read_from_the_disk(source: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret.png"
    secret.write_bytes(png(9))
    put(source, f"{URL}/set")
    place, name = StoragePath(f"{URL}/set"), "annotations/instances_val.json"
    for evil in (str(secret), "../../../../../../secret.png"):
        place.write(name, (source / name).read_bytes().replace(b'"1.png"', f'"{evil}"'.encode()))
        with raises("images-missing", "path-unsafe"):
            [list(part.stored_images()) for part in open_labels(f"{URL}/set").parts]
