"""failures.jsonl: the scenes that could not be made, with all that is needed to draw them again."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Container
from pathlib import Path
from typing import Any

from assets.errors import SynthError
from assets.files.atomic import write_atomic
from assets.files.json_input import parse_json, read_json
from assets.limits import DATASET_JSON, read_file
from dataset.layout import Layout, stem_of
from pipeline.run.settings import RunSettings
from pipeline.workers.pool import Outcome


class FailureList:
    """One line per scene that failed and has not been made since, in the order of the scenes.

    Lines are added as scenes fail, and the file is put in order by `settle`. A line is written by one call, so a run
    killed at any moment leaves whole lines; what a full disk cut off is left out when the file is read again.
    """

    def __init__(self, settings: RunSettings, finished: Container[int]) -> None:
        self._settings, self._layout = settings, Layout(settings.out)
        known = read_failures(self._layout.failures)
        self._records = {index: record for index, record in known.items() if index not in finished}
        self.settle()

    def add(self, outcome: Outcome) -> None:
        """A scene has failed."""
        record = self._record_of(outcome)
        self._records[outcome.index] = record
        handle = os.open(self._layout.failures, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        try:
            os.write(handle, _line_of(record))
        finally:
            os.close(handle)

    def drop(self, index: int) -> None:
        """A scene has been made after all."""
        self._records.pop(index, None)

    def settle(self) -> None:
        """Writes the list anew, or takes the file away where there is nothing to tell."""
        if self._records:
            lines = [_line_of(record) for _, record in sorted(self._records.items())]
            write_atomic(self._layout.failures, b"".join(lines))
        else:
            self._layout.failures.unlink(missing_ok=True)

    def _record_of(self, outcome: Outcome) -> dict[str, Any]:
        """`view` is the first that was not finished; `stage` is how far that had come."""
        stems = [stem_of(outcome.index, view) for view in range(self._settings.views)]
        unfinished = [view for view, stem in enumerate(stems) if not self._layout.labels(stem).exists()]
        view = unfinished[0] if unfinished else 0
        drawn = self._layout.scene(stems[view]).exists()
        return {
            "index": outcome.index,
            "seed": self._settings.seed,
            "view": view,
            "recipe": self._settings.recipe,
            "stage": "rendering" if drawn else "drawing the scene",
            "attempts": outcome.attempts,
            "reason": outcome.reason,
            "scenes": [spec for stem in stems if (spec := _spec_in(self._layout.scene(stem))) is not None],
        }


def read_failures(path: Path) -> dict[int, dict[str, Any]]:
    """The records by scene, the last of each; lines that are none are left out."""
    records: dict[int, dict[str, Any]] = {}
    if path.exists():
        for line in read_file(path, DATASET_JSON, "the list of failures").splitlines():
            with contextlib.suppress(SynthError, ValueError, KeyError, TypeError, OverflowError):
                record = parse_json(line, "a failure", str(path))
                records[int(record["index"])] = record
    return records


def _line_of(record: dict[str, Any]) -> bytes:
    return json.dumps(record).encode() + b"\n"


def _spec_in(file: Path) -> Any:
    try:
        return read_json(file, DATASET_JSON, "the scene")
    except SynthError:
        return None
