"""Settings of the commands about planograms."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from assets.catalog.sku_lists import SkuSource
from assets.options import MAX_SEED, Option
from assets.planogram.bay_sizes import BayUnits
from pipeline.run.settings import Cache

PlanogramFile = Annotated[
    Path, Option("Planogram file: .psa, .toml or .csv.", "Data", exists="file", argument=True, metavar="FILE")
]
OptionalList = Annotated[
    SkuSource | None, Option("SKU list with the products: CSV, TSV, JSON Lines or Parquet.", "Data", parse="sku_list")
]


@dataclass(frozen=True)
class PlanogramCheckSettings:
    """What is checked. sku_list: None checks the sizes of the file alone."""

    file: PlanogramFile
    sku_list: OptionalList = None


@dataclass(frozen=True)
class PlanogramShowSettings:
    """What is drawn. names: of the planograms; without any, the first ones. pixels: a metre."""

    file: PlanogramFile
    sku_list: OptionalList = None
    out: Annotated[Path, Option("The drawing, a PNG.", "Output")] = Path("planogram.png")
    names: Annotated[
        tuple[str, ...], Option("Only the planogram of this name. Repeatable.", "Data", name="--name")
    ] = ()
    limit: Annotated[int, Option("Maximum number of planograms drawn.", "Output", minimum=1, maximum=50)] = 4
    pixels: Annotated[
        int, Option("Pixels per metre; wide planograms get fewer.", "Output", "--scale", minimum=50, maximum=4000)
    ] = 800
    faces: Annotated[bool, Option("Draw the faces of products, for which their models are built.", "Output")] = True
    cache: Cache = Path()


@dataclass(frozen=True)
class PlanogramGenerateSettings:
    """What is made up."""

    sku_list: Annotated[
        SkuSource, Option("SKU list with the products: CSV, TSV, JSON Lines or Parquet.", "Data", parse="sku_list")
    ]
    out: Annotated[Path, Option("Planogram file to write: .csv for any number of products, or .toml.", "Output")]
    units: Annotated[BayUnits, Option("Market whose usual sizes the bays have.", "Data")] = "eu"
    seed: Annotated[int, Option("Random seed.", "Data", minimum=0, maximum=MAX_SEED)] = 0


@dataclass(frozen=True)
class PlanogramConvertSettings:
    """What is converted."""

    file: PlanogramFile
    out: Annotated[Path, Option("", argument=True, metavar="OUT")]
    sku_list: OptionalList = None
