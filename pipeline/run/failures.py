"""List of scenes that could not be made (failures.jsonl), with all that is needed to make them again."""

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
    """One line per scene that failed and has not been made since, sorted by scene.

    Lines are appended as scenes fail, and the file is sorted by `settle`. A line is written by one call, so a run
    killed at any moment leaves whole lines; a line cut off by a full disk is skipped when the file is read again.
    """

    def __init__(self, settings: RunSettings, finished: Container[int]) -> None:
        self._settings, self._layout = settings, Layout(settings.out)
        known = read_failures(self._layout.failures)
        self._records = {index: record for index, record in known.items() if index not in finished}
        self.settle()

    def add(self, outcome: Outcome) -> None:
        """Add a scene that has failed."""
        record = self._record_of(outcome)
        self._records[outcome.index] = record
        handle = os.open(self._layout.failures, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        try:
            os.write(handle, _encode_line(record))
        finally:
            os.close(handle)

    def drop(self, index: int) -> None:
        """Remove a scene that has been made after all."""
        self._records.pop(index, None)

    def settle(self) -> None:
        """Write the sorted list, or delete the file if the list is empty."""
        if self._records:
            lines = [_encode_line(record) for _, record in sorted(self._records.items())]
            write_atomic(self._layout.failures, b"".join(lines))
        else:
            self._layout.failures.unlink(missing_ok=True)

    def _record_of(self, outcome: Outcome) -> dict[str, Any]:
        """Return the record of a failure. `view` is the first unfinished one; `stage` is how far it came."""
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
            "scenes": [spec for stem in stems if (spec := _read_spec(self._layout.scene(stem))) is not None],
        }


def read_failures(path: Path) -> dict[int, dict[str, Any]]:
    """Return the last record of each scene; invalid lines are skipped."""
    records: dict[int, dict[str, Any]] = {}
    if path.exists():
        for line in read_file(path, DATASET_JSON, "the list of failures").splitlines():
            with contextlib.suppress(SynthError, ValueError, KeyError, TypeError, OverflowError):
                record = parse_json(line, "a failure", str(path))
                records[int(record["index"])] = record
    return records


def _encode_line(record: dict[str, Any]) -> bytes:
    return json.dumps(record).encode() + b"\n"


def _read_spec(file: Path) -> Any:
    try:
        return read_json(file, DATASET_JSON, "the scene")
    except SynthError:
        return None
