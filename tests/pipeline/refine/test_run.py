"""`synth refine` as a whole: labels that stay, the same bytes however it is run, and what it refuses."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image
from rich.console import Console

from dataset.layout import Layout
from dataset.storage.path import StoragePath
from pipeline.cli.main import main
from pipeline.preview.draw import preview_set
from pipeline.preview.types import PreviewSettings
from pipeline.refine import run as refine_run
from pipeline.refine.picture import PictureOutcome, encoded_like
from pipeline.refine.run import RefineResult, refine_set
from pipeline.refine.settings import RefineSettings
from pipeline.run.render import run_render
from pipeline.run.settings import RunSettings
from pipeline.shards.pack import pack_data
from pipeline.shards.settings import PackSettings
from support.console import quiet
from support.errors import raises
from support.sets.shapes import write_shapes
from support.verified import verified

QUIET = Console(quiet=True)


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three photographs of smooth colours, and a file that is none."""
    folder, rng = tmp_path_factory.mktemp("photos"), np.random.default_rng(0)
    for number in range(3):
        coarse = Image.fromarray(rng.integers(0, 255, (6, 8, 3)).astype(np.uint8))
        coarse.resize((160, 120), Image.Resampling.BICUBIC).save(folder / f"{number}.jpg")
    (folder / "broken.jpg").write_bytes(b"\xff\xd8\xff nothing")
    return folder


def refined(source: Path, photos: Path, out: Path, **fields: object) -> RefineResult:
    stop = fields.pop("stop", lambda: False)
    return refine_set(RefineSettings(source, photos, out, **fields), QUIET, stop=stop)  # type: ignore[arg-type]


def files_of(folder: Path) -> dict[str, bytes]:
    return {
        file.relative_to(folder).as_posix(): file.read_bytes()
        for file in sorted(folder.rglob("*"))
        if file.is_file() and file.name not in (".lock", "report.html")
    }


def after(count: int) -> Callable[[], bool]:
    """A stop that comes after some questions."""
    asked: Iterator[int] = iter(range(1_000_000))
    return lambda: next(asked) >= count


@pytest.fixture(scope="module")
def set_by_statistics(rendered: RunSettings, photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("refined") / "set"
    result = refined(rendered.out, photos, out)
    assert result.refined == 8 and result.rejected == {} and not result.interrupted
    assert result.naming is not None and result.naming.before == 1 and result.naming.after > 0.9
    assert result.distances is not None and len(result.distances.before.values) == 8
    assert len(result.photos.files) == 3 and "broken.jpg" in result.photo_problems[0]
    return out


def test_labels_and_files_stay_and_the_set_is_verified(
    set_by_statistics: Path, rendered: RunSettings, cache: Path
) -> None:
    ours, theirs = Layout(set_by_statistics), Layout(rendered.out)
    for split in ("train", "val"):
        assert ours.annotations(split).read_bytes() == theirs.annotations(split).read_bytes()
    for file in theirs.root.glob("images/*.jpg"):
        assert ours.image(file.stem).read_bytes() != file.read_bytes()
        for folder in ("scenes", "depth", "normals", "ids"):
            assert ours.file(folder, file.stem).read_bytes() == theirs.file(folder, file.stem).read_bytes()
    report = verified(set_by_statistics, cache=cache)
    assert report.violations == () and report.scenes_sampled == 4 and report.images_rendered == 0
    assert "refined by statistics towards 3 photographs" in report.refined
    assert len(report.skipped) == 1 and report.refined in report.skipped[0]
    preview_set(str(set_by_statistics), set_by_statistics.with_name("preview.png"), PreviewSettings())


def test_shards_of_a_refined_set_say_so(set_by_statistics: Path, tmp_path: Path) -> None:
    pack_data(set_by_statistics, StoragePath(str(tmp_path / "packed")), QUIET, PackSettings())
    report = verified(tmp_path / "packed")
    assert report.violations == () and "refined by statistics" in report.refined


def test_what_was_changed_afterwards_is_found(set_by_statistics: Path, tmp_path: Path, cache: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(set_by_statistics, copy)
    image = next((copy / "images").iterdir())
    Image.new("RGB", (96, 72)).save(image)
    assert any(image.name in found.where for found in verified(copy, sample=0, cache=cache).violations)


def test_the_same_bytes_with_two_processes_and_after_stops(
    set_by_statistics: Path, rendered: RunSettings, photos: Path, tmp_path: Path
) -> None:
    expected = files_of(set_by_statistics)
    relative = json.loads(expected.pop("dataset.json"))
    out = tmp_path / "set"
    stopped = refined(rendered.out, photos, out, stop=after(3))
    assert stopped.interrupted and 0 < stopped.made < 8
    journal = out / ".refined.jsonl"
    journal.write_bytes(journal.read_bytes()[:-20])  # as if the process had been killed while it wrote
    again = refined(rendered.out, photos, out, workers=2)
    assert not again.interrupted and again.made == 8 - stopped.made + 1
    found = files_of(out)
    mine = json.loads(found.pop("dataset.json"))
    assert {**mine, "sources": 0} == {**relative, "sources": 0}
    listed = "checksums.sha256"
    assert {line for line in found.pop(listed).splitlines() if b"dataset.json" not in line} == {
        line for line in expected.pop(listed).splitlines() if b"dataset.json" not in line
    }
    assert found == expected
    assert refined(rendered.out, photos, out).made == 0


def test_a_lost_picture_is_made_again(
    set_by_statistics: Path, rendered: RunSettings, photos: Path, tmp_path: Path
) -> None:
    out = tmp_path / "set"
    shutil.copytree(set_by_statistics, out)
    lost = sorted((out / "images").iterdir())[3]
    content = lost.read_bytes()
    lost.unlink()
    assert refined(rendered.out, photos, out).made > 0
    assert lost.read_bytes() == content


def test_rejected_pictures_stay_as_they_were(rendered: RunSettings, photos: Path, tmp_path: Path) -> None:
    result = refined(rendered.out, photos, tmp_path / "set", max_shift=1e-9, min_agreement=-1.0)
    assert result.rejected == {"moved": 8} and result.refined == 0
    for file in rendered.out.glob("images/*.jpg"):
        assert (tmp_path / "set" / "images" / file.name).read_bytes() == file.read_bytes()


def test_rendering_into_a_refined_set_is_refused(set_by_statistics: Path, rendered: RunSettings) -> None:
    from dataclasses import replace

    with raises("settings-differ", found="refined by statistics"):
        run_render(replace(rendered, out=set_by_statistics), quiet())


def test_labels_of_shops_are_carried_along(shop: RunSettings, photos: Path, tmp_path: Path, cache: Path) -> None:
    result = refined(shop.out, photos, tmp_path / "set", method="fda")
    assert result.refined + sum((result.rejected or {}).values()) == 2
    for name in ("annotations/shop_train.json", "shop/000000_0.json"):
        assert (tmp_path / "set" / name).read_bytes() == (shop.out / name).read_bytes()
    assert verified(tmp_path / "set", sample=0, cache=cache).violations == ()


def test_any_coco_set_is_refined(photos: Path, tmp_path: Path) -> None:
    write_shapes(tmp_path / "shapes", 3, seed=1)
    result = refined(tmp_path / "shapes", photos, tmp_path / "set", method="fda", strength=(0.3, 0.3))
    assert result.total == 3 and result.layout.rendered is None
    ours, theirs = (tmp_path / "set" / "annotations" / "instances_train.json", tmp_path / "shapes" / "train.json")
    assert ours.read_bytes() == theirs.read_bytes()
    report = verified(tmp_path / "set")
    assert report.violations == () and "refined by fda" in report.refined


def test_splits_of_their_own_folders_keep_them(photos: Path, tmp_path: Path) -> None:
    for split, seed in (("train", 1), ("valid", 2)):
        file = write_shapes(tmp_path / "made" / split, 2, seed=seed, split="a")
        folder = tmp_path / "shapes" / split
        folder.mkdir(parents=True)
        file.rename(folder / "_annotations.coco.json")
        for image in (file.parent / "images").iterdir():
            image.rename(folder / image.name)
    result = refined(tmp_path / "shapes", photos, tmp_path / "set")
    assert result.total == 4
    assert {file.relative_to(tmp_path / "set").as_posix() for file in (tmp_path / "set" / "images").rglob("*.png")} == {
        f"images/{split}/a_00{number}.png" for split in ("train", "valid") for number in (1, 2)
    }
    report = verified(tmp_path / "set")
    assert report.violations == () and report.images == 4


def test_pasted_pictures_have_labels_of_their_own(
    rendered: RunSettings, photos: Path, tmp_path: Path, cache: Path
) -> None:
    from pipeline.refine.settings import PasteSettings

    result = refined(rendered.out, photos, tmp_path / "set", method="paste", paste=PasteSettings("empty", min_seen=0.6))
    report = verified(tmp_path / "set", cache=cache)
    assert report.violations == () and "refined by paste" in report.refined
    assert report.images == 8 and report.annotations > 0 and result.refined > 0
    assert not (tmp_path / "set" / "dataset.json").exists()
    again = tmp_path / "again"
    refined(rendered.out, photos, again, method="paste", paste=PasteSettings("empty", min_seen=0.6), stop=after(2))
    refined(rendered.out, photos, again, method="paste", paste=PasteSettings("empty", min_seen=0.6))
    assert files_of(again) == files_of(tmp_path / "set")


def test_other_settings_photographs_or_data_do_not_mix(
    set_by_statistics: Path, rendered: RunSettings, photos: Path, tmp_path: Path
) -> None:
    with raises("settings-differ", problems="strength"):
        refined(rendered.out, photos, set_by_statistics, strength=(1.0, 1.0))
    with raises("settings-differ", problems="method"):
        refined(rendered.out, photos, set_by_statistics, method="fda")
    fewer = tmp_path / "fewer"
    fewer.mkdir()
    shutil.copy(photos / "0.jpg", fewer)
    with raises("settings-differ", problems="photos"):
        refined(rendered.out, fewer, set_by_statistics)


def test_what_cannot_be_refined_is_refused(rendered: RunSettings, photos: Path, tmp_path: Path) -> None:
    with raises("options-conflict"):
        refined(rendered.out, photos, rendered.out)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "file").touch()
    with raises("output-not-empty"):
        refined(rendered.out, photos, tmp_path / "other")
    (tmp_path / "empty").mkdir()
    with raises("images-missing"):
        refined(rendered.out, tmp_path / "empty", tmp_path / "set")
    with raises("file-missing"):
        refined(tmp_path / "empty", photos, tmp_path / "set")
    with raises("unknown-name", hint="|expected=fda"):
        refined(rendered.out, photos, tmp_path / "set", method="fourier")
    with raises("setting-invalid"):
        RefineSettings(rendered.out, photos, tmp_path / "set", strength=(0.5, 2.0))
    with raises("options-conflict"):
        RefineSettings(rendered.out, photos, tmp_path / "set", detector=photos, gallery=photos)


def test_damaged_records_of_a_refinement_are_reported(
    set_by_statistics: Path, rendered: RunSettings, photos: Path, tmp_path: Path
) -> None:
    out = tmp_path / "set"
    shutil.copytree(set_by_statistics, out)
    (out / "refined.jsonl").write_text('{"split": 1}\n')
    with raises("labels-damaged", where="line 1"):
        refined(rendered.out, photos, out)
    (out / "refined.json").write_text("[]")
    with raises("content-invalid"):
        refined(rendered.out, photos, out)
    line = PictureOutcome("train", "a.jpg", "b.jpg", 1.0, 0.1, 1.0, 3, "", "", "0" * 64)
    assert PictureOutcome.parse(line.content()) == line
    outside, unlike = {**line.content(), "file": "../a.jpg"}, {**line.content(), "shift": "far"}
    for content in ({}, {"split": "a"}, [], None, outside, unlike):
        with pytest.raises((TypeError, ValueError)):
            PictureOutcome.parse(content)


def test_a_method_that_fails_rejects_the_picture(
    rendered: RunSettings, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pipeline.refine import picture

    def fail(*_: object) -> object:
        raise ValueError("no such colour")

    monkeypatch.setattr(picture, "_method", lambda _: fail)
    result = refined(rendered.out, photos, tmp_path / "set")
    assert result.rejected == {"failed": 8}
    assert "no such colour" in (tmp_path / "set" / "refined.jsonl").read_text()


def test_files_keep_their_format_and_quality() -> None:
    import io

    pixels = np.random.default_rng(0).integers(0, 255, (24, 32, 3)).astype(np.uint8)
    for suffix, kind in ((".png", "PNG"), (".jpg", "JPEG"), (".webp", "WEBP"), (".bmp", "BMP"), (".tif", "TIFF")):
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, kind, quality=70)
        again = encoded_like(buffer.getvalue(), pixels, suffix, "test")
        assert Image.open(io.BytesIO(again)).format == kind
        if kind == "JPEG":
            assert Image.open(io.BytesIO(again)).quantization == Image.open(buffer).quantization  # type: ignore[attr-defined]


def test_the_command_prints_one_object(rendered: RunSettings, photos: Path, tmp_path: Path) -> None:
    words = ["refine", str(rendered.out), "--target", str(photos), "--out", str(tmp_path / "set"), "--json"]
    result: Result = CliRunner().invoke(main, [*words, "--strength", "0.8"])
    assert result.exit_code == 0, result.output
    said = json.loads(result.stdout)
    assert said["pictures"] == said["refined"] == 8 and said["rejected"] == 0 and said["photos"] == 3
    assert said["naming"][0] == 1 and set(said["distances"]) >= {"brightness", "colour", "sharpness"}
    page = (tmp_path / "set" / "report.html").read_text()
    assert "Before, after, and the photograph" in page and page.count("data:image/jpeg") >= 24
    assert CliRunner().invoke(main, [*words, "--strength", "1:0.5"]).exit_code == 2


def test_an_interrupted_command_says_so(
    rendered: RunSettings, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = refine_run.refine_set
    monkeypatch.setattr(
        refine_run, "refine_set", lambda settings, console, stop: plain(settings, console, stop=after(2))
    )
    result = CliRunner().invoke(
        main, ["refine", str(rendered.out), "--target", str(photos), "--out", str(tmp_path / "x")]
    )
    assert result.exit_code == 130 and "the same command resumes" in result.stdout
    assert not (tmp_path / "x" / "report.html").exists()
