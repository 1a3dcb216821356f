"""A few SKUs of a gallery in a worker process: rendered, cropped, embedded, stored."""

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
from assets.files.json_input import read_json_object
from assets.limits import DATASET_JSON
from assets.machine import usable_cores
from pipeline.workers.disk_errors import takes_no_more

if TYPE_CHECKING:
    from assets.library import Library
    from detectors.recognition.embedder.load import Embedder
    from render.backends.protocol import Backend
    from render.views import ProductView

# SKUs that a worker is handed at a time: a few seconds of work, lost at most where a process is killed. What is
# embedded together follows from it alone, so that the same vectors come out of any number of workers.
TASK_SKUS = 16
# How often a SKU may take its process down before it is left out.
STRIKES = 2
# Of the pictures by which people compare: 2 KB each.
FRONT_SIDE, FRONT_QUALITY = 96, 80
# The sides of a product among its first views, and how much more than the front another must show to stand for it.
SIDES, MUCH_WIDER = 4, 1.3
PLAN = "plan.json"


@dataclass(frozen=True)
class GalleryTask:
    """What workers need to know. out: folder of the plan and the results. embedder: a run or a checkpoint.

    side: longest side of a product in its views, pixels. task_skus: at a time. Others: pipeline/workers/pool.py.
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
    """What became of the SKUs of a task. made: keys, in order. failed: key and reason of those that were not.

    fronts: bytes of each one's front. file: of the vectors of the views of those that were made, one SKU behind the
    other; the fronts lie beside it.
    """

    made: tuple[str, ...]
    fronts: tuple[int, ...]
    failed: tuple[tuple[str, str], ...]
    file: Path

    def read_vectors(self) -> NDArray[np.float32]:
        """(N, dim) float32; read when wanted, since those of all tasks are gigabytes."""
        vectors: NDArray[np.float32] = np.load(self.file, allow_pickle=False)
        return vectors

    def read_fronts(self) -> bytes:
        """The fronts of those that were made, JPEG files behind one another."""
        return self.file.with_suffix(".fronts").read_bytes()


@dataclass
class _GalleryWorker:
    """What one process keeps from task to task."""

    keys: list[str]
    library: Library
    backend: Backend
    embedder: Embedder


_worker: _GalleryWorker | None = None


def write_plan(folder: Path, keys: Sequence[str]) -> None:
    """The SKUs to be made, for the workers."""
    folder.mkdir(parents=True, exist_ok=True)
    write_atomic(folder / PLAN, json.dumps(list(keys)).encode())


def result_path(folder: Path, index: int) -> Path:
    """Where the result of a task lies once it is complete."""
    return folder / f"{index:06d}.json"


def read_result(path: Path) -> TaskResult:
    """What a task made."""
    hint = "delete it: the same command makes it again"
    about = read_json_object(path, DATASET_JSON, "the result of a task", hint=hint)
    failed = tuple((key, reason) for key, reason in about["failed"])
    return TaskResult(tuple(about["made"]), tuple(about["fronts"]), failed, path.with_suffix(".npy"))


def start_worker(task: GalleryTask) -> None:
    """Opens what all tasks need. Raises SynthError where that cannot be had."""
    global _worker
    import cv2

    from detectors.recognition.gallery.embedders import load_on_one_thread
    from render.views import open_studio

    cv2.setNumThreads(1)
    # Before OpenGL: triton (of torchvision) crashes where Mesa's software renderer, which has an LLVM too, came first.
    embedder = load_on_one_thread(task.embedder, device=task.device)
    library, backend = open_studio(task.sku_list, task.cache)
    keys = json.loads((task.out / PLAN).read_bytes())
    _worker = _GalleryWorker(keys, library, backend, embedder)


def make_task(task: GalleryTask, index: int) -> tuple[int, int]:
    """Makes the views of the SKUs of task `index` and stores their vectors; numbers of views and of SKUs."""
    if _worker is None:
        raise RuntimeError("the worker was not started")
    from detectors.recognition.embedder.crops import prepare_crop
    from render.views import views_of

    made: list[str] = []
    failed: list[tuple[str, str]] = []
    crops: list[np.ndarray] = []
    fronts: list[bytes] = []
    strikes = _Strikes(task.out / f"{index:06d}.at")
    for key in _worker.keys[index * task.task_skus : (index + 1) * task.task_skus]:
        if strikes.out(key):
            failed.append((key, "it took its process down, or hung it"))
            continue
        strikes.count(key)
        try:
            views = views_of(_worker.library, _worker.backend, key, task.views, side=task.side)
            margin = _worker.embedder.margin
            # Cut as photographs are.
            crops += [prepare_crop(view.picture, view.box, margin=margin) for view in views]
            fronts.append(_small_jpeg(main_face(views, known=bool(_worker.library.catalog.find(key).front))))
            made.append(key)
        except SynthError as error:
            failed.append((key, str(error)))
        except (MemoryError, KeyboardInterrupt):
            raise
        except Exception as error:  # a stranger's mesh may upset a renderer in any way; the others go on
            if isinstance(error, OSError) and takes_no_more(error, task.out):
                raise
            failed.append((key, f"{type(error).__name__}: {error}"))
    strikes.forget()  # what fails from here on is no SKU's fault
    vectors = _worker.embedder.embed(crops)
    path, buffer = result_path(task.out, index), io.BytesIO()
    np.save(buffer, vectors, allow_pickle=False)
    write_atomic(path.with_suffix(".npy"), buffer.getvalue())
    write_atomic(path.with_suffix(".fronts"), b"".join(fronts))
    # Last: its presence says that the task is complete.
    about = {"made": made, "fronts": [len(front) for front in fronts], "failed": failed}
    write_atomic(path, json.dumps(about).encode())
    return len(crops), len(made)


def main_face(views: Sequence[ProductView], *, known: bool = False) -> np.ndarray:
    """The picture by which people know a product: its front, or another side that shows much more of it.

    known: the list says where the front is. Where it does not, that of a scan often lies on a narrow side.
    """
    if known:
        return views[0].picture
    areas = [int(view.coverage.sum(dtype=np.int64)) for view in views[:SIDES]]
    widest = int(np.argmax(areas))
    return views[widest if areas[widest] > MUCH_WIDER * areas[0] else 0].picture


def _small_jpeg(picture: np.ndarray) -> bytes:
    from PIL import Image

    image, buffer = Image.fromarray(picture), io.BytesIO()
    image.thumbnail((FRONT_SIDE, FRONT_SIDE))
    image.save(buffer, "JPEG", quality=FRONT_QUALITY)
    return buffer.getvalue()


class _Strikes:
    """Which SKU a task is at, on disk: one that takes its process down again and again is found by it."""

    def __init__(self, file: Path) -> None:
        self._file = file
        try:
            self._counts: dict[str, int] = json.loads(file.read_bytes())
        except (OSError, ValueError):
            self._counts = {}
        self._last: str | None = None

    def out(self, key: str) -> bool:
        return self._counts.get(key, 0) >= STRIKES

    def count(self, key: str) -> None:
        """Before the work on a SKU: one strike more, which the next SKU takes back."""
        if self._last is not None:
            self._counts[self._last] -= 1
        self._counts[key] = self._counts.get(key, 0) + 1
        self._last = key
        self._file.write_text(json.dumps({name: number for name, number in self._counts.items() if number}))

    def forget(self) -> None:
        self._file.unlink(missing_ok=True)
