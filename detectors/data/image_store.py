"""Sources saved in the folder of a run, so that the processes of several GPUs map the same copy."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field

from assets.files.models import FileModel
from detectors.data.image_set import open_images
from detectors.data.shard_prepare import reopen_shards
from detectors.data.shard_set import SHARDS
from detectors.data.source import ImageSource


class SetsFile(FileModel):
    """The content of sets.json of a run: names of its sources, whether validation is on real photos, data digests."""

    sources: Annotated[tuple[str, ...], Field(min_length=1)]
    real: bool
    hashes: dict[str, str]


def open_source(folder: Path) -> ImageSource:
    """Open a source written by `ImageSource.save`. Raises SynthError if it cannot be used."""
    return reopen_shards(folder) if (folder / SHARDS).exists() else open_images(folder)
