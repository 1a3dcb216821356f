"""Settings of packing and converting data sets."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from assets.options import Option


@dataclass(frozen=True)
class PackSettings:
    """Settings of a packing. spool: folder on disk for labels while they are sorted, as large as the COCO files."""

    shard_images: Annotated[int, Option("Images per shard.", "Output", minimum=1, maximum=100_000)] = 200
    spool: Annotated[
        Path | None, Option("Folder for labels while they are sorted.", "Output", shown="in PLACE, or the system's")
    ] = None


@dataclass(frozen=True)
class ConvertSettings:
    """Settings of a conversion. source_format: None to detect it. images: searched before the usual folders."""

    format: Annotated[str, Option("Label format of OUT.", "Output", parse="label_format")]
    source_format: Annotated[
        str | None, Option("Label format of SOURCE.", "Data", "--from", parse="label_format", shown="detected")
    ] = None
    images: Annotated[
        Path | None, Option("Folder of the images, if they are not beside their labels.", "Data", exists="folder")
    ] = None
