"""Proof of determinism: scenes are sampled and traced again and compared with what is stored."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from assets.catalog.sku_lists import Root, SkuSource
from assets.errors import SynthError
from assets.files.image_input import decode_pixels
from assets.files.json_input import parse_json, read_json
from assets.limits import DATASET_JSON, read_file
from assets.plurals import count_of
from dataset.layout import SHOP, Layout, stem_of
from pipeline.run.dataset_info import DatasetInfo, backdrop_folders, listed_in
from pipeline.run.extras import EXTRAS
from pipeline.run.identity import check_streams
from pipeline.run.plugins import lacking, trusted_files
from pipeline.verify.agreement import STEPS
from pipeline.verify.extras import EXTRA_CHECKS, read_png
from pipeline.verify.images import ImageSources
from pipeline.verify.records import MALFORMED, Violation
from render.sample import DRAWING

if TYPE_CHECKING:
    from assets.catalog.types import Sku
    from assets.library import Library
    from assets.mesh.load import LoadedMesh
    from render.scene import SceneSpec

# cv2.IMREAD_UNCHANGED.
UNCHANGED = -1


@dataclass(frozen=True)
class Sources:
    """What scenes are sampled from, or why it is not available. images: the same for a worker process."""

    library: Library | None
    why_not: str = ""
    images: ImageSources | None = None


def open_sources(
    layout: Layout,
    info: DatasetInfo,
    sku_list: SkuSource | None,
    cache: Path,
    load: Callable[[Sku, Root], LoadedMesh],
    plugins: Sequence[Path] = (),
) -> Sources:
    """The library behind a data set: by the paths in dataset.json, or the list that the user gives.

    load: how its meshes are read. plugins: Python files whose code may be run. Raises SynthError for one of them that
    the set was not made with.
    """
    from pipeline.run.resources import open_library

    if info.identity.drawing != DRAWING:
        return Sources(None, "the data set was made by a version that sampled other scenes from the same seed")
    trusted = trusted_files(info.identity.plugins, plugins)
    if why_not := lacking(info.identity.plugins, trusted):
        return Sources(None, why_not)
    try:
        folders = backdrop_folders(info, layout.root)
        lists = sku_list or listed_in(info, layout.root)
        library = open_library(lists, folders, cache, load=load)
        if library.catalog.hash != info.identity.sku_list:
            return Sources(None, "the SKU list has changed since the data set was made")
        # Names first: a third party's file may name a folder of other things, which need not all be read.
        if set(library.backdrops.names()) != set(info.backdrops) or library.backdrops.hashes() != info.backdrops:
            return Sources(None, "the backdrops differ from those of the data set")
    except (SynthError, KeyError, OSError, ValueError, RuntimeError) as error:  # the last two: no path at all, or loops
        return Sources(None, f"the catalogue cannot be opened ({str(error).splitlines()[0]}); give --sku-list")
    return Sources(library, images=ImageSources(lists, folders, cache, trusted))


def check_scenes(
    layout: Layout, info: DatasetInfo, library: Library, indices: Sequence[int], plugins: Iterable[Path] = ()
) -> Iterator[Violation]:
    """Draw and traces the scenes again; every byte of the spec and every annotation must come out equal.

    plugins: Python files that the recipe may name.
    """
    from render.recipes import recipe_from_yaml
    from render.sample import sample_scene

    made = info.identity
    try:
        streams = check_streams(made.streams, str(layout.info))
        files = {path.name: path for path in plugins}
        recipe = recipe_from_yaml(info.recipe, where=str(layout.info), streams=streams, files=files)
    except SynthError as error:
        yield Violation("dataset.json", f"the scenes cannot be sampled again: {error}")
        return
    width, height = made.width, made.height
    for index in indices:
        for view in range(made.views):
            stem = stem_of(index, view)
            if not layout.labels(stem).exists():
                continue
            if _size_of(layout.scene(stem)) != (width, height):  # reported with the image; not traced at 8192 x 8192
                yield Violation(f"scenes/{stem}.json", f"is of another size than {width} x {height}: not sampled again")
                continue
            try:
                scene = sample_scene(
                    library, recipe, seed=made.seed, index=index, view=view, width=width, height=height, streams=streams
                )
                yield from _compare(layout, library, stem, scene, info)
            except (SynthError, OSError) as error:
                yield Violation(f"scenes/{stem}.json", f"cannot be sampled again: {error}")


def _size_of(file: Path) -> tuple[object, object]:
    """Width and height of the image that a scene file asks for."""
    try:
        camera = read_json(file, DATASET_JSON, "the scene")["camera"]
        return camera["width"], camera["height"]
    except (SynthError, ValueError, KeyError, TypeError, RecursionError):
        return None, None


def _compare(layout: Layout, library: Library, stem: str, scene: SceneSpec, info: DatasetInfo) -> Iterator[Violation]:
    from render.coco import annotation_records
    from render.labels import annotate, trace_geometry

    if read_file(layout.scene(stem), DATASET_JSON, "the scene") != scene.to_json().encode():
        yield Violation(
            f"scenes/{stem}.json", "differs from the scene sampled again from catalogue, recipe, seed and index"
        )
        return
    geometry = trace_geometry(scene, library)
    annotations = annotate(scene, geometry)
    for kind in info.extras:
        again = EXTRAS[kind](scene, library, geometry, annotations)
        yield from _compare_extra(layout.file(kind, stem), kind, again)
    records = annotation_records(scene, library, geometry, annotations, keypoints=info.identity.keypoints)
    traced = [record.content() for record in records]
    try:
        stored = read_json(layout.labels(stem), DATASET_JSON, "the labels")["annotations"]
    except (SynthError, KeyError, TypeError):
        return  # reported where all label files are read
    if type(stored) is not list:
        return
    if json.loads(json.dumps(traced)) != stored:
        yield Violation(
            f"labels/{stem}.json",
            f"the annotations differ from those traced again ({len(traced)} annotations, {len(stored)} stored)",
        )


def _compare_extra(file: Path, kind: str, traced: bytes) -> Iterator[Violation]:
    if kind == SHOP:
        with suppress(SynthError, OSError):  # reported where all files are read
            yield from compare_shop(read_file(file, DATASET_JSON, "labels of a shop"), traced, f"{kind}/{file.name}")
        return
    stored = read_png(file, EXTRA_CHECKS[kind][1])
    if isinstance(stored, str):
        return  # reported where all files are read
    yield from compare_traced(stored, traced, kind, f"{kind}/{file.name}")


def compare_shop(stored: bytes, traced: bytes, where: str) -> Iterator[Violation]:
    """Every record of the labels of a shop against those that were traced again."""
    fresh: Any = json.loads(traced)
    try:
        said: Any = parse_json(stored, "labels of a shop", where)
        for key, records in fresh.items():
            if len(said[key]) != len(records):
                yield Violation(where, f"{len(said[key])} {key}, {len(records)} when traced again")
            for number, (one, other) in enumerate(zip(said[key], records, strict=False)):
                if off := [name for name in {**one, **other} if one.get(name) != other.get(name)]:
                    yield Violation(f"{where} {key}[{number}]", f"{', '.join(off)} differ when traced again")
    except (SynthError, *MALFORMED):
        return  # reported where all files are read


def compare_traced(stored: NDArray[np.uint16], traced: bytes, kind: str, where: str) -> Iterator[Violation]:
    """Every pixel of stored depth, normals or ids against the PNG that was traced again."""
    fresh = decode_pixels(traced, UNCHANGED, where, "the image")
    if stored.shape != fresh.shape:
        yield Violation(where, f"is {stored.shape[1]}x{stored.shape[0]} px, traced {fresh.shape[1]}x{fresh.shape[0]}")
        return
    off = np.abs(stored.astype(np.int32) - fresh)
    if wrong := int((off > STEPS[kind]).reshape(*fresh.shape[:2], -1).any(axis=2).sum()):
        of = f"{count_of(wrong, 'pixel')} of {fresh.shape[0] * fresh.shape[1]}"
        yield Violation(where, f"{of} differ when traced again, by up to {off.max()}")
