"""Files made by version 0.1.0 before its tree was rebuilt: they still load, verify, resume and give the same numbers.

tests/old/version_0_1.tar.xz holds a rendered set, the same as shards, a job, a detector (ssdlite), an embedder and a
gallery, all tiny: weights follow a short pattern so that they compress; expected/ is what that version found with them.
"""

from __future__ import annotations

import json
import tarfile
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from pipeline.cli.main import main
from render.scene import SceneSpec
from support.paths import TESTS


@pytest.fixture
def old(tmp_path: Path) -> Path:
    folder = tmp_path / "old"
    with tarfile.open(TESTS / "old" / "version_0_1.tar.xz") as archive:
        archive.extractall(folder, filter="data")
    for file in (folder / "job" / "how.json", folder / "run" / "settings.json", folder / "embedder" / "settings.json"):
        file.write_text(file.read_text().replace("@OLD@", str(folder)))
    return folder


def synth(*words: object) -> Result:
    result = CliRunner().invoke(main, [str(word) for word in words])
    if "OpenGL" in result.output and result.exit_code:
        pytest.skip(f"the raster backend cannot start here: {result.output}")
    assert result.exit_code == 0, f"{words}: {result.output} {result.exception!r}"
    return result


def test_scene_specs_are_read_and_written_back_to_the_byte(old: Path) -> None:
    files = sorted((old / "set" / "scenes").glob("*.json"))
    assert len(files) == 2
    for file in files:
        assert SceneSpec.from_json(file.read_text()).to_json().encode() == file.read_bytes()


@pytest.mark.usefixtures("here")
def test_a_set_is_verified_and_extended(old: Path) -> None:
    """Its scenes are sampled, traced and rendered again; a further scene leaves what is there as it is."""
    before = {path: path.read_bytes() for path in (old / "set" / "images").iterdir()}
    synth("verify", old / "set", "--sku-list", old / "skus.csv", "--sample", 2)
    words = ["--recipe", old / "recipe.yaml", "--size", "64x48", "--seed", 5, "--split", "train:0.5,val:0.5"]
    words += ["--depth", "--ids", "--normals", "--cache", old / "cache"]
    synth("render", "--sku-list", old / "skus.csv", "--scenes", 3, "--out", old / "set", *words)
    after = {path: path.read_bytes() for path in (old / "set" / "images").iterdir()}
    assert len(after) == 3 and before.items() <= after.items()


@pytest.mark.usefixtures("here")
def test_shards_are_verified_and_unpacked(old: Path, tmp_path: Path) -> None:
    synth("verify", old / "packed")
    synth("data", "unpack", old / "packed", tmp_path / "back")
    there = (old / "packed" / "annotations").iterdir()
    assert len(list((tmp_path / "back").rglob("*.jpg"))) == 2 and any(there)


@pytest.mark.usefixtures("here")
def test_a_job_is_complete(old: Path) -> None:
    """The same command finds all of it done."""
    words = ["--appearances", 2, "--size", "64x48", "--shard-scenes", 2, "--recipe", old / "recipe.yaml"]
    words += ["--min-visibility", 0.2, "--min-side", 4, "--cache", old / "cache", "--workers", 1]
    result = synth("job", "run", old / "skus.csv", "--out", old / "job", *words, "--json")
    report = json.loads(result.stdout.splitlines()[-1])
    assert (report["made"], report["failed"], report["retired"]) == (0, 0, 0)
    synth("verify", old / "job")


def test_a_detector_finds_what_it_found(old: Path, tmp_path: Path) -> None:
    images = sorted((old / "set" / "images").iterdir())[:2]
    synth("predict", old / "run", *images, "--out", tmp_path / "found", "--threshold", 0.0, "--no-draw")
    found, expected = (
        json.loads(file.read_text())
        for file in (tmp_path / "found" / "predictions.json", old / "expected" / "detections.json")
    )
    assert len(found) == len(expected) == 320
    for one, other in zip(found, expected, strict=True):
        assert one["image_id"] == other["image_id"]
        assert one["score"] == pytest.approx(other["score"], abs=1e-5)
    boxes = [np.array(sorted(record["bbox"] for record in records)) for records in (found, expected)]
    assert np.allclose(*boxes, atol=1e-2)


def test_a_gallery_is_whole_and_names_products(old: Path, tmp_path: Path) -> None:
    synth("gallery", "verify", old / "gallery")
    labels = old / "set" / "annotations" / "instances_val.json"
    synth("recognize", "--boxes", labels, "--gallery", old / "gallery", labels, "--out", tmp_path / "named")
    found, expected = (
        json.loads(file.read_text())
        for file in (tmp_path / "named" / "predictions.json", old / "expected" / "recognitions.json")
    )
    assert len(found) == len(expected) == 3
    for one, other in zip(found, expected, strict=True):
        assert (one["sku"], one["verdict"], one["bbox"]) == (other["sku"], other["verdict"], other["bbox"])
        assert one["similarity"] == pytest.approx(other["similarity"], abs=1e-4)
