"""Files from elsewhere are decoded in one place each, and their texts shown and written in one place each.

No other code calls a decoder on what may come from outside, prints by other means, or writes CSV.
"""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from support.paths import ROOT

# Decoder -> the files that are the gate for it.
GATES = {
    "json.load": (),
    "json.loads": ("assets/files/json_input.py",),
    "ijson.items": ("assets/files/json_input.py", "assets/files/json_constants.py"),
    "ijson.kvitems": ("assets/files/json_input.py",),
    "ijson.parse": (),
    "model_validate_json": ("assets/files/models.py",),
    "Image.open": ("assets/files/image_input.py",),
    "cv2.imread": (),
    "cv2.imdecode": ("assets/files/image_input.py",),
    "cv2.VideoCapture": ("detectors/predict/video_input.py",),
    "imageio.imread": (),
    "torchvision.io": (),
    "np.load": (),
    "marshal.loads": (),
    "pickle.load": (),
    "pickle.loads": (),
    "torch.load": ("detectors/checkpoints/tensor_file.py",),
    "load_file": ("detectors/checkpoints/tensor_file.py",),
    "onnx.load": (),
    "yaml.load": (),
    "yaml.safe_load": (),
    "yaml.SafeLoader": ("assets/files/yaml_input.py",),
    "tomllib.load": (),
    "tomllib.loads": ("assets/planogram/toml_layout.py",),
    "etree.parse": (),
    "etree.iterparse": ("assets/files/xml_input.py",),
    "zipfile.ZipFile": ("assets/files/array_input.py",),
    "tarfile.open": ("dataset/shards/tar.py",),
    "parquet.ParquetFile": (),
    "parquet.read_table": (),
    "trimesh.load": (),
    "trimesh.load_scene": ("assets/mesh/read.py",),
    # And what makes text of files into more than text: of terminals, and of spreadsheet programs.
    "Console": ("assets/console.py",),
    "click.echo": ("pipeline/cli/output.py",),
    "Text.from_markup": (),
    "rich.markup.escape": (),
    "rich.text.Text": ("assets/console.py",),
    "csv.writer": ("assets/catalog/csv_rows.py",),
    "csv.DictWriter": (),
}
# What else may call one, and why. Nothing here takes a file from outside, or it has checked it just before.
EXCEPTIONS = {
    ("assets/catalog/words.py", "yaml.load"): "the words of the project's own file",
    ("assets/catalog/words.py", "yaml.SafeLoader"): "the same",
    ("assets/catalog/read.py", "parquet.ParquetFile"): "a SKU list whose metadata were checked just before",
    ("assets/mesh/bounds.py", "zipfile.ZipFile"): "the gate of 3MF: sizes are checked before anything is unpacked",
    ("assets/mesh/bounds.py", "etree.iterparse"): "the same, without entities",
    ("dataset/formats/huggingface_parquet.py", "parquet.ParquetFile"): "the gate of Parquet of Hugging Face",
    ("dataset/shards/index.py", "tarfile.open"): "written, not read",
    ("dataset/formats/bop/shards.py", "tarfile.open"): "the same",
    ("detectors/checkpoints/tensor_file.py", "zipfile.ZipFile"): "the list of a checkpoint, before torch reads it",
    ("detectors/export/onnx.py", "onnx.load"): "what this run has written a moment ago",
    (
        "assets/backdrops/collection.py",
        "cv2.imread",
    ): "HDRIs, whose header was checked just before (assets/backdrops/hdri_header.py)",
    ("assets/mesh/store.py", "np.load"): "our own cache of meshes; what is damaged there is made again",
    ("assets/mesh/store.py", "json.loads"): "the same",
    ("assets/mesh/sources.py", "json.loads"): "our own cache of digests; what is damaged there is made again",
    ("assets/packages/store.py", "json.loads"): "our own store of packages, behind a checksum",
    ("assets/files/source_pins.py", "json.loads"): "lines of two texts that this run and its workers write",
    ("assets/files/atomic.py", "json.loads"): "the lock file of a run, for a message",
    ("pipeline/shards/pack.py", "json.loads"): "counts of the spool that this run has written",
    ("dataset/coco_spool.py", "marshal.loads"): "records that this run has written into its own spool",
    ("pipeline/shards/diff.py", "marshal.loads"): "records that this run has written into its own scratch folder",
    ("pipeline/shards/crop.py", "json.loads"): "lines that this command has written into its own hidden folder",
    ("pipeline/jobs/estimate/cost.py", "json.loads"): "what this run's own worker has just written",
    ("pipeline/jobs/pilot.py", "json.loads"): "the same",
    ("pipeline/jobs/shard.py", "json.loads"): "the same, and shards behind their receipts",
    ("pipeline/verify/scenes.py", "json.loads"): "what was made of our own values one line before",
    ("pipeline/run/probe.py", "json.loads"): "what this process has just asked its own child to print",
    ("pipeline/products/build.py", "json.loads"): "lines that this run's own workers have just written",
    ("pipeline/gallery/task.py", "json.loads"): "what this run's own worker has just written",
    ("pipeline/gallery/task.py", "np.load"): "the same",
    ("pipeline/cli/main.py", "click.echo"): "a SynthError, which writes control characters out itself",
    ("pipeline/cli/job.py", "click.echo"): "JSON that json_line has made",
    ("pipeline/doctor.py", "rich.text.Text"): "one of its own three words",
    ("dataset/review/table.py", "csv.writer"): "cells that cells_of has made safe, as the page needs them, too",
    ("detectors/augment/camera.py", "cv2.imdecode"): "an image that was encoded one line before",
    ("dataset/images.py", "cv2.imdecode"): "behind open_image, with OpenCV's own fallback",
    (
        "detectors/data/proposals.py",
        "np.load",
    ): "our own cache of regions, without pickles; damaged ones are made again",
    ("detectors/data/image_set.py", "np.load"): "columns that the run's first process wrote, mapped, size checked",
    ("detectors/recognition/embedder/crop_store.py", "np.load"): "columns of crops that this run has written",
    ("detectors/recognition/gallery/evaluate.py", "json.loads"): "a report of ours, made one call before",
}
# Galleries have a gate of their own: they are opened only if the checksums of all their files hold.
GALLERIES = "detectors/recognition/gallery/"


def calls_in(file: Path) -> set[str]:
    """The decoders that a file names, as `module.function`; of methods the name alone."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            names |= {node.func.id} & set(GATES)
        elif isinstance(node, ast.Attribute):
            owner = node.value
            dotted = f"{owner.id}.{node.attr}" if isinstance(owner, ast.Name) else node.attr
            names |= {dotted, node.attr} & set(GATES)
        elif isinstance(node, ast.ImportFrom):
            names |= {f"{node.module}.{alias.name}" for alias in node.names} & set(GATES)
            names |= {"torchvision.io"} if (node.module or "").startswith("torchvision.io") else set()
    return names


SOURCES = sorted(
    file.relative_to(ROOT).as_posix()
    for folder in ("assets", "dataset", "render", "detectors", "pipeline")
    for file in (ROOT / folder).rglob("*.py")
)


def test_decoders_are_called_by_their_gates_alone() -> None:
    outside = [
        f"{name} calls {decoder}"
        for name in SOURCES
        for decoder in sorted(calls_in(ROOT / name))
        if name not in GATES[decoder] and (name, decoder) not in EXCEPTIONS and not name.startswith(GALLERIES)
    ]
    assert outside == [], "read it through json_input.py, models.py, image_input.py or array_input.py of assets/files"


@pytest.mark.parametrize(("name", "decoder"), sorted(EXCEPTIONS))
def test_every_exception_is_one_still(name: str, decoder: str) -> None:
    assert decoder in calls_in(ROOT / name)


def test_the_search_sees_calls(tmp_path: Path) -> None:
    text = "from PIL import Image\njson.load(f); Image.open(p); cv2.imread(p); M.model_validate_json(d); Console()\n"
    (tmp_path / "a.py").write_text(text)
    assert calls_in(tmp_path / "a.py") == {"json.load", "Image.open", "cv2.imread", "model_validate_json", "Console"}
