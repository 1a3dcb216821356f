"""Versions of a gallery: immutable, shared, switched whole, never lost."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from detectors.recognition.gallery.open import MISSING, open_gallery
from detectors.recognition.gallery.parts import PARTS, vectors_path, write_part
from detectors.recognition.gallery.versions import (
    CURRENT,
    MANIFEST,
    VERSIONS,
    add_version,
    current_version,
    read_manifest,
    roll_back,
    use_version,
    verify_gallery,
    version_ids,
    write_gallery,
)
from support.errors import raises
from support.gallery import cases
from support.paths import ROOT, TESTS


def test_equal_galleries_have_equal_ids_and_files(tmp_path: Path) -> None:
    first, second = cases.make_gallery(tmp_path / "a"), cases.make_gallery(tmp_path / "b")
    assert first.version == second.version
    names = sorted(path.name for path in (tmp_path / "a" / PARTS).iterdir())
    assert names == sorted(path.name for path in (tmp_path / "b" / PARTS).iterdir())
    assert all(
        (tmp_path / "a" / PARTS / name).read_bytes() == (tmp_path / "b" / PARTS / name).read_bytes() for name in names
    )


@pytest.mark.parametrize("change", ["views_format", "precision", "next_id", "embedder", "gone"])
def test_whatever_differs_makes_another_id(tmp_path: Path, change: str) -> None:
    manifest = cases.make_gallery(tmp_path).manifest
    other = {
        "views_format": 2,
        "precision": "float16",
        "next_id": 3,
        "embedder": cases.NOTE.model_copy(update={"fingerprint": "another"}),
        "gone": (cases.without(manifest.parts[0], 1), *manifest.parts[1:]),
    }[change]
    assert manifest.model_copy(update={"parts" if change == "gone" else change: other}).id != manifest.id


def test_the_parent_is_no_part_of_the_identity(tmp_path: Path) -> None:
    manifest = cases.make_gallery(tmp_path).manifest
    assert manifest.model_copy(update={"parent": "0" * 16}).id == manifest.id


def test_reading_gives_what_was_written(tmp_path: Path) -> None:
    gallery = cases.make_gallery(tmp_path, 45, part=20)
    assert gallery.keys == tuple(f"sku-{number:04d}" for number in range(45))
    assert gallery.category_ids.tolist() == list(range(1, 46))
    assert np.array_equal(gallery.vectors(np.arange(135)), cases.vectors_of(range(45)))
    assert np.array_equal(gallery.owners, np.repeat(np.arange(45), cases.VIEWS))
    assert gallery.front(0) == b"front of 0" and gallery.front(44) == b"front of 44"


def test_rows_of_absent_skus_belong_to_nobody(tmp_path: Path) -> None:
    manifest = cases.make_gallery(tmp_path, 40).manifest
    parts = (cases.without(manifest.parts[0], 0, 7), manifest.parts[1])
    use_version(tmp_path, add_version(tmp_path, cases.manifest_of(parts)))
    gallery = open_gallery(tmp_path)
    assert len(gallery) == 38 and "sku-0007" not in gallery.positions
    assert (gallery.owners[:3] == MISSING).all() and (gallery.owners[21:24] == MISSING).all()
    position = gallery.positions["sku-0008"]
    assert np.array_equal(gallery.vectors(gallery.rows_of(position)), cases.vectors_of([8]))
    assert gallery.front(position) == b"front of 8"
    assert verify_gallery(tmp_path) == []


def test_versions_share_their_parts(tmp_path: Path) -> None:
    first = cases.make_gallery(tmp_path, 60)
    before = {path: (path.stat().st_ino, path.stat().st_mtime_ns) for path in (tmp_path / PARTS).iterdir()}
    more = cases.part_of(tmp_path, [60])
    use_version(tmp_path, add_version(tmp_path, cases.manifest_of([*first.manifest.parts, more])))
    after = {path: (path.stat().st_ino, path.stat().st_mtime_ns) for path in (tmp_path / PARTS).iterdir()}
    assert {path: after[path] for path in before} == before
    assert len(after) == len(before) + 3
    assert len(open_gallery(tmp_path)) == 61


def test_an_open_gallery_stays_what_it_is(tmp_path: Path) -> None:
    gallery = cases.make_gallery(tmp_path, 40)
    use_version(tmp_path, add_version(tmp_path, cases.manifest_of([cases.part_of(tmp_path, range(100, 110))])))
    assert len(open_gallery(tmp_path)) == 10
    assert len(gallery) == 40
    assert np.array_equal(gallery.vectors(np.arange(120)), cases.vectors_of(range(40)))


def test_rolling_back_goes_the_way_that_was_come(tmp_path: Path) -> None:
    versions = [cases.make_gallery(tmp_path, count).version for count in (20, 40, 60)]
    assert roll_back(tmp_path) == versions[1] == current_version(tmp_path)
    assert roll_back(tmp_path) == versions[0]
    with raises("version-missing"):
        roll_back(tmp_path)
    use_version(tmp_path, versions[2])
    assert roll_back(tmp_path) == versions[0]
    assert version_ids(tmp_path) == sorted(versions)


def test_an_unknown_version_names_the_known_ones(tmp_path: Path) -> None:
    gallery = cases.make_gallery(tmp_path)
    with raises("unknown-name", expected=gallery.version):
        use_version(tmp_path, "0" * 16)
    assert current_version(tmp_path) == gallery.version


def test_a_folder_that_is_no_gallery_says_so(tmp_path: Path) -> None:
    with raises("gallery-missing"):
        open_gallery(tmp_path)


def test_a_changed_manifest_is_refused(tmp_path: Path) -> None:
    gallery = cases.make_gallery(tmp_path)
    file = tmp_path / VERSIONS / gallery.version / MANIFEST
    file.write_text(file.read_text().replace('"next_id": 10000', '"next_id": 9999'))
    with raises("gallery-damaged"):
        read_manifest(tmp_path)


@pytest.mark.parametrize("suffix", [".npy", ".jsonl", ".fronts"])
def test_verifying_finds_a_changed_byte(tmp_path: Path, suffix: str) -> None:
    gallery = cases.make_gallery(tmp_path)
    file = vectors_path(tmp_path, gallery.manifest.parts[1].digest).with_suffix(suffix)
    content = bytearray(file.read_bytes())
    content[-3] ^= 1
    file.write_bytes(content)
    assert [problem for problem in verify_gallery(tmp_path) if "changed since it was written" in problem]


def test_a_missing_part_is_told_before_the_switch(tmp_path: Path) -> None:
    gallery = cases.make_gallery(tmp_path, 20)
    part = cases.part_of(tmp_path, [77])
    version = add_version(tmp_path, cases.manifest_of([part]))
    vectors_path(tmp_path, part.digest).with_suffix(".jsonl").unlink()
    with raises("gallery-damaged"):
        use_version(tmp_path, version)
    assert current_version(tmp_path) == gallery.version


def test_a_gallery_of_another_embedder_is_refused_with_both_fingerprints(tmp_path: Path) -> None:
    gallery = cases.make_gallery(tmp_path)
    gallery.check_embedder("made-up", "here")
    with raises("embedder-mismatch") as caught:
        gallery.check_embedder("f" * 64, "runs/b")
    assert "made-up" in str(caught.value) and "f" * 16 in str(caught.value)


def test_a_second_writer_is_kept_out(tmp_path: Path) -> None:
    with write_gallery(tmp_path), raises("output-locked"), write_gallery(tmp_path):
        pass


def test_parts_must_fit_their_skus(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="vectors"):
        write_part(tmp_path, [], np.ones((2, 4), np.float32))


WRITER = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from support.gallery import cases
from detectors.recognition.gallery.open import open_gallery
from detectors.recognition.gallery.versions import add_version, is_gallery, roll_back, use_version, write_gallery
folder = Path(sys.argv[1])
print("begun", flush=True)
for step in range(1000):
    with write_gallery(folder):
        parent = open_gallery(folder) if is_gallery(folder) else None
        held = list(parent.manifest.parts) if parent else []
        number = 1 + max([int(key[4:]) for key in parent.keys], default=-1) if parent else 0
        part = cases.part_of(folder, range(number, number + 3))
        version = parent.version if parent else None
        use_version(folder, add_version(folder, cases.manifest_of([*held[-8:], part], parent=version)))
        if step % 5 == 4:
            roll_back(folder)
"""


def test_whenever_a_writer_is_killed_the_gallery_is_whole(tmp_path: Path) -> None:
    folder, rng = tmp_path / "gallery", np.random.default_rng(5)
    seen = set()
    for _ in range(8):
        writer = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(folder), str(TESTS)], stdout=subprocess.PIPE, cwd=ROOT
        )
        assert writer.stdout is not None and writer.stdout.readline() == b"begun\n"
        time.sleep(float(rng.uniform(0.02, 0.4)))
        os.kill(writer.pid, signal.SIGKILL)
        writer.communicate()
        if not (folder / CURRENT).exists():
            continue  # killed before there was a first version: there is nothing to be whole yet
        gallery = open_gallery(folder)
        assert verify_gallery(folder) == []
        assert all(verify_gallery(folder, version) == [] for version in version_ids(folder)[:3])
        seen.add(gallery.version)
    assert len(seen) > 1
    with write_gallery(folder):
        left = [path for path in folder.rglob("*") if path.name.endswith(".tmp") or path.name.startswith(".new-")]
    assert left == []


def test_a_gallery_whose_files_were_tampered_with_is_not_opened(tmp_path: Path) -> None:
    """Of the same size, and with the time that it had before."""
    gallery = cases.make_gallery(tmp_path)
    old = vectors_path(tmp_path, gallery.manifest.parts[0].digest)
    content = bytearray(old.read_bytes())
    content[-64:] = bytes(64)
    new, status = old.with_suffix(".new"), old.stat()
    new.write_bytes(content)
    os.utime(new, ns=(status.st_atime_ns, status.st_mtime_ns))
    new.replace(old)
    with raises("gallery-damaged") as told:
        open_gallery(tmp_path)
    assert old.name in str(told.value) and "gallery verify" in str(told.value)
