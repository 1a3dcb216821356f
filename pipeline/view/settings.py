"""Settings of the pages that show a data set."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from assets.options import Option
from dataset.storage.path import StoragePath

Data = Path | StoragePath
MAX_WORKERS = 128


@dataclass(frozen=True)
class ViewSettings:
    """Pages that show a data set. other: a second one beside it. real: photographs that distributions are held against.

    predictions: COCO results, or a run whose evaluation has them. copy: pictures into `out`, so that it can be moved.
    """

    data: Annotated[Data, Option("", argument=True, parse="data", metavar="DIR")]
    other: Annotated[Data | None, Option("A second data set, shown beside the first.", "Data", parse="data")] = None
    real: Annotated[Data | None, Option("Photographs that distributions are held against.", "Data", parse="data")] = (
        None
    )
    predictions: Annotated[
        Path | None,
        Option("COCO results on DIR, or a run whose evaluation has them.", "Data", exists="any"),
    ] = None
    images: Annotated[
        Path | None, Option("Folder of the images, if they are not beside their labels.", "Data", exists="folder")
    ] = None
    out: Annotated[Path, Option("Folder of the pages.", "Output")] = Path("view")
    copy: Annotated[bool, Option("Copy the pictures, so that the folder can be moved.", "Output")] = False
    serve: Annotated[bool, Option("Serve the pages to browsers of this machine until interrupted.", "Output")] = False
    port: Annotated[int, Option("Port of --serve; 0 takes a free one.", "Output", minimum=0, maximum=65535)] = 8000
    workers: Annotated[
        int | None,
        Option("Processes that make thumbnails.", "Compute", minimum=1, maximum=MAX_WORKERS, shown="by cores"),
    ] = None
