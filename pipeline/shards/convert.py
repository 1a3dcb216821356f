"""`synth data convert`: a data set of any label format in another one, whole or not at all."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import ModuleType
from typing import TypeAlias

from rich.console import Console

from assets.errors import SynthError
from assets.files.image_input import open_image
from assets.interrupt import until_interrupted
from assets.machine import cache_folder
from assets.mesh.types import Mesh
from assets.plurals import counts_of
from assets.progress import StepProgress
from dataset.formats import FORMAT_TABLE, open_labels
from dataset.records import ImageLabels, SplitLabels
from dataset.store import DataPart, DataStore, StoredImage, leaves_folder
from pipeline.run.resources import open_library
from pipeline.run.settings import BackdropFolders
from pipeline.shards.fresh import IMAGE_STEP, IMAGES_KEPT, fresh_set, identity_of, put_file
from pipeline.shards.settings import ConvertSettings

MeshOf: TypeAlias = Callable[[str], Mesh | None]
# What `synth render` stores beside images, by folder.
IN_WORDS = {
    "depth": "depth images",
    "normals": "images of normals",
    "ids": "images of instance ids",
    "shop": "labels of price tags, gaps and shelf lines",
    "scenes": "scenes that images were rendered from",
}


@dataclass
class ConvertSummary:
    """What was written. lost: by kind, how often the new format could not carry something.

    renamed: images that have the name of one of another split, in a format with one folder for all.
    """

    format: str
    images: int = 0
    annotations: int = 0
    splits: dict[str, int] = field(default_factory=dict)
    renamed: int = 0
    lost: Counter[str] = field(default_factory=Counter)


def convert_data(source: str | Path, out: str | Path, settings: ConvertSettings, console: Console) -> ConvertSummary:
    """Write the data set at `source` to the new folder or location `out` in another format.

    Images are copied byte for byte. The folder appears once everything is in it; the same call again resumes. Raises
    SynthError for unknown formats, if the source cannot be read, and if `out` is not empty.
    """
    FORMAT_TABLE.load(settings.format)
    store = open_labels(source, images=settings.images, name=settings.source_format, console=console)
    made_by = identity_of("convert", [settings], [source], [store])
    return write_data(store, out, settings.format, made_by, console, mesh_reader(settings))


def mesh_reader(settings: ConvertSettings) -> MeshOf | None:
    """Return a function that gives the mesh of a SKU, None if the list lacks it; None without a list.

    Raises SynthError if the format takes no models.
    """
    if settings.sku_list is None:
        return None
    if not hasattr(FORMAT_TABLE.load(settings.format), "write_models"):
        what, hint = "the label format holds no models of products", "leave out --sku-list, or choose --format bop"
        raise SynthError(what, code="options-conflict", found=f"--format {settings.format} --sku-list", hint=hint)
    library = open_library(settings.sku_list, BackdropFolders(), cache_folder())
    known = set(library.catalog.keys)
    return lambda sku: library.product(sku) if sku in known else None


def write_data(
    store: DataStore, out: str | Path, name: str, made_by: str, console: Console, mesh_of: MeshOf | None = None
) -> ConvertSummary:
    """Write a data set to the new folder or location `out` in a format, as `convert_data`.

    made_by: names what decides the content. mesh_of: of `mesh_reader`, for formats with models.
    """
    module = FORMAT_TABLE.load(name)
    folders = {module.image_folder(part.split) for part in store.parts}
    with fresh_set(out, made_by, console, folders) as folder:
        return _convert(store, folder, module, name, console, mesh_of)


@dataclass
class _Writing:
    """What is being written. taken: by folder of images, which splits may share, stem to split. beside: files there."""

    folder: Path
    module: ModuleType
    summary: ConvertSummary
    progress: StepProgress
    taken: dict[str, dict[str, str]] = field(default_factory=dict)
    beside: set[str] = field(default_factory=set)


def _convert(
    store: DataStore, folder: Path, module: ModuleType, name: str, console: Console, mesh_of: MeshOf | None
) -> ConvertSummary:
    summary = ConvertSummary(name)
    parts: dict[str, list[DataPart]] = {}
    for part in store.parts:
        parts.setdefault(part.split, []).append(part)
    total = sum(part.count for part in store.parts)
    with StepProgress(console, "converting", total=total, unit="images") as progress, ExitStack() as opened:
        writing = _Writing(folder, module, summary, progress)
        sets = (
            SplitLabels(
                split,
                replace(store.head(split), categories=store.categories),
                # Closed also where the format fails halfway: its labels wait in a folder of their own.
                opened.enter_context(closing(_images(split, own, writing))),
            )
            for split, own in parts.items()
        )
        if mesh_of is None:
            module.write_labels(folder, sets)
        else:
            module.write_labels(folder, sets, module.write_models(folder, store.categories, mesh_of))
    return summary


def _images(split: str, parts: list[DataPart], writing: _Writing) -> Generator[ImageLabels, None, None]:
    """The labels of a split; each image is copied on the way."""
    place, summary = writing.module.image_folder(split), writing.summary
    with closing(image for part in parts for image in part.stored_images()) as stored:
        for image in until_interrupted(stored, IMAGES_KEPT, step=IMAGE_STEP):
            labels = _copied(image, writing.folder / place, split, writing.taken.setdefault(place, {}))
            summary.renamed += labels.image.file_name != _name_of(image)
            summary.images += 1
            summary.annotations += len(labels.annotations)
            summary.splits[split] = summary.splits.get(split, 0) + 1
            summary.lost.update(writing.module.lost(labels))
            summary.lost.update(_lost_beside(image, split, str(labels.image.file_name), writing))
            yield labels
            writing.progress.advance()


def _copied(stored: StoredImage, folder: Path, split: str, taken: dict[str, str]) -> ImageLabels:
    """Copy an image; its labels with a name and a size for certain. taken: stem of a name to the split that has it."""
    image, data, name = stored.labels.image, stored.read(), _name_of(stored)
    if not name or leaves_folder(name):
        what = "the name of an image points outside the folder"
        raise SynthError(what, code="path-unsafe", where=stored.where, found=repr(name))
    if taken.get(_stem(name), split) != split:
        name = f"{split}_{name.replace('/', '_')}"
    if _stem(name) in taken:
        what = "two images of one folder have one name"
        raise SynthError(what, code="image-name-duplicate", where=stored.where, found=name)
    taken[_stem(name)] = split
    if image.size is None:
        with open_image(data, stored.where, "the image") as opened:
            image = replace(image, width=opened.width, height=opened.height)
    put_file(folder / name, data)
    return ImageLabels(replace(image, file_name=name), stored.labels.annotations)


def _lost_beside(stored: StoredImage, split: str, name: str, writing: _Writing) -> Iterator[str]:
    """Copy what lies beside an image, where the format carries it; say in words what it does not carry."""
    place_of: Callable[[str, str, str], str | None] | None = getattr(writing.module, "beside_file", None)
    for folder, words in IN_WORDS.items():
        if not stored.has_beside(folder):
            continue
        place = None if place_of is None else place_of(folder, split, name)
        if place is None:
            yield words
        elif place in writing.beside:
            yield f"{words} of images whose name another split has"
        elif (content := stored.read_beside(folder)) is not None:
            writing.beside.add(place)
            put_file(writing.folder / place, content)


def _name_of(stored: StoredImage) -> str:
    return (stored.labels.image.file_name or "").replace("\\", "/")


def _stem(name: str) -> str:
    """What labels are named by: they lie beside images in most formats, and some file systems ignore case."""
    return name.rpartition(".")[0].casefold()


def print_summary(console: Console, summary: ConvertSummary) -> None:
    """What was written, and what the format could not carry."""
    counts = counts_of(image=summary.images, annotation=summary.annotations)
    console.print(f"converted to {summary.format}: {counts}", highlight=False, markup=False)
    if summary.renamed:
        line = f"renamed with their split before, as another split has the name: {counts_of(image=summary.renamed)}"
        console.print(line, style="yellow", highlight=False, markup=False)
    for what, count in sorted(summary.lost.items()):
        line = f"not carried by {summary.format}: {what}: {count:,}"
        console.print(line, style="yellow", highlight=False, markup=False)
