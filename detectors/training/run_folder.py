"""The folder of a run: claimed by one set of settings, and logged into."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol, TypeVar

from lightning.fabric.loggers import CSVLogger, TensorBoardLogger

from assets.errors import SynthError
from assets.files.atomic import remove_leftovers, write_atomic
from assets.files.json_input import read_json_object
from assets.limits import DATASET_JSON
from detectors.checkpoints.detector import LAST

T = TypeVar("T")


class TrainingRunSettings(Protocol):
    """What the folder of a run needs of its settings."""

    @property
    def out(self) -> Path: ...

    def to_json(self) -> dict[str, Any]: ...

    def differing(self, other: dict[str, Any]) -> list[str]: ...


def claim_folder(settings: TrainingRunSettings, load: Callable[[Path], T]) -> T | None:
    """Return the last checkpoint of an earlier call with the same settings, None where there is none.

    load: reads the checkpoint. Raises SynthError for the folder of another run.
    """
    file, last = settings.out / "settings.json", settings.out / LAST
    # Before its first save a run has nothing to lose: a mistake in the settings may be corrected.
    if file.exists() and last.exists():
        differing = settings.differing(read_json_object(file, DATASET_JSON, "settings.json", hint="give another --out"))
        if differing:
            hint = "give another --out, or the same settings as before to resume"
            raise SynthError(
                "the folder contains a run with other settings",
                code="settings-differ",
                where=str(settings.out),
                problems=differing,
                hint=hint,
            )
    elif not file.exists() and any(entry.name != ".lock" for entry in settings.out.iterdir()):
        raise SynthError(
            "the output folder is not empty and contains no run",
            code="output-not-empty",
            where=str(settings.out),
            hint="give another --out",
        )
    remove_leftovers(settings.out)
    write_atomic(file, json.dumps(settings.to_json(), indent=1).encode() + b"\n")
    return load(last) if last.exists() else None


def check_classes(mine: object, earlier: object, out: Path) -> None:
    """Raise SynthError where data has other classes than when its run began."""
    if mine != earlier:
        hint = "give another --out to train on the data as it is now"
        raise SynthError(
            "the classes of the data have changed since the run was started",
            code="classes-changed",
            where=str(out),
            hint=hint,
        )


def check_network(mine: object, earlier: object, out: Path) -> None:
    """Raise SynthError where the last checkpoint belongs to another network than the settings ask for."""
    if mine != earlier:
        hint = "give another --out to start again"
        raise SynthError(
            "the last checkpoint belongs to another network",
            code="checkpoint-mismatch",
            where=str(out / LAST),
            hint=hint,
        )


class RunLogs:
    """Numbers of a run for people: CSV and TensorBoard, in `logs`."""

    def __init__(self, out: Path) -> None:
        self.loggers = [CSVLogger(out / "logs", name="csv"), TensorBoardLogger(out / "logs", name="tensorboard")]

    def write(self, values: Mapping[str, float], step: int, *, flush: bool = False) -> None:
        """Log some numbers at a step."""
        for logger in self.loggers:
            logger.log_metrics(dict(values), step=step)
            if flush:
                logger.save()
