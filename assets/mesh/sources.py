"""Digest of the sources of a normalised mesh: equal sources give the same cache entry."""

from __future__ import annotations

import contextlib
import hashlib
import json
import time
from collections.abc import Sequence
from pathlib import Path

from assets.catalog.sku_lists import Root, folder_of
from assets.catalog.types import Sku
from assets.errors import SynthError
from assets.files.atomic import write_atomic
from assets.files.identity import SETTLED_NS, State, file_state
from assets.limits import MESH_BYTES, check_file
from assets.mesh.companions import companion_files, find_names
from assets.mesh.gltf_parts import TRANSMISSION


def source_digest(sku: Sku, root: Root, *, version: int, index_dir: Path) -> str:
    """Return the digest of a SKU's mesh, materials and textures (their bytes) and of the options to read them.

    To avoid hashing hundreds of megabytes at every start, `index_dir` caches digests by path, size and modification
    time of the files.
    """
    path = root / sku.mesh
    folder = folder_of(root, path)
    sizes = [sku.width_m, sku.depth_m, sku.height_m]
    turned = [] if sku.front in ("", "-y") else [sku.front]  # not in digests made before the column existed
    options = json.dumps([version, sku.units, sku.up, *sizes, path.suffix.lower(), *turned])
    index = index_dir / f"{_sha256(str(path.resolve()), str(folder.resolve()), options)}.json"
    known = _load_digest(index)
    if known is not None:
        return known
    files = [path, *companion_files(path, folder)]
    before = [file_state(file) for file in files]
    # Transparency, which earlier versions did not read, is part of the digest only where there is any.
    glass = find_names(path, TRANSMISSION.encode()) if path.suffix.lower() in (".glb", ".gltf") else []
    digest = digest_files(files, options + "".join(glass))
    _store_digest(index, files, before, digest)
    return digest


def digest_files(files: Sequence[Path], options: str = "") -> str:
    """Return one digest of some files, their names and the options to read them; missing files count as such."""
    digest = hashlib.sha256(options.encode())
    for file in files:
        digest.update(f"\0{file.name}\0".encode())
        try:
            check_file(file, MESH_BYTES, "the mesh file")  # a mesh may refer to a pipe or a device
            with file.open("rb") as stream:
                digest.update(hashlib.file_digest(stream, "sha256").digest())
        except (OSError, SynthError):
            digest.update(b"missing")
    return digest.hexdigest()


def _load_digest(index: Path) -> str | None:
    try:
        entry = json.loads(index.read_bytes())
        fresh = all(file_state(file) == tuple(state) for file, state in entry["files"])
        return str(entry["digest"]) if fresh else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _store_digest(index: Path, files: list[Path], states: list[State | None], digest: str) -> None:
    """Cache a digest, unless a file is missing: it may appear under another name."""
    newest = time.time_ns() - SETTLED_NS
    if any(state is None or state[1] > newest for state in states):
        return
    entry = {"files": [[str(file), state] for file, state in zip(files, states, strict=True)], "digest": digest}
    with contextlib.suppress(OSError):
        index.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(index, json.dumps(entry).encode())


def _sha256(*texts: str) -> str:
    return hashlib.sha256("\0".join(texts).encode(errors="surrogateescape")).hexdigest()
