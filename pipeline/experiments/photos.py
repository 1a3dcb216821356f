"""The labelled photos of an experiment: some judge, and nested subsets of the others are learned from."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from assets.errors import SynthError
from assets.plurals import counts_of
from dataset.coco_writer import write_coco
from dataset.find import CocoSource, open_source
from dataset.records import AnnotationRecord, Head, ImageLabels
from dataset.values import whole_number
from detectors.data.hold_out import group_copies, images_also_in
from detectors.data.image_set import ImageSet
from detectors.data.mix import TrainingStream, stream
from detectors.data.prepare import TRAINING_SPLITS, VALIDATION_SPLITS, read_one
from detectors.data.settings import DataSettings
from pipeline.experiments.settings import ExperimentSettings

JUDGE_SEED = 1 << 20


@dataclass(frozen=True)
class PhotoPool:
    """Labelled photos of one file. ids: (N,) of the images. groups: (N,), what belongs together has one number."""

    source: CocoSource
    ids: NDArray[np.int64]
    groups: NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def group_count(self) -> int:
        return len(np.unique(self.groups))

    def take(self, chosen: NDArray[np.bool_]) -> PhotoPool:
        """Return some of the photos. chosen: (N,)."""
        return replace(self, ids=self.ids[chosen], groups=self.groups[chosen])

    def nested_order(self, seed: int, draw: int) -> NDArray[np.int64]:
        """Return the ids in an order whose beginnings are subsets: group by group, both in random order."""
        rng = stream(seed, TrainingStream.HOLD_OUT, draw)
        ids = []
        for group in rng.permutation(np.unique(self.groups)):
            ids.append(rng.permutation(self.ids[self.groups == group]))
        return np.concatenate(ids)

    def write(self, chosen: tuple[int, ...], folder: Path) -> Path:
        """Write a COCO file of some photos, unless it is there; their images stay, and are named by whole paths."""
        name = hashlib.sha256(" ".join(map(str, sorted(chosen))).encode()).hexdigest()[:16]
        file = folder / f"{len(chosen)}-{name}.json"
        if file.exists():
            return file
        folder.mkdir(parents=True, exist_ok=True)
        wanted, content = set(chosen), self.source.content
        of_image: dict[int, list[AnnotationRecord]] = {number: [] for number in wanted}
        for record in content.annotations:
            number = whole_number(record.value("image_id"))
            if number in wanted:
                of_image[number].append(record)
        images = [
            ImageLabels(
                replace(image, file_name=str(self.source.images.resolve() / str(image.file_name))), of_image[number]
            )
            for image in content.images
            if (number := whole_number(image.value("id"))) in wanted
        ]
        write_coco(file, images, Head(content.categories))
        return file


@dataclass(frozen=True)
class SplitPhotos:
    """Photos to learn from, and the labels of photos that judge."""

    pool: PhotoPool
    truth: ImageSet


def split_photos(settings: ExperimentSettings, console: Console) -> SplitPhotos:
    """Read the photos of an experiment and write the file of those that judge.

    Raises SynthError where a photo would both teach and judge, or one of the two is left without photos.
    """
    print_line = partial(console.print, highlight=False, markup=False)
    options = DataSettings(group_key=settings.group_key, boxes=settings.training.boxes)
    source = open_source(settings.real, name="real", splits=TRAINING_SPLITS)
    images, _ = group_copies(read_one(settings.real, "real", options, splits=TRAINING_SPLITS, print_line=print_line))
    pool = PhotoPool(source, images.image_ids, images.groups)
    if settings.judge is None:
        pool, judging = _split(pool, settings)
        judge, print_more = judging.write(tuple(judging.ids.tolist()), settings.out / "judge"), _say_nothing
    else:
        judge, print_more = settings.judge, print_line
    truth = read_one(judge, "judge", options, splits=VALIDATION_SPLITS, print_line=print_more)
    _check_apart(images.take(np.flatnonzero(np.isin(images.image_ids, pool.ids))), truth, settings)
    learned = counts_of(photo=len(pool), group=pool.group_count)
    judges = counts_of(photo=len(truth), group=len(np.unique(truth.groups)))
    print_line(f"to learn from: {learned}; to judge by: {judges}")
    return SplitPhotos(pool, truth)


def _say_nothing(line: str) -> None:
    """Drop a line on photos of which all has been said."""


def _split(pool: PhotoPool, settings: ExperimentSettings) -> tuple[PhotoPool, PhotoPool]:
    """Return the photos to learn from and those that judge, split by group."""
    groups = np.unique(pool.groups)
    if len(groups) < 2:
        raise SynthError(
            "the photos are a single group: none can judge",
            code="groups-too-few",
            where=str(settings.real),
            hint="give other labelled photos with --judge, or photos of several places (--group-key)",
        )
    order = stream(settings.seed, TrainingStream.HOLD_OUT, JUDGE_SEED).permutation(groups)
    count = min(max(round(settings.judged * len(groups)), 1), len(groups) - 1)
    judging = np.isin(pool.groups, order[:count])
    return pool.take(~judging), pool.take(judging)


def _check_apart(learned: ImageSet, truth: ImageSet, settings: ExperimentSettings) -> None:
    both = images_also_in(learned, truth)
    if len(both):
        raise SynthError(
            "photos would both teach and judge",
            code="dataset-duplicate",
            where=f"{settings.real} and {settings.judge}",
            found=f"{len(both)} of {len(learned)}, such as {learned.locate(int(both[0]))}",
            expected="photos of other places or days",
            hint="leave out --judge to have --real split by group",
        )
