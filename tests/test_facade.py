"""`import synth`: one list of names, nothing loaded before it is used, and errors that name what hides our folders."""

from __future__ import annotations

import ast
import inspect
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

import synth
from dataset.storage.path import StoragePath
from pipeline.shards.pack import pack_data
from pipeline.shards.settings import PackSettings
from support.paths import ROOT


def run_python(code: str, folder: Path, *, path: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """Runs code as a user's script would run in a folder: what lies there comes first, then the project."""
    code = f"import sys; sys.path.insert(0, ''); sys.path.append({str(path)!r})\n{code}"
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=folder, check=False)


def test_import_loads_nothing(tmp_path: Path) -> None:
    code = "before = set(sys.modules); import synth\n"
    code += "print(sorted(name for name in set(sys.modules) - before if not name.startswith(('synth', 'importlib'))))"
    done = run_python(code, tmp_path)
    assert done.returncode == 0, done.stderr
    loaded = set(ast.literal_eval(done.stdout))
    assert not loaded & {"numpy", "torch", "trimesh", "pydantic", "assets", "render", "detectors", "PIL", "click"}


def test_types_and_table_list_the_same_names() -> None:
    source = (ROOT / "synth" / "__init__.py").read_text()
    block = next(node for node in ast.parse(source).body if isinstance(node, ast.If))
    typed = {
        (node.module, alias.asname) for node in block.body if isinstance(node, ast.ImportFrom) for alias in node.names
    }
    assert typed == {(module, name) for module, names in synth.PUBLIC.items() for name in names}


@pytest.mark.parametrize("name", synth.__all__)
def test_every_name_is_there_with_a_docstring_and_types(name: str) -> None:
    value = getattr(synth, name)
    assert inspect.getdoc(value)
    assert value.__module__ in synth.PUBLIC
    if inspect.isfunction(value):
        signature = inspect.signature(value)
        assert signature.return_annotation is not inspect.Signature.empty
        assert all(item.annotation is not item.empty for item in signature.parameters.values())


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(AttributeError, match="load_catalog"):
        synth.load_catalogue  # noqa: B018
    assert dir(synth) == synth.__all__


@pytest.mark.parametrize("hiding", ["render.py", "assets/__init__.py", "dataset/images.txt"])
def test_the_error_names_the_file_that_hides_a_folder(tmp_path: Path, hiding: str) -> None:
    (tmp_path / hiding).parent.mkdir(exist_ok=True)
    (tmp_path / hiding).write_text("")
    done = run_python("import synth", tmp_path)
    if hiding == "dataset/images.txt":  # a folder without Python files gives way to a package
        assert done.returncode == 0, done.stderr
        return
    assert done.returncode == 1
    message = done.stderr.splitlines()[-1]
    assert message.startswith("ImportError")
    assert str(tmp_path / hiding.split("/")[0]) in message and str(ROOT / hiding.split(".")[0].split("/")[0]) in message


def test_torch_may_come_after_the_renderer(tmp_path: Path) -> None:
    """Mesa's LLVM and triton's in one process: the facade sees to it that triton's is the first."""
    code = "import synth\n"
    code += f"library = synth.open_library(synth.demo_catalog(), cache={str(tmp_path / 'cache')!r})\n"
    code += "scene = synth.sample_scene(library, seed=0, index=0, width=64, height=48)\n"
    code += "with synth.open_renderer(library) as renderer: print(renderer.render(scene).rgb.shape)\n"
    code += "import detectors.models.parts\nprint('both')"
    done = run_python(code, tmp_path)
    if "OpenGL" in done.stderr:
        pytest.skip(f"the raster backend cannot start here: {done.stderr}")
    assert done.stdout.split() == ["(48,", "64,", "3)", "both"], done.stderr


def test_folders_and_shards_are_read_alike(tmp_path: Path) -> None:
    folder, shards = tmp_path / "folder", tmp_path / "shards"
    (folder / "annotations").mkdir(parents=True)
    (folder / "images").mkdir()
    for split, name in (("train", "a"), ("val", "b")):
        Image.new("RGB", (8, 6)).save(folder / "images" / f"{name}.png")
        content = {
            "images": [{"id": 1, "file_name": f"{name}.png", "width": 8, "height": 6}],
            "annotations": [{"id": 1, "image_id": 1, "category_id": 3, "bbox": [1, 1, 4, 3], "area": 12, "iscrowd": 0}],
            "categories": [{"id": 3, "name": "tea", "sku": "tea-1"}],
        }
        (folder / "annotations" / f"instances_{split}.json").write_text(json.dumps(content))
    pack_data(folder, StoragePath(str(shards)), Console(quiet=True), PackSettings(shard_images=1))
    for source in (folder, shards):
        assert {one.id: one.key for one in synth.read_categories(source)} == {3: "tea-1"}
        names = []
        for image in synth.read_dataset(source):
            names.append(image.labels.image.file_name)
            assert [label.bbox for label in image.labels.annotations] == [[1, 1, 4, 3]]
            assert image.read() == (folder / "images" / str(names[-1])).read_bytes()
        assert sorted(map(str, names)) == ["a.png", "b.png"]
        (one,) = synth.read_dataset(source, split="val")
        assert one.labels.image.file_name == "b.png"
        with pytest.raises(synth.SynthError) as caught:
            synth.read_dataset(source, split="vall")
        assert caught.value.code == "unknown-name" and "'val'" in str(caught.value.hint)


def test_scenes_are_those_of_the_command_line_and_labels_are_drawn(tmp_path: Path) -> None:
    library = synth.open_library(synth.demo_catalog(), cache=tmp_path)
    scene = synth.sample_scene(library, "scatter", seed=3, index=1, width=96, height=64)
    assert scene.to_json() == synth.SceneSpec.from_json(scene.to_json()).to_json()
    again = synth.sample_scene(library, synth.load_recipe("scatter"), seed=3, index=1, width=96, height=64)
    assert again.to_json() == scene.to_json()
    from render.labels import annotate, trace_geometry

    geometry = trace_geometry(scene, library)
    frame = synth.Frame(np.full((64, 96, 3), 128, np.uint8), geometry, annotate(scene, geometry))
    drawn = np.asarray(synth.plot_labels(frame, style="box"))
    assert drawn.shape == (64, 96, 3) and (drawn != 128).any()


@pytest.mark.parametrize("module", ["assets.color", "dataset.masks", "render.scene", "detectors.data.rows", "synth"])
def test_numpy_rounds_alike_on_all_processors(module: str) -> None:
    """Whatever of us is imported first, numpy leaves out functions that round differently where there is AVX-512."""
    told = (
        f"import {module}, synth; synth.SceneSpec\n"
        "from numpy.core._multiarray_umath import __cpu_features__ as has\n"
        "print(has['AVX512F'], has['AVX512_SKX'])"
    )
    clean = {name: value for name, value in os.environ.items() if name != "NPY_DISABLE_CPU_FEATURES"}
    done = subprocess.run([sys.executable, "-c", told], env=clean, capture_output=True, text=True, check=True)
    assert done.stdout == "False False\n"
