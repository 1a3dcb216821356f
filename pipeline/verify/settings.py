"""What `synth verify` is asked to check."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from assets.catalog.sku_lists import SkuSource
from assets.machine import cache_folder
from assets.options import Option


@dataclass(frozen=True)
class VerifySettings:
    """How a set is checked. cache: None for the usual one."""

    sample: Annotated[int, Option("Scenes to sample, trace and render again.", "Checks", minimum=0)] = 10
    sku_list: Annotated[
        SkuSource | None, Option("SKU list it was made from, if that has moved.", "Data", parse="sku_list")
    ] = None
    images: Annotated[
        Path | None, Option("Folder of the images, if they are not beside their COCO file.", "Data", exists="folder")
    ] = None
    plugins: Annotated[
        tuple[Path, ...],
        Option(
            "Python file of a recipe or backend that it was made with; its code is run.",
            "Data",
            exists="file",
            name="--plugin",
        ),
    ] = ()
    workers: Annotated[int, Option("Parallel processes that read shards.", "Compute", parse="workers")] = 1
    cache: Annotated[
        Path | None,
        Option(
            "Folder that keeps normalised meshes between runs.",
            "Compute",
            default=cache_folder,
            shown="~/.cache/synth",
        ),
    ] = None

    @property
    def mesh_cache(self) -> Path:
        """The folder of normalised meshes."""
        return self.cache or cache_folder()
