"""Checkpoints of detectors and embedders with values of any kind in them, cut off, or packed to fill a memory."""

from __future__ import annotations

import copy
import io
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import torch
from hypothesis import strategies as st

from assets.errors import SynthError
from detectors.checkpoints.detector import Checkpoint, load_checkpoint, restore_model, save_checkpoint
from detectors.checkpoints.recorded import RecordedSettings
from detectors.data.image_set import Classes
from detectors.models import build_model
from detectors.models.spec import ModelSpec
from detectors.recognition.embedder.checkpoint import EmbedderCheckpoint, save_embedder_checkpoint
from detectors.recognition.embedder.load import load_embedder
from detectors.recognition.embedder.network import EmbedderSpec, EmbeddingNet
from support.fuzzing.files import GONE, Files, Place, Sandbox, changed_bytes, nothing_written

NORMAL = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
MANY = 10**12
# Of the tensors of a network so many are changed, all being alike.
TENSORS = 3


@cache
def good_detector() -> bytes:
    """The file of a small detector."""
    classes = Classes(("tea", "oats"), ("Green tea", "Oats"))
    spec = ModelSpec("ssdlite", "test_efficientnet", 2, 64, 64, *NORMAL)
    model = build_model(spec)
    return _saved(
        lambda path: save_checkpoint(
            Checkpoint(spec, classes, model.state_dict(), RecordedSettings(), {"set": "0"}), path
        )
    )


@cache
def good_embedder() -> bytes:
    """The file of a small embedder."""
    spec = EmbedderSpec("test_efficientnet", 8, 32, 0.05, *NORMAL)
    content = EmbedderCheckpoint(spec, EmbeddingNet(spec).state_dict(), ("tea",), RecordedSettings(), {"set": "0"})
    return _saved(lambda path: save_embedder_checkpoint(content, path))


def _saved(save: Callable[[Path], None]) -> bytes:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        save(Path(folder) / "file")
        return (Path(folder) / "file").read_bytes()


def changed(data: bytes, way: Place, value: Any) -> bytes:
    """The checkpoint with another value at a place, or without it (GONE)."""
    content = torch.load(io.BytesIO(data), weights_only=True)
    parent = content
    for key in way[:-1]:
        if isinstance(parent[key], tuple):
            parent[key] = list(parent[key])
        parent = parent[key]
    if value is GONE:
        del parent[way[-1]]
    else:
        parent[way[-1]] = copy.copy(value)
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return buffer.getvalue()


def places(value: Any, here: Place = ()) -> list[Place]:
    """The way to every value of a checkpoint, and to some tensors."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list | tuple) else ()
    found = list(inner)[:TENSORS] if here == ("weights",) else list(inner)
    return [*([here] if here else []), *(place for key, part in found for place in places(part, (*here, key)))]


def odd_values() -> list[Any]:
    """Values that no field of a checkpoint may have, or few."""
    nan = float("nan")
    numbers = [None, True, -1, 0, 10**9, 2**70, 1e308, nan, float("inf")]
    texts = ["x", "x" * 3000, "hf-hub:x/y", "vit_giant_patch14_dinov2"]
    tensors = [
        torch.zeros(2),
        torch.full((16, 3, 3, 3), nan),
        torch.zeros(1, dtype=torch.int64).expand(MANY),
        torch.zeros(3, 3, device="meta"),
        torch.sparse_coo_tensor(torch.zeros(2, 1, dtype=torch.int64), torch.ones(1), (10**6, 10**6)),
    ]
    loop: dict[str, Any] = {}
    loop["weights"] = loop
    return [GONE, *numbers, *texts, *tensors, [], {}, ["a", "a"], {"a": 1}, loop, [nan] * 3]


@st.composite
def checkpoints(draw: st.DrawFn, good: Callable[[], bytes]) -> Files:
    """A checkpoint broken by bytes or by one to two values."""
    data = good()
    if draw(st.booleans()):
        return {"a.ckpt": draw(changed_bytes(data))}
    for _ in range(draw(st.integers(1, 2))):
        content = torch.load(io.BytesIO(data), weights_only=True)
        try:
            data = changed(data, draw(st.sampled_from(places(content))), draw(st.sampled_from(odd_values())))
        except (NotImplementedError, RuntimeError):
            continue
    return {"a.ckpt": data}


def check_detector_is_read_or_told(files: Files, box: Sandbox) -> None:
    """A detector is loaded whole, or its file's mistake is told."""
    _check(files, box, lambda path: restore_model(load_checkpoint(path)))


def check_embedder_is_read_or_told(files: Files, box: Sandbox) -> None:
    """An embedder likewise."""
    _check(files, box, lambda path: load_embedder(path, device="cpu"))


def _check(files: Files, box: Sandbox, read: Callable[[Path], object]) -> None:
    path = box.write(files)
    with nothing_written(box), suppress(SynthError):
        read(path)
