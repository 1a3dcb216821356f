"""The folder of a run: belongs to one set of settings and holds the logs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol, TypeVar

from lightning.fabric.loggers import CSVLogger, TensorBoardLogger

from assets.errors import SynthError
from assets.files.atomic import remove_leftovers, write_atomic
from assets.limits import DATASET_JSON, read_file
from detectors.checkpoints.detector import LAST
from detectors.checkpoints.recorded import RecordedSettings

T = TypeVar("T")


class TrainingRunSettings(Protocol):
    """The settings that the folder of a run uses."""

    @property
    def out(self) -> Path: ...

    @property
    def FREE(self) -> Sequence[str]: ...

    def recorded(self) -> RecordedSettings: ...


def claim_folder(settings: TrainingRunSettings, load: Callable[[Path], T]) -> T | None:
    """Record the settings in the run's folder; return the last checkpoint of an earlier call, None if there is none.

    load: reads the checkpoint. Raises SynthError if the folder belongs to a run of other settings or to something else.
    """
    file, last = settings.out / "settings.json", settings.out / LAST
    # Before the first checkpoint nothing can be lost, so that settings may still be changed.
    if file.exists() and last.exists():
        check_settings(settings, file, "a run")
    elif not file.exists():
        check_empty(settings.out, "run")
    remove_leftovers(settings.out)
    write_atomic(file, settings.recorded().file())
    return load(last) if last.exists() else None


def check_settings(settings: TrainingRunSettings, file: Path, what: str) -> None:
    """Raise SynthError if `file` records other settings, those that are free aside. what: the folder's content."""
    earlier = RecordedSettings.parse(
        read_file(file, DATASET_JSON, "settings.json"), str(file), hint="give another --out"
    )
    differing = settings.recorded().differing(earlier, free=settings.FREE)
    if differing:
        raise SynthError(
            f"the folder contains {what} with other settings",
            code="settings-differ",
            where=str(settings.out),
            problems=differing,
            hint="give another --out, or the same settings as before to resume",
        )


def check_empty(out: Path, what: str) -> None:
    """Raise SynthError if a folder that is to be claimed holds files of something else. what: that it should hold."""
    if any(entry.name != ".lock" for entry in out.iterdir()):
        raise SynthError(
            f"the output folder is not empty and contains no {what}",
            code="output-not-empty",
            where=str(out),
            hint="give another --out",
        )


def check_classes(mine: object, earlier: object, out: Path) -> None:
    """Raise SynthError if the classes of the data have changed since the run was started."""
    if mine != earlier:
        hint = "give another --out to train on the data as it is now"
        raise SynthError(
            "the classes of the data have changed since the run was started",
            code="classes-changed",
            where=str(out),
            hint=hint,
        )


def check_network(mine: object, earlier: object, out: Path) -> None:
    """Raise SynthError if the last checkpoint is of another network than the settings specify."""
    if mine != earlier:
        hint = "give another --out to start again"
        raise SynthError(
            "the last checkpoint belongs to another network",
            code="checkpoint-mismatch",
            where=str(out / LAST),
            hint=hint,
        )


class RunLogs:
    """Loggers of a run, to CSV and TensorBoard files in `logs`."""

    def __init__(self, out: Path) -> None:
        self.loggers = [CSVLogger(out / "logs", name="csv"), TensorBoardLogger(out / "logs", name="tensorboard")]

    def write(self, values: Mapping[str, float], step: int, *, flush: bool = False) -> None:
        """Log values at a step."""
        for logger in self.loggers:
            logger.log_metrics(dict(values), step=step)
            if flush:
                logger.save()
