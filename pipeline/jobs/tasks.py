"""Work items of a job: plain frozen values that any process on any machine can receive."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field, replace
from pathlib import Path

from assets.files.atomic import write_atomic
from assets.plugins import is_python_file
from dataset.records import CategoryRecord, InfoRecord
from dataset.storage.path import StoragePath
from pipeline.run.plugins import file_place, unpack_files
from pipeline.run.settings import RunSettings
from render.choice import SceneProducts, orientation_of

# Files in the spool: the recipe, and the hash of the catalogue that every worker must have.
RECIPE, CATALOG = "recipe.yaml", "catalog.sha256"


@dataclass(frozen=True)
class SceneTask:
    """A scene to make. skus, ids, numbers: its products, their category ids, and how often each was used before.

    planogram: the one that it shows, by its number in the library.
    """

    index: int
    skus: tuple[str, ...]
    ids: tuple[int, ...]
    numbers: tuple[int, ...]
    planogram: int | None = None

    @property
    def products(self) -> SceneProducts:
        """The products with their orientations, which take turns."""
        return SceneProducts(self.skus, tuple(map(orientation_of, self.ids, self.numbers)), self.planogram)

    @property
    def stem(self) -> str:
        """The base name of its spool files, which differs for other products."""
        content = [self.skus, self.ids, self.numbers, *([] if self.planogram is None else [self.planogram])]
        digest = hashlib.sha256(json.dumps(content).encode()).hexdigest()
        return f"{self.index:08d}-{digest[:12]}"


@dataclass(frozen=True)
class ShardTask:
    """A shard to make. scenes: in order. categories: COCO's, of all its products. dropped: indices of those scenes that
    are not made, since their products have changed or were removed."""

    name: str
    split: str
    generation: int
    scenes: tuple[SceneTask, ...]
    categories: tuple[CategoryRecord, ...]
    dropped: tuple[int, ...] = ()

    @property
    def wanted(self) -> tuple[SceneTask, ...]:
        """The scenes to make."""
        return tuple(scene for scene in self.scenes if scene.index not in self.dropped)


@dataclass(frozen=True)
class JobContext:
    """Common properties of all shards of a job.

    settings: how scenes are rendered; its `out` is the spool, where finished scenes wait for their shard. recipe: YAML.
    catalog_hash: of the list that every worker must have. visible, pixels: thresholds of the appearances that count.
    plugins: content of the Python files of recipe and backend, by what uses them.
    """

    settings: RunSettings
    location: StoragePath
    recipe: str
    catalog_hash: str
    visible: float
    pixels: int
    info: InfoRecord = field(default_factory=InfoRecord)
    plugins: tuple[tuple[str, bytes], ...] = ()

    @property
    def spool(self) -> Path:
        """A folder on this machine, of this job alone."""
        return self.settings.out

    def with_spool_files(self) -> JobContext:
        """Write the files that workers need to the spool of this machine; return the context that uses them."""
        self.spool.mkdir(parents=True, exist_ok=True)
        write_atomic(self.spool / RECIPE, self.recipe.encode())
        write_atomic(self.spool / CATALOG, self.catalog_hash.encode())
        unpack_files(dict(self.plugins), self.spool)
        settings = replace(self.settings, recipe=str(self.spool / RECIPE))
        if is_python_file(settings.backend):
            settings = replace(settings, backend=str(file_place(f"backend {Path(settings.backend).name}", self.spool)))
        return replace(self, settings=settings)
