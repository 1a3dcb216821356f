"""Digests of the appearance of SKUs, from their rows and files: a job renders SKUs with a changed digest again."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from assets.catalog.types import IMAGES, Catalog, Sku
from assets.files.identity import digest_files
from assets.library import FORMAT
from assets.mesh.sources import source_digest
from pipeline.jobs.planning.store import DIGEST_BYTES

# Columns that change no image of a package. All others are printed on it or decide its shape and colours.
UNSEEN = ("category", "licence", "rests")


def sku_digests(catalog: Catalog, cache: Path) -> NDArray[np.uint8]:
    """Return (N, 16) uint8, the digest of every SKU in the catalogue's order.

    Files are hashed once; `cache` keeps the results by path, size, modification time and inode.
    """
    files = [file for sku in catalog if not sku.mesh for file in _image_paths(sku, catalog).values()]
    contents = dict(zip(files, digest_files(files, cache=cache), strict=True))
    digests = [_sku_digest(sku, catalog, cache, contents) for sku in catalog]
    return np.frombuffer(b"".join(digests), np.uint8).reshape(-1, DIGEST_BYTES)


def _image_paths(sku: Sku, catalog: Catalog) -> dict[str, Path]:
    root = catalog.root_of(sku.sku)
    return {column: root / str(name) for column in IMAGES if (name := getattr(sku, column)) not in ("", None)}


def _sku_digest(sku: Sku, catalog: Catalog, cache: Path, contents: Mapping[Path, str]) -> bytes:
    if sku.mesh:
        source = source_digest(
            sku, catalog.root_of(sku.sku), version=FORMAT, index_dir=cache / f"meshes-{FORMAT}" / "index"
        )
        return hashlib.sha256(source.encode()).digest()[:DIGEST_BYTES]
    row = {name: value for name in Sku.__slots__ if (value := getattr(sku, name)) not in ("", None)}
    visible = {name: value for name, value in row.items() if name not in UNSEEN}
    images = {column: contents[file] or "missing" for column, file in _image_paths(sku, catalog).items()}
    return hashlib.sha256(json.dumps({**visible, **images}).encode()).digest()[:DIGEST_BYTES]
