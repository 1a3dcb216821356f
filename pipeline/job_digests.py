"""What a SKU looks like, as a digest: its row and the bytes of its files. A job renders anew what has another one."""

from __future__ import annotations

import contextlib
import hashlib
import json
import sqlite3
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from assets.catalog import PICTURES, Catalog, Sku
from assets.library import FORMAT
from assets.mesh_sources import SETTLED_NS, source_digest
from assets.sku_lists import Root
from pipeline.job_store import DIGEST_BYTES

# Of a row: what changes no picture of a package. Everything else is printed on it, or decides its form and colours.
UNSEEN = ("category", "licence", "rests")


def sku_digests(catalog: Catalog, cache: Path) -> NDArray[np.uint8]:
    """(N, 16): of every SKU in the catalogue's order.

    Files are hashed once; what they were is remembered in `cache` by path, size and time of change.
    """
    with _Files(cache / "file-digests.sqlite") as files:
        digests = [_digest_of(sku, catalog.root_of(sku.sku), cache, files) for sku in catalog]
    return np.frombuffer(b"".join(digests), np.uint8).reshape(-1, DIGEST_BYTES)


def _digest_of(sku: Sku, root: Root, cache: Path, files: _Files) -> bytes:
    if sku.mesh:
        source = source_digest(sku, root, version=FORMAT, index_dir=cache / f"meshes-{FORMAT}" / "index")
        return hashlib.sha256(source.encode()).digest()[:DIGEST_BYTES]
    row = {name: value for name in Sku.__slots__ if (value := getattr(sku, name)) not in ("", None)}
    seen = {name: value for name, value in row.items() if name not in UNSEEN}
    pictures = {name: files.digest(root / str(row[name])) for name in PICTURES if name in row}
    return hashlib.sha256(json.dumps({**seen, **pictures}).encode()).digest()[:DIGEST_BYTES]


class _Files:
    """Digests of files, remembered on disk; a memory that cannot be had costs time and nothing else."""

    def __init__(self, path: Path) -> None:
        self._path, self._known = path, dict[str, tuple[int, int, str]]()
        self._new: list[tuple[str, int, int, str]] = []

    def __enter__(self) -> _Files:
        with contextlib.suppress(OSError, sqlite3.Error), contextlib.closing(self._open()) as base:
            rows = base.execute("select path, bytes, changed_ns, digest from files")
            self._known = {path: (size, changed, digest) for path, size, changed, digest in rows}
        return self

    def __exit__(self, *error: object) -> None:
        if not self._new:
            return
        with contextlib.suppress(OSError, sqlite3.Error), contextlib.closing(self._open()) as base, base:
            base.executemany("insert or replace into files values (?, ?, ?, ?)", self._new)

    def _open(self) -> sqlite3.Connection:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        base = sqlite3.connect(self._path, timeout=10)
        base.execute("create table if not exists files (path text primary key, bytes int, changed_ns int, digest text)")
        return base

    def digest(self, file: Path) -> str:
        """SHA-256 of a file's bytes, "missing" where it cannot be read."""
        try:
            status = file.stat()
            known = self._known.get(str(file))
            if known is not None and known[:2] == (status.st_size, status.st_mtime_ns):
                return known[2]
            with file.open("rb") as stream:
                digest = hashlib.file_digest(stream, "sha256").hexdigest()
        except OSError:
            return "missing"
        if status.st_mtime_ns < time.time_ns() - SETTLED_NS:
            self._new.append((str(file), status.st_size, status.st_mtime_ns, digest))
        return digest
