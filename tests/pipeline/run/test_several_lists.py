"""Several SKU lists and folders of meshes on the command line: rendered, verified and taken up again as one."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import trimesh
from click.testing import CliRunner, Result

from assets.catalog.sku_lists import SkuLists
from dataset.storage.path import StoragePath
from pipeline.cli.main import main
from pipeline.jobs.settings import claim_location, identity_of, read_settings
from support.job_stubs import job_at

HEADER = "sku,name,package,mesh,width_m,height_m,depth_m\n"


@pytest.fixture
def lists(tmp_path: Path) -> list[str]:
    """Options for two lists, of which one names a mesh that lies elsewhere."""
    for name in ("one", "two", "meshes"):
        (tmp_path / name).mkdir()
    trimesh.creation.box((0.1, 0.1, 0.1)).export(tmp_path / "meshes" / "box.obj")
    first, second = tmp_path / "one" / "skus.csv", tmp_path / "two" / "skus.csv"
    first.write_text(f"{HEADER}a,Tea,can,,0.07,0.1,0.07\n")
    second.write_text(f"{HEADER}b,Tea,,../meshes/box.obj,,,\n")
    return ["--sku-list", str(first), "--sku-list", str(second), "--mesh-root", str(tmp_path / "meshes")]


def synth(*words: str) -> Result:
    return CliRunner().invoke(main, words)


@pytest.mark.usefixtures("here")
def test_a_set_of_two_lists_is_rendered_and_verified(lists: list[str], tmp_path: Path, cache: Path) -> None:
    out = str(tmp_path / "set")
    how = ["--out", out, "--scenes", "1", "--size", "64x48", "--cache", str(cache)]
    done = synth("render", *lists, *how)
    if "OpenGL" in done.output:
        pytest.skip(f"the raster backend cannot start here: {done.output}")
    assert done.exit_code == 0, done.output
    sources = json.loads((tmp_path / "set" / "dataset.json").read_text())["sources"]
    assert sources == {"sku_list": "../one/skus.csv", "sku_list-2": "../two/skus.csv", "mesh_root": "../meshes"}
    coco = json.loads((tmp_path / "set" / "annotations" / "instances_train.json").read_text())
    names = [(kind["sku"], kind["name"], kind["display_name"]) for kind in coco["categories"]]
    assert names == [("a", "Tea", "Tea"), ("b", "Tea (b)", "Tea")]
    verified = synth("verify", out, "--cache", str(cache), "--sample", "1")
    assert verified.exit_code == 0 and "1 scene" in verified.output, verified.output
    other = synth("render", *lists[:2], *how)
    assert other.exit_code == 1 and "settings-differ" in other.output
    lacking = synth("render", *lists[:4], *how)
    assert lacking.exit_code == 1 and f"--mesh-root {tmp_path / 'meshes'}" in lacking.output.replace("\n", "")


def test_lists_of_commands_stand_side_by_side(lists: list[str]) -> None:
    paths = [lists[1], lists[3]]
    assert synth("catalog", "check", "--no-meshes", *paths, *lists[4:]).exit_code == 0
    assert synth("catalog", "check", "--no-meshes", *paths).exit_code == 1
    done = synth("catalog", "ids", *paths, *lists[4:])
    assert done.exit_code == 0 and "2 new" in done.output
    assert Path(lists[1]).with_name("skus.ids.csv").read_text() == "id,sku\n1,a\n2,b\n"
    alone = synth("verify", "nowhere", *lists[4:])
    assert alone.exit_code == 2 and "needs a SKU list" in alone.output


def test_a_job_remembers_its_lists(lists: list[str], tmp_path: Path) -> None:
    job = job_at(tmp_path / "set", Path(lists[1]))
    both = SkuLists((Path(lists[1]), Path(lists[3])), (Path(lists[5]),))
    job = replace(job, render=replace(job.render, sku_list=both, cache=tmp_path))
    claim_location(job, identity_of(job))
    assert read_settings(StoragePath(str(tmp_path / "set")), tmp_path / "recipe.yaml").render.sku_list == both.resolve()
