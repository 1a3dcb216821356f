"""Task of a worker process: some SKUs of a gallery are rendered, cropped, embedded and stored."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from assets.catalog.sku_lists import SkuSource
from assets.errors import SynthError
from assets.files.atomic import write_atomic
from assets.files.models import Count, FileModel, read_model
from assets.limits import DATASET_JSON
from assets.machine import usable_cores
from pipeline.workers.disk_errors import takes_no_more

if TYPE_CHECKING:
    from assets.library import Library
    from detectors.recognition.embedder.load import Embedder
    from render.backends.protocol import Backend
    from render.views import ProductView

# SKUs per task: a few seconds of work, which is all that a killed process loses. It alone decides what is embedded
# together, so that any number of workers gives the same vectors.
TASK_SKUS = 16
# Crashes of its process after which a SKU is skipped.
MAX_CRASHES = 2
# Images of SKUs for people to compare: 2 KB each.
FRONT_SIDE, FRONT_QUALITY = 96, 80
# The first views show the sides; another side replaces the front if it shows this much more.
SIDES, MUCH_WIDER = 4, 1.3
PLAN = "plan.json"


@dataclass(frozen=True)
class GalleryTask:
    """Settings of the workers. out: folder of the plan and the results. embedder: a run or a checkpoint.

    side: longest side of a product in its views, pixels. task_skus: per task. Others: pipeline/workers/pool.py.
    """

    sku_list: SkuSource
    out: Path
    embedder: Path
    views: int
    side: int
    cache: Path
    task_skus: int = TASK_SKUS
    workers: int = 1
    device: Literal["auto", "cpu", "gpu"] = "auto"
    timeout_s: float = 600.0
    memory_mb: int = 6144

    @property
    def threads(self) -> int:
        return max(usable_cores() // self.workers, 1)


@dataclass(frozen=True)
class TaskResult:
    """Result of a task. made: keys, in order. failed: key and reason of the others.

    fronts: bytes of each one's front. file: of the vectors of the views, SKU by SKU; the fronts are beside it.
    """

    made: tuple[str, ...]
    fronts: tuple[int, ...]
    failed: tuple[tuple[str, str], ...]
    file: Path

    def read_vectors(self) -> NDArray[np.float32]:
        """Return (N, dim) float32, read on demand, since those of all tasks take gigabytes."""
        vectors: NDArray[np.float32] = np.load(self.file, allow_pickle=False)
        return vectors

    def read_fronts(self) -> bytes:
        """Return the fronts as concatenated JPEG files."""
        return self.file.with_suffix(".fronts").read_bytes()


class StoredResult(FileModel):
    """As `TaskResult`, in its file."""

    made: tuple[str, ...]
    fronts: tuple[Count, ...]
    failed: tuple[tuple[str, str], ...]


@dataclass
class _GalleryWorker:
    """Open resources of a worker process."""

    keys: list[str]
    library: Library
    backend: Backend
    embedder: Embedder


_worker: _GalleryWorker | None = None


def write_plan(folder: Path, keys: Sequence[str]) -> None:
    """Write the SKUs to make, for the workers."""
    folder.mkdir(parents=True, exist_ok=True)
    write_atomic(folder / PLAN, json.dumps(list(keys)).encode())


def result_path(folder: Path, index: int) -> Path:
    """Return the path of a task's result, which exists once it is complete."""
    return folder / f"{index:06d}.json"


def read_result(path: Path) -> TaskResult:
    """Read the result of a task."""
    hint = "delete it: the same command makes it again"
    stored = read_model(StoredResult, path, DATASET_JSON, "the result of a task", hint=hint)
    return TaskResult(stored.made, stored.fronts, stored.failed, path.with_suffix(".npy"))


def start_worker(task: GalleryTask) -> None:
    """Open what all tasks need. Raises SynthError if that fails."""
    global _worker
    import cv2

    from detectors.recognition.gallery.embedders import load_on_one_thread
    from render.views import open_studio

    cv2.setNumThreads(1)
    # Before OpenGL: triton (of torchvision) crashes if Mesa's software renderer, which also has an LLVM, is loaded
    # first.
    embedder = load_on_one_thread(task.embedder, device=task.device)
    library, backend = open_studio(task.sku_list, task.cache)
    keys = json.loads((task.out / PLAN).read_bytes())
    _worker = _GalleryWorker(keys, library, backend, embedder)


def make_task(task: GalleryTask, index: int) -> tuple[int, int]:
    """Make the views of the SKUs of task `index` and store their vectors; return numbers of views and SKUs."""
    if _worker is None:
        raise RuntimeError("the worker was not started")
    from detectors.recognition.embedder.crops import prepare_crop
    from render.views import views_of

    made: list[str] = []
    failed: list[tuple[str, str]] = []
    crops: list[np.ndarray] = []
    fronts: list[bytes] = []
    crashes = CrashCounter(crashes_path(task.out, index))
    for key in _worker.keys[index * task.task_skus : (index + 1) * task.task_skus]:
        if crashes.exceeded(key):
            failed.append((key, "it crashed its process or made it hang"))
            continue
        crashes.count(key)
        try:
            views = views_of(_worker.library, _worker.backend, key, task.views, side=task.side)
            margin = _worker.embedder.margin
            # Cut as photographs are.
            crops += [prepare_crop(view.image, view.box, margin=margin) for view in views]
            fronts.append(_encode_front(main_face(views, known=bool(_worker.library.catalog.find(key).front))))
            made.append(key)
        except SynthError as error:
            failed.append((key, str(error)))
        except (MemoryError, KeyboardInterrupt):
            raise
        except Exception as error:  # a bad mesh may break a renderer in any way; continue with the others
            if isinstance(error, OSError) and takes_no_more(error, task.out):
                raise
            failed.append((key, f"{type(error).__name__}: {error}"))
    crashes.delete()  # no SKU causes failures from here on
    vectors = _worker.embedder.embed(crops)
    path, buffer = result_path(task.out, index), io.BytesIO()
    np.save(buffer, vectors, allow_pickle=False)
    write_atomic(path.with_suffix(".npy"), buffer.getvalue())
    write_atomic(path.with_suffix(".fronts"), b"".join(fronts))
    # Last: its existence means that the task is complete.
    about = {"made": made, "fronts": [len(front) for front in fronts], "failed": failed}
    write_atomic(path, json.dumps(about).encode())
    return len(crops), len(made)


def main_face(views: Sequence[ProductView], *, known: bool = False) -> np.ndarray:
    """Return the image that shows a product best: its front, or another side that shows much more of it.

    known: the list says where the front is. Otherwise the front of a scan is often on a narrow side.
    """
    if known:
        return views[0].image
    areas = [int(view.coverage.sum(dtype=np.int64)) for view in views[:SIDES]]
    widest = int(np.argmax(areas))
    return views[widest if areas[widest] > MUCH_WIDER * areas[0] else 0].image


def _encode_front(pixels: np.ndarray) -> bytes:
    from PIL import Image

    image, buffer = Image.fromarray(pixels), io.BytesIO()
    image.thumbnail((FRONT_SIDE, FRONT_SIDE))
    image.save(buffer, "JPEG", quality=FRONT_QUALITY)
    return buffer.getvalue()


def crashes_path(folder: Path, index: int) -> Path:
    """Return the path of a task's crashes, which exists while it is at its SKUs."""
    return folder / f"{index:06d}.at"


def forget_crashes(folder: Path) -> None:
    """Delete the crashes of all tasks."""
    for file in folder.glob("*.at"):
        file.unlink()


class CrashCounter:
    """Crashes per SKU, stored on disk, to find a SKU that crashes its process repeatedly."""

    def __init__(self, file: Path) -> None:
        self._file = file
        try:
            self._counts: dict[str, int] = json.loads(file.read_bytes())
        except (OSError, ValueError):
            self._counts = {}
        self._last: str | None = None

    def exceeded(self, key: str) -> bool:
        return self._counts.get(key, 0) >= MAX_CRASHES

    def count(self, key: str) -> None:
        """Add a crash to a SKU before the work on it; the next SKU takes it back."""
        if self._last is not None:
            self._counts[self._last] -= 1
        self._counts[key] = self._counts.get(key, 0) + 1
        self._last = key
        self._file.write_text(json.dumps({name: number for name, number in self._counts.items() if number}))

    def delete(self) -> None:
        self._file.unlink(missing_ok=True)
