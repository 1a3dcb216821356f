"""The rows of a comparison: each combination of detector, backbone, size and proposals, and what became of it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from assets.errors import SynthError
from assets.files.atomic import write_atomic
from assets.files.models import FileModel, read_model
from assets.limits import DATASET_JSON
from detectors.bench.describe import DetectorFacts
from detectors.evaluate.report import json_text

FILE = "row.json"
AGAIN = "delete it: the same command makes it again"
Positive = Annotated[float, Field(ge=0)]
Status = Literal["done", "skipped", "failed"]


@dataclass(frozen=True)
class PlannedRow:
    """A training to make. size: width and height.

    proposals: None for the detector's own. skipped: why it cannot be made, "" if it can; code: of the error, if any.
    """

    name: str
    detector: str
    backbone: str | None = None
    size: tuple[int, int] | None = None
    proposals: int | None = None
    skipped: str = ""
    code: str = ""


class RowTimes(FileModel):
    """Times of a row. latency_ms, latency_p95_ms: of one image, from pixels to boxes, over `repeats` images.

    images_per_second: of `batch` images at once. trained_seconds: of the training, trained_per_second: images of it.
    """

    latency_ms: Positive
    latency_p95_ms: Positive
    repeats: int
    images_per_second: Positive
    batch: int
    trained_seconds: Positive
    trained_per_second: Positive


class RowCosts(FileModel):
    """What a network needs. flops: of one image, two for each multiplication and addition; None if not countable.

    memory_mb: MiB for one image with its weights. training_memory_mb: MiB of the training process. None if unknown.
    """

    parameters: int
    flops: int | None
    memory_mb: Positive | None
    training_memory_mb: Positive | None


class RowData(FileModel):
    """On what a row was trained and judged. images: to learn from."""

    images: int
    judged_images: int
    judged_groups: int
    judged_boxes: int
    classes: int


class RowSettings(FileModel):
    """How a row was made. backbone: None for the detector's own. weights: that it started from.

    threads: of training and measurements. device: "cpu" or "cuda".
    """

    detector: str
    backbone: str | None
    width: int
    height: int
    proposals: int | None
    options: dict[str, bool | int | float | str]
    steps: int
    batch: int
    weights: str
    augment: str
    seed: int
    threads: int
    device: str


class RowRecord(FileModel):
    """The content of row.json. status: "done", "skipped" (does not fit, or lacks something) or "failed".

    reason, code: why it is not done. metrics: by name, null where not defined. low, high: 95 % interval of AP.
    """

    name: str
    status: Status
    reason: str = ""
    code: str = ""
    asked: str
    settings: RowSettings | None = None
    data: RowData | None = None
    metrics: dict[str, float | None] = Field(default_factory=dict)
    low: float | None = None
    high: float | None = None
    times: RowTimes | None = None
    costs: RowCosts | None = None
    versions: dict[str, str] = Field(default_factory=dict)
    hardware: str = ""

    @model_validator(mode="after")
    def _check_done(self) -> RowRecord:
        if self.status == "done" and None in (self.settings, self.data, self.times, self.costs):
            raise ValueError("a row that is done has settings, data, times and costs")
        return self

    @property
    def ap(self) -> float:
        """AP, -1 where it is not defined."""
        return self.metric("AP", -1.0)

    @property
    def latency(self) -> float:
        """Median latency in milliseconds, infinite without one."""
        return self.times.latency_ms if self.times else float("inf")

    def metric(self, name: str, missing: float = float("nan")) -> float:
        """Return a metric by name, `missing` where it is not defined."""
        value = self.metrics.get(name)
        return missing if value is None else value


def plan_rows(
    facts: list[DetectorFacts],
    backbones: tuple[str, ...],
    sizes: tuple[tuple[int, int], ...],
    proposals: tuple[int, ...],
    *,
    named_sizes: bool = True,
) -> list[PlannedRow]:
    """Return a row for each combination; of a detector that cannot be varied the first one, the others are skipped.

    A detector of one size has its size in the first row; one without proposals has none. named_sizes: whether the size
    is part of the names.
    """
    rows = []
    for one in facts:
        for backbone, size, count in product(backbones or (None,), sizes, proposals or (None,)):
            skipped = one.problem
            if one.fixed_size and size != sizes[0]:
                skipped = skipped or "it takes images of {}x{} alone: one row has them".format(*one.fixed_size)
            if backbones and not one.takes_backbone and backbone != backbones[0]:
                skipped = skipped or "it has a network of its own: one row has it as it is"
            if proposals and not one.has_proposals and count != proposals[0]:
                skipped = skipped or "it has no option for the number of proposals: one row has it as it is"
            used = (
                backbone if one.takes_backbone else None,
                one.fixed_size or size,
                count if one.has_proposals else None,
            )
            shown = (backbone, size, count) if skipped else used
            name = _name(one.name, shown[0], shown[1] if named_sizes else None, shown[2])
            rows.append(PlannedRow(name, one.name, *used, skipped, one.code))
    _check_names(rows)
    return rows


def _name(detector: str, backbone: str | None, size: tuple[int, int] | None, proposals: int | None) -> str:
    parts = [Path(detector).stem if detector.endswith(".py") else detector]
    parts += [backbone] if backbone else []
    parts += ["{}x{}".format(*size)] if size else []
    parts += [f"{proposals}-proposals"] if proposals else []
    return re.sub(r"[^A-Za-z0-9_.-]", "_", "-".join(parts)).lstrip(".")


def _check_names(rows: list[PlannedRow]) -> None:
    names = [row.name for row in rows]
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise SynthError("two detectors have the same name", code="input-duplicate", found=twice[0])


def write_row(folder: Path, record: RowRecord) -> None:
    """Write the record of a row into its folder."""
    folder.mkdir(parents=True, exist_ok=True)
    write_atomic(folder / FILE, json_text(record.model_dump()).encode())


def read_row(folder: Path) -> RowRecord | None:
    """Return the record of a row, None if it has not ended yet. Raises SynthError if it is damaged or of another."""
    path = folder / FILE
    if not path.exists():
        return None
    record = read_model(RowRecord, path, DATASET_JSON, "the record of a row", hint=AGAIN)
    if record.name != folder.name:
        raise SynthError(
            "the record is of another row",
            code="content-invalid",
            where=str(path),
            found=record.name,
            expected=folder.name,
            hint=AGAIN,
        )
    return record
