"""The list of checksums: what sha256sum says too, the same however a set came about, and read with suspicion."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from dataset import checksums
from dataset.checksums import CHECKSUMS, ChecksumSpool, read_checksums, sha256, spool_checksums, write_checksums
from dataset.storage.path import StoragePath
from pipeline.run.render import run_render
from pipeline.run.settings import RunSettings
from pipeline.shards.pack import pack_data
from pipeline.shards.settings import PackSettings
from pipeline.shards.unpack import unpack_data
from pipeline.verify.report import print_report
from support.console import quiet
from support.errors import raises
from support.scenes import sign_files
from support.verified import verified

QUIET = Console(quiet=True)


@pytest.fixture
def copy(rendered: RunSettings) -> Path:
    folder = rendered.out.with_name("checksums")
    shutil.rmtree(folder, ignore_errors=True)
    return Path(shutil.copytree(rendered.out, folder))


def told(folder: Path, cache: Path) -> list[str]:
    return [str(item) for item in verified(folder, sample=0, cache=cache).violations]


def test_the_list_names_every_file_with_its_digest(copy: Path) -> None:
    written = (copy / CHECKSUMS).read_bytes()
    sign_files(copy)
    assert written == (copy / CHECKSUMS).read_bytes()


def as_of_an_earlier_version(folder: Path) -> None:
    info = json.loads((folder / "dataset.json").read_text())
    del info["checksums"]
    (folder / "dataset.json").write_text(json.dumps(info))
    for file in folder.glob("labels/*.json"):
        labels = json.loads(file.read_text())
        del labels["sha256"]
        file.write_text(json.dumps(labels, separators=(",", ":")))
    (folder / CHECKSUMS).unlink()


def test_a_set_of_an_earlier_version_is_sound_and_gets_its_list(copy: Path, rendered: RunSettings, cache: Path) -> None:
    as_of_an_earlier_version(copy)
    report = verified(copy, sample=0, cache=cache)
    assert report.violations == () and CHECKSUMS in report.skipped[0]
    run_render(replace(rendered, out=copy), quiet())
    report = verified(copy, sample=0, cache=cache)
    assert report.violations == () and not report.skipped
    written = (copy / CHECKSUMS).read_bytes()
    sign_files(copy)
    assert written == (copy / CHECKSUMS).read_bytes()


def test_a_file_that_changed_after_it_was_written_is_found_even_if_the_run_is_given_again(
    copy: Path, rendered: RunSettings, cache: Path
) -> None:
    file = copy / "depth" / "000001_0.png"
    file.write_bytes(file.read_bytes() + b"\0")  # which shows in no pixel
    run_render(replace(rendered, out=copy), quiet())
    assert told(copy, cache) == [f"depth/000001_0.png: has a different checksum than in {CHECKSUMS}"]


def test_a_list_that_is_gone_is_missed(copy: Path, cache: Path) -> None:
    (copy / CHECKSUMS).unlink()
    assert told(copy, cache)[0].startswith(f"{CHECKSUMS}: the list of checksums does not exist")


@pytest.mark.parametrize(
    ("lines", "code"),
    [
        (b"%s  ../x\n", "path-unsafe"),
        (b"%s  /etc/passwd\n", "path-unsafe"),
        (b"%s  b\n%s  a\n", "checksums-invalid"),
        (b"%s  a\n%s  a\n", "checksums-invalid"),
        (b"%s", "checksums-invalid"),
        (b"%s  a", "checksums-invalid"),
        (b"zz\n", "checksums-invalid"),
        (b"\xff\x00\n", "checksums-invalid"),
        (b"0" * 100_000, "checksums-invalid"),
    ],
)
def test_lists_of_another_form_are_refused(lines: bytes, code: str) -> None:
    with raises(code):
        list(read_checksums(io.BytesIO(lines.replace(b"%s", b"0" * 64))))


NAMES = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0/"), min_size=1, max_size=6)


@settings(max_examples=40)
@given(names=st.sets(NAMES.filter(lambda name: name not in (".", "..")), max_size=9))
def test_any_names_come_back_sorted(names: set[str]) -> None:
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory() as folder:
        patch.setattr(checksums, "MAX_WAITING", 3)
        spool = ChecksumSpool(Path(folder))
        for name in names:
            spool.add(name, sha256(name.encode()))
            spool.add(name, "0" * 64, known_before=True)
        out = io.BytesIO()
        spool.write(out)
        found = list(read_checksums(io.BytesIO(out.getvalue())))
    assert dict(found) == {name: sha256(name.encode()) for name in names} and len(found) == len(names)


@pytest.mark.skipif(shutil.which("sha256sum") is None, reason="sha256sum is not installed")
def test_the_usual_tool_agrees(tmp_path: Path) -> None:
    names = ["a b.txt", "back\\slash", "line\nbreak", "tea ä.jpg"]
    with spool_checksums(tmp_path) as spool:
        for name in names:
            (tmp_path / name).write_text(name)
            spool.add(name, sha256(name.encode()))
        write_checksums(tmp_path, spool)
    done = subprocess.run(["sha256sum", "--strict", "-c", CHECKSUMS], cwd=tmp_path, check=False, capture_output=True)
    assert done.returncode == 0 and done.stdout.count(b": OK") == len(names), done.stderr


def test_shards_have_a_list_too(rendered: RunSettings, tmp_path: Path) -> None:
    place = StoragePath(str(tmp_path / "shards"))
    pack_data(rendered.out, place, QUIET, PackSettings(shard_images=4))
    written = (tmp_path / "shards" / CHECKSUMS).read_bytes()
    names = [path for path, _ in read_checksums(io.BytesIO(written))]
    assert names[-1] == "shards/val-000000.tar" and {"categories.json", "dataset.json", "index.json"} < set(names)
    assert verified(place, sample=0).violations == ()
    place.write("categories.json", place.read("categories.json").replace(b"\n]", b" \n]"))
    assert [str(item) for item in verified(place, sample=0).violations] == [
        f"categories.json: has a different checksum than in {CHECKSUMS}"
    ]
    place.delete(CHECKSUMS)
    assert [str(item) for item in verified(place, sample=0).violations] == [f"{CHECKSUMS}: is missing"]


def test_splits_that_are_unpacked_one_by_one_have_one_list(rendered: RunSettings, tmp_path: Path, cache: Path) -> None:
    place = StoragePath(str(tmp_path / "shards"))
    pack_data(rendered.out, place, QUIET)
    for split in ("val", "train"):
        unpack_data(place, tmp_path / "back", QUIET, split=split)
    assert (tmp_path / "back" / CHECKSUMS).read_bytes() == (rendered.out / CHECKSUMS).read_bytes()


def test_a_check_that_is_stopped_is_never_clean(rendered: RunSettings, cache: Path, tmp_path: Path) -> None:
    place = StoragePath(str(tmp_path / "shards"))
    pack_data(rendered.out, place, QUIET, PackSettings(shard_images=2))
    asked: list[int] = []

    def stop() -> bool:
        asked.append(1)
        return len(asked) > 2

    for report in (verified(rendered.out, cache=cache, stop=stop), verified(place, sample=0, stop=stop)):
        console = Console(record=True, width=200, file=io.StringIO())
        print_report(console, report)
        text = console.export_text()
        assert report.interrupted and 0 < report.images < 8
        assert "clean" not in text and "not everything was checked" in text
