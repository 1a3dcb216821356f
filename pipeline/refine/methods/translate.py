"""A network trained without pairs to make crops of rendered pictures look like crops of photographs (CUT)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Final

import numpy as np

from assets.errors import SynthError
from dataset.coco_reader import images_of
from dataset.images import read_image
from dataset.records import ImageLabels
from dataset.store import CocoStore
from detectors.translate.settings import TranslatorRun
from pipeline.refine.methods import Pixels, Preparation, RefinedPicture, RefinePicture, SourcePicture, blend
from pipeline.refine.photos import TargetPhotos
from pipeline.refine.settings import RefineSettings

LABELS: Final = "kept"
DONORS: Final = 0
FOLDER = "translator"
# Pictures that crops are cut from at most, evenly chosen.
MAX_PICTURES = 10_000


@dataclass(frozen=True)
class RenderedImages:
    """Pictures of a data set by number. files: path, width and height."""

    files: Sequence[tuple[Path, int, int]]

    def read(self, number: int) -> Pixels:
        return read_image(*self.files[number])


def prepare(settings: RefineSettings, task: Preparation) -> None:
    """Train the network into the folder of the refined set, or resume that; raises KeyboardInterrupt if stopped."""
    from detectors.translate.checkpoint import load_translator
    from detectors.translate.crops import ImagePool
    from detectors.translate.run import is_trained, train_translator

    if settings.translate.network is not None:
        load_translator(settings.translate.network)
        return
    run = TranslatorRun(
        task.out / FOLDER, settings.translate, (("photos", task.photos.digest),), settings.seed, settings.device
    )
    if is_trained(run):
        return
    rendered = rendered_images(task.store)
    area = int(np.median([width * height for _, width, height in rendered.files]))
    photos = ImagePool(len(task.photos.files), partial(_read_photo, task.photos, area))
    if not train_translator(run, ImagePool(len(rendered.files), rendered.read), photos, task.console):
        raise KeyboardInterrupt


def _read_photo(photos: TargetPhotos, area: int, number: int) -> Pixels:
    # Half as large again as a picture, so that things are as large in crops of both kinds.
    return photos.read(number, area // 2)


def rendered_images(store: CocoStore) -> RenderedImages:
    """Return some pictures of a data set, evenly chosen. Raises SynthError if none has a size."""
    count = sum(part.count for part in store.parts)
    step, files, place = -(-count // MAX_PICTURES) or 1, [], 0
    for part in store.parts:
        for image in images_of(part.source.file):
            stored = part.stored(ImageLabels(image, ()))
            if place % step == 0 and image.size is not None and isinstance(stored.data, Path):
                files.append((stored.data, *image.size))
            place += 1
    if not files:
        raise SynthError("no picture has width and height", code="image-size-missing", where=store.where)
    return RenderedImages(tuple(files))


def open_method(settings: RefineSettings) -> RefinePicture:
    """Return the function that refines a picture."""
    translate = _open(settings.translate.network or settings.out / FOLDER, settings.device).translate  # type: ignore[attr-defined]

    def refine(picture: SourcePicture, photo: Pixels, strength: float, rng: np.random.Generator) -> RefinedPicture:
        return RefinedPicture(blend(picture.pixels, translate(picture.pixels), strength), picture.pixels)

    return refine


@lru_cache(maxsize=1)
def _open(path: Path, device: str) -> object:
    from detectors.translate.run import open_translator

    return open_translator(path, device)
