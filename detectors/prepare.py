"""From paths to the data of a training: checked whole, matched in their classes, split by group."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from assets.errors import SynthError
from detectors.class_match import ClassChoice, match_classes, relabel
from detectors.coco_read import read_images
from detectors.coco_source import CocoSource, open_source, splits_in
from detectors.image_set import Classes, ImageSet
from detectors.mix import Purpose, stream
from detectors.problems import Problems, check_usable

REAL = "real"
TRAINING_SPLITS = ("train",)
VALIDATION_SPLITS = ("val", "test", "train")
LEAKED = "images that are in the validation set as well"
Tell = Callable[[str], None]


@dataclass(frozen=True)
class DataSettings:
    """Which data a training reads. synthetic: (name, path) of each source, the first one is what --mix leaves over.

    real_fraction: share of the labelled photos that is used, by whole groups. hold_out: share of the real groups kept
    for validation where no validation set is given. images: a folder to look for images in, before the usual places.
    """

    synthetic: tuple[tuple[str, Path], ...] = ()
    real: Path | None = None
    val: Path | None = None
    images: Path | None = None
    group_key: str | None = None
    real_fraction: float = 1.0
    hold_out: float = 0.2
    classes: ClassChoice = "all"
    skip_bad: bool = False


@dataclass(frozen=True)
class TrainingData:
    """Sources in the order of the mix, all labelled by `classes`. hashes: what each data set is known by."""

    sources: tuple[ImageSet, ...]
    validation: ImageSet | None
    validates_on_real: bool
    classes: Classes
    hashes: dict[str, str]


@dataclass(frozen=True)
class _Read:
    source: CocoSource
    images: ImageSet
    problems: Problems


def prepare_training(settings: DataSettings, *, seed: int, tell: Tell, classes: Classes | None = None) -> TrainingData:
    """Reads and checks all that a training needs.

    tell: called with each line that people should read. classes: those of a detector that is trained on. Raises
    SynthError with every problem of every set at once.
    """
    if not settings.synthetic and settings.real is None:
        raise SynthError("there is nothing to train on", hint="give --synthetic, --real, or both")
    training = [_read(name, path, TRAINING_SPLITS, settings) for name, path in settings.synthetic]
    if settings.real is not None:
        training.append(_read(REAL, settings.real, TRAINING_SPLITS, settings))
    held = _read_validation(settings)
    for read in training if held else ():
        _note_leaks(read, held)
    reads = [*training, *([held] if held else [])]
    _tell_problems(reads, tell)
    check_usable([read.problems for read in reads], skip_bad=settings.skip_bad)
    match = match_classes([read.images for read in training], settings.classes)
    for note in match.notes:
        tell(note)
    classes = classes or match.classes
    sources = [relabel(_without_leaks(read, held), classes) for read in training]
    validation = relabel(held.images, classes) if held else None
    on_real = held is not None and not _is_rendered(held.source)
    if settings.real is not None:
        sources[-1], kept = _share_real(sources[-1], settings, held is None, seed, tell)
        validation, on_real = (kept, True) if kept is not None else (validation, on_real)
    if validation is not None and not on_real:
        tell("the validation set is rendered: its scores say little about real photographs (give --val or --real)")
    hashes = {read.images.name: fingerprint(read.source) for read in reads}
    return TrainingData(tuple(sources), validation, on_real, classes, hashes)


def read_one(path: Path, name: str, settings: DataSettings, *, splits: Sequence[str], tell: Tell) -> ImageSet:
    """A single data set, checked, with classes of its own (for evaluation)."""
    read = _read(name, path, splits, settings)
    _tell_problems([read], tell)
    check_usable([read.problems], skip_bad=settings.skip_bad)
    if not len(read.images):
        raise SynthError("no image of the data set can be used", where=str(read.source.file))
    return read.images


def fingerprint(source: CocoSource) -> str:
    """SHA-256 over the COCO file and the names and sizes of its images."""
    digest = hashlib.sha256(source.file.read_bytes())
    for record in source.content["images"]:
        name = record.get("file_name")
        file = source.images / name if isinstance(name, str) else None
        size = file.stat().st_size if file is not None and file.is_file() else -1
        digest.update(f"{name}\0{size}\0".encode())
    return digest.hexdigest()


def _read(name: str, path: Path, splits: Sequence[str], settings: DataSettings) -> _Read:
    source = open_source(path, name=name, splits=splits, images=settings.images)
    problems = Problems(f"{name} ({source.file.name})")
    return _Read(source, read_images(source, problems, group_key=_group_key(name, settings)), problems)


def _group_key(name: str, settings: DataSettings) -> str | None:
    return settings.group_key if name == REAL else None


def _read_validation(settings: DataSettings) -> _Read | None:
    """The set given by --val, else the val split of the real set, else that of the first synthetic one."""
    if settings.val is not None:
        return _read("val", settings.val, VALIDATION_SPLITS, settings)
    candidates = [settings.real] if settings.real else [path for _, path in settings.synthetic[:1]]
    for path in candidates:
        if path.is_dir() and "val" in splits_in(path):
            return _read("val", path, ("val",), settings)
    return None


def _is_rendered(source: CocoSource) -> bool:
    """Whether `synth render` wrote the set: its images name the backend that made them."""
    return all("backend" in record for record in source.content["images"][:10])


def _share_real(
    real: ImageSet, settings: DataSettings, needs_validation: bool, seed: int, tell: Tell
) -> tuple[ImageSet, ImageSet | None]:
    """The real images to train on, and those held out for validation, by whole groups."""
    held = None
    order = stream(seed, Purpose.HOLD_OUT).permutation(int(real.groups.max()) + 1 if len(real) else 0)
    if needs_validation and settings.hold_out > 0:
        chosen = _groups_for(real, order[::-1], settings.hold_out)
        rest = np.setdiff1d(np.arange(len(real)), chosen)
        if len(rest) and len(chosen):
            held, real = real.take(chosen), real.take(rest)
            groups = len(np.unique(held.groups))
            tell(f"no --val given: {len(held)} real photos ({groups} groups) are held out to choose the checkpoint by")
        else:
            tell("no --val given, and the real photos are a single group: nothing to choose the checkpoint by")
    if settings.real_fraction < 1:
        before = len(real)
        real = real.take(_groups_for(real, order, settings.real_fraction))
        tell(f"--real-fraction {settings.real_fraction:g}: {len(real)} of {before} real photos are used")
    return real, held


def _groups_for(images: ImageSet, order: NDArray[np.int64], share: float) -> NDArray[np.int64]:
    """Images of the first groups in `order` that together come nearest to `share` of all, at least one group."""
    counts = np.bincount(images.groups, minlength=len(order))[order]
    present = order[counts > 0]
    reached = np.cumsum(counts[counts > 0])
    nearest = int(np.argmin(np.abs(reached - share * len(images)))) if len(reached) else -1
    return np.flatnonzero(np.isin(images.groups, present[: nearest + 1]))


def _note_leaks(read: _Read, held: _Read | None) -> None:
    for index in _leaked(read, held):
        read.problems.spoil(LEAKED, read.images.file_names[index].decode())


def _without_leaks(read: _Read, held: _Read | None) -> ImageSet:
    leaked = _leaked(read, held) if LEAKED in read.problems.bad else []
    return read.images.take(np.setdiff1d(np.arange(len(read.images)), leaked)) if leaked else read.images


def _leaked(read: _Read, held: _Read | None) -> list[int]:
    """Images of a training set whose bytes are also those of a validation image."""
    if held is None:
        return []
    by_size: dict[int, list[Path]] = defaultdict(list)
    for index in range(len(held.images)):
        path = held.images.path(index)
        by_size[path.stat().st_size].append(path)
    digests = {}
    leaked = []
    for index in range(len(read.images)):
        path = read.images.path(index)
        size = path.stat().st_size
        # Only files of one size can be equal: most need not be read at all.
        if size in by_size:
            if size not in digests:
                digests[size] = {_digest(twin) for twin in by_size[size]}
            if _digest(path) in digests[size]:
                leaked.append(index)
    return leaked


def _digest(path: Path) -> bytes:
    return hashlib.blake2b(path.read_bytes()).digest()


def _tell_problems(reads: Sequence[_Read], tell: Tell) -> None:
    for read in reads:
        boxes = int((read.images.labels >= 0).sum())
        tell(f"{read.problems.where}: {len(read.images)} images, {boxes} boxes, {len(read.images.classes)} classes")
        for line in read.problems.lines():
            tell(f"  {line}")
