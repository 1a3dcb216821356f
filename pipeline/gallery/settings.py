"""What `synth gallery build` and `synth gallery views` are asked to do."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from assets.catalog.sku_lists import SkuSource
from assets.machine import usable_cores
from assets.options import Device, Option
from detectors.recognition.gallery.versions import Precision
from pipeline.gallery.task import TASK_SKUS
from pipeline.run.settings import Cache

# SKUs of a part: 8 views of 512 numbers are 16 MB, and of 170,000 SKUs there are 170 parts.
PART_SKUS = 1000
Views = Annotated[int, Option("Rendered views per SKU.", "Gallery", minimum=1, maximum=24)]
SkuList = Annotated[SkuSource, Option("SKU list.", "Data", parse="sku_list", argument=True)]
GalleryWorkers = Annotated[int, Option("Processes that render and embed.", "Compute", parse="workers", default="auto")]


@dataclass(frozen=True)
class GalleryBuildSettings:
    """What a gallery is to be made of. embedder: a run or checkpoint; None for the gallery's own.

    precision: of the stored vectors. index: of INDEXES. task_skus: SKUs of one task of a worker. part_skus: of a part.
    """

    sku_list: SkuList
    out: Annotated[Path, Option("Folder of the gallery. The same command again resumes it.", "Output")]
    embedder: Annotated[
        Path | None,
        Option("Run of 'synth embedder train'.", "Gallery", exists="any", shown="the gallery's own"),
    ] = None
    views: Views = 8
    workers: GalleryWorkers = 1
    precision: Annotated[Precision, Option("Precision of the stored vectors.", "Gallery")] = "float32"
    index: Annotated[str, Option("Search index.", "Gallery", parse="index")] = "exact"
    device: Device = "auto"
    cache: Cache = Path()
    task_skus: int = TASK_SKUS
    part_skus: int = PART_SKUS


@dataclass(frozen=True)
class CropSettings:
    """What is rendered. side: longest side of a product, pixels. Other fields: pipeline/workers/pool.py."""

    sku_list: SkuList
    out: Annotated[Path, Option("Folder of the data set. The same command again resumes it.", "Output")]
    views: Views = 8
    side: Annotated[
        int, Option("Longest side of a product, in pixels.", "Output", "--size", minimum=32, maximum=1024)
    ] = 224
    workers: GalleryWorkers = 1
    cache: Cache = Path()
    timeout_s: float = 600.0
    memory_mb: int = 6144

    @property
    def threads(self) -> int:
        """Threads for each worker, so that all of them together fill the machine."""
        return max(usable_cores() // self.workers, 1)
