"""refined.jsonl: a line for each picture, in order. While a run is unfinished it is a hidden file that only grows."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from assets.errors import SynthError
from assets.files.json_input import parse_json
from assets.limits import COCO_BYTES, check_file
from pipeline.refine.picture import PictureOutcome

JOURNAL = "refined.jsonl"
UNFINISHED = ".refined.jsonl"
MAX_LINE = 100_000


class OutcomeList:
    """The lines of a refinement in `folder`, for one run at a time."""

    def __init__(self, folder: Path) -> None:
        self.finished_file, self._file = folder / JOURNAL, folder / UNFINISHED
        self._stream: IO[bytes] | None = None

    @property
    def finished(self) -> bool:
        """Whether all pictures are done."""
        return self.finished_file.is_file()

    def outcomes(self) -> Iterator[PictureOutcome]:
        """Iterate over what is known of pictures, in order, up to a line that was cut short.

        Raises SynthError if a finished list is damaged.
        """
        file = self.finished_file if self.finished else self._file
        if not file.is_file():
            return
        check_file(file, COCO_BYTES, "the list of refined pictures")
        with file.open("rb") as stream:
            for number in range(1, 1 << 62):
                line = stream.readline(MAX_LINE)
                if not line:
                    return
                try:
                    if not line.endswith(b"\n"):
                        raise ValueError("the line is cut short")
                    yield PictureOutcome.parse(parse_json(line, "a line", str(file)))
                except (SynthError, ValueError, TypeError, RecursionError) as error:
                    if self.finished:
                        where = f"{file} line {number}"
                        raise SynthError(
                            "the list of refined pictures is damaged",
                            code="labels-damaged",
                            where=where,
                            found=str(error),
                            hint="delete it and run the same command again",
                        ) from error
                    return

    def reopen(self) -> None:
        """Make a finished list one that grows again, since pictures are missing."""
        self.finished_file.replace(self._file)

    def keep(self, count: int) -> None:
        """Keep the first lines of an unfinished list, and drop what comes after."""
        size = 0
        if self._file.is_file():
            with self._file.open("rb") as stream:
                for _ in range(count):
                    size += len(stream.readline(MAX_LINE))
            with self._file.open("r+b") as stream:
                stream.truncate(size)

    def __enter__(self) -> Self:
        self._stream = self._file.open("ab")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._stream is not None:
            self._stream.close()
            self._stream = None

    def add(self, outcome: PictureOutcome) -> None:
        """Add a line, so that it is there even if the process is killed."""
        assert self._stream is not None
        text = json.dumps(outcome.content(), ensure_ascii=False, allow_nan=False)
        self._stream.write(text.encode(errors="backslashreplace") + b"\n")
        self._stream.flush()

    def finish(self) -> None:
        """Give the list its name: all pictures are done."""
        self._file.touch()
        self._file.replace(self.finished_file)
