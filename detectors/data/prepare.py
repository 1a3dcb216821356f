"""Read the data of a training: check all of it, merge the classes, split by group."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np

from assets.errors import SynthError
from assets.plurals import count_of, counts_of
from dataset.chosen import ImageList, read_list
from dataset.find import CocoSource, has_split, open_source, split_name
from dataset.identity import DataIdentity, check_shards, identify
from dataset.problems import Problems, check_usable
from dataset.shards.index import INDEX, ShardEntry
from dataset.storage.path import StoragePath
from dataset.values import whole_number
from detectors.data.class_match import match_classes
from detectors.data.hold_out import images_also_in, split_real
from detectors.data.image_set import Classes, ImageSet
from detectors.data.read_coco import read_images
from detectors.data.settings import REAL, DataSettings
from detectors.data.shard_prepare import (
    extract_validation,
    keep_listed,
    none_listed,
    open_shards,
    shards_at,
    shards_digest,
    shards_have,
)
from detectors.data.source import ImageSource, LiveCounts, LiveSource

TRAINING_SPLITS = ("train",)
OWN_VALIDATION_SPLITS = ("val", "valid")
VALIDATION_SPLITS = (*OWN_VALIDATION_SPLITS, "test", "train")
SAME_CLASSES = "categories are matched by their sku field, else by name: do the data sets use the same names?"
LEAKED = "images that are also in the validation set"
PrintLine = Callable[[str], None]


@dataclass(frozen=True)
class TrainingData:
    """Sources in the order of the mix, all labelled by `classes`. hashes: digest of each data set.

    identities: the full identity of each data set; empty if another process has read the data.
    """

    sources: tuple[ImageSource, ...]
    validation: ImageSet | None
    validates_on_real: bool
    classes: Classes
    hashes: dict[str, str]
    identities: dict[str, DataIdentity] = field(default_factory=dict)

    @property
    def live(self) -> tuple[LiveCounts, ...]:
        """What the sources that make images while training have made so far."""
        return tuple(images.live for images in self.sources if images.live is not None)


@dataclass(frozen=True)
class _Read:
    """A data set that was read. source: None for one in shards."""

    source: CocoSource | None
    images: ImageSource
    problems: Problems
    identity: DataIdentity
    where: str


def prepare_training(
    settings: DataSettings,
    *,
    seed: int,
    print_line: PrintLine,
    classes: Classes | None = None,
    live: Sequence[LiveSource] = (),
) -> TrainingData:
    """Read and check the data of a training.

    print_line: prints a line for the user. classes: of the detector, if an existing one is trained further. live:
    sources that make their images while training; they stand after the synthetic ones. Raises SynthError that lists all
    problems of all sets.
    """
    training, held = _read_sets(settings, live)
    reads = [*training, held] if held else training
    hashes = _distinct_hashes(reads)
    for read in training:
        _note_leaks(read, held)
    check_usable([read.problems for read in reads], skip_bad=settings.skip_bad)
    _print_problems(reads, print_line)
    match = match_classes([read.images for read in training], settings.classes)
    for note in match.notes:
        print_line(note)
    classes = classes or match.classes
    sources = [_without_leaks(read, held).relabelled(classes) for read in training]
    validation = _columns(held).relabelled(classes) if held else None
    on_real = held is not None and not held.images.rendered
    if settings.real is not None:
        real = sources[-1].columns
        if real is None:
            hint = "give it as --synthetic, or write it out with 'synth data unpack'"
            raise SynthError(
                "a sharded set cannot be split by groups", code="dataset-sharded", where=training[-1].where, hint=hint
            )
        sources[-1], kept = split_real(real, settings, held is None, seed, print_line)
        if kept is not None:
            validation, on_real = kept, not training[-1].images.rendered
    _check_left(sources, validation)
    _print_doubts(settings, training, held, classes, print_line)
    if validation is not None and not on_real:
        print_line("the validation set is rendered: its scores say little about real photos (give --val or --real)")
    identities = {read.images.name: read.identity for read in reads}
    return TrainingData(tuple(sources), validation, on_real, classes, hashes, identities)


def _columns(read: _Read) -> ImageSet:
    """Return the images of a set in memory."""
    assert read.images.columns is not None
    return read.images.columns


def read_one(
    path: Path, name: str, settings: DataSettings, *, splits: Sequence[str], print_line: PrintLine
) -> ImageSet:
    """Read and check a single data set, with its own classes (for evaluation)."""
    read = _read_plain(name, path, splits, settings, group_key=settings.group_key)
    check_usable([read.problems], skip_bad=settings.skip_bad)
    _print_problems([read], print_line)
    if not len(read.images):
        raise SynthError("no image of the data set is usable", code="images-unusable", where=read.where)
    return _columns(read)


def _read(
    name: str, path: Path | StoragePath, splits: Sequence[str], settings: DataSettings, *, group_key: str | None = None
) -> _Read:
    location = shards_at(path)
    if location is None:
        return _read_plain(name, Path(str(path)), splits, settings, group_key=group_key)
    problems = Problems(f"{name} ({INDEX})")
    images = open_shards(
        name,
        location,
        splits,
        problems,
        cache_bytes=settings.cache_bytes,
        skip_bad=settings.skip_bad,
        boxes=settings.boxes,
    )
    identity = _identity_of(location, images.shards)
    if settings.only is not None:
        listed = read_list(settings.only)
        images, identity = keep_listed(images, listed), _restricted(identity, listed)
    return _Read(None, images, problems, identity, str(location))


def _read_live(source: LiveSource) -> _Read:
    where = str(source.images.root)
    return _Read(None, source.images, Problems(f"{source.images.name} ({where})"), source.identity, where)


def _identity_of(location: StoragePath, shards: Sequence[ShardEntry]) -> DataIdentity:
    """Check local shards against the checksums of the index, and return the identity of the set."""
    check_shards(location, shards)
    digest = shards_digest(location)
    return DataIdentity(digest, digest)


def _read_plain(
    name: str, path: Path, splits: Sequence[str], settings: DataSettings, *, group_key: str | None = None
) -> _Read:
    source = open_source(path, name=name, splits=splits, images=settings.images)
    identity = identify(source)
    if settings.only is not None:
        listed = read_list(settings.only)
        source = _only_listed(source, listed)
        identity = _restricted(identity, listed)
    problems = Problems(f"{name} ({source.file.name})")
    # Rendered sets are grouped by scene.
    key = None if source.content.rendered else group_key
    images = read_images(source, problems, group_key=key, kind=settings.boxes)
    return _Read(source, images, problems, identity, str(source.file))


def _only_listed(source: CocoSource, listed: ImageList) -> CocoSource:
    """Return the source with the listed images alone. Raises SynthError if it has none of them."""
    content, split = source.content, split_name(source.file)
    images = [image for image in content.images if listed.has(split, image.file_name)]
    if not images:
        raise none_listed(str(source.file), [f"{split}/{image.file_name}" for image in content.images[:3]])
    # Annotations of unknown images stay: they are a mistake of the file, which is reported.
    numbers, kept = ({whole_number(one.value("id")) for one in some} for some in (content.images, images))
    dropped = numbers - kept
    annotations = [one for one in content.annotations if whole_number(one.value("image_id")) not in dropped]
    return replace(source, content=replace(content, images=images, annotations=annotations))


def _restricted(identity: DataIdentity, listed: ImageList) -> DataIdentity:
    """Return the identity of a set of which the listed images alone are used."""
    digest = f"{identity.digest} {listed.digest}"
    return replace(identity, digest=digest, sizes=digest)


def _distinct_hashes(reads: Sequence[_Read]) -> dict[str, str]:
    hashes = {read.images.name: read.identity.digest for read in reads}
    first: dict[str, _Read] = {}
    for read in reads:
        other = first.setdefault(read.identity.digest, read)
        if other is not read:
            raise SynthError(
                "two data sets are the same",
                code="dataset-duplicate",
                found=f"{other.images.name} is {other.where}, {read.images.name} is {read.where}",
                hint="validate on images that are not trained on; give more weight to a source with --mix",
            )
    return hashes


def _check_left(sources: Sequence[ImageSource], validation: ImageSet | None) -> None:
    """Raise SynthError if no images or labelled boxes are left after removing bad records and other classes."""
    empty = [images.name for images in sources if not len(images)]
    if empty:
        raise SynthError(f"no usable image in {', '.join(empty)}", code="images-unusable")
    if not any(images.box_count for images in sources):
        raise SynthError("no box of the training data has a class", code="boxes-unusable", hint=SAME_CLASSES)
    if validation is not None and not (validation.labels >= 0).any():
        raise SynthError("no box of the validation data has a trained class", code="boxes-unusable", hint=SAME_CLASSES)


def _print_doubts(
    settings: DataSettings, training: Sequence[_Read], held: _Read | None, classes: Classes, print_line: PrintLine
) -> None:
    """Print warnings about what may be intended but is more likely a mistake."""
    for read in [*training, held] if held else training:
        gone = read.images.lost_classes(classes)
        if gone:
            some = f"{count_of(len(gone), 'class')} of {read.images.name}"
            print_line(f"{some} not trained, ignored there: {', '.join(gone[:10])}")
    if settings.real is None:
        return
    if training[-1].images.rendered:
        print_line("--real is a rendered set, not photos")
    if held and settings.group_key:
        trained, validated = (
            {str(image.value(settings.group_key)) for image in read.source.content.images} if read.source else set()
            for read in (training[-1], held)
        )
        if shared := sorted(trained & validated):
            both = f"both in {REAL} and in validation, such as {settings.group_key} {shared[0]}"
            print_line(f"{count_of(len(shared), 'group')} {both}")


def _read_sets(settings: DataSettings, live: Sequence[LiveSource]) -> tuple[list[_Read], _Read | None]:
    """Read the training sets and the validation set. Raises SynthError that lists those that cannot be read."""
    if not settings.synthetic and not live and settings.real is None:
        raise SynthError("no training data", code="option-missing", hint="give --synthetic, --real, or both")
    steps: list[Callable[[], _Read | None]] = [
        *(partial(_read, name, path, TRAINING_SPLITS, settings) for name, path in settings.synthetic),
        *(partial(_read_live, source) for source in live),
    ]
    if settings.real is not None:
        steps.append(
            partial(_read, REAL, settings.real, TRAINING_SPLITS, settings, group_key=settings.group_key),
        )
    steps.append(partial(_read_validation, settings))
    reads: list[_Read | None] = []
    errors: list[SynthError] = []
    for step in steps:
        try:
            reads.append(step())
        except SynthError as error:
            errors.append(error)
    if len(errors) > 1:
        raise SynthError(
            f"{len(errors)} data sets cannot be read",
            code="datasets-unreadable",
            problems=[str(error) for error in errors],
        )
    if errors:
        raise errors[0]
    return [read for read in reads[:-1] if read is not None], reads[-1]


def _read_validation(settings: DataSettings) -> _Read | None:
    """Read the validation set: --val, else the val split of --real or, without --real, of the first synthetic set."""
    if settings.val is not None:
        return _read_held(settings.val, VALIDATION_SPLITS, settings)
    candidates = [settings.real] if settings.real else [path for _, path in settings.synthetic[:1]]
    for path in candidates:
        location = shards_at(path)
        if location is not None:
            there = any(shards_have(location, split) for split in OWN_VALIDATION_SPLITS)
        else:
            folder = Path(str(path))
            there = folder.is_dir() and any(has_split(folder, split) for split in OWN_VALIDATION_SPLITS)
        if there:
            return _read_held(path, OWN_VALIDATION_SPLITS, settings)
    return None


def _read_held(path: Path | StoragePath, splits: Sequence[str], settings: DataSettings) -> _Read:
    """Read a validation set into memory; of a set in shards only some images."""
    location = shards_at(path)
    file = Path(str(path)) if location is None else extract_validation(location, splits)
    return _read_plain("val", file, splits, replace(settings, only=None))


def _note_leaks(read: _Read, held: _Read | None) -> None:
    if held is None or read.images.columns is None:  # shards contain renderings, which duplicate no photo
        return
    for index in images_also_in(_columns(read), _columns(held)):
        read.problems.spoil(LEAKED, _columns(read).file_names[int(index)].decode())


def _without_leaks(read: _Read, held: _Read | None) -> ImageSource:
    if held is None or LEAKED not in read.problems.bad:
        return read.images
    images = _columns(read)
    return images.take(np.setdiff1d(np.arange(len(images)), images_also_in(images, _columns(held))))


def _print_problems(reads: Sequence[_Read], print_line: PrintLine) -> None:
    for read in reads:
        images = read.images
        counts = (
            counts_of(image=len(images), box=images.box_count) if images.live is None else "rendered while training"
        )
        print_line(f"{read.problems.where}: {counts}, {count_of(len(images.classes), 'class')}")
        for line in [*read.problems.lines(), *read.problems.hints]:
            print_line(f"  {line}")
