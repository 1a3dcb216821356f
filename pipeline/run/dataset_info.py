"""Metadata of a data set in dataset.json: what it was made from, to resume, verify and reproduce it."""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
from dataclasses import fields, replace
from functools import lru_cache
from pathlib import Path
from typing import Literal

from assets.backdrops.collection import Backdrops
from assets.catalog.category_ids import ids_hash, ids_of
from assets.catalog.sku_lists import SkuSource, sku_source
from assets.catalog.types import Catalog
from assets.errors import SynthError
from assets.files.atomic import write_atomic
from assets.files.json_input import read_json
from assets.files.models import Count, FileModel, check_model
from assets.limits import DATASET_IMAGES, DATASET_JSON
from assets.plugins import short_name
from dataset.checksums import CHECKSUMS
from dataset.layout import Layout
from pipeline.run.failures import read_failures
from pipeline.run.identity import RunIdentity, check_streams, json_digest
from pipeline.run.plugins import check_origins, origins_of
from pipeline.run.refinement import Refinement
from pipeline.run.settings import BackdropFolders, RunSettings
from render.backends.protocol import RenderSettings
from render.recipes import recipe_hash, recipe_yaml
from render.recipes.mix import Recipe
from render.sample import DRAWING

PACKAGES = (
    "numpy",
    "scipy",
    "trimesh",
    "embreex",
    "python-fcl",
    "opencv-contrib-python-headless",
    "pillow",
    "pyrender",
    "bpy",
)


class DatasetInfo(FileModel):
    """Content of dataset.json.

    identity: what must be equal to resume; sources: paths relative to the data set; backdrops: hashes by name;
    checksums: the name of their file, "" for sets of earlier versions, which have none. refined: how `synth refine`
    changed the pictures, None where they are as rendered.
    """

    format: Literal[1]
    identity: RunIdentity
    scenes: Count
    recipe: str
    sources: dict[str, str]
    backdrops: dict[str, str]
    versions: dict[str, str]
    checksums: Literal["", "checksums.sha256"] = ""
    refined: Refinement | None = None

    @property
    def extras(self) -> tuple[str, ...]:
        """The stored extras among depth, normals, ids and shop."""
        return tuple(filter(None, self.identity.extras.split(",")))

    def to_json(self) -> str:
        content = {**self.model_dump(exclude={"refined"}), "identity": self.identity.content()}
        content |= {} if self.refined is None else {"refined": self.refined.content()}
        return json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def describe_run(
    settings: RunSettings, catalog: Catalog, backdrops: Backdrops, recipe: Recipe, render: RenderSettings
) -> DatasetInfo:
    """Return the metadata of a run."""
    hashes = backdrops.hashes()
    identity = RunIdentity(
        sku_list=catalog.hash,
        recipe=recipe_hash(recipe, streams=settings.streams),
        seed=settings.seed,
        views=settings.views,
        width=settings.width,
        height=settings.height,
        backend=short_name(settings.backend),
        preset=settings.preset,
        samples=render.samples,
        denoise=render.denoise,
        split=",".join(f"{name}:{share:g}" for name, share in settings.splits),
        extras=",".join(settings.extras),
        keypoints=settings.keypoints,
        backdrops=json_digest(hashes),
        licence=settings.licence,
        creator=settings.creator,
        drawing=DRAWING,
        streams=settings.streams,
        ids=ids_hash(catalog, ids_of(catalog)),
        plugins=origins_of(recipe, settings.backend),
    )
    folders = {
        "sku_list": catalog.sources,
        "mesh_root": catalog.mesh_roots,
        **{field.name: getattr(settings.backdrops, field.name) for field in fields(BackdropFolders)},
    }
    sources = {
        f"{name}-{number}" if number > 1 else name: _relative_path(folder, settings.out)
        for name, given in folders.items()
        for number, folder in enumerate(given, 1)
    }
    return DatasetInfo(
        format=1,
        identity=identity,
        scenes=settings.scenes,
        recipe=recipe_yaml(recipe, streams=settings.streams),
        sources=sources,
        backdrops=hashes,
        versions=_package_versions(),
        checksums=CHECKSUMS,
    )


def backdrop_folders(info: DatasetInfo, root: Path) -> BackdropFolders:
    """Return the backdrop folders named by the sources of a data set in `root`."""
    return BackdropFolders(*(_source_paths(info, root, field.name) for field in fields(BackdropFolders)))


def listed_in(info: DatasetInfo, root: Path) -> SkuSource:
    """Return the SKU lists named by the sources of a data set in `root`. Raises KeyError if there are none."""
    lists = _source_paths(info, root, "sku_list")
    if not lists:
        raise KeyError("sku_list")
    return sku_source(lists, _source_paths(info, root, "mesh_root"))


def _source_paths(info: DatasetInfo, root: Path, name: str) -> tuple[Path, ...]:
    """Return the sources of a data set in `root` stored under hdri, hdri-2, hdri-3, ..."""
    numbers = range(1, len(info.sources) + 1)
    names = (f"{name}-{number}" if number > 1 else name for number in numbers)
    return tuple((root / info.sources[one]).resolve() for one in names if one in info.sources)


def _relative_path(path: Path, base: Path) -> str:
    return Path(os.path.relpath(path.resolve(), base.resolve())).as_posix()


def _package_versions() -> dict[str, str]:
    versions = {"python": platform.python_version()}
    for name in ("synth", *PACKAGES):
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions


def keep_streams(settings: RunSettings) -> RunSettings:
    """Return the settings with the streams version of the existing data set, if any: it must not change."""
    layout = Layout(settings.out)
    if not layout.info.exists():
        return settings
    return replace(settings, streams=check_streams(read_info(layout).identity.streams, str(layout.info)))


@lru_cache(maxsize=1)
def versions_digest() -> str:
    """Return eight hex digits that identify the versions of everything that images are made with."""
    return json_digest(_package_versions())[:8]


def read_info(layout: Layout) -> DatasetInfo:
    """Return the content of dataset.json. Raises SynthError if it is missing, or with all that is wrong with it."""
    if not layout.info.exists():
        hint = "give the folder that 'synth render --out' wrote"
        raise SynthError("not a data set: no dataset.json", code="dataset-missing", where=str(layout.root), hint=hint)
    where = str(layout.info)
    info = check_model(DatasetInfo, read_json(layout.info, DATASET_JSON, "dataset.json"), "dataset.json", where)
    DATASET_IMAGES.check(info.scenes * info.identity.views, where)
    return info


def check_sources(layout: Layout, catalog: Catalog, recipe: Recipe, backend: str) -> None:
    """Raise SynthError if list or code differ from those at the start of the run, for workers that start later."""
    if not layout.info.exists():
        return
    identity = read_info(layout).identity
    check_origins(identity.plugins, origins_of(recipe, backend), str(layout.root))
    if identity.sku_list != catalog.hash:
        hint = "restore the list and run the same command again, or render the new list into another --out"
        raise SynthError(
            "the SKU list has changed since the run was started",
            code="list-changed",
            where=str(catalog.source),
            hint=hint,
        )


def check_folder(layout: Layout, info: DatasetInfo) -> None:
    """Raise SynthError unless the folder is empty or holds this run's data set with no more scenes than requested."""
    if layout.info.exists():
        _check_same(read_info(layout), info, layout)
    elif layout.root.is_dir() and any(file.name != ".lock" for file in layout.root.iterdir()):
        raise SynthError(
            "the output folder is not empty and contains no data set",
            code="output-not-empty",
            where=str(layout.root),
            hint="give another --out",
        )


def claim_folder(layout: Layout, info: DatasetInfo) -> None:
    """Make the folder the run's own. Raises SynthError as check_folder does."""
    check_folder(layout, info)
    for name in ("images", "scenes", "labels", "annotations", *info.extras):
        (layout.root / name).mkdir(parents=True, exist_ok=True)
    write_atomic(layout.info, info.to_json().encode())


def _check_same(old: DatasetInfo, new: DatasetInfo, layout: Layout) -> None:
    if old.refined is not None:
        raise SynthError(
            "the folder contains a data set whose pictures were refined",
            code="settings-differ",
            where=str(layout.root),
            found=old.refined.words,
            hint="give another --out: rendering would mix both kinds of pictures",
        )
    check_origins(old.identity.plugins, new.identity.plugins, str(layout.root))
    if problems := old.identity.differing(new.identity):
        hint = "give another --out, or the same settings as before to resume"
        raise SynthError(
            "the folder contains a data set with other settings",
            code="settings-differ",
            where=str(layout.root),
            problems=problems,
            hint=hint,
        )
    existing = _count_scenes(layout) if new.scenes < old.scenes else 0
    # Fewer scenes than first requested are fine as long as none beyond is rendered yet.
    if new.scenes < existing:
        hint = f"give --scenes {existing} or more (more extends the set), or another --out"
        found = f"{existing} scenes, {new.scenes} requested"
        raise SynthError(
            "the folder contains more scenes than requested",
            code="output-larger",
            where=str(layout.root),
            found=found,
            hint=hint,
        )


def _count_scenes(layout: Layout) -> int:
    """Return the number of scenes up to the last one with any file; interrupted and failed scenes count too."""
    names = ("images", "labels", "scenes")
    files = (file for name in names for file in (layout.root / name).glob("[0-9]*_*.*"))
    numbers = [number for file in files if (number := file.name.partition("_")[0]).isdecimal()]
    return max([*map(int, numbers), *read_failures(layout.failures), -1]) + 1
