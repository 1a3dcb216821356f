"""What an evaluation is asked to do."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from assets.errors import SynthError
from dataset.shards.cache import DEFAULT_BYTES
from dataset.storage.path import StoragePath


@dataclass(frozen=True)
class EvaluateSettings:
    """What is evaluated on what. predictions: COCO results to judge instead of running the detector.

    data: sharded sets among them are evaluated in a stream. cache_bytes: of disk for shards that lie elsewhere.
    """

    runs: tuple[Path, ...]
    data: tuple[Path | StoragePath, ...]
    split: str | None = None
    images: Path | None = None
    group_key: str | None = None
    out: Path | None = None
    threshold: float | None = None
    predictions: Path | None = None
    skip_bad: bool = False
    workers: int | None = None
    device: Literal["auto", "cpu", "gpu"] = "auto"
    seed: int = 0
    cache_bytes: int = DEFAULT_BYTES

    def __post_init__(self) -> None:
        if self.predictions is not None and (len(self.runs) > 1 or len(self.data) > 1):
            raise SynthError(
                "--predictions takes the results of one detector on one data set",
                code="options-conflict",
                hint="give one RUN and one --data",
            )
