"""`synth refine`: a data set with the same labels whose pictures look more like photographs."""

from __future__ import annotations

import hashlib
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

from rich.console import Console

from assets.errors import SynthError, unknown_name
from assets.files.atomic import lock_folder, write_atomic
from assets.files.identity import digest_files
from assets.interrupt import never, until
from assets.plurals import count_of
from assets.progress import StepProgress
from dataset.checksums import sha256_of
from dataset.coco_reader import images_of
from dataset.find import find_splits
from dataset.layout import Layout
from dataset.records import ImageLabels
from dataset.spool import hash64
from dataset.store import CocoPart, CocoStore, StoredImage, sharded_store
from pipeline.refine.carry import RefinedLayout, complete_set
from pipeline.refine.distances import SetDistances, measure_set
from pipeline.refine.journal import OutcomeList
from pipeline.refine.methods import METHOD_TABLE, Preparation
from pipeline.refine.naming import NamingReport, measure_naming
from pipeline.refine.photos import TargetPhotos, open_photos
from pipeline.refine.picture import PictureOutcome, PictureTask, refine_picture
from pipeline.refine.samples import in_groups, sample_pairs
from pipeline.refine.settings import RefineSettings
from pipeline.run.dataset_info import DatasetInfo, read_info
from pipeline.run.refinement import REFINEMENT, Refinement, read_refinement
from pipeline.shards.workers import map_shards
from pipeline.workers.disk_errors import disk_error

# Pictures that are named and measured before and after, and photographs they are compared with.
NAMED, MEASURED_PICTURES, MEASURED_PHOTOS = 200, 100, 200
AT_ONCE = 1024
# Settings of single methods, and those that do not change the pictures or are recorded by what they hold.
OWN_SETTINGS = ("statistics", "fda", "paste", "translate")
FREE = ("method", "source", "target", "out", "detector", "gallery", "photos", "workers", "device")


@dataclass
class RefineResult:
    """What became of a data set. rejected: numbers by reason. made, seconds: of this call alone.

    naming, distances: None if it was interrupted. photo_problems: photographs left out, one line per reason.
    """

    layout: RefinedLayout
    refinement: Refinement
    photos: TargetPhotos
    photo_problems: list[str]
    total: int
    refined: int = 0
    rejected: dict[str, int] | None = None
    made: int = 0
    seconds: float = 0.0
    interrupted: bool = False
    naming: NamingReport | None = None
    distances: SetDistances | None = None


def refine_set(settings: RefineSettings, console: Console, *, stop: Callable[[], bool] = never) -> RefineResult:
    """Refine the pictures of a data set into the folder of the settings, or resume that.

    stop: once it returns True, pictures in progress are finished and no more are started. Raises SynthError for bad
    data, photographs or settings before any work starts, and for a folder of something else.
    """
    method = load_method(settings.method)
    store = open_source(settings.source)
    check_out(settings, store)
    pool, problems = open_photos(settings.target, settings.photos, settings.seed, console)
    rendered = _rendered_info(store)
    layout = RefinedLayout(store, settings.out, rendered, method.LABELS == "new")
    refinement = describe(settings, store, pool)
    total = sum(part.count for part in store.parts)
    result = RefineResult(layout, refinement, pool, problems, total)
    with lock_folder(settings.out):
        try:
            claim_out(settings.out, refinement)
            method.prepare(settings, Preparation(store, pool, settings.out, console, stop))
            _refine_all(settings, method, result, console, stop)
            if not result.interrupted:
                complete_set(layout, refinement, OutcomeList(settings.out))
                _measure(settings, method, result, console)
        except BrokenPipeError:
            raise
        except OSError as error:
            raise disk_error(settings.out, error) from error
    return result


def load_method(name: str) -> Any:
    """Load the module of a method. Raises SynthError for an unknown name."""
    if name not in METHOD_TABLE.names():
        raise unknown_name("refinement method", name, METHOD_TABLE.names())
    return METHOD_TABLE.load(name)


def open_source(source: Path) -> CocoStore:
    """Open the data set to refine. Raises SynthError if there is none, if it is sharded, and if images share names."""
    if sharded_store(source):
        hint = "unpack it: synth data unpack PLACE FOLDER"
        raise SynthError("a sharded set cannot be refined", code="dataset-sharded", where=str(source), hint=hint)
    store = CocoStore(source, tuple(CocoPart(split) for split in find_splits(source)))
    taken: set[int] = set()
    for part in store.parts:
        for image in images_of(part.source.file):
            key = hash64(f"{part.source.images}\0{image.file_name}")
            if key in taken:
                found = str(image.file_name)
                raise SynthError(
                    "two images have the same name", code="image-name-duplicate", where=str(source), found=found
                )
            taken.add(key)
    if not taken:
        raise SynthError("the data set has no images", code="dataset-empty", where=str(source))
    return store


def check_out(settings: RefineSettings, store: CocoStore) -> None:
    """Raise SynthError if the refined set would be written into one of its sources."""
    out = settings.out.resolve()
    roots = {part.source.root.resolve() for part in store.parts} | {
        part.source.images.resolve() for part in store.parts
    }
    if out in roots or settings.target.resolve() == out or any(out.is_relative_to(one / "images") for one in roots):
        hint = "give another --out"
        raise SynthError(
            "the refined set would overwrite what it is made from", code="options-conflict", where=str(out), hint=hint
        )


def _rendered_info(store: CocoStore) -> DatasetInfo | None:
    """Return dataset.json of a folder of `synth render`, None for other sets. Raises SynthError if it is damaged."""
    layout = Layout(store.path)
    return read_info(layout) if store.path.is_dir() and layout.info.exists() else None


def describe(settings: RefineSettings, store: CocoStore, pool: TargetPhotos) -> Refinement:
    """Return what identifies a refined set: of the settings those that decide its pictures."""
    fields = asdict(settings)
    own = {name: fields.pop(name) for name in OWN_SETTINGS}.get(settings.method, {})
    if own.get("network") is not None:
        own = {"network": digest_files([_checkpoint(own["network"])])[0]}
    recorded = {name: value for name, value in fields.items() if name not in FREE} | own
    shown = {name: list(value) if isinstance(value, tuple) else value for name, value in recorded.items()}
    return Refinement(
        method=settings.method,
        settings=shown,
        photos=pool.digest,
        photo_count=len(pool.files),
        source=source_digest(store),
    )


def _checkpoint(network: Path) -> Path:
    from detectors.checkpoints.detector import find_checkpoint

    return find_checkpoint(network, kind="translator", command="synth refine")


def source_digest(store: CocoStore) -> str:
    """Return the SHA-256 of the COCO files of a data set and of its images, by split."""
    digest = hashlib.sha256()
    for part in store.parts:
        digest.update(f"{part.split}\0{sha256_of(part.source.file)}\0".encode())
        stored = (part.stored(ImageLabels(image, ())) for image in images_of(part.source.file))
        for some in in_groups(stored, AT_ONCE):
            files = [one.data for one in some if isinstance(one.data, Path)]
            for one, content in zip(some, digest_files(files), strict=True):
                digest.update(f"{one.labels.image.file_name}\0{content}\0".encode(errors="replace"))
    return digest.hexdigest()


def claim_out(out: Path, refinement: Refinement) -> None:
    """Record in a folder what is refined into it. Raises SynthError if it holds something else."""
    earlier = read_refinement(out)
    if earlier is None:
        if any(entry.name != ".lock" for entry in out.iterdir()):
            raise SynthError(
                "the output folder is not empty and contains no refined set",
                code="output-not-empty",
                where=str(out),
                hint="give another --out",
            )
        write_atomic(out / REFINEMENT, refinement.file())
    elif problems := earlier.differing(refinement):
        hint = "give another --out, or the same data, photographs and settings as before to resume"
        raise SynthError(
            "the folder contains a set that was refined otherwise",
            code="settings-differ",
            where=str(out),
            problems=problems,
            hint=hint,
        )


def _refine_all(
    settings: RefineSettings, method: Any, result: RefineResult, console: Console, stop: Callable[[], bool]
) -> None:
    """Refine all pictures that are missing, in order, and count all."""
    journal, began = OutcomeList(settings.out), time.monotonic()
    done = _finished(result.layout, journal)
    if done < result.total or not journal.finished:
        journal.keep(done)
        tasks = islice(_tasks(result.layout, method), done, None)
        work = partial(_work, settings, result.photos)
        with journal, StepProgress(console, "refining", total=result.total, done=done, unit="pictures") as progress:
            for outcome in map_shards(work, until(stop, tasks), settings.workers):
                journal.add(outcome)
                result.made += 1
                progress.advance(failed=bool(outcome.rejected))
        result.interrupted = done + result.made < result.total
        if not result.interrupted:
            journal.finish()
    result.seconds, result.rejected = time.monotonic() - began, {}
    for outcome in journal.outcomes():
        result.refined += not outcome.rejected
        if outcome.rejected:
            result.rejected[outcome.rejected] = result.rejected.get(outcome.rejected, 0) + 1


def _work(settings: RefineSettings, pool: TargetPhotos, item: tuple[PictureTask, str]) -> PictureOutcome:
    return refine_picture(settings, pool, *item)


def _finished(layout: RefinedLayout, journal: OutcomeList) -> int:
    """Return the number of the first pictures that are done and still there."""
    parts = {part.split: part for part in layout.store.parts}
    count = 0
    for outcome in journal.outcomes():
        part = parts.get(outcome.split)
        if part is None or not layout.image(part, outcome.file).is_file():
            break
        if layout.new_labels and not layout.labels(part, outcome.file).is_file():
            break
        count += 1
    if journal.finished and count < sum(part.count for part in layout.store.parts):
        journal.reopen()
    return count


def _tasks(layout: RefinedLayout, method: Any) -> Iterator[tuple[PictureTask, str]]:
    for part in layout.store.parts:
        donors: deque[StoredImage] = deque(maxlen=method.DONORS)
        for stored in part.stored_images():
            name = str(stored.labels.image.file_name)
            labels = layout.labels(part, name) if layout.new_labels else None
            yield PictureTask(stored, tuple(donors), layout.image(part, name), labels), part.split
            donors.append(stored)


def _measure(settings: RefineSettings, method: Any, result: RefineResult, console: Console) -> None:
    """Measure names and distances on some of the pictures."""
    console.print(f"measuring {count_of(min(result.total, NAMED), 'picture')} before and after", highlight=False)
    journal = OutcomeList(settings.out)
    sample = partial(sample_pairs, result.layout, journal, result.total)
    result.naming = measure_naming(sample(NAMED, before=method.DONORS), settings)
    result.distances = measure_set(sample(MEASURED_PICTURES), result.photos, MEASURED_PHOTOS, console)
