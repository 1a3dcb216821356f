"""What a SKU looks like, as a digest: its row and the bytes of its files. A job renders anew what has another one."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from assets.catalog.types import PICTURES, Catalog, Sku
from assets.files.identity import digest_files
from assets.library import FORMAT
from assets.mesh.sources import source_digest
from pipeline.jobs.planning.store import DIGEST_BYTES

# Of a row: what changes no picture of a package. Everything else is printed on it, or decides its form and colours.
UNSEEN = ("category", "licence", "rests")


def sku_digests(catalog: Catalog, cache: Path) -> NDArray[np.uint8]:
    """(N, 16): of every SKU in the catalogue's order.

    Files are hashed once; what they were is remembered in `cache` by path, size, time of change and inode.
    """
    files = [file for sku in catalog if not sku.mesh for file in _pictures(sku, catalog).values()]
    contents = dict(zip(files, digest_files(files, cache=cache), strict=True))
    digests = [_digest_of(sku, catalog, cache, contents) for sku in catalog]
    return np.frombuffer(b"".join(digests), np.uint8).reshape(-1, DIGEST_BYTES)


def _pictures(sku: Sku, catalog: Catalog) -> dict[str, Path]:
    root = catalog.root_of(sku.sku)
    return {column: root / str(name) for column in PICTURES if (name := getattr(sku, column)) not in ("", None)}


def _digest_of(sku: Sku, catalog: Catalog, cache: Path, contents: Mapping[Path, str]) -> bytes:
    if sku.mesh:
        source = source_digest(
            sku, catalog.root_of(sku.sku), version=FORMAT, index_dir=cache / f"meshes-{FORMAT}" / "index"
        )
        return hashlib.sha256(source.encode()).digest()[:DIGEST_BYTES]
    row = {name: value for name in Sku.__slots__ if (value := getattr(sku, name)) not in ("", None)}
    seen = {name: value for name, value in row.items() if name not in UNSEEN}
    pictures = {column: contents[file] or "missing" for column, file in _pictures(sku, catalog).items()}
    return hashlib.sha256(json.dumps({**seen, **pictures}).encode()).digest()[:DIGEST_BYTES]
