"""Views of every product alone from all sides as a COCO data set (`synth gallery views`).

images/0012/0012345-03.jpg           view 3 of the SKU with category id 12345
labels/000771.json                   what one task made, with the SKUs that failed
annotations/instances_train.json     the whole set, once it is complete
"""

from __future__ import annotations

import io
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from assets.backdrops.collection import Backdrops
from assets.catalog.category_ids import CategoryIds, ids_of
from assets.catalog.load import load_catalog
from assets.catalog.types import Catalog
from assets.errors import SynthError
from assets.files.atomic import lock_folder, sweep_cache, write_atomic
from assets.files.json_input import read_json
from assets.files.models import FileModel, read_model
from assets.files.source_pins import SourcePins
from assets.library import Library, check_sources
from assets.limits import DATASET_JSON
from assets.plurals import count_of
from assets.progress import StepProgress, duration_text
from dataset.records import AnnotationRecord, ImageLabels, ImageRecord, InfoRecord
from pipeline.gallery.settings import CropSettings
from pipeline.workers.disk_errors import takes_no_more
from pipeline.workers.pool import never_stop, run_scenes
from pipeline.workers.process import SceneFunctions
from render.backends import DEFAULT_BACKEND
from render.views import VIEWS_FORMAT

if TYPE_CHECKING:
    from render.backends.protocol import Backend
    from render.views import ProductView

TASK_SKUS = 16
QUALITY = 92
COCO = Path("annotations/instances_train.json")
ABOUT = "dataset.json"
# Files that the products were made from.
SOURCES = "sources.jsonl"
MAX_LISTED = 10


@dataclass
class CropSummary:
    """Result of a run. made: SKUs in this run. failed: key and reason."""

    out: Path
    images: int = 0
    made: int = 0
    failed: list[tuple[str, str]] = field(default_factory=list)
    seconds: float = 0.0
    interrupted: bool = False


@dataclass
class _CropWorker:
    """Open resources of a worker process."""

    library: Library
    backend: Backend
    ids: CategoryIds


_worker: _CropWorker | None = None


def write_views(settings: CropSettings, console: Console, *, stop: Callable[[int], bool] = never_stop) -> CropSummary:
    """Render the views of every SKU of a list; the same call resumes an interrupted run.

    Raises SynthError if the folder holds views of another list, and if no worker can start.
    """
    started = time.monotonic()
    catalog = load_catalog(settings.sku_list)
    ids = ids_of(catalog)
    summary = CropSummary(settings.out)
    with lock_folder(settings.out) as lock:
        _check_folder(settings, catalog)
        sweep_cache(settings.cache)
        tasks = range(-(-len(catalog) // TASK_SKUS))
        pending = [index for index in tasks if not labels_path(settings.out, index).exists()]
        pins = SourcePins(settings.out / SOURCES)
        if pending and (settings.out / SOURCES).exists():
            check_sources(pins, Library(catalog, Backdrops.open(), cache_dir=settings.cache))
        summary.interrupted = not _run_tasks(settings, pending, len(catalog), summary, console, stop=stop, lock=lock)
        pins.settle()
        if not summary.interrupted:
            from dataset.categories import catalog_categories
            from dataset.coco_writer import numbered, write_coco
            from dataset.records import Head

            (settings.out / COCO).parent.mkdir(exist_ok=True)
            categories = catalog_categories(catalog, ids)
            info = InfoRecord(description="products alone, from all sides", version="1.0", contributor="")
            images = numbered(_images(settings.out, tasks, summary), categories)
            counts = write_coco(settings.out / COCO, images, Head(categories, info))
            summary.images = counts.images
    summary.seconds = time.monotonic() - started
    return summary


def labels_path(out: Path, index: int) -> Path:
    """Return the path of a task's labels; its existence means that its images are complete."""
    return out / "labels" / f"{index:06d}.json"


def start_worker(settings: CropSettings) -> None:
    """Open what all tasks need. Raises SynthError if that fails."""
    global _worker
    import cv2

    from render.views import open_studio

    cv2.setNumThreads(1)
    library, backend = open_studio(settings.sku_list, settings.cache, SourcePins(settings.out / SOURCES))
    _worker = _CropWorker(library, backend, ids_of(library.catalog))


def make_views(settings: CropSettings, index: int) -> tuple[int, int]:
    """Render and write the views of the SKUs of task `index`; return numbers of images and SKUs."""
    if _worker is None:
        raise RuntimeError("the worker was not started")
    from render.views import views_of

    made: list[ImageLabels] = []
    failed: list[tuple[str, str]] = []
    for key in _worker.library.catalog.keys[index * TASK_SKUS : (index + 1) * TASK_SKUS]:
        try:
            views = views_of(_worker.library, _worker.backend, key, settings.views, side=settings.side)
            made += [_write_view(settings.out, _worker.ids.of(key), key, *pair) for pair in enumerate(views)]
        except SynthError as error:
            failed.append((key, str(error)))
        except MemoryError:
            raise
        except Exception as error:  # a bad mesh may break a renderer in any way; continue with the others
            if isinstance(error, OSError) and takes_no_more(error, settings.out):
                raise
            failed.append((key, f"{type(error).__name__}: {error}"))
    file = labels_path(settings.out, index)
    file.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(
        file, json.dumps({"pictures": [one.content() for one in made], "failed": failed}, allow_nan=False).encode()
    )
    return len(made), len(made) // settings.views


def _write_view(out: Path, number: int, key: str, view: int, made: ProductView) -> ImageLabels:
    """Store one image; return its labels."""
    from PIL import Image

    from dataset.masks import encode_crop
    from render.geometry import xywh_from_xyxy

    name = f"{number // 1000:04d}/{number:07d}-{view:02d}.jpg"
    file = out / "images" / name
    file.parent.mkdir(parents=True, exist_ok=True)
    buffer = io.BytesIO()
    Image.fromarray(made.image).save(buffer, "JPEG", quality=QUALITY, subsampling=0)
    write_atomic(file, buffer.getvalue())
    height, width = made.coverage.shape
    x0, y0, x1, y1 = (int(edge) for edge in made.box)
    mask = made.coverage[y0:y1, x0:x1] >= 128
    image = ImageRecord(file_name=name, width=width, height=height, view=view, group=key, backend=DEFAULT_BACKEND)
    annotation = AnnotationRecord(
        sku=key,
        bbox=list(xywh_from_xyxy((x0, y0, x1, y1))),
        area=int(mask.sum()),
        iscrowd=0,
        segmentation=encode_crop(mask, x0, y0, height, width),
        visibility=1.0,
        truncation=0.0,
    )
    return ImageLabels(image, [annotation])


VIEW_FUNCTIONS = SceneFunctions(make_views, start_worker)


def _run_tasks(
    settings: CropSettings,
    pending: list[int],
    total: int,
    summary: CropSummary,
    console: Console,
    *,
    stop: Callable[[int], bool],
    lock: int,
) -> bool:
    """Make what is missing; return False if stopped."""
    if not pending:
        return True
    ended = 0
    left = sum(min(TASK_SKUS, total - index * TASK_SKUS) for index in pending)
    with StepProgress(console, "views", total=total, done=total - left, unit="SKUs") as progress:
        last = time.monotonic()
        for outcome in run_scenes(VIEW_FUNCTIONS, settings, pending, stop=stop, lock=lock):
            ended += 1
            count, now = min(TASK_SKUS, total - outcome.index * TASK_SKUS), time.monotonic()
            if outcome.reason:
                summary.failed.append((f"SKUs {outcome.index * TASK_SKUS + 1} and following", outcome.reason))
            else:
                summary.made += outcome.annotations
            progress.advance(count=count, seconds=now - last)
            last = now
    return ended == len(pending)


class StoredViews(FileModel):
    """What a task made: the labels of its images, and the SKUs that failed with their reasons."""

    pictures: list[Any]
    failed: list[tuple[str, str]]


def _images(out: Path, tasks: range, summary: CropSummary) -> Iterator[ImageLabels]:
    """Yield the labels of all images in order; failed SKUs are added to the summary."""
    for index in tasks:
        file = labels_path(out, index)
        if file.exists():  # else it failed as a whole and is in the summary
            hint = "delete it: the same command makes it again"
            stored = read_model(StoredViews, file, DATASET_JSON, "the labels of a task", hint=hint)
            summary.failed += stored.failed
            yield from map(ImageLabels.parse, stored.pictures)


def _check_folder(settings: CropSettings, catalog: Catalog) -> None:
    """Raise SynthError if the folder holds views of another list or of other options."""
    about = {"views_format": VIEWS_FORMAT, "views": settings.views, "side": settings.side, "catalog": catalog.hash}
    file = settings.out / ABOUT
    if not file.exists():
        write_atomic(file, (json.dumps(about, indent=1) + "\n").encode())
    elif read_json(file, DATASET_JSON, ABOUT, hint="give another --out") != about:
        hint = "give another --out, or the list and options that it was made with"
        raise SynthError("the folder contains other views", code="settings-differ", where=str(settings.out), hint=hint)


def print_summary(console: Console, summary: CropSummary) -> None:
    """Print what was made and what failed."""
    pace = f", {summary.made / summary.seconds * 60:,.0f} SKUs/min" if summary.made and summary.seconds else ""
    line = f"{count_of(summary.made, 'SKU', spec=',')} rendered in {duration_text(summary.seconds)}{pace}"
    console.print(line, highlight=False)
    for key, reason in summary.failed[:MAX_LISTED]:
        console.print(f"  - {key}: {reason}", style="red", highlight=False, markup=False)
    if summary.failed:
        console.print(f"{count_of(len(summary.failed), 'SKU')} could not be rendered", highlight=False)
    if summary.interrupted:
        console.print("stopped; finished work is kept: the same command resumes there", highlight=False)
    else:
        console.print(
            f"{count_of(summary.images, 'image', spec=',')}: {summary.out / COCO}", highlight=False, markup=False
        )
