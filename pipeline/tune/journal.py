"""The journal of a search: finished trials in a folder, from which the same search goes on."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from assets.errors import SynthError
from assets.files.atomic import write_atomic
from assets.files.models import Count, FileModel, read_model
from assets.limits import DATASET_JSON
from assets.plurals import first_few

TrialState = Literal["complete", "pruned", "failed"]
MAX_PROBLEMS = 20
AGAIN = "give another --trials-folder, or the same settings as before to resume"


class TrialRow(FileModel):
    """A finished trial. value: smaller is better; None if it failed. steps: value after each part of the scenes."""

    number: Count
    params: dict[str, float]
    state: TrialState
    value: float | None
    steps: Annotated[list[float], Field(max_length=1000)]

    @model_validator(mode="after")
    def _check_value(self) -> TrialRow:
        if (self.value is None) != (self.state == "failed"):
            raise ValueError("a trial has a value unless it failed")
        return self


class JournalFile(FileModel):
    """trials.json: what must be equal to resume, the keys that are tuned, the first guess, and all trials."""

    identity: dict[str, str]
    keys: list[str]
    guess: dict[str, float]
    trials: list[TrialRow]


@dataclass
class Journal:
    """The trials of a search in `folder`, written after each one."""

    folder: Path
    content: JournalFile

    @property
    def trials(self) -> Sequence[TrialRow]:
        """The finished trials, by number."""
        return self.content.trials

    def add(self, row: TrialRow) -> None:
        """Add a trial and write the journal."""
        self.content = self.content.model_copy(update={"trials": [*self.content.trials, row]})
        self.save()

    def save(self) -> None:
        """Write the journal."""
        text = json.dumps(self.content.model_dump(), indent=1, ensure_ascii=False)
        write_atomic(_file(self.folder), text.encode())


def open_journal(folder: Path, identity: Mapping[str, str]) -> Journal | None:
    """Return the journal of an earlier call; None if there is none. Raises SynthError if it is of another search."""
    if not _file(folder).exists():
        return None
    content = read_model(JournalFile, _file(folder), DATASET_JSON, "the journal of trials", hint=AGAIN)
    names = [name for name in {**content.identity, **identity} if content.identity.get(name) != identity.get(name)]
    if names:
        problems = [f"{name}: was {content.identity.get(name)}, now {identity.get(name)}" for name in names]
        raise SynthError(
            "the folder holds trials of another search",
            code="settings-differ",
            where=str(folder),
            problems=problems,
            hint=AGAIN,
        )
    return Journal(folder, content)


def check_trials(journal: Journal, bounds: Mapping[str, tuple[float, float]]) -> None:
    """Raise SynthError for trials that no search has made. bounds: lowest and highest value of each parameter."""
    problems = [f"guess: {text}" for text in _outside(journal.content.guess, bounds)]
    for place, row in enumerate(journal.trials):
        problems += [f"trial {place}: {text}" for text in _outside(row.params, bounds)]
        problems += [f"trial {place}: no {name}" for name in bounds if name not in row.params]
        problems += [f"trial {place}: has the number {row.number}"] if row.number != place else []
    if problems:
        raise SynthError(
            "the journal holds trials that this search cannot have made",
            code="content-invalid",
            where=str(_file(journal.folder)),
            problems=first_few(problems, MAX_PROBLEMS),
            hint=AGAIN,
        )


def _outside(params: Mapping[str, float], bounds: Mapping[str, tuple[float, float]]) -> Iterator[str]:
    for name, value in params.items():
        low, high = bounds.get(name, (math.nan, math.nan))
        if not low <= value <= high:
            yield f"{name} is {value:g}, expected {low:g} to {high:g}" if name in bounds else f"unknown key {name[:60]}"


def start_journal(
    folder: Path, identity: Mapping[str, str], keys: Sequence[str], guess: Mapping[str, float]
) -> Journal:
    """Begin a search in a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    journal = Journal(folder, JournalFile(identity=dict(identity), keys=list(keys), guess=dict(guess), trials=[]))
    journal.save()
    return journal


def _file(folder: Path) -> Path:
    return folder / "trials.json"
