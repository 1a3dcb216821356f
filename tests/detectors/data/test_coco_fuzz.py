"""Anything may stand in a COCO file: it is read, or the mistake is told; nothing else ever happens."""

from __future__ import annotations

import json
import re
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from assets.errors import SynthError
from dataset.find import open_source
from dataset.identity import identify
from dataset.masks import decode_mask
from detectors.data.image_set import IGNORED
from detectors.data.prepare import prepare_training
from detectors.data.settings import DataSettings
from support.errors import raises
from support.sets.coco_files import HEIGHT, WIDTH, annotation, coco, read_set, write_set

Place = tuple[str | int, ...]
MISSING = object()


def rich() -> dict[str, Any]:
    """A valid file with every field that is read."""
    content = coco(3, boxes=0, group=[1, 1, 2], index=[1, 2, 3], seed=[0, 0, 0])
    mask = {"size": [HEIGHT, WIDTH], "counts": [300, 10, HEIGHT * WIDTH - 310]}
    content["annotations"] = [
        annotation(1, 1, 1, segmentation=mask, iscrowd=0, ignore=0, visibility=0.5, truncation=0.0, sku="cola"),
        annotation(2, 1, 2, segmentation={"size": [HEIGHT, WIDTH], "counts": "\\9:g]T1"}),
        annotation(3, 2, 3, segmentation=[[1, 1, 9, 1, 9, 9]]),
        annotation(4, 3, 1, iscrowd=1),
    ]
    return content


# Stands for a list of lists of lists, which Python cannot write but a file can hold.
DEEP = "deep "


odd = st.one_of(
    st.none(),
    st.booleans(),
    st.sampled_from([0, -1, 1, 2, 3, 2**31, 2**63, -(2**63) - 1, 10**400, -(10**400)]),
    st.integers(),
    st.floats(),
    st.sampled_from(
        ["", " ", "1", "\0", "\ud800", "../..", "/", "/etc/passwd", ".", "n" * 999, "a\nb", "\\", "000001.png"]
    ),
    st.text(max_size=8),
    # Run lengths: long, endless, past the end of the image, past 32 bits.
    st.sampled_from(["o" * 5000, "Z" * 5000, "ooooooo0", "PPPPPP0", "0" * 1200, "`" * 9 + "1"]),
    st.sampled_from([f"{DEEP}20", f"{DEEP}200", f"{DEEP}900", [1] * 1500, {"counts": 7}, {"size": 3, "counts": "a"}]),
    st.lists(st.integers() | st.floats() | st.text(max_size=3) | st.none(), max_size=8),
    st.lists(st.lists(st.integers(-(10**9), 10**9) | st.floats(), max_size=9), max_size=3),
    st.dictionaries(st.sampled_from(["size", "counts", "id", "name"]), st.integers() | st.text(max_size=3), max_size=3),
)


def places(value: Any, here: Place = ()) -> list[Place]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [*([here] if here else []), *(place for key, part in inner for place in places(part, (*here, key)))]


PLACES = places(rich())


@st.composite
def broken_files(draw: st.DrawFn) -> str:
    """A valid file of which up to three values were replaced or taken out."""
    content = rich()
    for way in draw(st.lists(st.sampled_from(PLACES), min_size=1, max_size=3, unique=True)):
        parent, value = content, draw(st.just(MISSING) | odd)
        try:
            for key in way[:-1]:
                parent = parent[key]  # type: ignore[index]
            parent[way[-1]]  # type: ignore[index]
        except (KeyError, IndexError, TypeError):
            continue
        if isinstance(parent, str):
            continue
        if value is MISSING:
            del parent[way[-1]]  # type: ignore[arg-type]
        else:
            parent[way[-1]] = value  # type: ignore[index]
    return re.sub(f'"{DEEP}([0-9]+)"', lambda found: "[" * int(found[1]) + "]" * int(found[1]), json.dumps(content))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_set(tmp_path_factory.mktemp("fuzz"), rich())


def check_sane(path: Path) -> None:
    images, problems = read_set(path)
    assert len(images) <= 3 and len(set(images.image_ids.tolist())) == len(images)
    left, top, right, bottom = images.boxes.T
    sizes = images.sizes[images.image_of_box()]
    assert ((left >= 0) & (top >= 0) & (right > left) & (bottom > top)).all()
    assert (right <= sizes[:, 0]).all() and (bottom <= sizes[:, 1]).all()
    assert ((images.labels >= IGNORED) & (images.labels < len(images.classes))).all()
    assert np.isfinite(images.areas).all() and (images.areas > 0).all()
    assert len(set(images.annotation_ids.tolist())) == len(images.annotation_ids)
    assert all(images.path(index).is_file() for index in range(len(images)))
    for place, image in enumerate(images.image_of_box()):
        width, height = images.sizes[image]
        if images.masks[place]:
            assert decode_mask(images.masks[place], int(height), int(width)).shape == (height, width)
    # What is told can be written down, and is not as long as the file.
    assert all(len(line.encode()) < 30_000 for line in problems.lines())
    assert "".join(images.classes.keys + images.classes.names).encode()
    identify(open_source(path, name="train", splits=("train",)))


@given(text=broken_files())
@settings(max_examples=200, suppress_health_check=[HealthCheck.too_slow])
def test_any_value_anywhere_is_read_or_told(folder: Path, text: str) -> None:
    (folder / "annotations" / "instances_train.json").write_text(text, encoding="utf-8")
    with suppress(SynthError):
        check_sane(folder)


@given(text=broken_files())
@settings(max_examples=50, suppress_health_check=[HealthCheck.too_slow])
def test_training_data_is_made_or_told(folder: Path, text: str) -> None:
    path = folder / "annotations" / "instances_train.json"
    path.write_text(text, encoding="utf-8")
    lines: list[str] = []
    with suppress(SynthError):
        data = prepare_training(DataSettings(real=path, skip_bad=True), seed=0, print_line=lines.append)
        assert len(data.sources[0]) and lines


@given(data=st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_any_bytes_are_read_or_told(folder: Path, data: bytes) -> None:
    path = folder / "other.json"
    path.write_bytes(data)
    with raises("coco-invalid", "json-invalid"):
        read_set(path)


@given(cut=st.integers(0, len(json.dumps(rich())) - 1))
@settings(max_examples=30)
def test_a_file_cut_short_is_told(folder: Path, cut: int) -> None:
    path = folder / "cut.json"
    path.write_text(json.dumps(rich())[:cut], encoding="utf-8")
    with raises("json-invalid"):
        read_set(path)
