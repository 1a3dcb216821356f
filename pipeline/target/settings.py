"""Settings of a fit."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from assets.catalog.sku_lists import SkuSource
from assets.options import MAX_SEED, Device, Option
from pipeline.run.settings import BackdropFolders, Cache


@dataclass(frozen=True)
class FitSettings:
    """A fit of a recipe to photographs. recipe: a name, a YAML file or a Python file. report: None is beside `out`.

    width, height: of the pictures compared; 0 follows the photographs. scenes: rendered in each round. rounds: of
    correcting size, number and sensor.
    """

    recipe: Annotated[str, Option("", argument=True, parse="recipe_name")]
    target: Annotated[
        Path,
        Option("Folder of photographs, or a COCO file that lists them. Labels are not read.", "Data", exists="any"),
    ]
    sku_list: Annotated[
        SkuSource, Option("SKU list of your products: CSV, TSV, JSON Lines or Parquet.", "Data", parse="sku_list")
    ]
    out: Annotated[Path, Option("The fitted recipe, a YAML file.", "Output")]
    report: Annotated[
        Path | None,
        Option("Page with both distributions side by side.", "Output", shown="as --out, ending in .html"),
    ] = None
    detector: Annotated[
        Path | None,
        Option("Run whose detector counts and measures objects in photographs and renders.", "Data", exists="any"),
    ] = None
    photos: Annotated[
        int, Option("Number of photographs measured at most.", "Data", "--max-photos", minimum=1, maximum=10_000)
    ] = 200
    scenes: Annotated[int, Option("Scenes rendered to compare.", "Scenes", minimum=4, maximum=1000)] = 24
    rounds: Annotated[int, Option("Rounds of correction; 0 only compares.", "Scenes", minimum=0, maximum=20)] = 3
    seed: Annotated[int, Option("Random seed.", "Scenes", minimum=0, maximum=MAX_SEED)] = 0
    width: Annotated[
        int,
        Option(
            "Size at which you will render; photographs are shrunk to it.",
            "Rendering",
            "--size",
            parse="size",
            fields=("width", "height"),
            shown="that of the photographs, at most 640x480",
        ),
    ] = 0
    height: int = 0
    backdrops: BackdropFolders = field(default_factory=BackdropFolders)
    cache: Cache = Path()
    device: Device = "auto"
