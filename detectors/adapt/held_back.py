"""Photos to judge on must be new to the detectors: no copies of training photos, no others of their groups."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from assets.errors import SynthError
from assets.files.identity import MISSING, digest_files, read_listing
from assets.plurals import count_of
from dataset.find import CocoSource, has_split, open_source
from detectors.checkpoints.detector import find_checkpoint, load_checkpoint
from detectors.data.photos import image_files
from detectors.data.settings import DataSettings
from detectors.data.shard_prepare import shards_at

GROUP = "group"
JUDGED_SPLITS = ("test", "val", "train")
# Splits of a folder that a training may read.
TRAINED_SPLITS = ("train", "val", "valid")


class SeenSettings(Protocol):
    """The settings of an adaptation that say which photos are seen."""

    @property
    def run(self) -> Path: ...
    @property
    def oracle(self) -> Path | None: ...
    @property
    def data(self) -> DataSettings: ...
    @property
    def unlabelled(self) -> Path | None: ...


@dataclass(frozen=True)
class _Seen:
    """Photos that a training has seen. what: whose they are. digests: of their files. groups: those that they name."""

    what: str
    digests: frozenset[str]
    groups: frozenset[str]


def check_held_back(judge: Path, settings: SeenSettings) -> None:
    """Raise SynthError that lists the photos of `judge` which a training has seen, itself or others of their group.

    Compared are the photos of this adaptation, also those without labels and those that an epoch is chosen on, and the
    data of the run and of the oracle.
    """
    key = settings.data.group_key or GROUP
    source = open_source(judge, name="judge", splits=JUDGED_SPLITS, images=settings.data.images)
    digests, groups = _digests([source]), _groups([source], key)
    problems = []
    for seen in _seen(settings, key):
        copies, shared = digests & seen.digests, sorted(groups & seen.groups)
        if copies:
            problems.append(f"{count_of(len(copies), 'photo')} also in {seen.what}")
        elif shared:
            problems.append(f"{count_of(len(shared), 'group')} also in {seen.what}, such as {key} {shared[0]}")
    if problems:
        raise SynthError(
            "photos to judge on were also trained on",
            code="judge-leaked",
            where=str(judge),
            problems=problems,
            expected="photos of arrangements, shops or days that no training has seen",
            hint="split photos by group, and give --judge groups that are nowhere else",
        )


def _seen(settings: SeenSettings, key: str) -> Iterator[_Seen]:
    data = settings.data
    for what, path in (("--real", data.real), ("--val", data.val), ("--unlabelled", settings.unlabelled)):
        if path is not None and shards_at(path) is None:
            sources = _sources(Path(str(path)), data.images)
            digests = _digests(sources)
            if what == "--unlabelled":
                folder, names = image_files(Path(str(path)), what)
                digests |= set(digest_files([folder / name for name in names])) - {MISSING}
            yield _Seen(what, frozenset(digests), frozenset(_groups(sources, key)))
    for what, run in (("the data of the run", settings.run), ("the data of the oracle", settings.oracle)):
        if run is not None:
            yield _Seen(what, frozenset(_digests_in(run)), frozenset(_groups_in(run, key)))


def _sources(path: Path, images: Path | None = None) -> list[CocoSource]:
    """Return the labelled photos at a path, of all splits that a training may read; none of renderings or folders."""
    splits = [split for split in TRAINED_SPLITS if has_split(path, split)]
    try:
        found = [open_source(path, name=str(path), splits=(split,), images=images) for split in splits or ("train",)]
    except SynthError:  # a folder of images alone, or labels that the training itself will explain
        return []
    return [source for source in found if not source.content.rendered]


def _digests(sources: Sequence[CocoSource]) -> set[str]:
    files = [
        source.images / image.file_name
        for source in sources
        for image in source.content.images
        if image.file_name is not None
    ]
    return set(digest_files(files)) - {MISSING}


def _groups(sources: Sequence[CocoSource], key: str) -> set[str]:
    values = [image.value(key) for source in sources for image in source.content.images]
    return {str(value) for value in values if isinstance(value, str | int | float)}


def _digests_in(run: Path) -> set[str]:
    """Return the digests of all files that a run was trained on, as its folder lists them."""
    listings = sorted((find_checkpoint(run).parent / "data").glob("*.sha256"))
    return {digest for file in listings for digest in read_listing(file.read_bytes()).values()} - {MISSING}


def _groups_in(run: Path, key: str) -> set[str]:
    """Return the groups of the photos that a run was trained on or chosen by, where their files are still there."""
    recorded = load_checkpoint(run).settings
    data = recorded.value("data")
    named = [data.get(name) for name in ("real", "val")] if isinstance(data, dict) else []
    paths = [Path(name) for name in (*named, recorded.value("unlabelled")) if isinstance(name, str)]
    return {group for path in paths if path.exists() for group in _groups(_sources(path), key)}
