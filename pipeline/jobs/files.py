"""Models of the small JSON files of a job, validated before use."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, ConfigDict, Field

from assets.files.models import Count, FileModel
from pipeline.run.identity import EXTRAS, Side, StoredIdentity, splits_of

# Of whole numbers, too, which stay so: the name of a job is a hash of the text.
Share = Annotated[int | float, Field(ge=0, le=1)]
Text = Annotated[str, Field(max_length=10_000)]
# A single path is stored as text, as in the first job version, several as a list.
Paths = Text | list[Text] | None


def _check_splits(splits: list[tuple[str, float]]) -> list[tuple[str, float]]:
    splits_of(",".join(f"{name}:{share}" for name, share in splits))
    return splits


def _check_extras(extras: list[str]) -> list[str]:
    if not {*extras} <= {*EXTRAS}:
        raise ValueError(f"values other than {', '.join(EXTRAS)}")
    return extras


class JobIdentity(StoredIdentity):
    """job.json: what must be equal to resume a job; with the catalogue and the number of its SKUs it decides all bytes.

    backdrops: hash of their content. recipe: as YAML. plugins: digest or version of third-party code by its use.
    """

    format: Literal[1]
    drawing: int = 1  # absent in jobs of the first version
    seed: Count
    views: Annotated[int, Field(ge=1, le=1000)]
    width: Side
    height: Side
    backend: Text
    preset: Text
    samples: Count
    denoise: bool
    # Names of files are made from these.
    splits: Annotated[list[tuple[Text, Share]], Field(min_length=1, max_length=100), AfterValidator(_check_splits)]
    extras: Annotated[list[Text], AfterValidator(_check_extras)]
    keypoints: bool = False  # absent in jobs without them
    licence: Text
    creator: Text
    visible: Share
    pixels: Count
    shard_scenes: Annotated[int, Field(ge=1, le=1_000_000)]
    backdrops: Text
    recipe: Annotated[str, Field(max_length=65_536)]
    streams: int = 1  # absent in jobs of the first version
    plugins: Annotated[dict[Text, Text], Field(max_length=100)] = Field(default_factory=dict)


class HowFile(FileModel):
    """how.json: how the job runs and where its sources are, which are read. Newer versions may add fields.

    cache: told, and used only where the user names it: a job that comes from elsewhere is not to say where to write.
    """

    model_config = ConfigDict(extra="allow")

    sku_list: Text | list[Text]
    mesh_roots: Paths = None
    cache: Text
    hdri: Paths = None
    photos: Paths = None
    surfaces: Paths = None
    fixtures: Paths = None
    planogram: Paths = None
    workers: Count
    device: Literal["auto", "cpu", "gpu"]
    timeout_s: Annotated[float, Field(gt=0)]
    max_failures: Share
    memory_mb: Count
    times: Count
    rounds: Count
    engine: Text
    address: Text
    cpus: Annotated[float, Field(ge=0)]
    gpus: Annotated[float, Field(ge=0)]


class VersionFile(FileModel):
    """plan/version-N.json."""

    catalog_hash: Text
    times: Count
    rounds: Count


class GenerationFile(FileModel):
    """plan/generation-N.json. scenes, appearances: lengths of its arrays."""

    version: Count
    first: Count
    scenes: Count
    appearances: Count
    share: Share
