"""Settings of an explanation."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from assets.options import Device, Option


@dataclass(frozen=True)
class ExplainSettings:
    """Settings of `synth explain`. channels: shown of each level. patches: shown of each channel, out of `images`."""

    run: Annotated[Path, Option("Run or checkpoint of the detector.", exists="any", argument=True)]
    image: Annotated[Path, Option("Image to explain.", exists="file", argument=True)]
    data: Annotated[
        Path | None,
        Option("Images in which filters look for what they respond to: folder or COCO JSON.", "Data", exists="any"),
    ] = None
    truth: Annotated[
        Path | None,
        Option("Labels of the image: data set folder or COCO JSON.", "Data", exists="any", shown="those of --data"),
    ] = None
    out: Annotated[Path | None, Option("Folder of the page.", "Output", shown="explained in RUN")] = None
    channels: Annotated[int, Option("Channels shown of each level.", "Output", minimum=1, maximum=64)] = 8
    patches: Annotated[int, Option("Patches shown of each channel.", "Output", minimum=1, maximum=64)] = 8
    images: Annotated[int, Option("Images of --data that are looked at, at most.", "Data", minimum=1)] = 200
    threshold: Annotated[
        float | None,
        Option("Score threshold of boxes.", "Detection", minimum=0, maximum=1, shown="chosen on validation"),
    ] = None
    device: Device = "auto"
