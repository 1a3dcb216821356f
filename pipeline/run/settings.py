"""What a render run is asked to do: one frozen value, made from the command line."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from assets.catalog.sku_lists import SkuSource
from assets.machine import usable_cores
from dataset.layout import Splits
from render.streams import STREAMS


@dataclass(frozen=True)
class BackdropFolders:
    """The user's own backdrops, from any number of folders each; none = what comes with the project."""

    hdri: tuple[Path, ...] = ()
    photos: tuple[Path, ...] = ()
    surfaces: tuple[Path, ...] = ()


@dataclass(frozen=True)
class RunSettings:
    """A render run. Everything up to `streams` decides the bytes of the data set; the rest only how it is made.

    recipe: a name or a path to YAML, or several with their shares. samples, denoise: None for those of the preset.
    splits: name and share, sum 1.
    extras: of depth, normals, ids. streams: version of the random streams and of the recipes' defaults, which a set
    that is there already keeps. workers: processes; threads of the machine are shared between them. timeout_s: for
    one scene with all its views, long enough for 128 samples of a full HD picture on two cores. max_failures: share of
    scenes that may fail before the run gives up. memory_mb: a worker above it is replaced before its next scene.
    threads_each: of a worker, where other runs have their share of the machine; 0 = all of it is this run's.
    """

    sku_list: SkuSource
    out: Path
    scenes: int
    views: int = 1
    width: int = 640
    height: int = 480
    seed: int = 0
    recipe: str | tuple[tuple[str, float], ...] = "tabletop"
    backend: str = "raster"
    preset: str = "draft"
    samples: int | None = None
    denoise: bool | None = None
    splits: Splits = (("train", 1.0),)
    extras: tuple[str, ...] = ()
    backdrops: BackdropFolders = BackdropFolders()
    licence: str = ""
    creator: str = ""
    streams: int = STREAMS
    workers: int = 1
    device: Literal["auto", "cpu", "gpu"] = "auto"
    cache: Path = Path()
    timeout_s: float = 1800.0
    max_failures: float = 0.1
    memory_mb: int = 6144
    threads_each: int = 0

    @property
    def threads(self) -> int:
        """Threads for each worker, so that all of them together fill the machine."""
        return self.threads_each or max(usable_cores() // max(self.workers, 1), 1)


def recipe_text(recipe: str | tuple[tuple[str, float], ...]) -> str:
    """A recipe, or several with their shares, in a few words: tabletop:0.7 + mine.yaml:0.3."""
    if isinstance(recipe, str):
        return Path(recipe).name
    return " + ".join(f"{Path(name).name}:{share:g}" for name, share in recipe)


def default_cache() -> Path:
    """Where normalised meshes are kept between runs."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "synth"
