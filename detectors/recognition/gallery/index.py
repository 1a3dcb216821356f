"""Nearest neighbour search: exact, or by faiss's approximate indexes for galleries with millions of rows.

    versions/ID/index.json    which index a version has, and its measured recall
    indexes/DIGEST.faiss      the index itself

An index remains valid when parts are added: parts that it does not cover are searched exactly in addition.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from assets.errors import SynthError, unknown_name
from assets.files.atomic import TEMPORARY, temporary_prefix, write_atomic
from assets.files.identity import digest_files
from assets.files.models import Count, FileModel, Sha256
from detectors.recognition.gallery.open import MISSING, Gallery
from detectors.recognition.gallery.parts import damaged, part_file_size, read_gallery_model
from detectors.recognition.gallery.versions import VERSIONS

INDEXES_FOLDER, NOTE = "indexes", "index.json"
# faiss's description of each kind. {lists}: cells of an inverted file. docs/results.md has the memory for 1.36 million
# rows of 512 values, measured by benchmarks/scale/gallery.py.
INDEXES = {
    "exact": "",
    "hnsw": "HNSW32",
    "ivf": "IVF{lists},Flat",
    "ivf8": "IVF{lists},SQ8",
    "ivfpq": "IVF{lists},PQ{bytes}x8",
}
# Neighbours visited while an HNSW is built and searched, and fraction of an inverted file's cells that are searched.
BUILD_EFFORT, SEARCH_EFFORT = 80, 96
PROBED = 1 / 32
# Training rows per cell; faiss warns below 39.
TRAIN_ROWS = 64
MIN_LISTS, MIN_TRAIN = 4, 40
# Number of queries to measure recall with, and length of the noise added to them, typical of photos against renders.
RECALL_QUERIES, RECALL_NOISE = 500, 0.6
Rows = NDArray[np.int64]
Scores = NDArray[np.float32]


class IndexMeta(FileModel):
    """The content of index.json. parts: digests of the parts that the index covers, in its order. recall1, recall10:
    recall of the nearest row, and of the ten nearest. bytes: of the file."""

    kind: str = Field(max_length=100)
    file: Sha256
    parts: tuple[Sha256, ...]
    recall1: float = Field(ge=0, le=1)
    recall10: float = Field(ge=0, le=1)
    bytes: Count


@dataclass(frozen=True, eq=False)
class Index:
    """An open index. kind: key of INDEXES. search: takes (Q, dim) float32 and k; returns (Q, k) scores and rows, best
    first, padded with row MISSING. beside: fraction of the rows that are searched exactly in addition."""

    kind: str
    search: Callable[[NDArray[np.float32], int], tuple[Scores, Rows]]
    beside: float = 0.0


def open_index(gallery: Gallery, kind: str | None = None) -> Index:
    """Open the index of a version, or with kind "exact" an exact search that ignores it.

    Raises SynthError if it is damaged, and for a kind that the version does not have.
    """
    if kind is not None and kind not in INDEXES:
        raise unknown_name("index", kind, INDEXES)
    note = read_note(gallery)
    if kind not in (None, "exact") and (note is None or note.kind != kind):
        hint, found = f"'synth gallery index {gallery.folder} {kind}' builds it", note.kind if note else "exact"
        raise SynthError(
            f"the version has no {kind} index",
            code="index-not-built",
            where=str(gallery.folder),
            found=found,
            hint=hint,
        )
    if kind == "exact" or note is None:
        return Index("exact", _exact(gallery, np.arange(len(gallery.blocks))))
    return _approximate(gallery, note)


def build_index(gallery: Gallery, kind: str, *, seed: int = 0) -> IndexMeta | None:
    """Build an index over all parts of a version, measure its recall and store it.

    "exact" removes the index and returns None. Raises SynthError for an unknown kind.
    """
    if kind not in INDEXES:
        raise unknown_name("index", kind, INDEXES)
    path = _note_path(gallery)
    if kind == "exact":
        path.unlink(missing_ok=True)
        return None
    made = _make(gallery, kind, seed)
    digest, size = _store(gallery.folder, made)
    parts = tuple(part.digest for part in gallery.manifest.parts)
    note = IndexMeta(kind=kind, file=digest, parts=parts, recall1=0.0, recall10=0.0, bytes=size)
    recall1, recall10 = measure_recall(gallery, _approximate(gallery, note), seed=seed)
    note = note.model_copy(update={"recall1": round(recall1, 4), "recall10": round(recall10, 4)})
    write_atomic(path, (note.model_dump_json(indent=1) + "\n").encode())
    return note


def inherit_index(gallery: Gallery, parent: Gallery) -> None:
    """Let a new version use the index of the one it was made from, for the parts that both have."""
    note = read_note(parent)
    if note is not None and not _note_path(gallery).exists():
        write_atomic(_note_path(gallery), (note.model_dump_json(indent=1) + "\n").encode())


def read_note(gallery: Gallery) -> IndexMeta | None:
    """Read the description of a version's index, None if it is searched exactly."""
    path = _note_path(gallery)
    note = read_gallery_model(IndexMeta, path)
    if note is not None and note.kind not in INDEXES:
        raise damaged(path, f"an index of kind {note.kind!r}")
    return note


def check_index(gallery: Gallery) -> list[str]:
    """Return the problems of the file of a version's index."""
    note = read_note(gallery)
    if note is None:
        return []
    path = gallery.folder / INDEXES_FOLDER / f"{note.file}.faiss"
    try:
        part_file_size(path)
        with path.open("rb") as file:
            right = hashlib.file_digest(file, "sha256").hexdigest() == note.file
    except SynthError as error:
        return [f"{path.name}: {error.found}"]
    except OSError as error:
        return [f"{path.name}: {error.strerror or error}"]
    return [] if right else [f"{path.name}: the content has changed since it was written"]


def measure_recall(gallery: Gallery, index: Index, *, seed: int) -> tuple[float, float]:
    """Return the recall of an index for the nearest row and for the ten nearest, compared with exact search."""
    rng = np.random.default_rng([seed, RECALL_QUERIES])
    live = np.flatnonzero(gallery.owners != MISSING)
    if not len(live):
        return 1.0, 1.0
    chosen = np.sort(rng.choice(live, min(RECALL_QUERIES, len(live)), replace=False))
    noise = rng.standard_normal((len(chosen), gallery.dim)) * (RECALL_NOISE / np.sqrt(gallery.dim))
    queries = gallery.vectors(chosen) + noise.astype(np.float32)
    queries /= np.linalg.norm(queries, axis=1, keepdims=True)
    _, right = open_index(gallery, "exact").search(queries, 10)
    _, found = index.search(queries, 10)
    known = right != MISSING
    hits = (right[:, :, None] == found[:, None, :]).any(axis=2) & known
    return float(hits[:, 0].mean()), float(hits.sum() / known.sum())


def nearest(first: tuple[Scores, Rows], second: tuple[Scores, Rows], k: int) -> tuple[Scores, Rows]:
    """Merge two search results into the k best, best first; ties in the order of rows."""
    scores = np.concatenate([first[0], second[0]], axis=1)
    rows = np.concatenate([first[1], second[1]], axis=1)
    order = np.lexsort((np.where(rows == MISSING, np.iinfo(np.int64).max, rows), -scores), axis=1)[:, :k]
    return np.take_along_axis(scores, order, axis=1), np.take_along_axis(rows, order, axis=1)


def load_faiss() -> Any:
    """Import faiss, as Any because its type stubs are incomplete. Raises SynthError if it is not installed."""
    try:
        import faiss
    except ImportError as error:
        hint = "pip install 'synth[scale]'"
        raise SynthError(
            "galleries need faiss, which cannot be imported", code="dependency-missing", found=str(error), hint=hint
        ) from error
    return faiss


def _exact(gallery: Gallery, parts: NDArray[np.int64]) -> Callable[[NDArray[np.float32], int], tuple[Scores, Rows]]:
    """Return an exact search over some parts; those of float32 galleries are searched in the mapped files, uncopied."""
    if gallery.manifest.precision == "float16":
        return _exact_halves(gallery, parts)
    faiss = load_faiss()
    pieces = []
    for part in parts:
        block, live = gallery.blocks[part], _live_rows(gallery, part)
        if len(live):
            # A part with rows of removed SKUs is copied without them.
            pieces.append((block if len(live) == len(block) else block[live], live + gallery.starts[part]))

    def search(queries: NDArray[np.float32], k: int) -> tuple[Scores, Rows]:
        queries = np.ascontiguousarray(queries, np.float32)
        found = _nothing(len(queries), k)
        for block, rows in pieces if len(queries) else ():
            scores, places = faiss.knn(queries, block, min(k, len(rows)), faiss.METRIC_INNER_PRODUCT)
            found = nearest(found, (scores, rows[places]), k)
        return found

    return search


def _exact_halves(
    gallery: Gallery, parts: NDArray[np.int64]
) -> Callable[[NDArray[np.float32], int], tuple[Scores, Rows]]:
    """Return an exact search over float16 parts, copied into a faiss index: faiss cannot search float16 arrays."""
    faiss = load_faiss()
    store = faiss.IndexScalarQuantizer(gallery.dim, faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT)
    rows = [np.zeros(0, np.int64)]
    for part in parts:
        live = _live_rows(gallery, part)
        store.add(np.ascontiguousarray(gallery.blocks[part][live], np.float32))
        rows.append(live + gallery.starts[part])
    return _through(store, np.concatenate(rows), None)


def _live_rows(gallery: Gallery, part: int) -> Rows:
    """Return the rows of a part, counted from its start, whose SKU is in the version."""
    start = gallery.starts[part]
    return np.flatnonzero(gallery.owners[start : start + len(gallery.blocks[part])] != MISSING)


def _nothing(queries: int, k: int) -> tuple[Scores, Rows]:
    """Return the result of a search in an empty gallery."""
    return np.full((queries, k), -np.inf, np.float32), np.full((queries, k), MISSING, np.int64)


def _through(store: Any, rows: Rows, parameters: Any) -> Callable[[NDArray[np.float32], int], tuple[Scores, Rows]]:
    """Return the search function of a faiss index whose entry i is row rows[i]."""

    def search(queries: NDArray[np.float32], k: int) -> tuple[Scores, Rows]:
        queries = np.ascontiguousarray(queries, np.float32)
        if not len(rows) or not len(queries):
            return _nothing(len(queries), k)
        scores, places = store.search(queries, k, params=parameters)
        found = np.where(places >= 0, rows[places], MISSING)
        return np.where(found == MISSING, -np.inf, scores).astype(np.float32), found

    return search


def _approximate(gallery: Gallery, note: IndexMeta) -> Index:
    """Open a stored index, combined with an exact search over the parts that it does not cover."""
    faiss = load_faiss()
    path = gallery.folder / INDEXES_FOLDER / f"{note.file}.faiss"
    part_file_size(path)
    if digest_files([path]) != [note.file]:
        raise damaged(path, "the content has changed since it was written")
    try:
        store = faiss.read_index(str(path))
    except (RuntimeError, MemoryError) as error:
        raise damaged(path, str(error).split("\n")[0]) from error
    if store.d != gallery.dim or not isinstance(store, faiss.IndexHNSW | faiss.IndexIVF):
        raise damaged(path, f"{type(store).__name__} of {store.d} numbers")
    place = {part.digest: number for number, part in enumerate(gallery.manifest.parts)}
    rows = _covered_rows(gallery, note, place, store.ntotal, path)
    alive = (rows != MISSING) & (np.append(gallery.owners, MISSING)[rows] != MISSING)
    main = _through(store, rows, _parameters(store, alive))
    outside = np.array([number for digest, number in place.items() if digest not in set(note.parts)], np.int64)
    if not len(outside):
        return Index(note.kind, main)
    beside = _exact(gallery, outside)

    def search(queries: NDArray[np.float32], k: int) -> tuple[Scores, Rows]:
        return nearest(main(queries, k), beside(queries, k), k)

    share = sum(len(gallery.blocks[number]) for number in outside) / max(len(gallery.owners), 1)
    return Index(note.kind, search, share)


def _covered_rows(gallery: Gallery, note: IndexMeta, place: dict[str, int], total: int, path: Path) -> Rows:
    """Return (total,) the gallery's row of each entry of the index, MISSING if the version lacks its part."""
    rows = []
    for digest in note.parts:
        if digest in place:
            start, stop = gallery.starts[place[digest] : place[digest] + 2]
            rows.append(np.arange(start, stop))
        else:
            rows.append(np.full(_rows_of_part(gallery.folder, digest), MISSING, np.int64))
    covered = np.concatenate([np.zeros(0, np.int64), *rows])
    if len(covered) != total:
        raise damaged(path, f"{total} entries for parts of {len(covered)} rows")
    return covered


def _rows_of_part(folder: Path, digest: str) -> int:
    from detectors.recognition.gallery.parts import read_skus

    return sum(sku.rows for sku in read_skus(folder, digest))


def _parameters(store: Any, alive: NDArray[np.bool_]) -> Any:
    """Return faiss's search parameters: search effort, and which entries to skip."""
    faiss = load_faiss()
    chosen = {} if alive.all() else {"sel": faiss.IDSelectorBitmap(np.packbits(alive, bitorder="little"))}
    if isinstance(store, faiss.IndexHNSW):
        return faiss.SearchParametersHNSW(efSearch=SEARCH_EFFORT, **chosen)
    return faiss.SearchParametersIVF(nprobe=max(round(store.nlist * PROBED), 8), **chosen)


def _make(gallery: Gallery, kind: str, seed: int) -> Any:
    """Build a faiss index over all rows of all parts, in their order."""
    faiss = load_faiss()
    total = len(gallery.owners)
    lists = _lists_for(total)
    pieces = next(count for count in (64, 32, 16, 8, 4, 2, 1) if gallery.dim % count == 0 and count <= gallery.dim)
    if kind == "ivfpq" and total < 256 * 39:
        raise SynthError(
            "an ivfpq index needs more rows",
            code="index-too-few-rows",
            found=str(total),
            expected=f"at least {256 * 39}",
        )
    description = INDEXES[kind].format(lists=lists, bytes=pieces)
    store = faiss.index_factory(gallery.dim, description, faiss.METRIC_INNER_PRODUCT)
    if kind == "hnsw":
        store.hnsw.efConstruction = BUILD_EFFORT
    else:
        store.cp.seed = seed + 1
        rng = np.random.default_rng([seed, total])
        wanted = min(total, max(lists * TRAIN_ROWS, 256 * MIN_TRAIN))
        store.train(gallery.vectors(np.sort(rng.choice(total, wanted, replace=False))))
    for block in gallery.blocks:
        store.add(np.ascontiguousarray(block, np.float32))
    return store


def _lists_for(rows: int) -> int:
    """Return the number of cells: about 4 times the root of the rows, as faiss recommends, but enough rows in each."""
    return max(min(2 ** round(np.log2(4 * np.sqrt(max(rows, 1)))), rows // MIN_TRAIN), MIN_LISTS)


def _store(folder: Path, made: Any) -> tuple[str, int]:
    """Store an index in a file named by its content; returns its digest and size."""
    faiss = load_faiss()
    target = folder / INDEXES_FOLDER
    target.mkdir(parents=True, exist_ok=True)
    # faiss itself writes these gigabytes, so the file has a temporary name until it is complete.
    handle, temporary = tempfile.mkstemp(dir=target, prefix=temporary_prefix("index"), suffix=TEMPORARY)
    os.close(handle)
    try:
        faiss.write_index(made, temporary)
        with Path(temporary).open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            os.fsync(file.fileno())
        Path(temporary).chmod(0o644)
        size = Path(temporary).stat().st_size
        Path(temporary).replace(target / f"{digest}.faiss")
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    return digest, size


def _note_path(gallery: Gallery) -> Path:
    return gallery.folder / VERSIONS / gallery.version / NOTE
