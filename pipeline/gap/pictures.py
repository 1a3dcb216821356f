"""Pictures of a set with what is known of them: boxes, visibility, lens, and the recipe that they were rendered by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from assets.errors import SynthError
from assets.files.image_input import reason_of
from assets.progress import Reporter, StepProgress
from dataset.find import CocoSource, find_coco_file, open_source
from dataset.layout import Layout
from dataset.problems import Problems
from dataset.storage.path import StoragePath
from dataset.values import short
from detectors.data.image_set import IGNORED, ImageSet
from detectors.data.read_coco import read_images
from detectors.data.shard_prepare import extract_validation, shards_at
from pipeline.run.dataset_info import DatasetInfo, read_info
from pipeline.shards.about import read_about
from pipeline.target.photos import choose_photos, read_header, read_photos, shrink
from render.framing import FULL_FRAME_MM
from render.recipes import recipe_from_yaml
from render.recipes.mix import Recipe

SPLITS = ("train", "val", "valid", "test")
UNUSABLE = "pictures that cannot be read"


@dataclass(frozen=True, eq=False)
class Picture:
    """A picture. pixels: (H, W, 3) uint8 sRGB. group: number of what belongs together, such as one arrangement.

    boxes: (N, 4) float64 xyxy, pixels; None without labels. visibility: (N,), 0..1, NaN where unknown. lens_mm: 35 mm
    equivalent; None where nothing says.
    """

    name: str
    pixels: NDArray[np.uint8]
    group: int
    lens_mm: float | None = None
    jpeg_quality: int | None = None
    boxes: NDArray[np.float64] | None = None
    visibility: NDArray[np.float64] | None = None

    def shrunk(self, area: float) -> Picture:
        """Return the picture with at most that many pixels; a shrunk one has no JPEG quality."""
        pixels = shrink(self.pixels, area)
        if pixels is self.pixels:
            return self
        scale = np.array(pixels.shape[1::-1]) / self.pixels.shape[1::-1]
        boxes = None if self.boxes is None else self.boxes * np.tile(scale, 2)
        return replace(self, pixels=pixels, boxes=boxes, jpeg_quality=None)


@dataclass(frozen=True, eq=False)
class PictureSet:
    """Pictures of one place. labelled: whether all have boxes. recipe: that they were rendered by, if it is known.

    labels: the COCO file of the labels, if any. notes: problems, one line each.
    """

    where: str
    pictures: Sequence[Picture]
    labelled: bool
    labels: Path | None
    recipe: Recipe | None
    notes: Sequence[str]

    @property
    def groups(self) -> NDArray[np.int64]:
        """Group (N,) of each picture, numbered from 0."""
        return np.unique([picture.group for picture in self.pictures], return_inverse=True)[1].astype(np.int64)

    def shrunk(self, area: float) -> PictureSet:
        """Return the set with pictures of at most that many pixels."""
        return replace(self, pictures=[picture.shrunk(area) for picture in self.pictures])

    def with_boxes(self, boxes: Sequence[NDArray[np.float64]]) -> PictureSet:
        """Return the set with boxes that a detector found instead of labels."""
        pairs = zip(self.pictures, boxes, strict=True)
        return replace(self, pictures=[replace(one, boxes=found, visibility=None) for one, found in pairs])


def read_set(
    place: Path | StoragePath, *, most: int, seed: int, area: float, reporter: Reporter, group_key: str | None = None
) -> PictureSet:
    """Read at most `most` pictures of at most `area` pixels: a folder, a COCO file or shards, labelled or not.

    Raises SynthError where there are none that can be read.
    """
    location = shards_at(place)
    if location is not None:
        file = extract_validation(location, SPLITS, most=most)
        return _read_labelled(file, str(place), _recipe_of_shards(location), most, seed, area, reporter, group_key)
    folder = Path(str(place))
    file_or_none = _labels_in(folder)
    if file_or_none is None:
        return _read_plain(folder, most, seed, area, reporter)
    recipe = _recipe_of_folder(folder)
    return _read_labelled(file_or_none, str(place), recipe, most, seed, area, reporter, group_key)


def _labels_in(path: Path) -> Path | None:
    """Return the COCO file at a path, None for images alone. Raises SynthError if several could be meant."""
    try:
        return find_coco_file(path, SPLITS)
    except SynthError as error:
        if error.code == "coco-file-ambiguous" and error.found == "no candidate":
            return None
        raise


def _read_plain(path: Path, most: int, seed: int, area: float, reporter: Reporter) -> PictureSet:
    problems = Problems(str(path))
    folder, files = choose_photos(path, most, seed)
    with StepProgress(reporter.console, "reading", total=len(files), unit="pictures") as progress:
        photos = read_photos(folder, files, area, problems, progress)
    pictures = [
        Picture(photo.name, photo.pixels, number, photo.lens_mm, photo.jpeg_quality if photo.whole else None)
        for number, photo in enumerate(photos)
    ]
    return PictureSet(str(path), pictures, False, None, None, problems.lines())


def _read_labelled(
    file: Path,
    where: str,
    recipe: Recipe | None,
    most: int,
    seed: int,
    area: float,
    reporter: Reporter,
    group_key: str | None,
) -> PictureSet:
    source, problems = open_source(file, name=file.stem, splits=SPLITS), Problems(str(file))
    images = read_images(source, problems, group_key=None if source.content.rendered else group_key)
    if not len(images):
        raise SynthError("no picture can be used", code="images-unusable", where=str(file), problems=problems.lines())
    lenses, labelled = _lenses(source), bool((images.labels != IGNORED).any())
    chosen = np.sort(np.random.default_rng(seed).permutation(len(images))[:most])
    pictures = []
    with StepProgress(reporter.console, "reading", total=len(chosen), unit="pictures") as progress:
        for index in map(int, chosen):
            try:
                pictures.append(_picture(images, index, lenses, area, labelled=labelled))
            except SynthError as error:
                problems.spoil(UNUSABLE, f"{short(images.locate(index))}: {reason_of(error)}")
            progress.advance()
    if not pictures:
        raise SynthError("no picture can be used", code="images-unusable", where=where, problems=problems.lines())
    return PictureSet(where, pictures, labelled, file if labelled else None, recipe, problems.lines())


def _picture(images: ImageSet, index: int, lenses: dict[str, float], area: float, *, labelled: bool) -> Picture:
    name = images.file_names[index].decode()
    lens, quality = read_header(images.path(index))
    span = images.span(index)
    kept = images.labels[span] != IGNORED
    return Picture(
        name,
        images.read_image(index),
        int(images.groups[index]),
        lenses.get(name, lens),
        quality,
        images.boxes[span][kept].astype(np.float64) if labelled else None,
        images.visibility[span][kept].astype(np.float64) if labelled else None,
    ).shrunk(area)


def _lenses(source: CocoSource) -> dict[str, float]:
    """Return the 35 mm equivalent focal lengths that cameras of records say, by file name."""
    found = {}
    for image in source.content.images:
        size = (image.width or 0, image.height or 0)
        try:
            focal = float(image.camera["K"][0][0]) if image.camera else 0.0
        except (KeyError, IndexError, TypeError, ValueError):
            continue
        if image.file_name and focal > 0 and np.isfinite(focal) and min(size) > 0:
            found[image.file_name] = focal / max(size) * FULL_FRAME_MM
    return found


def _recipe_of_folder(folder: Path) -> Recipe | None:
    """Return the recipe that the folder of a rendered set records."""
    root = folder if folder.is_dir() else folder.parent.parent
    return _recipe_of(read_info(Layout(root)), root) if Layout(root).info.is_file() else None


def _recipe_of_shards(location: StoragePath) -> Recipe | None:
    told = read_about(location).rendered
    try:
        return None if told is None else _recipe_of(DatasetInfo.model_validate(told), Path())
    except (SynthError, ValueError):
        return None


def _recipe_of(info: DatasetInfo, root: Path) -> Recipe | None:
    """Return the recipe of a run; None where it needs code that is not here."""
    try:
        return recipe_from_yaml(info.recipe, where=str(root), streams=info.identity.streams)
    except SynthError:
        return None
