"""Views of many SKUs and their vectors, in shards that a stopped run goes on from; part of recognition.py."""

from __future__ import annotations

import io
import multiprocessing
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from assets.errors import SynthError
from assets.files.atomic import atomic_file, write_atomic
from assets.progress import StepProgress
from detectors.recognition.embedder.crops import prepare_crop
from detectors.recognition.embedder.load import Embedder

# SKUs of a shard: half a minute of work that a stop may cost.
SHARD = 128
# Shards after which a process is replaced: rendering libraries grow.
SHARDS_OF_A_PROCESS = 20
QUALITY = 95

_studio: Any = None


@dataclass(frozen=True)
class Shelf:
    """A list of SKUs and where its views lie. side: longest side of a product in a view, pixels."""

    sku_list: Path
    folder: Path
    keys: tuple[str, ...]
    views: int
    side: int

    def shards(self, skus: int) -> list[tuple[str, ...]]:
        """The SKUs of the shards that hold the first `skus`, in the order of the list: whole shards, so that those of
        a small gallery are those of a larger one.
        """
        return [self.keys[start : start + SHARD] for start in range(0, min(skus, len(self.keys)), SHARD)]

    def file(self, number: int) -> Path:
        """The views of a shard."""
        return self.folder / f"{number:05d}.npz"


def missing_views(shelf: Shelf, skus: int) -> list[int]:
    """Numbers of the shards of the first SKUs that are not there yet."""
    return [number for number in range(len(shelf.shards(skus))) if not shelf.file(number).exists()]


def make_views(shelf: Shelf, missing: list[int], *, cache: Path, workers: int, progress: StepProgress) -> None:
    """Renders some shards."""
    if not missing:
        return
    shelf.folder.mkdir(parents=True, exist_ok=True)
    context = multiprocessing.get_context("spawn")
    # Not max_tasks_per_child: it can wait for ever (python/cpython#115634), as multiprocessing.Pool does for a process
    # that died. This pool then raises; the same command goes on.
    batch = workers * SHARDS_OF_A_PROCESS
    for start in range(0, len(missing), batch):
        with ProcessPoolExecutor(workers, context, _open_studio, (shelf.sku_list, cache)) as pool:
            for failed in pool.map(partial(_make_shard, shelf), missing[start : start + batch]):
                progress.advance(f"{failed} SKUs without views" if failed else "")


def _open_studio(sku_list: Path, cache: Path) -> None:
    from render.views import open_studio

    global _studio
    cv2.setNumThreads(1)
    _studio = open_studio(sku_list, cache)


def _make_shard(shelf: Shelf, number: int) -> int:
    """Writes the views of a shard as JPEG with their boxes; how many SKUs had none."""
    from render.views import views_of

    library, backend = _studio
    coded: list[bytes] = []
    boxes: list[NDArray[np.float64]] = []
    failed = 0
    for sku in shelf.shards(len(shelf.keys))[number]:
        try:
            made = views_of(library, backend, sku, shelf.views, side=shelf.side)
        except SynthError:
            failed += 1
            made = []
        for place in range(shelf.views):
            view = made[place] if made else None
            image = np.zeros((8, 8, 3), np.uint8) if view is None else view.image
            data = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1]
            coded.append(data.tobytes())
            boxes.append(np.full(4, np.nan) if view is None else view.box)
    buffer = io.BytesIO()
    offsets = np.cumsum([0, *map(len, coded)])
    np.savez(buffer, data=np.frombuffer(b"".join(coded), np.uint8), offsets=offsets, boxes=np.array(boxes))
    write_atomic(shelf.file(number), buffer.getvalue())
    return failed


def read_crops(file: Path, margin: float) -> tuple[Iterator[NDArray[np.uint8]], NDArray[np.bool_]]:
    """The crops of a shard as recognition would cut them, and (N,) which of them are views at all."""
    content = np.load(file)
    data, offsets, boxes = content["data"], content["offsets"], content["boxes"]

    def crops() -> Iterator[NDArray[np.uint8]]:
        for place, box in enumerate(boxes):
            image = cv2.imdecode(data[offsets[place] : offsets[place + 1]], cv2.IMREAD_COLOR)[..., ::-1]
            shown = np.array([0, 0, 8, 8]) if np.isnan(box).any() else box
            yield prepare_crop(np.ascontiguousarray(image), shown, margin=margin)

    return crops(), ~np.isnan(boxes).any(axis=1)


def embed_views(shelf: Shelf, skus: int, embedder: Embedder, folder: Path, *, progress: StepProgress) -> None:
    """Vectors of every shard of the first SKUs that has none yet, as (SKUs, views, dim) float16.

    nan where a SKU has no view.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for number, keys in enumerate(shelf.shards(skus)):
        file = folder / f"{number:05d}.npy"
        if not file.exists():
            crops, there = read_crops(shelf.file(number), embedder.margin)
            vectors = embedder.embed(crops).astype(np.float16)
            vectors[~there] = np.nan
            with atomic_file(file) as out:
                np.save(out, vectors.reshape(len(keys), shelf.views, embedder.dim))
        progress.advance()


def load_vectors(shelf: Shelf, folder: Path, *, skus: int, views: int) -> tuple[NDArray, NDArray]:
    """(N, dim) float32 of the first views of the first SKUs, SKU after SKU, and (N,) their places in the list."""
    rows, labels = [], []
    for number in range(len(shelf.shards(skus))):
        first = number * SHARD
        shard = np.load(folder / f"{number:05d}.npy")[: skus - first, :views]
        place = np.repeat(np.arange(first, first + len(shard)), shard.shape[1])
        flat = shard.reshape(-1, shard.shape[2])
        there = ~np.isnan(flat[:, 0])
        rows.append(flat[there])
        labels.append(place[there])
    vectors = np.concatenate(rows).astype(np.float32)
    # Half precision moves lengths by a few hundredths of a percent.
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors, np.concatenate(labels)
