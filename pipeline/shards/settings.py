"""Settings of packing, converting and choosing from data sets."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from assets.catalog.sku_lists import SkuSource
from assets.options import MAX_SEED, Option

GroupKind = Literal["group", "scene", "image", "sku"]
Shares = tuple[tuple[str, float], ...]


@dataclass(frozen=True)
class PackSettings:
    """Settings of a packing. spool: folder on disk for labels while they are sorted, as large as the COCO files."""

    shard_images: Annotated[int, Option("Images per shard.", "Output", minimum=1, maximum=100_000)] = 200
    spool: Annotated[
        Path | None, Option("Folder for labels while they are sorted.", "Output", shown="in PLACE, or the system's")
    ] = None


@dataclass(frozen=True)
class ConvertSettings:
    """Settings of a conversion.

    source_format: None to detect it. images: searched before the usual folders. sku_list: None for no models.
    """

    format: Annotated[str, Option("Label format of OUT.", "Output", parse="label_format")] = "coco"
    source_format: Annotated[
        str | None, Option("Label format of SOURCE.", "Data", "--from", parse="label_format", shown="detected")
    ] = None
    images: Annotated[
        Path | None, Option("Folder of the images, if they are not beside their labels.", "Data", exists="folder")
    ] = None
    sku_list: Annotated[
        SkuSource | None,
        Option("SKU list of the products, whose meshes BOP takes along as models.", "Data", parse="sku_list"),
    ] = None


@dataclass(frozen=True)
class MergeSettings:
    """Settings of a merging. format: None for shards if all sets are shards, else COCO."""

    format: Annotated[
        str | None,
        Option("Label format of OUT.", "Output", parse="label_format", shown="shards if all sets are, else coco"),
    ] = None


@dataclass(frozen=True)
class FilterSettings:
    """Which images and products are kept. only: file with a line SPLIT/NAME or NAME for each image.

    others: what becomes of products that are not meant, in images that are kept: neither target nor background, or
    nothing at all, which teaches that they are background.
    """

    splits: Annotated[tuple[str, ...], Option("Only this split (repeatable).", "Selection", "--split")] = ()
    recipes: Annotated[tuple[str, ...], Option("Only this recipe (repeatable).", "Selection", "--recipe")] = ()
    only: Annotated[
        Path | None,
        Option("Only images listed in this file, a name per line (.json: targets of BOP).", "Selection", exists="file"),
    ] = None
    skus: Annotated[tuple[str, ...], Option("Only products of this SKU (repeatable).", "Selection", "--sku")] = ()
    min_visibility: Annotated[
        float, Option("Only products of which this share is visible.", "Selection", minimum=0, maximum=1)
    ] = 0.0
    min_side: Annotated[
        float, Option("Only products whose box has no side shorter than this, pixels.", "Selection", minimum=0)
    ] = 0.0
    others: Annotated[Literal["ignore", "drop"], Option("What becomes of other products.", "Selection")] = "ignore"
    keep_empty: Annotated[bool, Option("Keep images without any such product.", "Selection")] = False


@dataclass(frozen=True)
class SampleSettings:
    """Settings of a sample. count: of images, each split in its share."""

    count: Annotated[int, Option("Number of images.", "Selection", minimum=1, metavar="N")]
    seed: Annotated[int, Option("Random seed.", "Selection", minimum=0, maximum=MAX_SEED)] = 0


@dataclass(frozen=True)
class SplitSettings:
    """Settings of a division. by: what is never divided. shares: name and share of each split, sum 1."""

    shares: Annotated[
        Shares, Option("Splits and their shares, e.g. train:0.8,val:0.2.", "Output", "--split", parse="splits")
    ] = (("train", 0.8), ("val", 0.2))
    by: Annotated[
        GroupKind, Option("What is never divided; sku: no product of a later split is in an earlier one.")
    ] = "group"
    seed: Annotated[int, Option("Random seed.", "Output", minimum=0, maximum=MAX_SEED)] = 0


@dataclass(frozen=True)
class CroppingSettings:
    """Settings of crops. margin: share of the box's longer side on every side. source_format: None to detect it."""

    margin: Annotated[float, Option("Margin, as a share of the longer side.", "Crops", minimum=0, maximum=2)] = 0.05
    min_side: Annotated[
        float, Option("Only products whose box has no side shorter than this, pixels.", "Crops", minimum=1)
    ] = 16.0
    min_visibility: Annotated[
        float, Option("Only products of which this share is visible.", "Crops", minimum=0, maximum=1)
    ] = 0.25
    source_format: Annotated[
        str | None, Option("Label format of SOURCE.", "Data", "--from", parse="label_format", shown="detected")
    ] = None
    images: Annotated[
        Path | None, Option("Folder of the images, if they are not beside their labels.", "Data", exists="folder")
    ] = None
