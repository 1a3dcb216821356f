"""Result of building a gallery."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from detectors.recognition.gallery.open import Gallery, open_gallery
from pipeline.gallery.task import TaskResult


@dataclass
class GallerySummary:
    """Result of a command. version: in use now. made, dropped: SKUs. photos: added. failed: key and reason."""

    out: Path
    version: str = ""
    before: str = ""
    skus: int = 0
    rows: int = 0
    made: int = 0
    dropped: int = 0
    photos: int = 0
    failed: list[tuple[str, str]] = field(default_factory=list)
    seconds: float = 0.0
    interrupted: bool = False


def summary_of(
    folder: Path, started: float, parent: Gallery | None, results: Sequence[TaskResult], *, dropped: int = 0
) -> GallerySummary:
    """Return the result for the gallery in `folder`, whose previous version was `parent`."""
    made = open_gallery(folder)
    return GallerySummary(
        folder,
        made.version,
        before=parent.version if parent else "",
        skus=len(made),
        rows=made.manifest.rows,
        made=sum(len(result.made) for result in results),
        dropped=dropped,
        failed=[pair for result in results for pair in result.failed],
        seconds=time.monotonic() - started,
    )
