"""Export: what is written, checked and told, whatever the format."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from rich.console import Console

from detectors.checkpoints.detector import load_checkpoint
from detectors.export import onnx
from detectors.export.agreement import Agreement, Side, _compare
from detectors.export.run import describe, export, print_summary
from detectors.export.settings import ExportSettings
from detectors.models import detector_module
from detectors.models.detect import Detections, fit_image
from detectors.models.spec import ModelSpec
from support.errors import raises
from support.random_runs import SIZE, random_run

pytest.importorskip("onnxruntime", reason="export needs onnx and onnxruntime, which are optional")
pytest.importorskip("onnx", reason="export needs onnx and onnxruntime, which are optional")

QUIET = Console(quiet=True)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return random_run(tmp_path_factory.mktemp("ssdlite"), "ssdlite")


def test_what_a_caller_needs_is_told(run: Path, tmp_path: Path) -> None:
    """The sidecar and the file's own metadata say the same; the file by itself has a fixed input."""
    from onnx import load

    made = export(ExportSettings(run, tmp_path / "for phones.onnx"), QUIET)
    assert (made.model, made.description) == (tmp_path / "for phones.onnx", tmp_path / "for phones.json")
    told = json.loads(made.description.read_text())
    assert told["file"] == "for phones.onnx"
    assert told["classes"][1] == {"label": 1, "category_id": 2, "key": "sku-oats", "name": "Oats"}
    assert told["input"]["shape"] == [1, SIZE[1], SIZE[0], 3] and told["thresholds"] == {"show": 0.5, "least": 0.01}
    model = load(made.model)
    assert {entry.key: json.loads(entry.value) for entry in model.metadata_props} == {"synth": told}
    (image,) = model.graph.input
    assert [dimension.dim_value for dimension in image.type.tensor_type.shape.dim] == told["input"]["shape"]
    assert [output.name for output in model.graph.output] == list(told["outputs"]) == ["boxes", "labels", "scores"]


def test_the_letterbox_that_is_described_is_the_one_in_use(run: Path) -> None:
    """The formulas of the description, evaluated as written, give sizes and boxes of `fit_image`."""
    agreement = Agreement(1, 0, 0, 0, 0, 0, 0, 1, 1)
    rule = describe(load_checkpoint(run), "model.onnx", agreement, {})["letterbox"]
    for image_width, image_height in ((1920, 1080), (33, 500), (3000, 10), (160, 128)):
        names = {"width": SIZE[0], "height": SIZE[1], "image_width": image_width, "image_height": image_height}
        names["scale"] = eval(rule["scale"], {"min": min}, names)
        fitted, box = fit_image(np.zeros((image_height, image_width, 3), np.uint8), *SIZE)
        sides = [eval(rule[side], {"max": max, "round": round}, names) for side in ("fitted_width", "fitted_height")]
        assert sides == [box.fitted_width, box.fitted_height]
        assert (fitted[:, sides[0] :] == rule["fill"]).all() and (fitted[sides[1] :] == rule["fill"]).all()
        names |= {"fitted_width": sides[0], "fitted_height": sides[1], "x": 7, "y": 3}
        back = eval(rule["back"].removesuffix(", clipped to the image"), {}, names)
        back = np.minimum(back, [image_width, image_height])
        np.testing.assert_allclose(box.to_original(np.array([[7, 3, 7, 3]]))[0, :2], back, rtol=1e-6)


def test_a_wrong_file_is_refused_and_nothing_kept(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A network with other weights stands for an exporter that goes wrong."""

    def export_another(model: torch.nn.Module, spec: ModelSpec, path: Path) -> None:
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.mul_(1.05)
        export_right(model, spec, path)

    export_right = onnx.export
    monkeypatch.setattr(onnx, "export", export_another)
    out = tmp_path / "out"
    with raises("export-mismatch") as caught:
        export(ExportSettings(run, out), QUIET)
    assert "px" in str(caught.value.found) and "1 px" in str(caught.value.expected)
    assert not out.exists()


def test_a_detector_that_no_file_can_hold_is_refused(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(detector_module("ssdlite"), "NOT_EXPORTED", "it asks a neighbour", raising=False)
    with raises("export-unsupported", found="neighbour"):
        export(ExportSettings(run, tmp_path), QUIET)
    assert not list(tmp_path.iterdir())


def test_real_photographs(run: Path, tmp_path: Path, shared_data: Path) -> None:
    """A pattern that means three photographs."""
    photos = shared_data / "hope_real" / "images" / "scene_0000_light_[012].jpg"
    made = export(ExportSettings(run, tmp_path, photos=photos), QUIET)
    assert made.photos == 3 and made.agreement.images == 3 and made.agreement.wrong == 0
    assert made.agreement.compared > 100


def test_damaged_photographs_are_left_out_and_told(run: Path, tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    (photos / "a.jpg").write_bytes(b"no image")
    with raises("images-unusable", what="photos"):
        export(ExportSettings(run, tmp_path, photos=photos), QUIET)
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 255, (50, 70, 3), np.uint8)).save(photos / "b.png")
    console = Console(record=True, width=200, quiet=False, file=(tmp_path / "log").open("w"))
    summary = export(ExportSettings(run, tmp_path, photos=photos), console)
    print_summary(console, summary)
    text = console.export_text()
    console.file.close()
    assert summary.photos == 1 and "left out" in text and "photographs: 1;" in text


def test_ties_are_told_from_mistakes() -> None:
    """One detection each: moved a little, exchanged for a rival of its score, gone, of another score, another class."""
    box = np.array([[10, 10, 50, 50]], np.float32)
    ours = _side(box, 0, 0.8)
    cases = [
        (_side(box + 0.5, 0, 0.8005), (0, 0)),
        (_side(box + 4, 0, 0.8), (1, 0)),  # overlaps by 0.68: either may have suppressed the other
        (_side(box + 30, 0, 0.8), (0, 1)),
        (_side(box, 0, 0.79), (0, 1)),
        (_side(box, 1, 0.8), (0, 1)),
        (_side(box[:0], 0, 0.8), (0, 1)),
    ]
    for theirs, expected in cases:
        assert _compare(ours, theirs)[1:3] == expected
    assert _compare(_side(box, 0, 0.04), _side(box[:0], 0, 0.8))[:3] == (0, 0, 0)


def test_masks_count_too() -> None:
    """A detection whose mask differs is wrong although its box agrees."""
    box = np.array([[10, 10, 50, 50]], np.float32)
    one = Side(_side(box, 0, 0.8).found, np.zeros((1, 28, 28), np.float32))
    other = Side(one.found, np.full((1, 28, 28), 0.2, np.float32))
    assert _compare(one, one)[2] == 0
    assert _compare(one, other)[2] == _compare(one, _side(box, 0, 0.8))[2] == 1


def test_missing_packages_are_told(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with raises("dependency-missing") as caught:
        export(ExportSettings(run, tmp_path), QUIET)
    assert caught.value.hint == "pip install 'synth[export]'"


def test_what_is_no_network_is_told(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(b"nonsense")
    with raises("onnx-failed"):
        onnx.load(tmp_path / "model.onnx")


def _side(boxes: np.ndarray, label: int, score: float) -> Side:
    count = len(boxes)
    return Side(Detections(boxes, np.full(count, label, np.int32), np.full(count, score, np.float32)), None)
