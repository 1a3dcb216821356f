"""Galleries from elsewhere: their files are used as they are meant or told as damaged, even where checksums hold."""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from assets.errors import SynthError
from detectors.recognition.gallery.decision import NOTE as DECISION
from detectors.recognition.gallery.decision import read_decision, settle_decision, write_decision
from detectors.recognition.gallery.index import build_index, check_index, open_index
from detectors.recognition.gallery.open import Gallery, open_gallery
from detectors.recognition.gallery.parts import SUFFIXES, _digest_of, vectors_path
from detectors.recognition.gallery.search import find_skus
from detectors.recognition.gallery.versions import CURRENT, MANIFEST, VERSIONS, Manifest, verify_gallery
from support.errors import raises
from support.fuzzing.files import changed_bytes, changed_json, deadline
from support.gallery import cases

SLOW = [HealthCheck.too_slow, HealthCheck.data_too_large]


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A gallery of twelve SKUs with an index and a decision."""
    folder = tmp_path_factory.mktemp("good") / "gallery"
    gallery = cases.make_gallery(folder, 12, part=12)
    write_decision(gallery, settle_decision(gallery))
    build_index(gallery, "hnsw")
    return folder


def use(folder: Path) -> None:
    """What commands do with a gallery: open it, read its notes, look for something, verify it."""
    gallery = open_gallery(folder)
    settle_decision(gallery, threshold=None)
    with suppress(SynthError):
        find_skus(gallery, open_index(gallery), cases.vectors_of([1]))
    gallery.front(0)
    verify_gallery(folder)
    check_index(gallery)


def resealed(folder: Path, manifest: dict[str, Any]) -> None:
    """Stores a manifest under the id that its content has, as whoever forges one would."""
    content = json.dumps({**manifest, "parent": None}).encode()
    try:
        version = Manifest.model_validate_json(content).id
    except ValueError:
        version = hashlib.sha256(content).hexdigest()[:16]
    home = folder / VERSIONS / version
    home.mkdir(exist_ok=True)
    (home / MANIFEST).write_bytes(content)
    (folder / CURRENT).write_text(json.dumps({"version": version, "before": []}))


def forged_part(gallery: Gallery, **contents: bytes) -> None:
    """Replaces files of the only part, and everything that names it, so that all checksums hold."""
    folder, entry = gallery.folder, gallery.manifest.parts[0]
    old = [vectors_path(folder, entry.digest).with_suffix(suffix) for suffix in SUFFIXES]
    data = [contents.get(file.suffix[1:], file.read_bytes()) for file in old]
    digest = _digest_of(*data)
    for suffix, content in zip(SUFFIXES, data, strict=True):
        vectors_path(folder, digest).with_suffix(suffix).write_bytes(content)
    manifest = json.loads((folder / VERSIONS / gallery.version / MANIFEST).read_bytes())
    manifest["parts"][0] |= {"digest": digest, "bytes": sum(map(len, data))}
    resealed(folder, manifest)


def array(shape: tuple[int, ...], dtype: Any = np.float32, *, rows: int = 36) -> bytes:
    """An array file whose head may claim another shape."""
    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        buffer, {"descr": np.lib.format.dtype_to_descr(np.dtype(dtype)), "fortran_order": False, "shape": shape}
    )
    return buffer.getvalue() + bytes(rows * cases.DIM * np.dtype(dtype).itemsize)


@pytest.mark.parametrize(
    ("kind", "content"),
    [
        ("npy", array((10**12, cases.DIM))),
        ("npy", array((36,))),
        ("npy", array((36, cases.DIM), np.int32)),
        ("npy", array((36, cases.DIM), rows=1)),
        ("npy", b"\x93NUMPY\x01\x00\x10\x00{'descr': ((((  "),
        ("npy", b"PK\x03\x04" + bytes(100)),
        ("npy", b""),
        ("jsonl", b""),
        ("jsonl", b'{"sku": "a"}\n'),
        ("jsonl", b"[" * 5000 + b"\n"),
        ("jsonl", b'{"sku":"a","name":"A","category_id":"1","digest":"d","rows":36,"front":0}\n'),
        ("jsonl", b'{"sku":"a","name":"A","category_id":1,"digest":"d","rows":-36,"front":0}\n'),
        ("jsonl", b'{"sku":"a","name":"A","category_id":1,"digest":"d","rows":1000000000000,"front":0}\n'),
        ("jsonl", b'{"sku":"a","name":"A","category_id":1,"digest":"d","rows":35,"front":0}\n'),
        ("jsonl", b'{"sku":"a","name":"A","category_id":1,"digest":"d","rows":36,"front":-5}\n'),
        ("jsonl", b'{"sku":"a","name":"A","category_id":1,"digest":"d","rows":36,"photos":["../../x"]}\n'),
        ("jsonl", b'{"sku":"a","name":"A","category_id":1,"digest":"d","rows":36,"more":1}\n'),
    ],
)
def test_forged_parts_are_told_though_their_checksums_hold(
    good: Path, tmp_path: Path, kind: str, content: bytes
) -> None:
    folder = Path(shutil.copytree(good, tmp_path / "gallery"))
    forged_part(open_gallery(folder), **{kind: content})
    with deadline(30), raises("gallery-damaged"):
        open_gallery(folder)


@pytest.mark.parametrize(
    ("way", "value"),
    [
        (("embedder", "fingerprint"), "../../../x"),
        (("embedder", "margin"), 7.5),
        (("embedder", "dim"), "16"),
        (("embedder", "side"), 10**12),
        (("parts", 0, "rows"), 10**12),
        (("parts", 0, "rows"), 35),
        (("parts", 0, "gone"), [-1]),
        (("views",), 10**9),
        (("precision",), "int8"),
        (("format",), 99),
    ],
)
def test_forged_manifests_are_told(good: Path, tmp_path: Path, way: tuple[Any, ...], value: Any) -> None:
    folder = Path(shutil.copytree(good, tmp_path / "gallery"))
    version = open_gallery(folder).version
    manifest = json.loads((folder / VERSIONS / version / MANIFEST).read_bytes())
    parent = manifest
    for key in way[:-1]:
        parent = parent[key]
    parent[way[-1]] = value
    resealed(folder, manifest)
    with raises("gallery-damaged"):
        open_gallery(folder)


@pytest.mark.parametrize(
    "content", [b"", b"null", b"[" * 9000, b'{"version": "../..", "before": []}', b'{"version": 3, "before": []}']
)
def test_a_pointer_leads_nowhere_else(good: Path, tmp_path: Path, content: bytes) -> None:
    folder = Path(shutil.copytree(good, tmp_path / "gallery"))
    (folder / CURRENT).write_bytes(content)
    with raises("gallery-damaged"):
        open_gallery(folder)


def test_pipes_and_devices_are_not_opened(good: Path, tmp_path: Path) -> None:
    """In the place of each file of a gallery."""
    for number, file in enumerate(sorted(path for path in good.rglob("*") if path.is_file())):
        folder = Path(shutil.copytree(good, tmp_path / str(number)))
        place = folder / file.relative_to(good)
        place.unlink()
        os.mkfifo(place) if number % 2 else place.symlink_to("/dev/zero")
        with deadline(30), suppress(SynthError):
            use(folder)


@pytest.mark.filterwarnings("ignore")
@settings(max_examples=25, suppress_health_check=SLOW)
@given(choice=st.data())
def test_broken_galleries_are_read_or_told(good: Path, choice: st.DataObject) -> None:
    """Any of the files changed, with the checksums mended where that can be."""
    with tempfile.TemporaryDirectory() as root, deadline(60):
        folder = Path(shutil.copytree(good, Path(root) / "gallery"))
        gallery = open_gallery(folder)
        home = folder / VERSIONS / gallery.version
        part = vectors_path(folder, gallery.manifest.parts[0].digest)
        kind = choice.draw(st.sampled_from(["current", "manifest", "decision", "index", "jsonl", "npy", "fronts"]))
        if kind in ("jsonl", "npy", "fronts"):
            data = part.with_suffix(f".{kind}").read_bytes()
            lines = data.splitlines()
            changed = (
                choice.draw(changed_json(lines[0])) + b"\n" + b"\n".join(lines[1:]) + b"\n"
                if kind == "jsonl" and choice.draw(st.booleans())
                else choice.draw(changed_bytes(data))
            )
            forged_part(gallery, **{kind: changed})
        elif kind == "manifest":
            data = choice.draw(changed_json((home / MANIFEST).read_bytes()))
            try:
                resealed(folder, json.loads(data))
            except (ValueError, RecursionError, TypeError):
                (home / MANIFEST).write_bytes(data)
        else:
            file = {"current": folder / CURRENT, "decision": home / DECISION, "index": home / "index.json"}[kind]
            file.write_bytes(choice.draw(changed_json(file.read_bytes()) | changed_bytes(file.read_bytes())))
        with suppress(SynthError):
            use(folder)


def test_the_checks_would_notice(good: Path) -> None:
    """The good gallery is used without a word."""
    use(good)
    assert verify_gallery(good) == [] and read_decision(open_gallery(good)) is not None
