"""From paths to the data of a training: checked whole, matched in their classes, split by group."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from assets.errors import SynthError
from detectors.class_match import ClassChoice, match_classes, relabel
from detectors.coco_read import read_images
from detectors.coco_source import CocoSource, has_split, is_rendered, open_source
from detectors.coco_values import short
from detectors.image_set import Classes, ImageSet
from detectors.leaks import group_copies, images_also_in
from detectors.mix import Purpose, stream
from detectors.problems import Problems, check_usable

REAL = "real"
# Names that mix and output folders give to other sets than the synthetic ones.
TAKEN_NAMES = (REAL, "val", "validation")
TRAINING_SPLITS = ("train",)
OWN_VALIDATION_SPLITS = ("val", "valid")
VALIDATION_SPLITS = (*OWN_VALIDATION_SPLITS, "test", "train")
SAME_CLASSES = "categories are matched by their sku field, else by name: do the data sets call them the same?"
LEAKED = "images that are in the validation set as well"
Tell = Callable[[str], None]


@dataclass(frozen=True)
class DataSettings:
    """Which data a training reads. synthetic: (name, path) of each source, the first one is what --mix leaves over.

    real_fraction: share of the labelled photos that is used, by whole groups. hold_out: share of the real groups kept
    for validation where no validation set is given. images: a folder to look for images in, before the usual places.
    classes: all, those that all sets have in common, or one "product" for all of them.
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

    def __post_init__(self) -> None:
        names = [name for name, _ in self.synthetic]
        for name in names:
            if names.count(name) > 1 or name in TAKEN_NAMES or not re.fullmatch(r"\w[\w.-]*", name):
                expected = f"letters and digits, each name once, not {', '.join(TAKEN_NAMES)}"
                raise SynthError("a synthetic source needs another name", found=repr(name), expected=expected)
        if not 0 < self.real_fraction <= 1:
            hint = "for none of the photos leave --real out, and validate on them with --val"
            expected = "more than 0, at most 1"
            raise SynthError(
                "--real-fraction is no share", found=f"{self.real_fraction:g}", expected=expected, hint=hint
            )
        if not 0 <= self.hold_out < 1:
            raise SynthError("the share to hold out is none", found=f"{self.hold_out:g}", expected="0 to less than 1")


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
    training, held = _read_sets(settings)
    reads = [*training, held] if held else training
    hashes = _distinct_hashes(reads)
    for read in training:
        _note_leaks(read, held)
    check_usable([read.problems for read in reads], skip_bad=settings.skip_bad)
    _tell_problems(reads, tell)
    match = match_classes([read.images for read in training], settings.classes)
    for note in match.notes:
        tell(note)
    classes = classes or match.classes
    sources = [relabel(_without_leaks(read, held), classes) for read in training]
    validation = relabel(held.images, classes) if held else None
    on_real = held is not None and not is_rendered(held.source)
    if settings.real is not None:
        sources[-1], kept = _share_real(sources[-1], settings, held is None, seed, tell)
        if kept is not None:
            validation, on_real = kept, not is_rendered(training[-1].source)
    _check_left(sources, validation)
    _tell_doubts(settings, training, held, classes, tell)
    if validation is not None and not on_real:
        tell("the validation set is rendered: its scores say little about real photographs (give --val or --real)")
    return TrainingData(tuple(sources), validation, on_real, classes, hashes)


def read_one(path: Path, name: str, settings: DataSettings, *, splits: Sequence[str], tell: Tell) -> ImageSet:
    """A single data set, checked, with classes of its own (for evaluation)."""
    read = _read(name, path, splits, settings, group_key=settings.group_key)
    check_usable([read.problems], skip_bad=settings.skip_bad)
    _tell_problems([read], tell)
    if not len(read.images):
        raise SynthError("no image of the data set can be used", where=str(read.source.file))
    return read.images


def fingerprint(source: CocoSource) -> str:
    """SHA-256 over the COCO file and the names and sizes of its images."""
    digest = hashlib.sha256(source.file.read_bytes())
    for record in source.content["images"]:
        name = record.get("file_name")
        size = _file_size(source.images / name) if isinstance(name, str) else -1
        digest.update(f"{short(name)}\0{size}\0".encode(errors="replace"))
    return digest.hexdigest()


def _file_size(path: Path) -> int:
    try:
        return path.stat().st_size
    except (OSError, ValueError):
        return -1


def _read(
    name: str, path: Path, splits: Sequence[str], settings: DataSettings, *, group_key: str | None = None
) -> _Read:
    source = open_source(path, name=name, splits=splits, images=settings.images)
    problems = Problems(f"{name} ({source.file.name})")
    # The scenes of rendered sets are their groups.
    key = None if is_rendered(source) else group_key
    return _Read(source, read_images(source, problems, group_key=key), problems)


def _distinct_hashes(reads: Sequence[_Read]) -> dict[str, str]:
    hashes = {read.images.name: fingerprint(read.source) for read in reads}
    first: dict[str, _Read] = {}
    for read in reads:
        other = first.setdefault(hashes[read.images.name], read)
        if other is not read:
            raise SynthError(
                "two data sets are one and the same",
                found=f"{other.images.name} is {other.source.file}, {read.images.name} is {read.source.file}",
                hint="validate on images that are not trained on; give more weight to a source with --mix",
            )
    return hashes


def _check_left(sources: Sequence[ImageSet], validation: ImageSet | None) -> None:
    """Raises where nothing is left to learn, or to validate, once bad records and foreign classes are out."""
    empty = [images.name for images in sources if not len(images)]
    if empty:
        raise SynthError(f"no image of {', '.join(empty)} can be used")
    if not any((images.labels >= 0).any() for images in sources):
        raise SynthError("no box of the training data has a class to be learned", hint=SAME_CLASSES)
    if validation is not None and not (validation.labels >= 0).any():
        raise SynthError("no box of the validation data has a class that is trained", hint=SAME_CLASSES)


def _tell_doubts(
    settings: DataSettings, training: Sequence[_Read], held: _Read | None, classes: Classes, tell: Tell
) -> None:
    """What may be meant, and may be a mistake."""
    for read in [*training, held] if held else training:
        before = read.images.true_labels
        after = relabel(read.images, classes).true_labels
        gone = [read.images.classes.keys[label] for label in np.unique(before[(before >= 0) & (after < 0)])]
        if gone:
            tell(f"{len(gone)} classes of {read.images.name} are not trained, ignored there: {', '.join(gone[:10])}")
    if settings.real is None:
        return
    if is_rendered(training[-1].source):
        tell("--real is a rendered set, not photographs")
    if held and settings.group_key:
        trained, validated = (
            {str(record.get(settings.group_key)) for record in read.source.content["images"]}
            for read in (training[-1], held)
        )
        if shared := sorted(trained & validated):
            tell(f"{len(shared)} groups are in {REAL} and in validation, such as {settings.group_key} {shared[0]}")


def _read_sets(settings: DataSettings) -> tuple[list[_Read], _Read | None]:
    """The sets to train on and the one to validate on. Raises SynthError with what ails each of them."""
    if not settings.synthetic and settings.real is None:
        raise SynthError("there is nothing to train on", hint="give --synthetic, --real, or both")
    wanted = [*settings.synthetic, *([(REAL, settings.real)] if settings.real is not None else [])]
    keys = {REAL: settings.group_key}
    steps: list[Callable[[], _Read | None]] = [
        *(partial(_read, name, path, TRAINING_SPLITS, settings, group_key=keys.get(name)) for name, path in wanted),
        partial(_read_validation, settings),
    ]
    reads: list[_Read | None] = []
    errors: list[SynthError] = []
    for step in steps:
        try:
            reads.append(step())
        except SynthError as error:
            errors.append(error)
    if len(errors) > 1:
        raise SynthError(f"{len(errors)} data sets cannot be read", problems=[str(error) for error in errors])
    if errors:
        raise errors[0]
    return [read for read in reads[:-1] if read is not None], reads[-1]


def _read_validation(settings: DataSettings) -> _Read | None:
    """The set given by --val, else the val split of the real set, else that of the first synthetic one."""
    if settings.val is not None:
        return _read("val", settings.val, VALIDATION_SPLITS, settings)
    candidates = [settings.real] if settings.real else [path for _, path in settings.synthetic[:1]]
    for path in candidates:
        if path.is_dir() and any(has_split(path, split) for split in OWN_VALIDATION_SPLITS):
            return _read("val", path, OWN_VALIDATION_SPLITS, settings)
    return None


def _share_real(
    real: ImageSet, settings: DataSettings, needs_validation: bool, seed: int, tell: Tell
) -> tuple[ImageSet, ImageSet | None]:
    """The real images to train on, and those held out for validation, by whole groups."""
    held = None
    real, copies = group_copies(real)
    if copies:
        tell(f"{copies} groups of real photos hold copies of photos of other groups: kept together with them")
    order = stream(seed, Purpose.HOLD_OUT).permutation(int(real.groups.max()) + 1 if len(real) else 0)
    if needs_validation and settings.hold_out > 0:
        chosen = _held_out(real, order[::-1], settings.hold_out)
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
    """Images of the first groups in `order` that together come nearest to `share` of all, at least one group.

    A smaller share is part of a larger one: learning curves compare like with like.
    """
    counts = np.bincount(images.groups, minlength=len(order))[order]
    present = order[counts > 0]
    reached = np.cumsum(counts[counts > 0])
    nearest = int(np.argmin(np.abs(reached - share * len(images)))) if len(reached) else -1
    return np.flatnonzero(np.isin(images.groups, present[: nearest + 1]))


def _held_out(images: ImageSet, order: NDArray[np.int64], share: float) -> NDArray[np.int64]:
    """Images of those groups, tried in `order`, that each bring nearer to `share`; at least the smallest group."""
    counts = np.bincount(images.groups, minlength=len(order))
    missing, chosen = share * len(images), []
    for group in order[counts[order] > 0]:
        if abs(missing - counts[group]) < abs(missing):
            chosen.append(group)
            missing -= counts[group]
    if not chosen and len(images):
        chosen.append(np.argmin(np.where(counts > 0, counts, len(images) + 1)))
    return np.flatnonzero(np.isin(images.groups, chosen))


def _note_leaks(read: _Read, held: _Read | None) -> None:
    for index in images_also_in(read.images, held.images) if held else ():
        read.problems.spoil(LEAKED, read.images.file_names[int(index)].decode())


def _without_leaks(read: _Read, held: _Read | None) -> ImageSet:
    if held is None or LEAKED not in read.problems.bad:
        return read.images
    return read.images.take(np.setdiff1d(np.arange(len(read.images)), images_also_in(read.images, held.images)))


def _tell_problems(reads: Sequence[_Read], tell: Tell) -> None:
    for read in reads:
        boxes = int((read.images.labels >= 0).sum())
        tell(f"{read.problems.where}: {len(read.images)} images, {boxes} boxes, {len(read.images.classes)} classes")
        for line in [*read.problems.lines(), *read.problems.hints]:
            tell(f"  {line}")
