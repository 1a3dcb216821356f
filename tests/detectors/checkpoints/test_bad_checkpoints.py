"""Checkpoints from elsewhere: every mistake is told with its place, before memory or time is spent on it."""

from __future__ import annotations

import io
import os
import pickle
import struct
import tempfile
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings

from assets import limits
from detectors.checkpoints.detector import load_checkpoint
from detectors.checkpoints.optimizer_state import load_optimizer_state
from detectors.checkpoints.tensor_file import read_tensor_file
from detectors.checkpoints.weights import read_weights
from detectors.recognition.embedder.checkpoint import load_embedder_checkpoint
from support.errors import raises
from support.fuzzing import checkpoints as made
from support.fuzzing.files import GONE, Files, deadline, sandbox

SLOW = [HealthCheck.too_slow, HealthCheck.data_too_large]
NAN = float("nan")


@pytest.mark.filterwarnings("ignore")
class TestBroken:
    @settings(max_examples=20, suppress_health_check=SLOW)
    @given(files=made.checkpoints(made.good_detector))
    def test_detectors_are_read_or_told(self, files: Files) -> None:
        with tempfile.TemporaryDirectory() as root, sandbox(Path(root) / "box") as box:
            made.check_detector_is_read_or_told(files, box)

    @settings(max_examples=20, suppress_health_check=SLOW)
    @given(files=made.checkpoints(made.good_embedder))
    def test_embedders_are_read_or_told(self, files: Files) -> None:
        with tempfile.TemporaryDirectory() as root, sandbox(Path(root) / "box") as box:
            made.check_embedder_is_read_or_told(files, box)


@pytest.mark.parametrize(
    ("way", "value", "code", "told"),
    [
        (("format",), "1", "format-version-unsupported", ""),
        (("spec", "detector"), "yolo9000", "unknown-name", "unknown detector"),
        (("spec", "backbone"), "hf-hub:x/y", "unknown-name", "unknown backbone"),
        (("spec", "classes"), 5_000_000, "content-invalid", "spec.classes|a network of 5000000 classes"),
        (("spec", "width"), 0, "content-invalid", "spec.width"),
        (("spec", "width"), 8192, "checkpoint-mismatch", ""),
        (("spec", "mean", 0), NAN, "content-invalid", "spec.mean.0"),
        (("spec", "std", 1), 0.0, "content-invalid", "spec.std.1"),
        (("spec", "std", 1), -0.5, "content-invalid", "spec.std.1"),
        (("spec", "std"), (0.5, 0.5), "content-invalid", "spec.std"),
        (("classes", "keys"), ["tea", "tea"], "content-invalid", "a key is repeated"),
        (("classes", "keys"), ["tea"], "content-invalid", "1 keys and 2 names"),
        (("classes", "names", 0), "x" * 1001, "content-invalid", "at most 1000 characters"),
        (("settings",), "[" * 100_000, "limit-exceeded", "levels of lists"),
        (("settings",), "3", "content-invalid", "not a JSON object"),
        (("threshold",), 1.5, "content-invalid", "threshold"),
        (("threshold",), NAN, "content-invalid", "threshold"),
        (("frozen_norms",), ["backbone.nothing"], "checkpoint-damaged", "not a batch norm of the network"),
        (("step",), -1, "content-invalid", "step"),
        (("weights",), {}, "checkpoint-mismatch", "is missing"),
        (("weights", "extra"), torch.zeros(2), "checkpoint-mismatch", "the network has no such tensor"),
        (
            ("weights", "backbone.body.conv_stem.weight"),
            torch.zeros(2),
            "checkpoint-mismatch",
            r"shape \(2,\), expected",
        ),
        (("weights", "backbone.body.conv_stem.weight"), "x", "content-invalid", "not a plain tensor"),
        (("training",), GONE, "content-invalid", "training"),
    ],
)
def test_mistakes_of_a_detector_are_named(tmp_path: Path, way: Any, value: Any, code: str, told: str) -> None:
    data = made.good_detector()
    if way == ("spec", "width") and value == 8192:
        data = made.changed(data, ("spec", "detector"), "fcos")
    (tmp_path / "a.ckpt").write_bytes(made.changed(data, way, value))
    with raises(code, text=told) as caught:
        load_checkpoint(tmp_path / "a.ckpt")
    assert len(str(caught.value)) < 4000


@pytest.mark.parametrize(
    ("change", "code", "told"),
    [
        (lambda value: value.fill_(NAN), "checkpoint-mismatch", "not finite"),
        (lambda value: value.double(), "checkpoint-mismatch", "torch.float64, expected torch.float32"),
        (lambda value: value.to_sparse(), "content-invalid", "not a plain tensor"),
        (lambda value: value.to("meta"), "content-invalid", "not a plain tensor"),
        (lambda value: torch.zeros(1).expand(made.MANY), "checkpoint-mismatch", "shape"),
    ],
)
def test_tensors_of_another_kind_are_named(tmp_path: Path, change: Any, code: str, told: str) -> None:
    way = ("weights", "backbone.body.conv_stem.weight")
    value = torch.load(io.BytesIO(made.good_detector()), weights_only=True)["weights"][way[1]]
    (tmp_path / "a.ckpt").write_bytes(made.changed(made.good_detector(), way, change(value)))
    with raises(code, problems=told):
        load_checkpoint(tmp_path / "a.ckpt")


@pytest.mark.parametrize(
    ("way", "value", "code", "told"),
    [
        (("embedder", "dim"), 10**9, "content-invalid", "embedder.dim"),
        (("embedder", "side"), 10**6, "content-invalid", "embedder.side"),
        (("embedder", "margin"), NAN, "content-invalid", "embedder.margin"),
        (("embedder", "backbone"), "vit_tiny_patch16_224", "network-invalid", ""),
        (("score",), {"threshold": 7.0}, "content-invalid", "a similarity lies between"),
        (("head",), {"classify.weight": torch.zeros(2, 2)}, "checkpoint-mismatch", ""),
        (("keys",), ["a", 3], "content-invalid", "keys.1"),
    ],
)
def test_mistakes_of_an_embedder_are_named(tmp_path: Path, way: Any, value: Any, code: str, told: str) -> None:
    (tmp_path / "a.ckpt").write_bytes(made.changed(made.good_embedder(), way, value))
    with raises(code, problems=told):
        load_embedder_checkpoint(tmp_path / "a.ckpt")


def test_keys_of_later_versions_are_let_be(tmp_path: Path) -> None:
    (tmp_path / "a.ckpt").write_bytes(made.changed(made.good_detector(), ("later",), {"a": 1}))
    assert load_checkpoint(tmp_path / "a.ckpt").classes.keys == ("tea", "oats")


def archive_of(structure: bytes, compression: int = zipfile.ZIP_STORED) -> bytes:
    """What torch.save would write around a pickle."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        archive.writestr("a/data.pkl", structure)
        archive.writestr("a/version", "3\n")
        archive.writestr("a/byteorder", "little")
    return buffer.getvalue()


def nested_tuples(levels: int, width: int) -> bytes:
    """A dictionary whose key is a tuple of tuples: width ** levels values to be hashed, in a kilobyte."""
    steps = [b"\x80\x02}", b"K\x01q\x00"]
    for level in range(levels):
        steps.append(b"(" + b"h" + bytes([level]) if level == 0 else b"(")
        steps += [b"h" + bytes([level])] * width + [b"t", b"q" + bytes([level + 1])]
    return b"".join(steps) + b"K\x01s."


BOMBS = {
    "lists without end": (archive_of(b"\x80\x02" + b"]" * 60_000), "limit-exceeded", "steps of the structure"),
    "a long structure": (
        archive_of(b"\x80\x02X" + struct.pack("<I", 2 << 20) + b"x" * (2 << 20) + b"."),
        "limit-exceeded",
        "apart from",
    ),
    "tuples in tuples": (archive_of(nested_tuples(30, 40)), "limit-exceeded", "a tuple of a checkpoint stands for"),
    "deep tuples": (
        archive_of(b"\x80\x02}K\x01" + b"\x85" * 2_000 + b"K\x01s."),
        "limit-exceeded",
        "a tuple of a checkpoint stands for",
    ),
    "a packed archive": (
        archive_of(b"\x80\x02]" + b"K\x01a" * 100_000 + b".", zipfile.ZIP_DEFLATED),
        "tensor-file-unreadable",
        "compressed",
    ),
    "code": (archive_of(pickle.dumps({"weights": os.system}, 2)), "tensor-file-unreadable", ""),
    "code in an old file": (pickle.dumps(os.system, 2), "tensor-file-unreadable", ""),
    "lists in an old file": (b"\x80\x02" + b"]" * 60_000, "limit-exceeded", "steps of the structure"),
    "nothing": (b"", "tensor-file-unreadable", ""),
    "text": (b"spec: fcos\n", "tensor-file-unreadable", ""),
}


@pytest.mark.parametrize("kind", sorted(BOMBS))
def test_files_that_would_fill_a_memory_are_told_first(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, code, told = BOMBS[kind]
    # Lower, that the test need not count to millions.
    for name, most in {"STEPS": 50_000, "STRUCTURE": 1 << 20, "TUPLES": 1000}.items():
        limit = getattr(limits, f"TENSOR_FILE_{name}")
        monkeypatch.setattr(f"detectors.checkpoints.tensor_file.TENSOR_FILE_{name}", replace(limit, maximum=most))
    (tmp_path / "a.ckpt").write_bytes(data)
    with deadline(60), raises(code, text=told):
        read_tensor_file(tmp_path / "a.ckpt", "the checkpoint")
    with deadline(60), raises("limit-exceeded", "tensor-file-unreadable"):
        read_weights(tmp_path / "a.ckpt")


def test_only_plain_files_are_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "zero.safetensors").symlink_to("/dev/zero")
    for name in ("pipe", "zero.safetensors"):
        with deadline(20), raises("not-a-file"):
            read_weights(tmp_path / name)


class TestWeightsOfOthers:
    def test_wrappers_that_hold_themselves_end(self, tmp_path: Path) -> None:
        content: dict[str, Any] = {}
        content["weights"] = content
        torch.save(content, tmp_path / "a.pth")
        with raises("weights-empty"):
            read_weights(tmp_path / "a.pth")

    def test_classes_of_another_program_are_let_be(self, tmp_path: Path) -> None:
        torch.save({"classes": {0: "cup"}, "state_dict": {"a": torch.ones(2)}}, tmp_path / "a.pth")
        state, owner = read_weights(tmp_path / "a.pth")
        assert list(state) == ["a"] and owner is None

    def test_safetensors_with_a_long_head(self, tmp_path: Path) -> None:
        (tmp_path / "a.safetensors").write_bytes((1 << 40).to_bytes(8, "little") + b"{}")
        with raises("limit-exceeded", what="list of tensors"):
            read_weights(tmp_path / "a.safetensors")


@pytest.mark.parametrize(
    "state",
    [
        {},
        {"state": {9: {}}},
        {"state": {0: {"step": 1}}},
        {"state": {0: {"step": 1, "exp_avg": torch.zeros(9), "exp_avg_sq": torch.zeros(9)}}},
        {"state": {0: {"step": 1, "exp_avg": torch.full((2,), NAN), "exp_avg_sq": torch.zeros(2)}}},
    ],
)
def test_a_state_of_another_optimizer_is_told(state: dict[str, Any]) -> None:
    optimizer = torch.optim.AdamW([torch.nn.Parameter(torch.zeros(2))])
    with raises("checkpoint-damaged"):
        load_optimizer_state(optimizer, state, "last.ckpt")
