"""Every example runs, at small size, and does what its first line says."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import trimesh
from click.testing import CliRunner
from PIL import Image

from detectors.checkpoints.detector import load_checkpoint
from pipeline.cli.main import main
from support.paths import ROOT
from support.random_runs import SMALL, random_run
from support.sets.shapes import write_shapes

EXAMPLES = ROOT / "examples"


def load_example(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"example_{name}", EXAMPLES / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def run(*arguments: str) -> str:
    done = CliRunner().invoke(main, list(arguments))
    if "OpenGL" in done.output and done.exit_code:
        pytest.skip(f"the raster backend cannot start here: {done.output}")
    assert done.exit_code == 0, done.output
    return done.output


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def test_python_api(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    frame = load_example("python_api").main(tmp_path / "out", width=160, height=120)
    assert frame.rgb.shape == (120, 160, 3)
    printed = capsys.readouterr().out.splitlines()
    assert len(printed) == 1 + len(frame.annotations) and printed[0].startswith("16 products")
    plain, labels, depth = (np.asarray(Image.open(tmp_path / "out" / f"{name}.png")) for name in IMAGES)
    assert np.array_equal(plain, frame.rgb) and plain.shape == labels.shape and (plain != labels).any()
    nothing = np.isinf(frame.geometry.depth)
    assert (depth[nothing] == 255).all() and depth[~nothing].min() < 255
    assert json.loads((tmp_path / "out" / "scene.json").read_text())["seed"] == 42


IMAGES = ("picture", "labels", "depth")


@pytest.mark.usefixtures("here")
def test_read_labels_and_own_recipe(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "tabletop" in run("recipe", "check", str(EXAMPLES / "own_recipe.yaml"))
    recipe = str(EXAMPLES / "own_recipe.yaml")
    out = tmp_path / "set"
    run("render", "--demo", "--recipe", recipe, "--out", str(out), "--scenes", "1", "--size", "160x120", "--depth")
    scene = json.loads((out / "scenes" / "000000_0.json").read_text())
    kinds = [placement["kind"] for placement in scene["placements"]]
    assert kinds.count("product") >= 20 and kinds.count("prop") == 1  # the table
    capsys.readouterr()
    count = load_example("read_labels").main(out)
    lines = [line for line in capsys.readouterr().out.splitlines() if "visible" in line]
    assert count == len(lines) > 5
    for line in lines:  # the surface that is seen lies before the middle of the product, by no more than its size
        middle, surface = (float(word) for word in line.replace(",", "").split() if word[0].isdigit() and "." in word)
        assert 0 < middle - surface + 0.1 < 0.4


@pytest.mark.usefixtures("here")
def test_own_shelf_stands_in_every_scene_and_is_no_annotation(tmp_path: Path) -> None:
    recipe, out, shelves = str(EXAMPLES / "recipe_own_shelf.py"), tmp_path / "set", tmp_path / "shelves"
    options = ("--demo", "--recipe", recipe, "--out", str(out), "--scenes", "2", "--size", "160x120")
    shelves.mkdir()
    boards = [trimesh.creation.box((0.9, 0.4, 0.02)).apply_translation((0, 0, z)) for z in (0.1, 0.5, 0.9)]
    back = trimesh.creation.box((0.9, 0.02, 1.2)).apply_translation((0, 0.2, 0.6))
    trimesh.util.concatenate([*boards, back]).export(shelves / "bay.ply")
    run("render", *options, "--fixtures", str(shelves))
    for number in range(2):
        scene = json.loads((out / "scenes" / f"{number:06}_0.json").read_text())
        fixtures = [placement["fixture"] for placement in scene["placements"] if "fixture" in placement]
        assert fixtures == [{"kind": "file", "settings": {"key": "fixtures/bay.ply"}}]
        stands = {round(placement["world_from_object"][2][3], 2) for placement in scene["placements"][:-1]}
        assert {0.11, 0.51, 0.91} >= stands
    labels = json.loads((out / "annotations" / "instances_train.json").read_text())
    assert len({annotation["instance"] for annotation in labels["annotations"]}) > 5
    assert "clean" in run("verify", str(out), "--sample", "2", "--plugin", recipe)
    (shelves / "bay.ply").write_bytes((shelves / "bay.ply").read_bytes() + b"\n")
    assert "backdrops differ" in CliRunner().invoke(main, ["verify", str(out), "--plugin", recipe]).output


def test_own_detector_is_trained_and_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A checkpoint of it is read where its file has run, or is allowed by SYNTH_DETECTORS."""
    file, run_folder, shapes = EXAMPLES / "own_detector.py", tmp_path / "run", tmp_path / "shapes"
    write_shapes(shapes, 4, seed=1)
    options = ("--detector-option", "width=16", "--weights", "none", "--size", "96x64", "--workers", "0")
    steps = ("--epochs", "1", "--epoch-images", "30", "--batch", "1", "--augment", "none")
    train = ("train", "--synthetic", str(shapes), "--detector", str(file), *options, *steps, "--out", str(run_folder))
    run(*train)
    spec = load_checkpoint(run_folder).spec
    assert dict(spec.options) == {"width": 16, "depth": 4} and str(spec.origin).startswith("sha256:")
    predict = ("predict", str(run_folder), str(shapes / "images"), "--out")
    forget(monkeypatch, "own_detector")
    refused = CliRunner().invoke(main, [*predict, str(tmp_path / "refused")])
    assert refused.exit_code == 1 and "SYNTH_DETECTORS" in refused.output
    monkeypatch.setenv("SYNTH_DETECTORS", str(file))
    run(*predict, str(tmp_path / "found"))
    assert json.loads((tmp_path / "found" / "predictions.json").read_text()) != []
    monkeypatch.delenv("SYNTH_DETECTORS")
    forget(monkeypatch, "own_detector")
    run(*train)  # resumed, without being allowed apart: the command itself names the file


def test_own_exporter_is_checked_and_kept(tmp_path: Path) -> None:
    """The file finds what the detector finds; a name that is no format is refused."""
    home = random_run(tmp_path / "run", "ssdlite", SMALL)
    run("export", str(home), "--format", str(EXAMPLES / "own_exporter.py"))
    kept = json.loads((home / "model.json").read_text())
    assert kept["file"] == "model.pt2" and (home / kept["file"]).stat().st_size > 100_000
    assert kept["checked"]["wrong"] == 0 and kept["checked"]["compared"] > 10 and "opset" not in kept
    refused = CliRunner().invoke(main, ["export", str(home), "--format", "onx"])
    assert refused.exit_code and "onnx" in refused.output


def test_own_metric_stands_beside_the_others(tmp_path: Path) -> None:
    """Two of three images are complete: in one a product is called by another name."""
    labels = write_shapes(tmp_path / "shapes", 3, seed=1, split="val")
    truth = json.loads(labels.read_text())
    rows = [
        {**{key: one[key] for key in ("image_id", "category_id", "bbox")}, "score": 0.9} for one in truth["annotations"]
    ]
    rows[0]["category_id"] = 1 + rows[0]["category_id"] % 3
    (tmp_path / "results.json").write_text(json.dumps(rows))
    report = load_example("own_metric").main(labels, tmp_path / "results.json", tmp_path / "out")
    assert report.metrics[-1].name == "complete images" and report.metrics[-1].value == pytest.approx(2 / 3)
    assert "complete images" in (tmp_path / "out" / "index.html").read_text()


def forget(monkeypatch: pytest.MonkeyPatch, stem: str) -> None:
    """Forget that a Python file has run, as a new process has it."""
    for name in [name for name in sys.modules if name.startswith(f"synth_file_{stem}_")]:
        monkeypatch.delitem(sys.modules, name)


def test_the_list_of_examples_is_whole() -> None:
    listed = {
        line.split("](")[1].split(")")[0] for line in (EXAMPLES / "README.md").read_text().splitlines() if "](" in line
    }
    files = {
        str(file.relative_to(EXAMPLES)) for file in EXAMPLES.rglob("*") if file.suffix in (".py", ".yaml", ".ipynb")
    }
    assert listed == files


@pytest.mark.trains
def test_train_torchvision(tmp_path: Path) -> None:
    """Of the sets that `synth` writes, with and without splits, ignored products and images without any."""
    labels = write_shapes(tmp_path / "set" / "annotations", 6, seed=0)
    content = json.loads(labels.read_text())
    first = content["images"][0]["id"]
    for row in content["annotations"]:
        row["ignore"] = int(row["image_id"] == first)
        row["bbox"] = [float(side) for side in row["bbox"]]  # as in rendered sets; torchvision keeps integers
    (labels.parent / "instances_train.json").write_text(json.dumps(content))
    (labels.parent / "images").rename(tmp_path / "set" / "images")
    module = load_example("interop/train_torchvision")
    images = module.read_images(tmp_path / "set")
    assert len(images) == 5
    shown = content["images"][1]
    wanted = [row for row in content["annotations"] if row["image_id"] == shown["id"]]
    scale = np.array([320 / shown["width"], 320 / shown["height"]] * 2)
    corners = [[x, y, x + width, y + height] for x, y, width, height in (row["bbox"] for row in wanted)]
    np.testing.assert_allclose(images[0][1]["boxes"].numpy(), corners * scale, rtol=1e-4)
    assert images[0][1]["labels"].tolist() == [row["category_id"] for row in wanted]
    losses = module.main(tmp_path / "set", steps=2, batch=2)
    assert len(losses) == 2 and np.isfinite(losses).all()
    (tmp_path / "set" / "images").rename(tmp_path / "train")
    (tmp_path / "set" / "images").mkdir()
    (tmp_path / "train").rename(tmp_path / "set" / "images" / "train")
    assert len(module.read_images(tmp_path / "set")) == 5
