"""What the views of a SKU follow from, as a digest: a gallery renders again what has another one."""

from __future__ import annotations

import hashlib
import json
import sqlite3
import time
from collections.abc import Iterable, Iterator
from contextlib import closing, suppress
from pathlib import Path

from assets.catalog import COLUMNS, PICTURES, Catalog, Sku
from assets.errors import SynthError
from assets.library import FORMAT
from assets.limits import PICTURE_BYTES, check_file
from assets.mesh_sources import SETTLED_NS, source_digest

# Columns that no picture shows.
UNSEEN = ("category", "mass_kg", "licence", "rests")
SEEN = tuple(sorted(set(COLUMNS) - set(UNSEEN)))
MEMORY = "gallery-digests-1.sqlite"


def digest_skus(catalog: Catalog, keys: Iterable[str], *, cache: Path) -> dict[str, str]:
    """The digest of each SKU: of its row and of the content of every file that the row names.

    What was read once is remembered under `cache` by size and time of change: looking through 170,000 SKUs for
    changes then takes seconds, not a reading of every picture.
    """
    wanted = list(keys)
    folders = sorted({str(path.parent.resolve()) for path in catalog.sources})
    folder = "\n".join([*folders, *(str(root.resolve()) for root in catalog.mesh_roots)])
    known = dict(_remembered(cache, folder))
    digests, fresh = {}, []
    settled = time.time_ns() - SETTLED_NS
    for key in wanted:
        sku = catalog.find(key)
        row, root = _row_text(sku), catalog.root_of(key)
        if sku.mesh:
            mesh = source_digest(sku, root, version=FORMAT, index_dir=cache / "gallery-meshes")
            digests[key] = _sha(row, mesh)
            continue
        files = [root / name for name in _pictures(sku)]
        if not files:
            digests[key] = _sha(row)
            continue
        states = [_state(file) for file in files]
        state = _sha(row, json.dumps(states))
        if key in known and known[key][0] == state:
            digests[key] = known[key][1]
            continue
        digests[key] = _sha(row, *(_content(file) for file in files))
        if all(0 < changed < settled for _, changed in states):
            fresh.append((folder, key, state, digests[key]))
    _remember(cache, fresh)
    return digests


def _row_text(sku: Sku) -> str:
    row = {name: value for name in SEEN if (value := getattr(sku, name)) not in ("", None)}
    return json.dumps([FORMAT, row])


def _pictures(sku: Sku) -> list[str]:
    return [path for column in PICTURES if (path := getattr(sku, column))]


def _state(file: Path) -> tuple[int, int]:
    """Size and time of change, zeros where there is no such file."""
    try:
        status = file.stat()
    except OSError:
        return 0, 0
    return status.st_size, status.st_mtime_ns


def _content(file: Path) -> str:
    try:
        check_file(file, PICTURE_BYTES, "the packshot")
        with file.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except (OSError, SynthError):
        return "missing"  # told where it is rendered


def _remembered(cache: Path, folder: str) -> Iterator[tuple[str, tuple[str, str]]]:
    """Key, state and digest of what is on record; nothing where there is no record or it is damaged."""
    with suppress(sqlite3.Error), closing(sqlite3.connect(f"file:{cache / MEMORY}?mode=ro", uri=True)) as memory:
        for key, state, digest in memory.execute("SELECT sku, state, digest FROM seen WHERE folder = ?", (folder,)):
            yield key, (state, digest)


def _remember(cache: Path, rows: list[tuple[str, str, str, str]]) -> None:
    """A record that cannot be written costs time and nothing else."""
    if not rows:
        return
    with suppress(sqlite3.Error, OSError):
        cache.mkdir(parents=True, exist_ok=True)
        with closing(sqlite3.connect(cache / MEMORY)) as memory, memory:
            memory.execute(
                "CREATE TABLE IF NOT EXISTS seen (folder TEXT, sku TEXT, state TEXT, digest TEXT, "
                "PRIMARY KEY (folder, sku)) WITHOUT ROWID"
            )
            memory.executemany("INSERT OR REPLACE INTO seen VALUES (?, ?, ?, ?)", rows)


def _sha(*texts: str) -> str:
    return hashlib.sha256("\0".join(texts).encode(errors="surrogateescape")).hexdigest()
