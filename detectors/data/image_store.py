"""The sources of a training where further processes find them: two GPUs map one copy, not two."""

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
    """sets.json of a run: its sources by name, whether it validates on real photos, digests of the data."""

    sources: Annotated[tuple[str, ...], Field(min_length=1)]
    real: bool
    hashes: dict[str, str]


def open_source(folder: Path) -> ImageSource:
    """The source that `ImageSource.save` left. Raises SynthError where it cannot be used."""
    return reopen_shards(folder) if (folder / SHARDS).exists() else open_images(folder)
