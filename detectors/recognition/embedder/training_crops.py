"""Cut the training and validation crops of an embedder from data sets."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from assets.files.atomic import write_atomic
from assets.plurals import count_of
from assets.progress import StepProgress
from dataset.identity import claim_data
from detectors.data.image_set import Classes, ImageSet
from detectors.data.mix import stream
from detectors.data.prepare import TrainingData, prepare_training
from detectors.data.settings import REAL
from detectors.data.source import ImageSource
from detectors.device import loader_processes
from detectors.recognition.embedder.crop_store import CropSource, JoinedCrops, StoredCrops, store_crops
from detectors.recognition.embedder.sampling import EmbedderStream, Pools, check_any, check_pools
from detectors.recognition.embedder.settings import EmbedSettings
from detectors.recognition.embedder.shard_crops import store_streamed_crops
from detectors.recognition.embedder.validate import Validation


@dataclass(frozen=True)
class TrainingCrops:
    """The training and validation crops. real: (N,) whether a training crop is from a photo."""

    source: CropSource
    real: NDArray[np.bool_]
    pools: Pools
    validation: Validation | None
    classes: Classes
    hashes: dict[str, str]


def open_crops(settings: EmbedSettings, console: Console, earlier: Mapping[str, str] | None = None) -> TrainingCrops:
    """Read and check the data, and cut its crops unless an earlier call did.

    earlier: hashes of the data in the last checkpoint. Raises SynthError if the data have changed since.
    """
    lines: list[str] = []

    def print_line(line: str) -> None:
        lines.append(line)
        console.print(line, highlight=False, markup=False)

    data = prepare_training(settings.data, seed=settings.seed, print_line=print_line)
    claim_data(settings.out, data.identities, earlier)
    trained, held = _hold_out(data, settings, print_line)
    sources = [_cut(images, f"train-{images.name}", data, settings, console) for images in trained]
    source = JoinedCrops(tuple(sources))
    pools = Pools.of(source.labels, len(data.classes))
    check_pools(pools)
    absent = int((pools.counts() == 0).sum())
    print_line(f"{count_of(len(source.labels), 'crop')} of {count_of(len(data.classes) - absent, 'SKU')} to train on")
    if absent:
        print_line(f"{count_of(absent, 'SKU')} without a crop that is large and visible enough")
    validation = None
    if held:
        asked = JoinedCrops(tuple(_cut(images, f"held-{images.name}", data, settings, console) for images in held))
        check_any(asked.labels, " and ".join(images.name for images in held))
        validation = Validation.of(source, asked, classes=len(data.classes), seed=settings.seed)
        print_line(
            f"{len(validation.query_rows)} held-out crops are searched among {len(validation.gallery_rows)} to validate"
        )
    write_atomic(settings.out / "data.txt", ("\n".join(lines) + "\n").encode())
    real = np.concatenate(
        [np.full(len(one.labels), images.name == REAL) for one, images in zip(sources, trained, strict=True)]
    )
    return TrainingCrops(source, real, pools, validation, data.classes, data.hashes)


def _cut(images: ImageSource, name: str, data: TrainingData, settings: EmbedSettings, console: Console) -> StoredCrops:
    workers = settings.workers if settings.workers is not None else loader_processes()
    columns = images.columns
    rows = np.zeros(0, np.int64) if columns is None else settings.choice.rows(columns, seed=settings.seed)
    total, unit = (len(images), "images") if columns is None else (len(rows), "crops")
    with StepProgress(console, f"crops of {images.name}", total=total, unit=unit) as progress:
        folder, data_hash = settings.out / "crops" / name, data.hashes[images.name]
        side = settings.side
        if columns is None:
            choice = settings.choice
            return store_streamed_crops(
                images, choice, folder, side=side, data_hash=data_hash, workers=workers, advance=progress.count
            )
        return store_crops(
            columns, rows, folder, side=side, data_hash=data_hash, workers=workers, advance=progress.count
        )


def _hold_out(
    data: TrainingData, settings: EmbedSettings, print_line: Callable[[str], None]
) -> tuple[list[ImageSource], list[ImageSet]]:
    """Return the sets to train on and those to validate on; without a validation set whole scenes are held out."""
    if data.validation is not None:
        return list(data.sources), [data.validation]
    if not settings.data.hold_out:
        return list(data.sources), []
    trained: list[ImageSource] = []
    held: list[ImageSet] = []
    for place, images in enumerate(data.sources):
        columns = images.columns
        if columns is None:
            print_line(f"nothing of {images.name} is held out, because it is in shards: give --val")
            trained.append(images)
            continue
        groups = stream(settings.seed, EmbedderStream.HOLD_OUT, place).permutation(np.unique(columns.groups))
        chosen = groups[: int(settings.data.hold_out * len(groups))]
        out = np.isin(columns.groups, chosen)
        trained.append(columns.take(np.flatnonzero(~out)))
        held.append(columns.take(np.flatnonzero(out)))
    held = [images for images in held if len(images)]
    if held:
        count = sum(len(images) for images in held)
        print_line(f"no --val given: {count} images of whole scenes are held out for validation")
    return trained, held
