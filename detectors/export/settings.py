"""Settings of exports."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from assets.options import Option


@dataclass(frozen=True)
class ExportSettings:
    """Settings of an export. run: its best detector is exported. format: a name, or the path of a Python file.

    out: the file, or a folder for `model` with the format's suffix; None for the folder of the run. photos: a folder,
    image or pattern that both networks are run on before anything is written; None for noise.
    """

    run: Annotated[Path, Option("Run whose detector is exported.", exists="any", argument=True)]
    out: Annotated[Path | None, Option("Exported file.", shown="model.SUFFIX in RUN")] = None
    format: Annotated[str, Option("File format.", parse="exporter")] = "onnx"
    photos: Annotated[Path | None, Option("Photos to check the exported model on.", exists="any", shown="noise")] = None
